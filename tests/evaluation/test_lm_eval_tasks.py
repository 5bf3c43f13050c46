"""lm-eval itself on engines of ours: the same figures as on its own model of the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from charter.engines.transformers import TransformersEngine
from charter.evaluation.lm_eval_tasks import Lent, load_tasks, read_figures, run_tasks
from charter.rows import map_rows
from evaluation.lm_eval_examples import write_tasks

lm_eval = pytest.importorskip("lm_eval", reason="it wants an older python-dateutil: make harnesses")
pytestmark = pytest.mark.model

TASKS = "harbour_choices", "harbour_texts", "harbour_passages"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tasks."""
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Iterator[TransformersEngine]:
    """The tiny model as an engine."""
    engine = TransformersEngine(tiny_model, dtype="float32")
    yield engine
    engine.close()


def ours(engine: TransformersEngine, folder: Path, **arguments: Any) -> dict[str, Any]:
    """Run the tasks on an engine."""
    tasks = load_tasks(TASKS, include=folder, **arguments)
    return run_tasks(tasks, Lent("tiny", engine, map_rows, greedy_tasks=tasks.greedy))


@pytest.mark.parametrize("few_shots", [None, 2])
def test_figures_are_those_of_lm_evals_own_model(
    engine: TransformersEngine, tiny_model: Path, folder: Path, few_shots: int | None
) -> None:
    """Log-probabilities, drawn texts and metrics are those that lm-eval's model of the same weights gives."""
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    if few_shots:
        for file in folder.glob("*.yaml"):
            file.write_text(f"{file.read_text('utf-8')}fewshot_split: test\n", "utf-8")
    found = ours(engine, folder, few_shots=few_shots)
    theirs = lm_eval.simple_evaluate(
        HFLM(pretrained=str(tiny_model), device="cpu", dtype="float32", batch_size=2),
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        num_fewshot=few_shots,
        bootstrap_iters=10,
    )
    for task in TASKS:
        for own, other in zip(found["samples"][task], theirs["samples"][task], strict=True):
            assert own["arguments"] == other["arguments"]
            if task == "harbour_choices":
                mine, others = ([float(one[0][0]) for one in each["resps"]] for each in (own, other))
                assert mine == pytest.approx(others, abs=1e-3)
            elif task == "harbour_texts":
                assert own["resps"] == other["resps"]
    values = {(one.task, one.metric): (one.value, one.stderr) for one in read_figures(found)}
    assert {task for task, _ in values} == set(TASKS)
    for one in read_figures(theirs):
        value, stderr = values[one.task, one.metric]
        assert value == pytest.approx(one.value, rel=1e-4)
        assert one.task == "harbour_passages" or stderr == one.stderr


def test_documents_can_be_fewer_and_repeat(engine: TransformersEngine, folder: Path) -> None:
    """--limit takes the first documents; all of them have one document twice, which counts as one."""
    figures = {one.metric: one for one in read_figures(ours(engine, folder)) if one.task == "harbour_choices"}
    assert figures["acc"].n == 8
    assert figures["acc"].groups is not None
    assert len(set(figures["acc"].groups.values())) == 7
    assert {one.n for one in read_figures(ours(engine, folder, limit=3))} == {3}
