"""What ``check --contradictions`` asks a model: which principles contradict each other."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from charter.cli import console
from charter.cli.model_options import model_spec
from charter.cli.progress import make_progress
from charter.cli.stopping import BEGINS_ANEW, Stopping
from charter.errors import CharterError

if TYPE_CHECKING:
    from charter.constitution import Constitution
    from charter.constitution.lint import Finding
    from charter.rows import RowMapper


def ask_model(constitution: Constitution, model: str, engine: str) -> tuple[Finding, ...]:
    """Ask a model about pairs of principles; what it answers is kept for as long as that takes.

    Args:
        constitution: whose principles.
        model: an embedded name, a folder, or a hub id.
        engine: how it is reached.
    """
    from charter.authoring.contradictions import find_contradictions
    from charter.engines.pool import Pool
    from charter.journal.store import Journal
    from charter.rows import map_rows

    with tempfile.TemporaryDirectory() as folder, Stopping(BEGINS_ANEW) as stopping:
        try:
            with Journal(Path(folder) / "journal.sqlite") as journal, make_progress() as progress:
                pool = Pool({"judge": model_spec(model, engine)}, journal, progress.download)
                pool.on_load = lambda name: console.note(f"loading {name}")
                pool.on_meet = pool.on_retry = console.note
                mapper = cast("RowMapper", partial(map_rows, journal=journal, progress=progress, stop=stopping.event))
                try:
                    return find_contradictions(constitution, pool.engine("judge"), mapper=mapper)
                finally:
                    pool.close()
        except CharterError:
            if stopping.received is not None:
                console.note("stopped; nothing was kept")
                shutil.rmtree(folder, ignore_errors=True)
                stopping.end()
            raise
