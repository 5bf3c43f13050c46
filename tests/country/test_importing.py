"""A folder made of a country's files: what is in it, what is left where it is, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from charter.constitution import load_constitution
from charter.constitution.derivation import derived_fields
from charter.country import Brought, find_brought, import_country, read_country
from charter.errors import CharterError, ConstitutionError, PromptError, UserError
from charter.given import load_traces
from charter.planning.preflight import check_recipe
from charter.prompts import load_prompts
from charter.recipe import Recipe, load_recipe
from charter.recipe.data_folder import find_companion
from country_examples import CONFIG, CRITIQUES, FEW_SHOTS, PRINCIPLES, PROMPTS, red_team, write_country

# Of the four rows on the second principle one holds an instruction of the method where the prompt should be.
REVISIONS = {
    f"{principle}_{number}": [
        {
            "initial_prompt": "Critique the initial response provided by: 'Hands'"
            if (principle, number) == (1, 2)
            else prompt,
            "initial_response": "Sure.",
            "critique_prompt": "Is it so?",
            "critique_response": "It is not.",
            "revision_prompt": "Make it so.",
            "revision_response": f"Rather not, since it is unknown: {prompt}",
        }
    ]
    for principle in (0, 1)
    for number, prompt in enumerate(text for key, text in PROMPTS if key == str(principle))
}
PREFERENCES = {
    str(principle): [
        {"prompt": text, "chosen_response": f"No: {text}", "rejected_response": f"Yes: {text}", "reasoning": "So."}
        for key, text in PROMPTS
        if key == str(principle)
    ]
    for principle in (0, 1)
}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)


def checked(recipe: Recipe) -> None:
    """Hold a recipe to the check: no error in it, and no prompt that a given row is of is missing."""
    report = check_recipe(recipe, Path("runs/none"))
    assert report.errors == []
    assert not [one for one in report.findings if "none of the run's" in one.message]


def test_all_of_a_countrys_files_become_a_recipe() -> None:
    """Principles and prompts are written anew with ids and keys; rows are read where they are."""
    config = write_country(
        Path("kitchen"), red_team=red_team(), sft=REVISIONS, preferences=PREFERENCES, few_shot=CRITIQUES
    )
    before = {path.name: path.read_bytes() for path in config.parent.iterdir()}
    imported = import_country(config, Path("made"))
    assert {path.name: path.read_bytes() for path in config.parent.iterdir()} == before
    assert {path.name for path in Path("made").iterdir()} == {path.name for path in imported.files}
    assert imported.account == {
        "principles": {"kept": 2},
        "prompts": {"kept": 8, "left_out": {}, "mended": {}},
        "revisions": {
            "kept": 8, "left_out": {}, "mended": {"prompt taken from the file of prompts": 1}, "doubted": {},
        },
        "preferences": {"kept": 8, "left_out": {}, "mended": {}, "doubted": {}},
    }  # fmt: skip
    assert imported.next[-1] == "charter run made/recipe.yaml"

    constitution = load_constitution("made/constitution.yaml")
    assert (constitution.name, constitution.ids) == ("kitchen", ("safe-dishes", "clean-hands"))
    assert [one.text for one in constitution.principles] == [one["description"] for one in PRINCIPLES]
    assert constitution.metadata == {}
    assert [one.revision for one in constitution.few_shots.revise] == ["I cannot tell from here."]

    prompts = load_prompts("made/prompts.jsonl", "red_team").prompts
    assert [(one.source_id, one.principle) for one in prompts] == [
        *((f"0_{n}", "safe-dishes") for n in range(4)),
        *((f"1_{n}", "clean-hands") for n in range(4)),
    ]
    assert [one.text for one in prompts] == [text for _, text in PROMPTS]
    assert {one.category for one in prompts} == {"Food"}
    assert prompts[0].reference == f"Rather not: {PROMPTS[0][1]}"

    recipe = load_recipe(Path("made/recipe.yaml"))
    assert recipe.name == "kitchen"
    assert recipe.revise.given is not None
    assert recipe.revise.given.source == "made/../kitchen/sft.json"
    checked(recipe)
    text = Path("made/recipe.yaml").read_text("utf-8")
    assert "given: ../kitchen/preferences.json" in text
    assert "# Made of config.yaml with red_team.json, sft.json and preferences.json" in text


def test_revisions_are_mended_by_the_prompts_that_were_written() -> None:
    """The keys that prompts keep tell which prompt a row with an instruction in its place was of."""
    config = write_country(Path("kitchen"), red_team=red_team(), sft=REVISIONS)
    import_country(config, Path("made"))
    companion = find_companion(load_recipe(Path("made/recipe.yaml")))
    assert companion == "made/prompts.jsonl"
    traces = load_traces(config.with_name("sft.json"), companion=companion)
    assert len(traces.traces) == 8
    assert [one.reason for one in traces.mended] == ["prompt taken from the file of prompts"]
    assert traces.traces[6].prompt.text == PROMPTS[6][1]


def test_a_configuration_alone_is_enough() -> None:
    """The run then writes its red team in the country's wording, and what to write first is told."""
    config = write_country(Path("kitchen"), few_shot=FEW_SHOTS)
    imported = import_country(config, Path("made"))
    assert not Path("made/prompts.jsonl").exists()
    recipe = load_recipe(Path("made/recipe.yaml"))
    generate = recipe.prompts.generate
    assert (recipe.prompts.red_team.source, generate.n_per_principle, generate.form) == ("generated", 3, "labelled")
    assert Path(generate.texts or "").samefile(config)
    assert Path(generate.few_shots or "").samefile(config.with_name("few_shot.json"))
    assert imported.next[:3] == (
        "charter country red-team kitchen/config.yaml kitchen/red_team.json --model M",
        "charter country sft kitchen/config.yaml kitchen/red_team.json kitchen/sft.json --model M",
        "charter country preferences kitchen/config.yaml kitchen/red_team.json kitchen/preferences.json --model M",
    )


