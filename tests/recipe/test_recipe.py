from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from charter.errors import RecipeError
from charter.recipe import Recipe, dump_recipe, load_recipe
from charter.recipe.contradictions import doubts
from charter.recipe.settings import (
    DpoSettings,
    EvaluateSettings,
    LabelSettings,
    LoraSettings,
    Models,
    ModelSettings,
    PairSettings,
    PromptSettings,
    PromptSource,
    ReviseSettings,
    SftSettings,
)
from charter.records import PromptLayout
from row_examples import HOSTILE_TEXTS, TEXTS

SMALL = """\
# A recipe of the least that one needs.
name: demo
constitution: harmless
models:
  policy: smollm2-135m
"""

Load = Callable[..., Recipe]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a recipe's text to a file in the current folder and load it with overrides."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str, *overrides: str) -> Recipe:
        Path("r.yaml").write_text(text, "utf-8")
        return load_recipe(Path("r.yaml"), overrides)

    return loaded


def _refusal(load: Load, text: str, *overrides: str) -> str:
    """Load what must be refused, and give the message without the folder's name."""
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    message = str(caught.value)
    return "\n".join(line[line.find("r.yaml") :] if "/r.yaml" in line else line for line in message.splitlines())


def test_the_least_recipe(load: Load) -> None:
    """Three keys make a recipe; strings stand for a section, and everything else has a default."""
    recipe = load(SMALL)
    assert recipe.models.policy == ModelSettings(name="smollm2-135m")
    assert recipe.constitution.source == "harmless"
    assert recipe.constitution.helpful == "helpful"
    assert recipe.models.judge is None
    assert recipe.revise == ReviseSettings()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("revize:\n  rounds: 2\n", "r.yaml:6: unknown key 'revize'; did you mean 'revise'?"),
        ("revise:\n  rounds: 2\n  roundz: 3\n", "r.yaml:8: unknown key 'revise.roundz'; did you mean 'rounds'?"),
        (
            "sft:\n  lora:\n    rank: 3\n",
            "r.yaml:8: unknown key 'sft.lora.rank'; known here: r, alpha, dropout, targets, quantise",
        ),
        (
            "models:\n  policy: {name: x, devise: cpu}\n",
            "r.yaml:5: unknown key 'models.policy.devise'; did you mean 'device'?",
        ),
        (
            "pairs:\n  kinds: {red_team: 0.5, helpfull: 0.5}\n",
            "r.yaml:7: unknown key 'pairs.kinds.helpfull'; expected 'red_team', 'helpful' or 'benign_twin'",
        ),
        (
            "label:\n  prior: {guided: 0.7}\n",
            (
                "r.yaml:7: unknown key 'label.prior.guided'; expected 'on_policy', "
                "'revision_vs_initial', 'guided_vs_plain', 'contrast' or 'given'"
            ),
        ),
    ],
    ids=["top", "section", "deep", "flow", "kinds", "prior"],
)
def test_an_unknown_key_names_its_line_and_its_nearest_match(load: Load, lines: str, message: str) -> None:
    """A mistyped key is never ignored: the message has its line, and what was probably meant."""
    text = SMALL if not lines.startswith("models") else SMALL.partition("models:")[0]
    assert _refusal(load, text + lines) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace("name: demo\n", ""), "r.yaml:2: 'name' is missing; add it"),
        (SMALL.partition("models:")[0], "r.yaml:2: 'models' is missing; add it"),
        (SMALL.replace("policy", "judge"), "r.yaml:4: 'models.policy' is missing; add it"),
        (SMALL + "  judge:\n    dtype: float32\n", "r.yaml:6: 'models.judge.name' is missing; add it"),
    ],
)
def test_a_missing_key_is_named(load: Load, text: str, message: str) -> None:
    """A key that a recipe needs and does not have is named, with the section that it belongs in."""
    assert _refusal(load, text) == message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("revise:\n  rounds: two\n", "r.yaml:7: 'revise.rounds' is 'two': expected a whole number"),
        ("revise:\n  rounds: 9\n", "r.yaml:7: 'revise.rounds' is 9: expected less than or equal to 8"),
        ("revise:\n  rounds: 1.5\n", "r.yaml:7: 'revise.rounds' is 1.5: expected a whole number"),
        ("revise:\n  layout: chatty\n", "r.yaml:7: 'revise.layout' is 'chatty': expected 'chat' or 'transcript'"),
        ("revise:\n", "r.yaml:6: 'revise' is empty (null): expected keys inside it, such as rounds, layout"),
        ("sft: all\n", "r.yaml:6: 'sft' is 'all': expected keys inside it, such as epochs, learning_rate, batch_size"),
        ("sft: {epochs: .inf}\n", "r.yaml:6: 'sft.epochs' is inf: expected a finite number"),
        ("dpo: {beta: .nan}\n", "r.yaml:6: 'dpo.beta' is nan: expected a finite number"),
        (
            "sft: {lora: {targets: 5}}\n",
            "r.yaml:6: 'sft.lora.targets' is 5: expected a text; put it in quotes, or expected a list",
        ),
        ("revise:\n  rounds: true\n", "r.yaml:7: 'revise.rounds' is true: expected a whole number"),
        ("revise:\n  rounds: '3'\n", "r.yaml:7: 'revise.rounds' is '3': expected a whole number, without quotes"),
        ("revise:\n  rounds: 2.0\n", "r.yaml:7: 'revise.rounds' is 2.0: expected a whole number"),
        ("sft:\n  epochs: '2'\n", "r.yaml:7: 'sft.epochs' is '2': expected a number, without quotes"),
        ("sft:\n  epochs: false\n", "r.yaml:7: 'sft.epochs' is false: expected a number"),
        ("sft:\n  warmup:\n", "r.yaml:7: 'sft.warmup' is empty (null): expected a number"),
        ("evaluate:\n  judge_reading: 'no'\n", "r.yaml:7: 'evaluate.judge_reading' is 'no': expected true or false"),
        ("evaluate:\n  judge_reading: 0\n", "r.yaml:7: 'evaluate.judge_reading' is 0: expected true or false"),
        ("models: {policy: 7}\n", "r.yaml:5: 'models.policy' is 7: expected keys inside it, such as name"),
        ("report: [1, null]\n", "r.yaml:6: 'report' is [1, null]: expected keys inside it"),
        ("seed: -1\n", "r.yaml:6: 'seed' is -1: expected greater than or equal to 0"),
        ("label: {prior: {on_policy: 1.0}}\n", "r.yaml:6: 'label.prior.on_policy' is 1.0: expected less than 1"),
        ("label: {clamp: [0.4]}\n", "r.yaml:6: 'label.clamp.1' is missing; add it"),
        (
            "evaluate:\n  multiple_choice: a.jsonl\n",
            "r.yaml:7: 'evaluate.multiple_choice' is 'a.jsonl': expected a list",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_line(load: Load, lines: str, message: str) -> None:
    """A value of the wrong type or out of range is shown, with its line and what was expected."""
    text = SMALL if not lines.startswith("models") else SMALL.partition("models:")[0] + "report: {}\n"
    refusal = _refusal(load, text + lines)
    assert refusal.startswith(message)
    assert "\n" not in refusal


def test_every_fault_has_its_line(load: Load) -> None:
    """Several faults are all told at once."""
    refusal = _refusal(load, SMALL + "revise:\n  rounds: 0\n  layout: x\nsft:\n  epoch: 1\n")
    assert [line.partition(": ")[0] for line in refusal.splitlines()] == ["r.yaml:7", "r.yaml:8", "r.yaml:10"]


KEYS = {
    "plain": "sk-planted-1",
    "token": "hf_PlantedPlantedPlanted",
    "like a variable": "PLANTED_1A",
    "two words": "Bearer hf_Planted",
    "comma": "sk,hf_Planted",
    "comma and space": "sk, hf_Planted",
    "brace": "sk}hf_Planted",
    "bracket": "sk]hf_Planted",
    "hash": "sk #hf_Planted",
    "quote": "sk'hf_Planted",
    "colon": "sk: hf_Planted",
    "tag": "!hf_Planted",
    "alias": "*hf_Planted",
    "anchor": "&hf_Planted x",
}


NAMES = ("key_name", "api_key", "key", "apiKey", "HF_TOKEN", "token", "secret", "password")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((name, KEYS["two words"]) for name in NAMES),
        *(("key_name", key) for key in KEYS.values()),
        *(("key", key) for key in KEYS.values()),
    ],
)
def test_a_key_is_not_shown(load: Load, name: str, key: str) -> None:
    """Somebody pastes a key where the name of its variable belongs: no message repeats it, nor what it came of."""
    parts = [part for part in re.findall(r"\w+", key) if "lanted" in part.lower()]
    forms = [f"{name}: {key}", f'{name}: "{key}"', f"{name}: '{key}'", f'"{name}":{key}']
    served = [f"{{name: x, engine: http, {form}, epochs: 1}}" for form in forms]
    overrides = [
        *([f"models.judge={one}"] for one in served),
        *([f"models.judge=[{one}]"] for one in served),
        *([f"evaluate.others={{api: {one}}}"] for one in served),
        *([f"label.judges={{api: {{model: {one}}}}}"] for one in served),
        *([f"models.judge={one[:-1]}"] for one in served),
        *([f"models.judge={one[:-1]}, engine: x}}"] for one in served),
        [f"models.judge={forms[0]}"],
        [f"models.judge.{name}={key}", "models.judge.name=5"],
        [f"models.judge.{name}='{key}'", "models.judge.name=x"],
        [f"models.judge.{name}=[{key}]", "models.judge.name=x"],
        [f"models.judge.{name}={key}", f"models.judge.{name}={key}"],
        [f"models.judge.{name} = {key}"],
        [f"models.judge.{name}:{key}"],
        f"models.judge.{name}={key}".split(),
        f"models.judge.{name}= {key}".split(),
        [f"models.judge.{name}='{key}'", f"models.judge.{name}.x=1"],
    ]
    files = [f"{SMALL}  judge: {one}\n" for one in (*served, *(f"[{one}]" for one in served))]
    files += [f"{SMALL}  judge:\n    name: x\n    epochs: 1\n    {form}\n" for form in forms]
    told = [(SMALL, *some) for some in overrides] + [(file,) for file in files] + [(files[-2], "models.judge.x.y=1")]
    for parts_given in told:
        with pytest.raises(RecipeError) as caught:
            load(*parts_given)
        message = "".join(traceback.format_exception(caught.value))
        assert not [part for part in parts if part in message], parts_given


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "models.judge.key_name=Bearer hf_Planted",
            "override 'models.judge.key_name=***': 'models.judge.key_name' is none: expected the name of an env",
        ),
        (
            "models.judge={name: x, engine: http, server: openai, key_name: sk-planted, epoch: 1}",
            "override 'models.judge={name: x, engine: http, server: openai, key_name: ***': unknown key",
        ),
        (
            "models.judge={name: x, engine: http, server: openai, key_name: sk,hf_Planted}",
            "server: openai, key_name: ***': unknown key 'models.judge.***'; known here: name, engine",
        ),
        (
            "models.judge={name: x, key: sk-planted}",
            "override 'models.judge={name: x, key: ***': unknown key 'models.judge.key'; known here: name, ",
        ),
        (
            "models.judge={name: x, key: &planted 1}",
            "override 'models.judge={name: x, key: ***': its value is no whole YAML value, or has a key twice",
        ),
        ("revise.max_tokens=x", "override 'revise.max_tokens=x': 'revise.max_tokens' is 'x': expected a whole number"),
    ],
)
def test_what_is_wrong_beside_a_key_is_said(load: Load, override: str, message: str) -> None:
    """The name is shown, and what to do; what is counted in tokens is no secret."""
    assert message in _refusal(load, SMALL, "models.judge.name=x", override)


