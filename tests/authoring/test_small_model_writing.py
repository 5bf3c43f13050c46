from __future__ import annotations

from pathlib import Path

import pytest

from authoring_examples import principle
from charter.authoring.coverage import Axes
from charter.authoring.red_team import red_team_subjects, write_red_team
from charter.authoring.structured import Asking
from charter.authoring.written import settle_written
from charter.constitution import Constitution
from charter.engines.transformers import TransformersEngine

CONSTITUTION = Constitution(
    name="plain",
    principles=(
        principle("honesty", "Say what is true, and what you do not know.", "truth"),
        principle("privacy", "Keep other people's private life private.", "data"),
        principle("safety", "Put people's safety before convenience.", "safety"),
        principle("fairness", "Treat everyone with equal respect.", "conduct"),
    ),
)


@pytest.mark.model
def test_the_embedded_model_writes_labelled_rows(smollm2: Path) -> None:
    """A model of 135 million parameters keeps to the form often enough to give some prompts; the rest is counted."""
    axes = Axes()
    engine = TransformersEngine(smollm2)
    try:
        mapped = write_red_team(
            CONSTITUTION,
            engine,
            n_per_principle=3,
            per_call=1,
            axes=axes,
            asking=Asking(form="labelled", max_tokens=100),
        )
    finally:
        engine.close()
    result = settle_written(mapped, red_team_subjects(CONSTITUTION, axes), axes.settings)
    summary = result.summary
    assert summary["calls"] == 12
    assert summary["written"] + sum(summary["malformed"].values()) == 12
    assert summary["kept"] >= 3
    for one in result.written:
        assert "Aligned:" not in one.prompt.text
        assert one.aligned != one.misaligned
