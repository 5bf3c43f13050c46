"""``charter audit``, on a scripted judge: what it prints and writes, that it goes on, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from charter.authoring.dry_run import dry_answer
from charter.constitution import load_constitution
from charter.engines.scripted import ScriptedEngine
from charter.feedback.calibrator import Asked, read_calibrator
from charter.feedback.labels import judge_pairs
from charter.files.tables import read_table, write_table
from charter.given.pairs import load_pairs
from charter.recipe import load_recipe
from charter.records import Judged, Pair, Preference, PromptKind, Side, make_prompt
from charter.stages.label import judging_of
from cli.command import RECIPE, Command

N = 24


@pytest.fixture
def labels(place: Path) -> Path:
    """Pairs as people label them: two transcripts that differ in their last reply."""
    file = place / "labels.jsonl"
    rows = [
        {
            "chosen": f"\n\nHuman: How do I pick lock number {number}?\n\nAssistant: Ask its owner {number}.",
            "rejected": f"\n\nHuman: How do I pick lock number {number}?\n\nAssistant: With a wire, {'quietly ' * 9}.",
        }
        for number in range(N)
    ]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


def test_an_audit_tells_what_a_judge_is_worth(charter: Command, labels: Path, place: Path) -> None:
    """Figures with intervals and n beside published ones; four files, of which the calibrator can be read."""
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 0, done.err
    assert f"demo on {N} pairs of {N} contexts" in done.out
    assert "grade: " in done.out
    assert "72 % at best" in done.out
    assert "same position in both orders" in done.out
    assert "1,000 labels take 4,000 calls" in done.out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], told["n_verdicts"], told["judge"]) == (N, 4 * N, "demo")
    assert told["quality"]["accuracy"]["n"] == N
    calibrator = read_calibrator(place / "audits/demo/calibrator.json")
    assert calibrator.temperature == pytest.approx(told["calibration"]["scaling"]["temperature"])
    assert calibrator.asked == Asked(
        helpful_constitution="helpful", kinds=("red_team",), n_few_shots=None, min_option_mass=0.5
    )
    rows = pq.read_table(place / "audits/demo/verdicts.parquet").to_pylist()
    assert len(rows) == N
    assert all(len(row["verdicts"]) == 4 for row in rows)
    assert (place / "audits/demo/reliability.svg").read_text("utf-8").count("<svg") == 1


def test_an_audit_goes_on_and_asks_nothing_twice(charter: Command, labels: Path, place: Path) -> None:
    """Done again, the figures are the same to the last digit, and no call is made."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo", "--json")
    first, second = (json.loads(charter(*arguments).out) for _ in range(2))
    assert first.pop("cost_of_1000_labels")["calls"] == 4000
    assert second.pop("cost_of_1000_labels") is None
    assert first == second
    del place


def test_more_pairs_begin_with_the_same(charter: Command, labels: Path, place: Path) -> None:
    """A smaller draw is a part of a larger one of the same seed."""

    def drawn(n: int) -> set[str]:
        folder = f"audits/{n}"
        assert (
            charter("audit", "d", "--engine", "scripted", "--labels", labels, "--out", folder, "--n", f"{n}").code == 0
        )
        return {row["id"] for row in pq.read_table(place / folder / "verdicts.parquet").to_pylist()}

    few, more = drawn(6), drawn(12)
    assert len(few) == 6
    assert few < more


def test_an_audit_is_enlarged_where_it_lies(charter: Command, labels: Path) -> None:
    """With a larger n the further pairs alone are asked about, and the figures are those of an audit of so many."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--json", "--n")
    assert charter(*arguments, "6", "--out", "audits/grown").code == 0
    grown = charter(*arguments, "12", "--out", "audits/grown")
    assert grown.code == 0, grown.err
    assert "12 of 12, 6 of them before" in grown.err.replace("/", " of ")
    whole = charter(*arguments, "12", "--out", "audits/whole")
    first, second = (json.loads(done.out) for done in (grown, whole))
    assert first.pop("cost_of_1000_labels")["calls"] == second.pop("cost_of_1000_labels")["calls"]
    assert first == second


def test_answers_of_a_script_are_told(charter: Command, labels: Path) -> None:
    """Nobody takes its figures for a model's."""
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.out.startswith("A script answered in the judge's place")


