"""The process of vLLM's own server: at a socket that is this user's alone, under a guard, and gone with the run."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from charter.engines.vllm.command import server_command, server_environment
from charter.engines.vllm.launch import Launch, find_cause
from charter.errors import Interrupted, ModelError
from charter.processes import guard

_START_SECONDS = 1800.0  # the largest models take many minutes to be read
_LOOK_SECONDS = 0.25
_HEALTH_SECONDS = 2.0
_SOCKET = "socket"
_LONGEST_SOCKET = 100  # bytes: systems take 103 at least
_SHORT_PLACE = "/tmp"  # noqa: S108 - a folder of our own is made there


class ServerProcess:
    """A server that is begun at once.

    Args:
        python: of the environment that has vLLM.
        launch: what is loaded, and how.
        name: how the server calls the base.

    Attributes:
        key: what it asks for, also of those who reach its socket.
        socket: where it answers, in a folder that nobody else may open.
    """

    def __init__(self, python: Path, launch: Launch, name: str) -> None:
        self._launch = launch
        self.key = secrets.token_urlsafe(32)
        self._place = _make_place()
        self.socket = self._place / _SOCKET
        self._log = tempfile.TemporaryFile(prefix="charter-vllm-")  # noqa: SIM115 - as long as the server lives
        runtime = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}  # adapters come to be as a run goes on
        self._guard = subprocess.Popen(  # noqa: S603 - of our own making
            [
                str(python),
                guard.__file__,
                str(self._place),
                *server_command(python, launch, self.socket, name=name, has_key=True),
            ],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env=server_environment(os.environ, self.key) | runtime,
            start_new_session=True,  # Ctrl-C is ours to answer
        )

    def wait(self, stop: threading.Event) -> None:
        """Wait until it answers.

        Args:
            stop: ends the wait.

        Raises:
            ModelError: where it does not come to answer.
            Interrupted: where it is stopped.
        """
        until = time.monotonic() + _START_SECONDS
        while not self.answers():
            if not self.is_there:
                cause = self.cause() or f"its server ended with status {self._guard.returncode}"
                raise ModelError(f"vLLM cannot load the model in {self._launch.base}: {cause}")
            if time.monotonic() > until:
                raise ModelError(f"vLLM's server did not begin within {_START_SECONDS / 60:.0f} minutes")
            if stop.wait(_LOOK_SECONDS):
                raise Interrupted("stopped while vLLM was loading a model")

    @property
    def is_there(self) -> bool:
        """Whether it was begun and has not ended."""
        return self._guard.poll() is None

    def answers(self, seconds: float = _HEALTH_SECONDS) -> bool:
        """Tell whether it says that it is well, within so many seconds."""
        asked = _SocketConnection(self.socket, seconds)
        try:
            asked.request("GET", "/health")
            return asked.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asked.close()

    def cause(self) -> str:
        """Say why it ended, as far as it told."""
        self._log.seek(0)
        return find_cause(self._log.read().decode("utf-8", "replace"))

    def end(self) -> None:
        """End it and all that it started, also where its guard was killed."""
        guard.release(self._guard, self._place)
        self._log.close()


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a socket that has a path."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("vllm", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect; what is not connected is closed all the same."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _make_place() -> Path:
    """Make a folder that is this user's alone, where the path of a socket is not too long for the system."""
    place = Path(tempfile.mkdtemp(prefix="charter-"))
    if len(os.fsencode(place / _SOCKET)) <= _LONGEST_SOCKET:
        return place
    place.rmdir()
    return Path(tempfile.mkdtemp(prefix="charter-", dir=_SHORT_PLACE))