def test_files_of_other_names_are_named() -> None:
    """The layout of the scripts' own repository: a path from another machine, and files with a date in their names."""
    config = write_country(Path("config"))
    for name, content in (("list", PRINCIPLES), ("red_team_prompts_x", red_team()), ("pref_dataset_x", PREFERENCES)):
        Path(f"{name}.json").write_text(json.dumps(content), "utf-8")
    config.write_text(CONFIG.replace("constitution.json", "/home/somebody/list.json"), "utf-8")
    with pytest.raises(ConstitutionError, match=r"config\.yaml:2: .*import-country config\.yaml --principles FILE"):
        import_country(config, Path("made"))
    brought = find_brought(config, Brought(Path("red_team_prompts_x.json"), preferences=Path("pref_dataset_x.json")))
    imported = import_country(
        config, Path("made"), principles=Path("list.json"), brought=brought, name="mine", size="smoke"
    )
    assert imported.next[0] == (
        "charter country sft config/config.yaml red_team_prompts_x.json config/sft.json --principles list.json "
        "--model M"
    )
    recipe = load_recipe(Path("made/recipe.yaml"))
    assert (recipe.name, recipe.revise.given) == ("mine", None)
    checked(recipe)


@pytest.mark.parametrize("size", ["smoke", "laptop", "gpu"])
@pytest.mark.parametrize("model", ["smollm2-135m", "Qwen/Qwen2.5-0.5B-Instruct"])
@pytest.mark.parametrize("files", [("red_team",), ("red_team", "sft"), ("red_team", "sft", "preferences")], ids=len)
def test_every_size_passes_the_check(size: str, model: str, files: tuple[str, ...]) -> None:
    """Whatever is there, whatever is trained: the recipe loads, and the check finds no error."""
    there = {"red_team": red_team(), "sft": REVISIONS, "preferences": PREFERENCES}
    config = write_country(Path("kitchen"), **{name: there[name] for name in files})
    import_country(config, Path("made"), size=size, model=model)
    checked(load_recipe(Path("made/recipe.yaml")))


