"""Processes that begin on one folder at the same moment: one works, and the others say who holds it."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faults.points import point, points
from faults.resumed import assert_same
from run_examples import small_recipe

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# The libraries are loaded once; the processes are forks that wait until the last of them is there.
RACE = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from charter.errors import CharterError
from charter.pipeline import run_stages
from charter.recipe import load_recipe
from charter.runs.folder import open_run
from run_examples import RECIPE, SMALL_STAGES

folder, n = Path(sys.argv[1]), int(sys.argv[2])
recipe = load_recipe(folder / "small.yaml")
gate, opener = os.pipe()
children = []
for number in range(n):
    child = os.fork()
    if child == 0:
        os.close(opener)
        os.read(gate, 1)  # nothing is ever written: it ends when nobody can write any more
        try:
            with open_run(recipe, folder / "run", recipe_text=RECIPE) as run:
                run_stages(run, SMALL_STAGES)
            said = "done"
        except CharterError as error:
            said = f"{type(error).__name__}: {error}"
        except BaseException as error:
            said = f"fault: {error!r}"
        (folder / f"said-{os.getpid()}").write_text(said, "utf-8")
        os._exit(0)
    children.append(child)
os.close(opener)
for child in children:
    os.waitpid(child, 0)
print(json.dumps({child: (folder / f"said-{child}").read_text("utf-8") for child in children}))
"""


@pytest.mark.parametrize("number", points(2, 50))
def test_one_works_and_the_others_say_who(tmp_path: Path, clean: Path, number: int) -> None:
    """Of two to eight, whoever does not work is told by whom the folder is held; the run is whole and done once."""
    n = 2 + (number * 6) % 7 if number else 8
    small_recipe(tmp_path)
    with point("runs at once on one folder", f"{n} processes") as tried:
        tests = str(Path(__file__).parents[1])
        raced = subprocess.run(
            [sys.executable, "-c", RACE, str(tmp_path), str(n), tests], capture_output=True, text=True, check=False
        )
        assert raced.returncode == 0, raced.stderr
        said = {int(child): text for child, text in json.loads(raced.stdout).items()}
        worked = [child for child, text in said.items() if text == "done"]
        refused = [text for text in said.values() if text != "done"]
        assert worked
        held = re.compile(
            rf"Busy: .*/run: (?:process (\d+) on {re.escape(platform.node())}|another process) is running on this "
            r"folder; wait for it, or name another with --out"
        )
        named = [held.fullmatch(text) for text in refused]
        assert all(named), refused
        assert {int(one[1]) for one in named if one is not None and one[1]} <= set(worked)
        assert_same(tmp_path / "run", clean)
        tried.outcome = f"held: {len(worked)} worked, {len(refused)} refused"