def test_a_line_with_a_key_that_is_no_yaml_is_named(load: Load) -> None:
    """What the reader of YAML says of it is told without the value; of other lines it is told whole."""
    refusal = _refusal(load, SMALL + "  judge:\n    key_name: *planted\n")
    assert refusal == 'r.yaml:7: the alias "***" is not allowed; write the value out'
    assert 'the alias "*planted" is not' in _refusal(load, SMALL + "  judge:\n    name: *planted\n")


def test_a_policy_cannot_be_served(load: Load) -> None:
    """It is trained, and a server gives no weights; several addresses are a list."""
    served = "models: {policy: {name: x, engine: http, server: [http://a/v1, http://b/v1]}}\n"
    refusal = _refusal(load, f"name: x\nconstitution: harmless\n{served}")
    assert refusal.startswith("r.yaml:3: 'models.policy' is trained, and a server gives no weights to train")
    judge = "models: {policy: x, judge: {name: y, engine: http, server: [http://a/v1, http://b/v1]}}\n"
    found = load(f"name: x\nconstitution: harmless\n{judge}").models.judge
    assert found is not None
    assert found.server == ("http://a/v1", "http://b/v1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "pairs:\n  kinds: {red_team: 0.5, helpful: 0.4}\n",
            "r.yaml:7: the shares under 'pairs.kinds' add up to 0.9; make them 1",
        ),
        (
            (
                "pairs:\n  sources:\n    helpful:\n      on_policy: 0.5\n    red_team: {on_policy: 1}\n"
                "    benign_twin: {on_policy: 1}\n"
            ),
            "r.yaml:8: the shares under 'pairs.sources.helpful' add up to 0.5; make them 1",
        ),
        (
            "pairs:\n  sources:\n    red_team: {on_policy: 1}\n  kinds: {red_team: 0.5, helpful: 0.5}\n",
            "r.yaml:9: 'pairs.sources' says nothing for 'helpful', which has a share; add it there",
        ),
        (
            "prompts:\n  n_train: 3\n  benign_twin: null\n",
            (
                "r.yaml:8: 'prompts.benign_twin' is null, and 'pairs.kinds' gives it 0.25 of the pairs; give it "
                "prompts, or set 'pairs.kinds' to {red_team: 0.6666667, helpful: 0.3333333}"
            ),
        ),
        (
            (
                "pairs:\n  kinds: {red_team: 0.5, helpful: 0.5}\n  sources:\n    red_team: {on_policy: 1}\n"
                "    helpful: {revision_vs_initial: 0.5, on_policy: 0.5}\n"
            ),
            (
                "r.yaml:10: 'pairs.sources.helpful' takes pairs from revision_vs_initial, and only red_team prompts "
                "are revised; give that share to another source"
            ),
        ),
        (
            "evaluate:\n  multiple_choice: [a/x.jsonl, b/x.jsonl]\n",
            (
                "r.yaml:7: 'evaluate.multiple_choice' names 2 files called 'x.jsonl', whose figures nobody could tell "
                "apart; rename one"
            ),
        ),
        (
            "dpo:\n  kinds: {red_team: 0.2, benign_twin: 0.7}\n",
            "r.yaml:7: the shares under 'dpo.kinds' add up to 0.9; make them 1",
        ),
        (
            "pairs:\n  kinds: {red_team: 0.5, helpful: 0.5}\ndpo:\n  kinds: {red_team: 0.2, benign_twin: 0.8}\n",
            (
                "r.yaml:9: 'dpo.kinds' gives benign_twin 0.8 of the pairs to train on, and 'pairs.kinds' has none of "
                "it; give it a share there, or take it out here"
            ),
        ),
        (
            "evaluate:\n  others: {api: {name: x, engine: http}}\n",
            (
                "r.yaml:7: 'evaluate.others.api.engine' is 'http', and 'evaluate.others.api.server' does not say which "
                "server; name one, such as openai or http://localhost:8000/v1"
            ),
        ),
        (
            "evaluate:\n  others: {api: {name: x, engine: http, server: openai, dtype: float32}}\n",
            "r.yaml:7: 'evaluate.others.api.dtype' says nothing of engine 'http'; take it out",
        ),
        (
            "evaluate:\n  others: {own: {name: x, server: openai}}\n",
            "r.yaml:7: 'evaluate.others.own.server' says nothing of engine 'transformers'; take it out",
        ),
        (
            "label:\n  judges: {api: {model: {name: x, engine: http, server: openai, dtype: float32}}}\n",
            "r.yaml:7: 'label.judges.api.model.dtype' says nothing of engine 'http'; take it out",
        ),
        (
            "label:\n  judges: {judge: x}\n",
            "r.yaml:7: 'label.judges' names a judge 'judge', as that of 'models.judge' is called; give it another name",
        ),
        (
            "label:\n  judges: {a b: x}\n",
            (
                "r.yaml:7: 'label.judges' names a judge 'a b'; expected letters, digits, '-' and '_' alone, such as "
                "'large'"
            ),
        ),
        (
            "evaluate:\n  harm: false\n  judge_reading: true\n",
            (
                "r.yaml:8: 'evaluate.judge_reading' asks whether a model complied with harm, which 'evaluate.harm' "
                "rules out; take one of them out"
            ),
        ),
        (
            "label:\n  clamp: [0.6, 0.8]\n",
            "r.yaml:7: 'label.clamp' is [0.6, 0.8]; it must hold 0.5, such as [0.4, 0.6]",
        ),
        (
            "label:\n  held_out: 1.0\n",
            "r.yaml:7: 'label.held_out' is 1, which leaves nothing to train on; take less, such as 0.1",
        ),
        (
            "label:\n  prior: {on_policy: 0.9}\n",
            "r.yaml:7: 'label.prior.on_policy' never acts: neither side of such a pair is intended; take it out",
        ),
        (
            "training: {n_processes: 2}\n",
            (
                "r.yaml:6: 'training.n_processes' is 2, and 'training.launch' does not say how they are started; name "
                "a launch, such as several-gpus, or take it out"
            ),
        ),
    ],
)
def test_contradictions_are_named_with_their_line(load: Load, lines: str, message: str) -> None:
    """Values that are each legal and do not fit together are refused before anything runs."""
    assert _refusal(load, SMALL + lines) == message


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (("dpo.opening_tokens=256",), {"dpo.opening_tokens": "no sampled side of a pair is longer"}),
        (("dpo.opening_tokens=255",), {}),
        (("sft.opening_tokens=64", "sft.max_tokens=32"), {"sft.max_tokens": "raise it to 64, or lower"}),
        (("sft.opening_tokens=64", "sft.max_tokens=64"), {}),
        (("sft.opening_tokens=64", "sft.max_tokens=32", "revise.max_tokens=32"), {}),
        (("sft.opening_tokens=64", "sft.max_tokens=32", "sft.helpful_ratio=0", "sft.twin_ratio=0"), {}),
        (("revise.max_tokens=15",), {"revise.max_tokens": "revise.on_cut is 'flag': nearly every text is cut"}),
        (("pairs.max_tokens=8", "pairs.on_cut=trim"), {"pairs.max_tokens": "16 at least, or set pairs.on_cut=open"}),
        (("pairs.max_tokens=8", "pairs.on_cut=open"), {}),
        (("sft.max_tokens=8",), {"sft.max_tokens": "is 8, and sft.on_cut is 'flag'"}),
        (("sft.max_tokens=8", "sft.helpful_ratio=0", "sft.twin_ratio=0"), {}),
        (("sft.max_tokens=16", "pairs.max_tokens=16", "revise.max_tokens=16"), {}),
        (("revise.check=true",), {}),
        (("revise.check=true", "revise.given=mine.csv"), {"revise.check": "about none of revise.given"}),
        (("label.chains=1", "label.min_margin=0.1", "label.on_low_margin=drop"), {}),
        (
            ("label.chains=1", "label.min_margin=0.11", "label.on_low_margin=drop"),
            {"label.min_margin": "holds every margin to 0.1: every label is unsure"},
        ),
        (("label.chains=1", "label.min_margin=0.11", "label.on_low_margin=drop", "label.clamp=[0.3, 0.6]"), {}),
        (("label.min_margin=0.3", "label.on_low_margin=drop"), {}),
        (("label.chains=1", "label.min_margin=0.3", "label.on_low_margin=drop", "label.prior={contrast: 0.8}"), {}),
    ],
)
def test_what_does_less_than_it_seems_is_doubted(load: Load, overrides: tuple[str, ...], found: dict[str, str]) -> None:
    """A recipe that can be run and is probably not what was meant is taken, and what is odd about it can be told."""
    told = {".".join(where): problem for where, problem in doubts(load(SMALL, *overrides))}
    assert told.keys() == found.keys()
    assert all(words in told[key] for key, words in found.items())


