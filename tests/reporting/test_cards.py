"""Cards of a run's models and datasets: what they say, and that nothing gets out of them or into them."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_folder import HOSTILE, PRINCIPLES, build, edit_json
from syrupy.assertion import SnapshotAssertion
from test_card_markdown import flat, read

from charter.errors import RunError, UserError
from charter.files.tables import _schema, read_table, write_table
from charter.pipeline import run_stages
from charter.recipe import Recipe, load_recipe
from charter.recipe.stages import stages_of
from charter.records import Preference, Prompt, SftRow, Trace
from charter.reporting import read_run
from charter.reporting.cards import Cards, write_cards
from charter.reporting.cards.collection_card import collection_card, datasets_of
from charter.reporting.cards.columns import columns
from charter.reporting.cards.dataset_card import DATASETS
from charter.reporting.cards.facts import gather_facts, name_model
from charter.reporting.cards.loading import loading_code
from charter.reporting.cards.making import _SETTINGS, lineage
from charter.runs.folder import open_run
from run_examples import SMALL_STAGES, small_run

MACHINE = {
    "charter": "0.1.0", "started": "2026-11-20T10:00:00+00:00", "python": "3.11.9", "platform": "Linux-6.1-x86_64",
    "processor": "A processor", "n_cpus": 2, "gpus": [], "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on the scripted engine, with the machine and the times of another day."""
    stages = [name for name in SMALL_STAGES if name != "report"]
    run = small_run(tmp_path_factory.mktemp("scripted"), stages)
    edit_json(run / "environment.json", **MACHINE)
    for path in (run / "stages").glob("*.json"):
        edit_json(path, seconds=2.5)
    return run


