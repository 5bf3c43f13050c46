from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from charter.engines.base import Capability
from charter.engines.scripted import ScriptedEngine
from charter.engines.specs import ModelSpec
from charter.planning.findings import Preflight
from charter.planning.models import ALWAYS, look_at
from charter.planning.needs import Need, list_needs, missing
from charter.recipe import Recipe
from charter.recipe.stages import stages_of
from charter.stages import STAGES
from run_examples import small_recipe, small_run

OWN = {"p": "policy", "c": "critic", "r": "reviser", "j": "judge"}
ROLES = OWN | {"l": "judge large"}
OWN_MODELS = tuple(f"models.{role}={{name: {name}, engine: scripted}}" for name, role in OWN.items())
FULL: frozenset[Capability] = frozenset({"complete", "choose", "score", "chat", "text", "prefill"})

CHOICES = '{"prompt": "Which?\\n(A) one\\n(B) two\\nAnswer:", "corrects": [" (A)"], "incorrects": [" (B)"]}\n'


def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overrides: tuple[str, ...]) -> dict[str, set[Any]]:
    """Run a recipe stage by stage, and record what each role's engine is asked."""
    found: dict[str, set[Any]] = defaultdict(set)
    stage = ""
    for kind in ("complete", "choose", "score"):
        answer = getattr(ScriptedEngine, kind)

        async def recorded(engine: ScriptedEngine, request: Any, *, kind: str = kind, answer: Any = answer) -> Any:
            role = ROLES[engine._script.partition("+")[0]]
            found[stage].update({(role, kind), (role, "text" if request.messages is None else "chat")})
            return await answer(engine, request)

        monkeypatch.setattr(ScriptedEngine, kind, recorded)
    for stage in stages_of(small_recipe(tmp_path, *OWN_MODELS, *overrides))[:-1]:
        small_run(tmp_path, [stage], *OWN_MODELS, *overrides)
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("revise.layout=transcript", "revise.initial_layout=chat", "label.chains=1"),
        ("revise.layout=transcript", "evaluate.head_to_head=[]", "evaluate.judge_reading=true"),
        ("evaluate.multiple_choice=[{choices}]", "evaluate.head_to_head=[]", "label.chains=1"),
        ("revise.check=true", "label.chains=1"),
        ("label.judges={large: {model: {name: l, engine: scripted}}}", "label.chains=1"),
    ],
)
def test_needs_are_what_the_stages_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    """Nothing is asked of an engine that was not listed before, and nothing is listed that nobody asks.

    Training renders conversations without asking an engine; the judge takes either kind of input.
    """
    (tmp_path / "choices.jsonl").write_text(CHOICES, "utf-8")
    overrides = tuple(one.replace("{choices}", str(tmp_path / "choices.jsonl")) for one in overrides)
    found = asked(monkeypatch, tmp_path, overrides)
    listed: dict[str, set[Any]] = defaultdict(set)
    for need in list_needs(small_recipe(tmp_path, *OWN_MODELS, *overrides)):
        listed[need.stage].add((need.role, need.capability))
    for training in ("preference_model", "dpo"):
        listed[training].discard(("policy", "chat"))
    for stage in STAGES:
        assert found[stage] - {("judge", "chat"), ("judge large", "chat")} == listed[stage], stage


def lacking(recipe: Recipe, role: str, *lacked: Capability, stages: tuple[str, ...] = tuple(STAGES)) -> list[str]:
    """Say what a role's model without these capabilities lacks."""
    return list(missing(list(list_needs(recipe)), role, FULL - set(lacked), stages))


def test_a_base_model_revises_in_transcripts_and_no_more(tmp_path: Path) -> None:
    """Without a chat template a policy can do the revise stage alone, in transcripts; the remedy says so."""
    chat, transcript = small_recipe(tmp_path), small_recipe(tmp_path, "revise.layout=transcript")
    (found,) = lacking(chat, "policy", "chat")
    assert found.startswith("has no chat template; take a model that was tuned for chat")
    assert found.endswith("(needed by revise, sft, pairs, dpo, evaluate)")
    (found,) = lacking(chat, "policy", "chat", stages=("prompts", "revise"))
    assert "set revise.layout and revise.initial_layout to transcript (needed by revise)" in found
    assert lacking(transcript, "policy", "chat", stages=("prompts", "revise")) == []
    assert lacking(transcript, "critic", "chat") == []
    assert lacking(transcript, "judge", "chat") == []
    assert "(needed by label, evaluate)" in lacking(chat, "judge", "choose")[0]
    assert lacking(chat, "policy") == []


def test_needs_are_values() -> None:
    """Two stages that need the same are two needs."""
    assert Need("sft", "policy", "chat") != Need("dpo", "policy", "chat")


@pytest.mark.model
@pytest.mark.parametrize("has_template", [True, False])
def test_what_is_known_is_what_the_engine_can_do(tmp_path: Path, tiny_model: Path, has_template: bool) -> None:
    """The capabilities that a folder promises are those of the engine that loads it."""
    from charter.engines.transformers import TransformersEngine

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    if not has_template:
        (folder / "chat_template.jinja").unlink()
    report = Preflight()
    known = look_at(report, "models.policy", ModelSpec(str(folder)))
    assert report.findings == []
    engine = TransformersEngine(folder)
    assert known.capabilities == engine.capabilities == (ALWAYS | {"chat"} if has_template else ALWAYS)
    engine.close()