def test_the_shares_that_are_offered_are_taken(load: Load) -> None:
    """What an error says to write is a recipe; a kind without prompts may have no share."""
    text = SMALL + "prompts: {benign_twin: null}\n"
    refusal = _refusal(load, text)
    offered = refusal.partition("'pairs.kinds' to ")[2]
    assert load(text, f"pairs.kinds={offered}").pairs.kinds.keys() == {"red_team", "helpful"}
    assert load(text, "pairs.kinds={red_team: 1, benign_twin: 0}")
    assert _refusal(load, text, "pairs.kinds={benign_twin: 1}").endswith("of the pairs; give it prompts")


def test_overrides_reach_any_depth(load: Load) -> None:
    """Overrides set keys at any depth, in sections that the file has and in those it leaves out."""
    recipe = load(
        SMALL + "revise:\n  rounds: 4\n",
        "revise.rounds=3",
        "sft.lora.r=4",
        "sft.learning_rate=2e-4",
        "evaluate.multiple_choice=[a.jsonl, b.jsonl]",
        "pairs.kinds={red_team: 1}",
        "prompts.benign_twin=null",
        "prompts.red_team.where={lang: en=US}",
    )
    assert recipe.revise.rounds == 3
    assert recipe.sft.lora.r == 4
    assert recipe.sft.learning_rate == 2e-4
    assert recipe.evaluate.multiple_choice == ("a.jsonl", "b.jsonl")
    assert recipe.pairs.kinds == {"red_team": 1.0}
    assert recipe.prompts.benign_twin is None
    assert recipe.prompts.red_team.where == {"lang": "en=US"}