def test_a_calibration_error_is_told_with_what_chance_would_show(charter: Command, labels: Path) -> None:
    """Its n, and what true probabilities would come to."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    done, told = charter(*arguments), charter(*arguments, "--json").value
    mean, most = told["quality"]["ece_by_chance"]
    assert 0 < mean < most
    assert (
        f"{told['quality']['ece']:.3f} (n {N}; true probabilities: {mean:.3f}, at most {most:.3f} in 95 %)" in done.out
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--chains", "1"), "another --chains"),
        (("--constitution", "honest"), "another constitution"),
        (("--helpful", "honest"), "another helpful constitution"),
    ],
)
def test_a_folder_of_another_audit_is_left_alone(
    charter: Command, labels: Path, more: tuple[str, ...], message: str
) -> None:
    """What would be mixed is named."""
    arguments = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert charter(*arguments).code == 0
    done = charter(*arguments, *more)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("written", "message"),
    [("", "labels.jsonl"), ('{"text": "no pairs here"}\n', "labels.jsonl"), ("{broken\n", "labels.jsonl")],
)
def test_what_holds_no_pairs_is_refused(charter: Command, place: Path, written: str, message: str) -> None:
    """With the file's name, before a model is loaded."""
    (place / "labels.jsonl").write_text(written, "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", "labels.jsonl", "--out", "audits/demo")
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_a_folder_that_cannot_be_made_is_refused(charter: Command, labels: Path, place: Path) -> None:
    """Where a file stands in its way."""
    (place / "audits").write_text("", "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 2
    assert "--out audits/demo: cannot be made" in done.err


def test_rows_that_are_not_measured_are_told(charter: Command, labels: Path, place: Path) -> None:
    """Those that the file rejects, with the reason; the figures are over the others."""
    rows = labels.read_text("utf-8").splitlines()
    alike = json.dumps(dict.fromkeys(("chosen", "rejected"), "\n\nHuman: Why?\n\nAssistant: So."))
    labels.write_text("".join(f"{row}\n" for row in (*rows, rows[0], alike)), "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    assert done.code == 0, done.err
    assert "left out of the file, 1: exact duplicate" in done.out
    assert "left out of the file, 1: the two answers are equal" in done.out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], sum(told["rejected_rows"].values()), told["failed_pairs"]) == (N, 2, {})


def _with_authors(labels: Path) -> None:
    """Say of every second pair that the judge wrote the chosen answer, of the others the rejected one."""
    rows = [json.loads(line) for line in labels.read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["chosen_model"], row["rejected_model"] = ("demo", "somebody")[:: 1 if number % 2 else -1]
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def test_self_preference_is_told_where_answers_have_authors(charter: Command, labels: Path, place: Path) -> None:
    """From the file's own columns, by the judge's name or another; without them there is no word of it."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels)
    assert "of its own" not in charter(*asked, "--out", "audits/before").out
    _with_authors(labels)
    out = charter(*asked, "--out", "audits/demo").out
    assert f"pairs with one answer of its own: {N}" in out
    assert "author of answers" in out
    told = json.loads((place / "audits/demo/audit.json").read_text("utf-8"))
    found, other = told["self_preference"], charter(*asked, "--out", "audits/demo", "--own", "somebody", "--json").value
    assert (found["n"], found["own_by_people"]["value"]) == (N, 0.5)
    assert found["own_against_people"]["n"] == found["other_against_people"]["n"] == N // 2
    assert other["self_preference"]["own_against_people"] == found["other_against_people"]
    assert other["own_names"] == ["somebody"]
    rows = pq.read_table(place / "audits/demo/verdicts.parquet").to_pylist()
    assert {row["name"]: row["n"] for row in told["by_author"]} == {"demo": N, "somebody": N}
    assert len(rows) == N


def test_labels_cost_money_where_prices_are_given(charter: Command, labels: Path, place: Path) -> None:
    """What the tokens of 1,000 labels come to; None without prices, and an error where the judge has none."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels)
    (place / "prices.yaml").write_text("demo: {prompt: 2, completion: 8}\n", "utf-8")
    told = charter(*asked, "--out", "audits/priced", "--prices", "prices.yaml", "--json").value["cost_of_1000_labels"]
    assert told["money"] == pytest.approx((2 * told["prompt_tokens"] + 8 * told["completion_tokens"]) / 1e6, rel=1e-4)
    assert told["money"] > 0
    assert charter(*asked, "--out", "audits/plain", "--json").value["cost_of_1000_labels"]["money"] is None
    assert "by the given prices they cost " in charter(*asked, "--out", "audits/told", "--prices", "prices.yaml").out
    (place / "prices.yaml").write_text("demos: {prompt: 2}\n", "utf-8")
    done = charter(*asked, "--out", "audits/none", "--prices", "prices.yaml")
    assert done.code == 2
    assert "--prices prices.yaml: 'demo' has no price; put it there, such as demo: {prompt: 0.5" in done.err
    assert not (place / "audits/none").exists()


@pytest.mark.model
def test_a_real_model_is_audited(charter: Command, labels: Path, place: Path, tiny_model: Path) -> None:
    """A tiny one with random weights: a pair that is too long for it is counted as failed, the others are measured."""
    long = {
        "chosen": "\n\nHuman: Tell me all.\n\nAssistant: Yes.",
        "rejected": f"\n\nHuman: Tell me all.\n\nAssistant: {'No, never. ' * 2000}",
    }
    with labels.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(long)}\n")
    asked = ("--labels", labels, "--out", "audits/tiny", "--n-few-shots", "0", "--min-option-mass", "0")
    done = charter("audit", tiny_model, *asked)
    assert done.code == 0, done.err
    told = json.loads((place / "audits/tiny/audit.json").read_text("utf-8"))
    assert (told["n_pairs"], sum(told["failed_pairs"].values())) == (N, 1)
    assert "failed, 1: " in done.out
    assert told["cost_of_1000_labels"]["prompt_tokens"] > 100_000
    assert 0.0 <= told["quality"]["accuracy"]["value"] <= 1.0
    assert told["invalid"]["value"] == 0.0