def test_a_folder_may_be_moved_with_its_files() -> None:
    """Paths are relative: both folders go elsewhere together."""
    config = write_country(Path("one/kitchen"), red_team=red_team(), sft=REVISIONS)
    import_country(config, Path("one/made"))
    shutil.move("one", "two")
    checked(load_recipe(Path("two/made/recipe.yaml")))


def test_nothing_is_written_over() -> None:
    """A folder with a recipe, or a file of another name that would be written, stays as it is without force."""
    config = write_country(Path("kitchen"), red_team=red_team())
    made = Path("made")
    made.mkdir()
    (made / "prompts.jsonl").write_text("mine", "utf-8")
    with pytest.raises(UserError, match=r"prompts\.jsonl: there already"):
        import_country(config, made)
    assert [path.name for path in made.iterdir()] == ["prompts.jsonl"]
    import_country(config, made, force=True)
    again = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(UserError, match=r"recipe\.yaml: there already"):
        import_country(config, made)
    import_country(config, made, force=True)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == again


def test_names_that_are_no_text_for_a_comment_or_a_run_do_no_harm() -> None:
    """A folder and a file may be called anything: neither ends a comment, nor names a run outside of its folder."""
    folder = Path("My kitchen:\n# ..\u202e/x")
    config = write_country(folder, red_team=red_team()).rename(folder / "con\nfig: {evil}\x07.yaml")
    import_country(config, Path("made"))
    recipe = load_recipe(Path("made/recipe.yaml"))
    assert recipe.name == "con-fig-evil"
    assert load_constitution("made/constitution.yaml").ids == ("safe-dishes", "clean-hands")


def test_keys_that_nothing_is_done_with_are_told() -> None:
    """With the line, and the key that was probably meant."""
    config = write_country(Path("kitchen"), red_team=red_team())
    config.write_text(CONFIG.replace("  Variance:", "  RT_SYSTEM_PROMT: x\n  Variance:"), "utf-8")
    assert read_country(config).remarks == (
        f'{config}:9: red_team.RT_SYSTEM_PROMT is not used; did you mean "RT_SYSTEM_PROMPT"?',
    )


def test_requests_of_a_list_are_kept() -> None:
    """A list of principles with requests of their own brings them along."""
    listed = [{"principle": "Name the tide.", "critique": "Is it named?", "revision": "Name it.", "id": 1}]
    config = write_country(Path("harbour"), constitution=listed)
    import_country(config, Path("made"))
    (principle,) = load_constitution("made/constitution.yaml").principles
    assert (principle.critique_request, principle.revision_request) == ("Is it named?", "Name it.")
    assert derived_fields(principle) == ("choice_question",)


BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nsrc_principles: *b\n"
DEEP = "src_principles: " + "[" * 200 + "]" * 200 + "\n"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"config": BOMB}, r"config\.yaml:1: the anchor"),
        ({"config": DEEP}, r"config\.yaml:1: values are nested more than 50 deep"),
        ({"config": "src_principles: !!python/name:os.system x\n"}, r"config\.yaml:1: the tag"),
        ({"config": "src_principles: constitution.json\nsft: [1]\n"}, r'config\.yaml:2: "sft" is no mapping'),
        ({"config": "src_principles: 3\n"}, r'config\.yaml:1: "src_principles" is the number 3; expected text'),
        ({"config": CONFIG.replace("constitution.json", "../c.json")}, r"config\.yaml:2: .* leads out of the folder"),
        ({"config": CONFIG.replace("constitution.json", "/etc/passwd")}, r"config\.yaml:2: /etc/passwd leads out of"),
        ({"config": CONFIG.replace("constitution.json", "none.json")}, r"config\.yaml:2: .*none\.json is not there"),
        ({"config": CONFIG.replace("PER_CALL: 3", "PER_CALL: many")}, r"config\.yaml:6: RT_NUM_RTP_PER_CALL is 'many'"),
        ({"config": CONFIG.replace("PER_CALL: 2", "PER_CALL: -2")}, r"config\.yaml:17: NUM_PREF_PER_CALL is -2"),
        ({"config": CONFIG.replace("{initial_response}", "it")}, r"config\.yaml:13: SFT_USER_PROMPT has no \{init"),
        ({"config": CONFIG.replace("  VARIANCE:", "  VARIANCE: {a: b}")}, r"config\.yaml:19: VARIANCE is \{'a': 'b'\}"),
        ({"config": CONFIG + "sft: {}\n"}, r'config\.yaml:23: key "sft" is used twice'),
        ({"config": "x: y\n"}, r"config\.yaml"),
        ({"config": '{"a": "\\ud800"}'}, r"config\.yaml:1: this is not valid YAML"),
        ({"config": "a: b\x00c\n"}, r"config\.yaml:1: the character U\+0000 cannot stand in YAML"),
        ({"constitution": "[]"}, "no principles are there|holds no"),
        ({"constitution": '[{"title": 3}]'}, r'constitution\.json:1: "title" is the number 3; expected text'),
        ({"constitution": '{"a": [}'}, r"constitution\.json:1: "),
        ({"red_team": '{"0": {"adversarial_prompt": "x"}}'}, r"red_team\.json:1: .*'0' is no number with a list"),
        ({"red_team": '{"0": [{"adversarial_prompt": "x"}], "0": []}'}, r"red_team\.json:1: .* twice"),
        ({"red_team": '{"7": [{"adversarial_prompt": "Who?"}]}'}, r"red_team\.json:1 key '7' item 1: .* at position 7"),
        ({"red_team": "{"}, r"red_team\.json:1: not JSON"),
        ({"sft": '{"0_0": [{"initial_prompt": "x"}]}'}, r"sft\.json:1 key '0_0' item 1: "),
        ({"preferences": '{"9_0": [{"prompt": "a", "chosen_response": "b", "rejected_response": "c"}]}'}, "position 9"),
        ({"few_shot": '{"few-shot": 3}'}, r"few_shot\.json"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_by_name(changed: dict[str, str], told: str) -> None:
    """What is wrong, in which file and line, before anything is written; and nothing of another file is quoted."""
    config = write_country(Path("kitchen"), red_team=red_team(), sft=REVISIONS, preferences=PREFERENCES)
    for name, text in changed.items():
        (config.parent / ("config.yaml" if name == "config" else f"{name}.json")).write_text(text, "utf-8")
    with pytest.raises(CharterError, match=told) as raised:
        import_country(config, Path("made"))
    assert raised.value.exit_code == 2
    assert "root:" not in str(raised.value)
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"size": "huge"}, "'huge' is no size; expected smoke, laptop, gpu"),
        ({"model": "smolm2-135m"}, "did you mean 'smollm2-135m'"),
        ({"name": "../out"}, "'../out' is no name of a run"),
    ],
)
def test_wrong_wishes_are_refused(changed: dict[str, Any], told: str) -> None:
    """As those of charter init are."""
    config = write_country(Path("kitchen"), red_team=red_team())
    with pytest.raises(UserError, match=told):
        import_country(config, Path("made"), **changed)
    assert not Path("made").exists()


def test_a_file_that_is_named_has_to_be_there() -> None:
    """And a list is no configuration."""
    config = write_country(Path("kitchen"))
    with pytest.raises(PromptError, match=r"none\.json: no such file; check the path given as --red-team"):
        find_brought(config, Brought(red_team=Path("none.json")))
    with pytest.raises(ConstitutionError, match="is no country's configuration, but of the layout 'principle-list'"):
        read_country(config.with_name("constitution.json"))