def test_overrides_go_into_a_shorthand(load: Load) -> None:
    """A string that stands for a section takes overrides of the section's other keys, and can be replaced."""
    text = SMALL + "prompts:\n  red_team: mine.csv\n  helpful: null\n"  # until an override fills it
    recipe = load(
        text,
        "models.policy.max_rows=8",
        "constitution.helpful=mine.yaml",
        "prompts.red_team.column=text",
        "prompts.helpful.limit=3",
        "models.judge=other",
        "models.judge.device=cpu",
    )
    assert recipe.models.policy == ModelSettings(name="smollm2-135m", max_rows=8)
    assert (recipe.constitution.source, recipe.constitution.helpful) == ("harmless", "mine.yaml")
    assert recipe.prompts.red_team == PromptSource(source="mine.csv", column="text")
    assert recipe.prompts.helpful == PromptSource(limit=3)
    assert recipe.models.judge == ModelSettings(name="other", device="cpu")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("revise.rounds", "override 'revise.rounds': expected key=value, such as revise.rounds=2"),
        ("=1", "override '=1': expected key=value, such as revise.rounds=2"),
        ("revise.rounds=x", "override 'revise.rounds=x': 'revise.rounds' is 'x': expected a whole number"),
        ("revise.roundz=1", "override 'revise.roundz=1': unknown key 'revise.roundz'; did you mean 'rounds'?"),
        ("pairs.kinds={helpful: 2}", "override 'pairs.kinds={helpful: 2}': 'pairs.kinds.helpful' is 2: expected less"),
        ("pairs.kinds.helpful=0.5", "override 'pairs.kinds.helpful=0.5': the shares under 'pairs.kinds' add up to 0.5"),
        ("models.judge.max_rows=8", "override 'models.judge.max_rows=8': 'models.judge.name' is missing; add it"),
        ("name.x=1", "override 'name.x=1': 'name' is 'demo', which has no keys inside it"),
        ("sft.lora.r.x=1", "override 'sft.lora.r.x=1': 'sft.lora.r' is {\"x\": 1}: expected a whole number"),
        ("seed=[1", "override 'seed=[1': '[1' is no whole YAML value ("),
        ("label.prior={contrast:", "override 'label.prior={contrast:': '{contrast:' is no whole YAML value ("),
        ("0.8}", "override '0.8}': expected key=value, such as revise.rounds=2, without spaces around the '='"),
        (
            "revise.max_tokens=8",
            "override 'revise.max_tokens=8': 'revise.max_tokens' is set twice (first by 'revise.max",
        ),
        ("revise.rounds=", "override 'revise.rounds=': 'revise.rounds' is empty (null): expected a whole number"),
        ("revise.rounds=true", "override 'revise.rounds=true': 'revise.rounds' is true: expected a whole number"),
        (
            "name=2024",
            (
                "override 'name=2024': 'name' is 2024: expected a text; put it in quotes that the shell leaves: "
                "'name=\"2024\"'"
            ),
        ),
        (
            "sft.lora.targets=[5]",
            "override 'sft.lora.targets=[5]': 'sft.lora.targets' is [5]: expected a text; put it in double quotes",
        ),
        ('name="2024', "override 'name=\"2024': "),
        ("name=a b", "override 'name=a b': 'name' is 'a b': expected a letter or digit, then letters, digits"),
        ("name=" + "n" * 101, f"override 'name={'n' * 101}': 'name' is '{'n' * 101}': expected a letter or"),
        ("seed=*all", "override 'seed=*all': the alias \"*all\" is not allowed"),
    ],
)
def test_a_wrong_override_is_named(load: Load, override: str, message: str) -> None:
    """A fault that an override brings names the override, not a line of the file that does not have it."""
    assert _refusal(load, SMALL, "revise.max_tokens=9", override).startswith(message)