@pytest.fixture(scope="module")
def cards(scripted: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Its cards by their folders."""
    out = tmp_path_factory.mktemp("cards")
    return texts(write_cards(scripted, out), out)


def texts(done: Cards, out: Path) -> dict[str, str]:
    """Read the cards that were written."""
    found = {Path(one.path).relative_to(out).parent.as_posix(): Path(one.path).read_text("utf-8") for one in done.cards}
    assert len(list(out.rglob("README.md"))) == len(found)
    return found


def card_of_all(run: Path) -> str:
    """Give the card of all tables together, as a repository has it."""
    facts = gather_facts(read_run(run))
    assert datasets_of(facts) == DATASETS
    return collection_card(facts, DATASETS)


def data_of(text: str) -> Any:
    """Read a card's front matter with the hub's own class."""
    from huggingface_hub import DatasetCard, ModelCard

    kind = DatasetCard if "\nconfigs:" in text else ModelCard
    return kind(text).data


NAMES = ("models/sft", "models/dpo", *(f"datasets/{what}" for what in DATASETS))


@pytest.mark.parametrize("name", NAMES)
def test_cards_of_a_scripted_run(cards: dict[str, str], name: str, snapshot: SnapshotAssertion) -> None:
    """Every word of them."""
    assert set(cards) == set(NAMES)
    assert cards[name] == snapshot


def test_the_same_run_gives_the_same_bytes(scripted: Path, cards: dict[str, str], tmp_path: Path) -> None:
    """Written again elsewhere, and over themselves."""
    shutil.copytree(scripted, tmp_path / "moved")
    for _ in range(2):
        assert texts(write_cards(tmp_path / "moved", tmp_path / "out"), tmp_path / "out") == cards


def test_the_index_has_every_figure(scripted: Path, cards: dict[str, str]) -> None:
    """What the hub's class reads back is what the run measured of the model, with n and interval."""
    measured = json.loads((scripted / "evaluation.json").read_text("utf-8"))["measurements"]
    for stage in ("sft", "dpo"):
        found = data_of(cards[f"models/{stage}"])
        assert found.model_name == f"small {stage}"
        own = {(one["name"], one["subset"]): one for one in measured if one["model"] == stage}
        assert len(found.eval_results) == len(own)
        for one in found.eval_results:
            expected = own[one.metric_type, one.dataset_type.removeprefix("held-out-").replace("held-out pairs", "")]
            assert one.metric_value == pytest.approx(expected["value"], abs=1e-6)
            assert one.metric_args["n"] == expected["n"]
            assert one.metric_args.get("low") == pytest.approx(expected["low"], abs=1e-6)
            assert one.metric_args.get("p_value") == pytest.approx(expected["p_value"], abs=1e-6)


def test_data_files_of_the_index_are_there(scripted: Path, cards: dict[str, str]) -> None:
    """Each configuration names a file of the run, and the size is that of its rows."""
    for what in DATASETS:
        found = data_of(cards[f"datasets/{what}"])
        (config,) = found.configs
        assert (scripted / config["data_files"][0]["path"]).is_file()
        assert found.size_categories == "n<1K"
        assert found.license is None
        assert found.language == "en"


def test_the_card_of_all_tables_says_of_each_what_its_own_says(scripted: Path, cards: dict[str, str]) -> None:
    """Counts, columns and the example of every table, what labels are worth, and who loads what by which name."""
    text = card_of_all(scripted)
    for what in DATASETS:
        section = text.partition(f"## The table {what}\n")[2].partition("\n## ")[0]
        own = cards[f"datasets/{what}"]
        for part in ("Counts", "Columns"):
            told = own.partition(f"## {part}\n\n")[2].partition("\n## ")[0].strip()
            assert told, part
            assert told in section
        assert own[own.index("```json") :].partition("\n```\n")[0] in section
    assert cards["datasets/preferences"].partition("## What the labels")[2].partition("\n## ")[0] in text
    assert 'load_dataset(folder, "preferences", split="train")' in text
    held = sum(row.split == "evaluation" for row in read_table(scripted / "data/prompts.parquet", Prompt))
    assert f"{held} rows with the split" in text


def test_what_got_worse_comes_first(tmp_path: Path) -> None:
    """The alarm, then what got worse, better and is unclear, each with n, interval and p."""
    out = tmp_path / "out"
    card = texts(write_cards(build(tmp_path / "run"), out), out)["models/dpo"]
    heads = [one for one in card.splitlines() if one.startswith("## ")]
    assert heads[:3] == ["## What got worse", "## What got better", "## What is unclear"]
    assert card.index("> Harmlessness was bought with helpfulness") < card.index("## What got worse")
    worse = card.partition("## What got worse")[2].partition("## What got better")[0]
    better = card.partition("## What got better")[2].partition("## What is unclear")[0]
    assert "| Over-refusal on benign twins | 4.0" in worse
    assert "| Harmful compliance on red-team prompts | 71.0" in better
    row = next(one for one in worse.splitlines() if one.startswith("| Over-refusal"))
    assert "| +9.0 points | +4.0 to +14.0 | n 120 | < 0.001 | exact McNemar |" in row.replace("\\", "")


def test_each_card_weighs_its_own_model(tmp_path: Path) -> None:
    """SFT's card has SFT's figures against the base, not DPO's."""
    out = tmp_path / "out"
    found = texts(write_cards(build(tmp_path / "run"), out), out)
    assert "> Harmlessness" not in found["models/sft"]
    assert "| 38.0" in found["models/sft"]
    assert "| 14.0" not in found["models/sft"]
    assert "trained on the soft preferences" not in found["models/sft"]
    assert data_of(found["models/sft"]).eval_results[0].metric_value == pytest.approx(0.38)


def _hostile_run(folder: Path) -> Path:
    run = build(folder)
    hostile = "x\n---\nlicense: mit\n---\n# Taken over ![p](http://evil.example/p.png) <script>1</script> ```"
    recipe = {
        "name": hostile, "seed": hostile, "iterations": 1, "models": {"policy": {"name": hostile, "engine": "http"}},
        "dpo": {"loss": hostile}, "sft": {}, "label": {}, "prompts": {"split_seed": [hostile]},
    }  # fmt: skip
    (run / "recipe.resolved.yaml").write_text(json.dumps(recipe), "utf-8")
    edit_json(
        run / "environment.json",
        processor=hostile,
        gpus=[hostile],
        platform=hostile,
        packages={hostile: hostile},
        started=hostile,
    )
    edit_json(run / "stages/sft.json", filtered={hostile: 3}, training={"skipped": hostile})
    constitution = {
        "name": hostile, "description": hostile, "language": hostile, "licence": hostile,
        "principles": [{"id": "a", "text": hostile}],
    }  # fmt: skip
    (run / "constitution.yaml").write_text(json.dumps(constitution), "utf-8")
    evaluation = json.loads((run / "evaluation.json").read_text("utf-8"))
    for one in evaluation["measurements"]:
        one |= {"subset": hostile, "method": hostile, "name": f"multiple_choice:{one['name']} {hostile}"}
    (run / "evaluation.json").write_text(json.dumps(evaluation), "utf-8")
    rows = read_table(run / "data/preferences.parquet", Preference)
    changed = [one.model_copy(update={"source": hostile, "chosen": hostile}) for one in rows]
    write_table(run / "data/preferences.parquet", changed, Preference)
    prompts = [
        one.model_copy(update={"category": hostile, "source": hostile})
        for one in read_table(run / "data/prompts.parquet", Prompt)
    ]
    write_table(run / "data/prompts.parquet", prompts, Prompt)
    return run


def test_hostile_texts_are_inert(tmp_path: Path) -> None:
    """No text of a run makes HTML, a picture, a link or a heading, ends the front matter or puts a key into it."""
    out = tmp_path / "out"
    run = _hostile_run(tmp_path / "run")
    found = texts(write_cards(run, out), out)
    assert set(found) == set(NAMES)
    for name, text in {**found, "all tables": card_of_all(run)}.items():
        data = data_of(text)
        assert data.license is None, name
        body = text.split("\n---\n", 1)[1]
        tokens = flat(read(body))
        assert not {"html_block", "html_inline", "image"} & {one.type for one in tokens}, name
        links = {one.attrs["href"] for one in tokens if one.type == "link_open"}
        assert links <= {"https://arxiv.org/abs/2212.08073"}, name
        assert [one.type for one in tokens].count("hr") == 0
        heads = [after.content for one, after in itertools.pairwise(tokens) if one.type == "heading_open"]
        assert not any(one.startswith("Taken over") for one in heads), name
        assert "Taken over" in heads[0]


def test_nothing_of_the_machine_gets_out(tmp_path: Path) -> None:
    """Paths, keys, addresses of people, variables and reasons of failures are in no card."""
    run = build(tmp_path / "run")
    secrets = (
        "/home/anna/models/mine", "hf_AbCdEfGhIjKlMnOpQrStUvWx", "anna@example.org", "OPENAI_API_KEY=xyzzy1",
        "https://anna:hunter2@server.example/v1", "/mnt/anna/prompts.csv",
    )  # fmt: skip
    everything = " ".join(secrets)
    recipe = {
        "name": f"mine {everything}",
        "models": {
            "policy": {"name": secrets[0]},
            "judge": {"name": "gpt", "engine": "http", "server": secrets[4], "key_name": "ANNAS_KEY"},
        },
        "prompts": {"red_team": {"source": secrets[5]}, "split_seed": 0},
        "label": {"calibrator": secrets[5], "judges": {"anna": {"model": secrets[0]}}},
        "sft": {"lora": {"r": 4}, "revisions": secrets[0]},
        "dpo": {},
    }
    (run / "recipe.resolved.yaml").write_text(json.dumps(recipe), "utf-8")
    edit_json(
        run / "environment.json",
        platform=everything,
        models={"policy": {"name": "mine-of-anna", "fingerprint": everything}},
    )
    for stage in ("revise", "sft", "label", "dpo"):
        edit_json(run / f"stages/{stage}.json", failed={everything: 1}, filtered={everything: 2})
    edit_json(run / "stages/dpo.json", training={"skipped": everything, "notes": [everything]})
    (run / "inputs.json").write_text(json.dumps({"constitution": everything}), "utf-8")
    for name, kind in (("prompts", Prompt), ("traces", Trace), ("sft", SftRow), ("preferences", Preference)):
        rows: list[Any] = read_table(run / f"data/{name}.parquet", kind)
        write_table(run / f"data/{name}.parquet", [_with_secrets(one, everything) for one in rows], kind)
    out = tmp_path / "out"
    done = write_cards(run, out)
    for name, text in {**texts(done, out), "all tables": card_of_all(run)}.items():
        for part in ("anna", "hf_", "xyzzy1", "hunter2", "server.example", "/mnt", "/home", str(tmp_path)):
            assert part.lower() not in text.lower(), f"{part} in {name}"
    assert any("prompt_source names files of this machine" in one for one in done.notes)


def _with_secrets(row: Any, text: str) -> Any:
    prompt = row if isinstance(row, Prompt) else row.prompt
    turns = (prompt.turns[0].model_copy(update={"content": text}),)
    changed = prompt.model_copy(update={"turns": turns, "source": "/mnt/anna/prompts.csv", "category": text})
    return changed if isinstance(row, Prompt) else row.model_copy(update={"prompt": changed})


def test_a_card_that_somebody_edited_is_kept(tmp_path: Path) -> None:
    """A card that differs is never replaced, and nothing else is written then."""
    run = build(tmp_path / "run")
    mine = tmp_path / "out/datasets/sft/README.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("my own words", "utf-8")
    with pytest.raises(UserError, match=r"is there, and is another card; remove it"):
        write_cards(run, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("README.md")] == [
        "datasets/sft/README.md"
    ]


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    """A model that was not trained, a licence that is no name, a folder that is no run's, a run with nothing in it."""
    run = build(tmp_path / "run")
    with pytest.raises(
        UserError, match=r'--model dop: the run trained no such model; it trained sft, dpo; did you mean "dpo"'
    ):
        write_cards(run, model="dop")
    with pytest.raises(UserError, match="expected a name of the hub's"):
        write_cards(run, licence="My own\n---")
    with pytest.raises(RunError, match="is not a folder"):
        write_cards(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/recipe.yaml").write_text("name: x\n", "utf-8")
    with pytest.raises(RunError, match="neither a trained model nor a table"):
        write_cards(tmp_path / "empty")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A damaged evaluation is no silence: the command says so, and the card that there are no figures."""
    run = build(tmp_path / "run")
    (run / "evaluation.json").write_text("{", "utf-8")
    done = write_cards(run, tmp_path / "out", model="dpo")
    assert any("left out of the cards: evaluation.json could not be read" in one for one in done.notes)
    assert "There are no figures. evaluation.json could not be read" in Path(done.cards[0].path).read_text("utf-8")


def test_a_licence_that_is_given_is_named(tmp_path: Path) -> None:
    """In the front matter and in words."""
    out = tmp_path / "out"
    done = write_cards(build(tmp_path / "run"), out, licence="cc-by-4.0")
    assert not any("licence" in one for one in done.notes)
    for text in texts(done, out).values():
        assert data_of(text).license == "cc-by-4.0"
        assert "is cc-by-4.0." in text


@pytest.mark.parametrize("what", DATASETS)
def test_every_column_has_a_meaning(scripted: Path, what: str) -> None:
    """And every column is there, in the table's order."""
    kinds: dict[str, Any] = {"prompts": Prompt, "traces": Trace, "sft": SftRow, "preferences": Preference}
    found = list(columns(scripted / f"data/{what}.parquet", what))
    assert [name for name, _, _ in found] == _schema(kinds[what]).names
    assert all(kind and meaning for _, kind, meaning in found)


def test_label_figures_by_hand(tmp_path: Path) -> None:
    """The share of longer chosen responses and of same places, counted anew."""
    run = build(tmp_path / "run")
    rows = read_table(run / "data/preferences.parquet", Preference)
    out = tmp_path / "out"
    card = texts(write_cards(run, out, datasets=True), out)["datasets/preferences"].replace("\u00a0", " ")
    longer = sum(len(one.chosen) > len(one.rejected) for one in rows)
    assert f"The chosen response is the longer one in {100 * longer / len(rows):.1f} %" in card
    assert f"n {len(rows)}" in card
    same = total = 0
    for one in rows:
        for principle in PRINCIPLES:
            read_in = {v.order: v.p_a for v in one.verdicts if v.principle == principle and v.p_a is not None}
            if len(read_in) == 2:
                total += 1
                same += (read_in["ab"] - 0.5) * (read_in["ba"] - 0.5) < 0
    assert f"not the same response, in {100 * same / total:.1f} %" in card


def test_every_setting_that_is_told_is_one_of_a_recipe() -> None:
    """A key that is renamed does not silently go from the cards."""
    whole = Recipe(name="x", constitution="harmless", models={"policy": "y"}, rl={}, preference_model={})  # type: ignore[arg-type]
    values = whole.model_dump()
    for section, keys in _SETTINGS.items():
        for key in keys:
            place = values[section]
            for step in key.split("."):
                assert step in place, f"{section}.{key}"
                place = place[step]


def test_a_model_is_told_with_what_led_to_it(tmp_path: Path) -> None:
    """No training that it does not build on: DPO beside RL, a preference model where nothing rewards with it."""
    run = build(tmp_path / "run")
    (run / "recipe.resolved.yaml").write_text(
        json.dumps({"name": "x", "iterations": 2, "rl": {}, "preference_model": {}})
    )
    for stage in ("preference_model", "rl", "pairs-2", "label-2", "dpo-2", "rl-2", "preference_model-2"):
        shutil.copy(run / "stages/dpo.json", run / f"stages/{stage}.json")
        edit_json(run / f"stages/{stage}.json", stage=stage)
    facts = gather_facts(read_run(run))
    first = ["prompts", "revise", "sft", "pairs", "label"]

    def led(stage: str) -> list[str]:
        return [one.stage for one in lineage(facts, stage)]

    assert led("sft") == first[:3]
    assert led("dpo") == [*first, "dpo"]
    assert led("preference_model") == [*first, "preference_model"]
    assert led("rl") == [*first, "preference_model", "rl"]
    assert led("dpo-2") == [*first, "preference_model", "rl", "pairs-2", "label-2", "dpo-2"]


@pytest.mark.parametrize(
    ("settings", "hub_id", "revision"),
    [
        ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", ""),
        ({"name": "owner/name@abc123"}, "owner/name", "abc123"),
        ({"name": "a path"}, "", ""),
        ({"name": "/home/x/y"}, "", ""),
        ({"name": "gpt", "engine": "http"}, "", ""),
        (None, "", ""),
    ],
)
def test_a_base_is_named_as_the_hub_knows_it(settings: Any, hub_id: str, revision: str) -> None:
    """Or not at all."""
    found = name_model(settings)
    assert (found.hub_id, found.revision) == (hub_id, revision)


TINY = """\
name: tiny
constitution: harmless
models:
  policy: {{name: {model}, dtype: float32, device: cpu}}
prompts: {{n_train: 6, n_train_helpful: 2, n_evaluation: 2, n_evaluation_helpful: 2}}
revise: {{rounds: 1, n_few_shots: 0, max_tokens: 6, max_critique_tokens: 4, on_cut: open}}
sft: {{helpful_ratio: 0, twin_ratio: 0, batch_size: 4, guard: null, lora: {{r: 4, alpha: 8}}}}
pairs: {{n: 8, kinds: {{red_team: 1.0}}, sources: {{red_team: {{on_policy: 1.0}}}}, max_tokens: 6, on_cut: open}}
label: {{k_principles: 1, n_few_shots: 0, min_option_mass: 0, held_out: 0.3}}
preference_model: {{batch_size: 4}}
dpo: {{batch_size: 4, guard: null}}
evaluate: {{harm: false, head_to_head: [], max_tokens: 4}}
"""


@pytest.fixture(scope="module")
def trained(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a real model."""
    folder = tmp_path_factory.mktemp("trained")
    text = TINY.format(model=tiny_model)
    (folder / "tiny.yaml").write_text(text)
    recipe = load_recipe(folder / "tiny.yaml")
    with open_run(recipe, folder / "run", recipe_text=text) as run:
        run_stages(run, [name for name in stages_of(recipe) if name != "report"])
    return folder / "run"


@pytest.mark.model
def test_cards_of_a_real_model(trained: Path, tiny_model: Path, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    """Their outline and front matter, without figures that a processor rounds; the model's path is in none."""
    found = texts(write_cards(trained, tmp_path), tmp_path)
    assert set(found) == {*NAMES, "models/preference_model"}
    assert not any(str(tiny_model) in text or str(trained) in text for text in found.values())
    outline = {}
    for name, text in found.items():
        data = data_of(text)
        figures = [(one.metric_type, one.dataset_type) for one in getattr(data, "eval_results", None) or ()]
        plain_data = {key: value for key, value in data.to_dict().items() if key != "model-index"}
        outline[name] = (plain_data, figures, [one for one in text.splitlines() if one.startswith("#")])
    assert outline == snapshot


@pytest.mark.model
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # of peft's own
@pytest.mark.parametrize("stage", ["sft", "dpo", "preference_model"])
def test_the_code_of_a_card_loads_the_model(
    trained: Path, tiny_model: Path, tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands there, in the model's folder; only the base, which has no name on the hub, is filled in."""
    out = tmp_path / "cards"
    code = loading_code(gather_facts(read_run(trained)), stage)
    assert code in texts(write_cards(trained, out, model=stage), out)[f"models/{stage}"]
    ready = code.replace('"BASE"', repr(str(tiny_model))).replace('"."', repr(str(trained / "models" / stage)), 1)
    ready = ready.replace("max_new_tokens=128", "max_new_tokens=3")
    exec(compile(ready, "card", "exec"), {})  # noqa: S102 - what our card shows
    printed = capsys.readouterr().out
    if stage == "preference_model":
        float(printed)
    assert printed


def test_hostile_samples_are_those_of_the_report() -> None:
    """The made-up run holds texts that try to break out, so that its cards are tested with them too."""
    assert any("<script>" in one for one in HOSTILE)


def test_a_card_says_whose_preferences_were_taken_beside_the_ais(scripted: Path, tmp_path: Path) -> None:
    """Of the training that took them, and of none before it; a dataset is named, a file of somebody's is not."""
    run = tmp_path / "run"
    shutil.copytree(scripted, run)
    told = json.loads((run / "stages/dpo.json").read_text("utf-8"))
    edit_json(run / "stages/dpo.json", counts={**told["counts"], "mixed in of people": 800})
    recipe = yaml.safe_load((run / "recipe.resolved.yaml").read_text("utf-8"))
    for source, said in (
        ("owner/feedback", "Beside it dpo took 800 preferences as they are from owner/feedback, a dataset of the hub."),
        ("/secret/place/rows.jsonl", "Beside it dpo took 800 preferences as they are from a file of the maker's."),
    ):
        recipe["dpo"]["helpfulness"] = {"source": source}
        (run / "recipe.resolved.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
        found = texts(write_cards(run, tmp_path / Path(source).name), tmp_path / Path(source).name)
        assert said in found["models/dpo"]
        assert "No person labelled a row" not in found["models/dpo"]
        assert "No person labelled a row" in found["models/sft"]
        assert "secret" not in found["models/dpo"]