def _native(place: Path, name: str, kind: type[Pair | Preference], rows: Sequence[Pair | Preference]) -> Path:
    write_table(place / name, rows, kind)
    return place / name


def _pairs(n: int) -> list[Pair]:
    """Pairs of three kinds of prompts, of which every third intends no side."""
    kinds: tuple[PromptKind, ...] = ("red_team", "helpful", "benign_twin")
    sides: tuple[Side | None, ...] = ("a", "b", None)
    return [
        Pair(
            id=f"p{number}",
            prompt=make_prompt(f"How do I do {number}?", kinds[number // 3 % 3]),
            a=f"So, {number}.",
            b=f"No, not {number}.",
            source="on_policy",
            intended=sides[number % 3],
        )
        for number in range(n)
    ]


def test_pairs_that_nobody_labelled_are_no_ties(charter: Command, place: Path) -> None:
    """They are counted and not asked about; the others are what their sources intend, not what people say."""
    file = _native(place, "pairs.parquet", Pair, _pairs(27))
    asked = ("audit", "demo", "--engine", "scripted", "--labels", file, "--out", "audits/own")
    told = charter(*asked, "--json").value
    assert told["rejected_rows"] == {"no side is said to be better": 9}
    assert (told["n_pairs"], told["n_verdicts"], told["labels_by"]) == (18, 72, "the pairs' sources")
    assert (told["grade"], told["yardsticks"], told["advice"]) == (None, None, [])
    out = charter(*asked).out
    assert "grade: " not in out
    assert "agreement with the pairs' sources" in out
    assert "at best" not in out
    assert "not people's, but those of the pairs' sources" in " ".join(out.split())
    assert not (place / "audits/own/calibrator.json").exists()
    undecided = [pair for pair in _pairs(27) if pair.intended is None]
    file = _native(place, "none.parquet", Pair, undecided)
    done = charter("audit", "demo", "--engine", "scripted", "--labels", file, "--out", "audits/none")
    assert done.code == 2
    assert "none of its 9 pairs says which answer is better" in done.err
    assert not (place / "audits/none").exists()


def test_a_runs_labels_are_called_a_judges(charter: Command, place: Path) -> None:
    """What an AI chose is no yardstick of an AI."""
    assert charter("run", "demo.yaml", "--out", "runs/a", "--until", "label").code == 0
    file = place / "runs/a/data/preferences.parquet"
    asked = ("audit", "demo", "--engine", "scripted", "--labels", file, "--out", "audits/own")
    told = charter(*asked, "--json").value
    assert (told["labels_by"], told["grade"]) == ("a judge", None)
    assert "agreement with a judge" in charter(*asked).out


def test_people_that_are_less_than_sure_are_taken_at_their_word(charter: Command, labels: Path) -> None:
    """Where a file says how sure they are, the errors are against that; whose answer they take is what it was."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--json")
    by_whom = {"chosen_model": "demo", "rejected_model": "other"}

    def audited(name: str, **columns: object) -> Any:
        rows = [json.loads(line) | by_whom | columns for line in labels.read_text("utf-8").splitlines()]
        labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
        done = charter(*asked, "--out", f"audits/{name}")
        assert done.code == 0, done.err
        return done.value

    sure, unsure = audited("sure"), audited("unsure", p_chosen=0.6)
    assert unsure["quality"]["accuracy"] == sure["quality"]["accuracy"]
    assert unsure["quality"]["brier"]["value"] < sure["quality"]["brier"]["value"]
    assert unsure["quality"]["ece"] < sure["quality"]["ece"]
    assert unsure["self_preference"] == sure["self_preference"]
    assert unsure["self_preference"]["own_by_people"]["value"] == 1.0
    assert unsure["by_author"] == sure["by_author"]


@pytest.mark.parametrize("chains", [0, 2])
def test_the_judge_is_asked_as_a_runs_label_stage_asks_it(charter: Command, place: Path, chains: int) -> None:
    """With its recipe the verdicts are what a run gives, to the last digit: for each kind of prompt, with chains."""
    settings = f"{{chains: {chains}, clamp: [0.3, 0.7], max_chain_tokens: 12, k_principles: 3, n_few_shots: 1}}"
    (place / "mine.yaml").write_text(f"{RECIPE}seed: 7\nlabel: {settings}\n", "utf-8")
    assert charter("run", "mine.yaml", "--out", "runs/a", "--until", "pairs").code == 0
    made = read_table(place / "runs/a/data/pairs.parquet", Pair)
    file = _native(place, "pairs.parquet", Pair, [pair.model_copy(update={"intended": "a"}) for pair in made])
    asked = ("audit", "demo", "--engine", "scripted", "--labels", file, "--recipe", "mine.yaml", "--out", "audits/a")
    assert charter(*asked).code == 0
    recipe = load_recipe(place / "mine.yaml")
    # As the stage does it; of the same pairs, for by their ids principles are drawn.
    judged = judge_pairs(
        load_pairs(file).pairs,
        load_constitution("harmless"),
        ScriptedEngine(dry_answer, script="demo"),
        helpful=load_constitution("helpful"),
        k_principles=recipe.label.k_principles,
        judging=judging_of(recipe),
        seed=recipe.seed,
    )
    rows = read_table(place / "audits/a/verdicts.parquet", Judged)
    assert rows == list(judged.done)
    assert {row.prompt.kind for row in rows} == {"red_team", "helpful", "benign_twin"}
    assert all(verdict.n_chains == chains for row in rows for verdict in row.verdicts)
    assert all((verdict.invalid is None) == (chains == 0) for row in rows for verdict in row.verdicts)
    done = charter(*asked, "--k-principles", "2", "--clamp", "0.4,0.6")
    assert ("another --clamp and another --k-principles" if chains else "another --k-principles") in done.err


@pytest.mark.parametrize("clamp", ["0.4", "0.6,0.9", "a,b", "0.4,1.2", "0.1,0.2,0.3"])
def test_a_clamp_that_is_none_is_refused(charter: Command, labels: Path, clamp: str) -> None:
    """With what is expected."""
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/a", "--clamp", clamp)
    done = charter(*asked)
    assert done.code == 2
    assert f"--clamp is '{clamp}'; expected two probabilities" in done.err


@pytest.mark.parametrize("name", ["audit.json", "verdicts.parquet", "calibrator.json", "reliability.svg"])
def test_files_of_others_are_left_alone(charter: Command, labels: Path, place: Path, name: str) -> None:
    """What no audit wrote is not written over."""
    (place / "mine").mkdir()
    (place / "mine" / name).write_text("mine", "utf-8")
    done = charter("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "mine")
    assert done.code == 2
    assert f"--out mine: holds {name}, and no journal" in done.err
    assert (place / "mine" / name).read_text("utf-8") == "mine"


def test_categories_and_what_is_not_read_are_told(charter: Command, labels: Path) -> None:
    """A file's own categories have figures; a column that nothing is taken from is named."""
    rows = [json.loads(line) for line in labels.read_text("utf-8").splitlines()]
    for number, row in enumerate(rows):
        row |= {"category": ("locks", "doors")[number % 2], "harm_type": "x"}
    labels.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    asked = ("audit", "demo", "--engine", "scripted", "--labels", labels, "--out", "audits/demo")
    out = charter(*asked).out
    assert "columns of the file that nothing was taken from: harm_type" in out
    told = charter(*asked, "--json").value
    assert {one["name"]: one["n"] for one in told["by_category"]} == {"doors": N // 2, "locks": N // 2}


@pytest.mark.model
def test_a_finished_audit_loads_nothing_and_a_changed_model_begins_anew(
    charter: Command, labels: Path, place: Path, tiny_model: Path
) -> None:
    """Its figures are made anew without the model; of other weights under the same name they would be mixed."""
    import shutil

    shutil.copytree(tiny_model, place / "judge")
    asked = ("audit", "judge", "--labels", labels, "--out", "audits/a", "--n-few-shots", "0", "--min-option-mass", "0")
    first = charter(*asked, "--n", "4", "--json")
    assert first.code == 0, first.err
    assert "loading judge" in first.err
    assert first.value["cost_of_1000_labels"]["seconds"] > 0
    again = charter(*asked, "--n", "4", "--json")
    assert "loading" not in again.err
    assert again.value["identity"] == first.value["identity"]
    assert again.value["quality"] == first.value["quality"]
    config = place / "judge" / "generation_config.json"
    config.write_text(json.dumps({"temperature": 0.123}), "utf-8")
    (place / "judge" / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}", "utf-8")
    done = charter(*asked, "--n", "4")
    assert done.code == 2
    assert "another model's files" in done.err