def test_a_fault_of_the_file_is_not_laid_on_an_override(load: Load) -> None:
    """A fault beside what an override set keeps its line."""
    text = SMALL.replace("policy", "critic")
    assert _refusal(load, text, "models.judge.name=x") == "r.yaml:4: 'models.policy' is missing; add it"
    text = SMALL + "revise:\n  rounds: 9\n"
    assert _refusal(load, text, "revise.layout=chat").startswith("r.yaml:7: 'revise.rounds' is 9")


@pytest.mark.parametrize("text", ["", "- name: x\n", "just text\n", "42\n"])
def test_a_recipe_is_a_mapping(load: Load, text: str) -> None:
    """A file that holds something else is named."""
    assert "a recipe is a mapping of keys" in _refusal(load, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file, or a folder, is a recipe's error."""
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)


def test_recipes_are_frozen(load: Load) -> None:
    """A recipe is what was given; nothing changes it on the way."""
    recipe = load(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", [*HOSTILE_TEXTS[:-1], "2e4", "0o7", "1_000", "no", "12:30", "9" * 400, "- x", "~"])
def test_any_path_survives_the_resolved_recipe(load: Load, text: str) -> None:
    """Text that looks like a number, a boolean or YAML is text again when the resolved recipe is read."""
    recipe = load(SMALL).model_copy(update={"prompts": PromptSettings(red_team=PromptSource(source=text))})
    assert load(dump_recipe(recipe)) == recipe


_PATHS = TEXTS | st.sampled_from(["2e4", "0x1f", "no", "12:30", "null", "1.", "=", "<<", "a: b", "#", "\t"])
_FILES = st.lists(_PATHS, max_size=2, unique_by=lambda path: Path(path).name)
_POSITIVE = st.floats(1e-12, 1e12, allow_nan=False)
_MODELS = st.builds(ModelSettings, name=_PATHS, device=_PATHS)
_CELLS = _PATHS | st.integers() | st.booleans() | _POSITIVE
_SOURCES = st.builds(
    PromptSource,
    source=_PATHS,
    layout=st.none() | st.sampled_from(get_args(PromptLayout)),
    system=st.none() | _PATHS,
    principles=st.none() | _PATHS,
    seed=st.none() | st.integers(0, 2**40),
    column=st.none() | _PATHS,
    id_column=st.none() | _PATHS,
    category_column=st.none(),
    where=st.dictionaries(_PATHS, _CELLS | st.lists(_CELLS, max_size=2), max_size=3),
    split=st.none() | _PATHS,
)
RECIPES = st.builds(
    Recipe,
    name=st.sampled_from(["demo", "2e4", "0x1f", "1", "no", "a.b-c_d"]),
    seed=st.integers(0, 2**40),
    models=st.builds(Models, policy=_MODELS, critic=st.none() | _MODELS, reviser=st.none(), judge=st.none() | _MODELS),
    prompts=st.builds(PromptSettings, red_team=_SOURCES, benign_twin=st.none() | _SOURCES, helpful=st.none()),
    revise=st.builds(ReviseSettings, temperature=_POSITIVE, top_p=st.floats(1e-9, 1.0)),
    sft=st.builds(
        SftSettings,
        epochs=_POSITIVE,
        learning_rate=_POSITIVE,
        helpful_ratio=_POSITIVE,
        twin_ratio=_POSITIVE,
        response_temperature=_POSITIVE,
        lora=st.builds(LoraSettings, dropout=st.floats(0.0, 0.9), targets=_PATHS | st.lists(_PATHS).map(tuple)),
    ),
    pairs=st.builds(PairSettings, kinds=st.just({"red_team": 1.0}), sources=st.just({"red_team": {"on_policy": 1.0}})),
    label=st.builds(LabelSettings, prior=st.just({"contrast": 0.7}), clamp=st.just((0.25, 0.75))),
    dpo=st.builds(DpoSettings, beta=_POSITIVE, nll_weight=_POSITIVE, epochs=_POSITIVE, learning_rate=_POSITIVE),
    evaluate=st.builds(EvaluateSettings, multiple_choice=_FILES.map(tuple)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(recipe=RECIPES)
def test_a_resolved_recipe_reads_back(load: Load, recipe: Recipe) -> None:
    """A recipe with every default written out is the same recipe, whatever its texts and numbers."""
    assert load(dump_recipe(recipe)) == recipe


def _sections(model: Any, prefix: str = "") -> list[str]:
    keys = []
    for name, value in model:
        inner = hasattr(value, "model_fields_set")
        keys += _sections(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def test_a_resolved_recipe_says_everything(load: Load) -> None:
    """The resolved recipe leaves no setting to a default that another version may change."""
    recipe = load(SMALL)
    again = load(dump_recipe(recipe))
    assert all(name in again.model_fields_set for name in Recipe.model_fields)
    assert again.sft.model_fields_set == set(SftSettings.model_fields)
    assert again.sft.lora.model_fields_set == set(LoraSettings.model_fields)
    assert again.prompts.red_team.model_fields_set == set(PromptSource.model_fields)
    assert _sections(again) == _sections(recipe)


def test_prompts_are_chosen_by_one_of_several_values(load: Load) -> None:
    """A condition takes a value or a list of them, typed in the file and in a shell."""
    recipe = load(SMALL, "prompts.red_team.where={lang: [en, de], n: 3}", "prompts.red_team.layout=xstest")
    assert recipe.prompts.red_team.where == {"lang": ["en", "de"], "n": 3}
    assert recipe.prompts.red_team.layout == "xstest"
    with pytest.raises(RecipeError, match="layout"):
        load(SMALL, "prompts.red_team.layout=csv")


def test_the_constitution_of_prompts_is_a_path_or_a_name(tmp_path: Path) -> None:
    """A file that principles are looked up in lies beside the recipe; the name of a built-in one stays."""
    (tmp_path / "own.yaml").write_text("name: own\n")
    (tmp_path / "r.yaml").write_text(
        f"{SMALL}prompts:\n  red_team: {{source: red.json, principles: own.yaml}}\n"
        "  helpful: {source: help.jsonl.gz, principles: helpful}\n"
    )
    prompts = load_recipe(tmp_path / "r.yaml").prompts
    assert prompts.red_team.principles == str(tmp_path / "own.yaml")
    assert prompts.helpful is not None
    assert prompts.helpful.principles == "helpful"
    assert prompts.helpful.source == str(tmp_path / "help.jsonl.gz")


RL = SMALL + "preference_model: {}\nrl: {}\n"


@pytest.mark.parametrize(
    ("overrides", "key", "said"),
    [
        (("models.second_judge=other",), None, ""),
        (("models.judge=clever", "models.second_judge={name: clever, dtype: float32}"), "models.second_judge",
         "is the model of models.judge, whose verdicts are what is rewarded"),
        (("models.judge=clever", "models.second_judge={name: clever, max_rows: 2, n_context: 99}"),
         "models.second_judge", "is the model of models.judge"),
        (("models.judge=clever", "models.second_judge={name: clever, engine: http, server: openai}"), None, ""),
        (("models.judge=clever", "models.second_judge=extra", "label.judges={extra: {model: extra}}"),
         "models.second_judge", "is the model of label.judges.extra.model"),
        (("models.judge=clever", "models.second_judge=extra", "label.judges={extra: {model: extra}}",
          "rl.rewards={preference_model: 0, judge: 1}"), None, ""),
        (("models.judge=clever", "models.second_judge=POLICY"), "models.second_judge", "is the model of models.policy"),
        (("models.second_judge=other", "rl.kinds=[red_team]"), "rl.kinds", "sees no refusal of what is harmless"),
        (("models.second_judge=other", "rl.beta=0"), "rl.guard", "rl.guard.kl limits nothing"),
    ],
)  # fmt: skip
def test_a_guard_of_rl_that_sees_less_than_it_seems_is_doubted(
    load: Load, overrides: tuple[str, ...], key: str | None, said: str
) -> None:
    """A second judge that is no other model however it is loaded, and limits that nothing can pass."""
    policy = load(RL).models.policy.name
    recipe = load(RL, *(one.replace("POLICY", policy) for one in overrides))
    told = {".".join(where): problem for where, problem in doubts(recipe)}
    mine = {where: one for where, one in told.items() if where in {"models.second_judge", "rl.kinds", "rl.guard"}}
    assert set(mine) == ({key} if key else set())
    assert said in "".join(mine.values())
