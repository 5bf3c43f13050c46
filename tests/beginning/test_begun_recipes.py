from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from charter.beginning import begin, questions, settle
from charter.beginning.constitution_file import FEW_SHOTS
from charter.beginning.sizes import SIZES
from charter.constitution import check_constitution, list_constitutions, load_constitution
from charter.errors import ConstitutionError, ModelError, PromptError, UserError
from charter.files.yaml_reading import read_yaml
from charter.planning.preflight import check_recipe
from charter.recipe import load_recipe
from charter.recipe.paths import is_path

PROMPTS = tuple(f"How should the assistant of a school answer question number {number}?" for number in range(40))
FILES = {
    "many.csv": "question,about\n" + "".join(f"{one},x{n}\n" for n, one in enumerate(PROMPTS)),
    "few.jsonl": "".join(json.dumps({"id": str(n), "ask": one}) + "\n" for n, one in enumerate(PROMPTS[:4])),
    "a name: with #signs.csv": "prompt\n" + "\n".join(PROMPTS[:9]),
    "mine.yaml": "name: mine\nprinciples:\n  - {id: principle-2, text: The assistant asks back., category: c}\n",
}
MODELS = ("smollm2-135m", "Qwen/Qwen2.5-0.5B-Instruct")
CONSTITUTIONS = (*list_constitutions(), "blank", "mine.yaml")
SOURCES = (("built-in", ""), ("many.csv", ""), ("few.jsonl", "ask"), ("a name: with #signs.csv", "prompt"))


def combinations() -> list[dict[str, str]]:
    """Every combination of answers."""
    return [
        {
            "model": model,
            "constitution": one,
            "principles": n,
            "prompts": prompts,
            "prompt_column": column,
            "size": size,
        }
        for model, one, n, (prompts, column), size in itertools.product(
            MODELS, CONSTITUTIONS, ("0", "1", "4"), SOURCES, SIZES
        )
        if (one, n) != ("blank", "0")
    ]


def some(n: int) -> Iterator[dict[str, str]]:
    """Draw combinations, and go on until each answer was among them."""
    waiting = combinations()
    random.Random(5).shuffle(waiting)  # noqa: S311 - a draw for a test
    unseen = {item for one in waiting for item in one.items()}
    for place, one in enumerate(waiting):
        if place < n or unseen & set(one.items()):
            yield one
        unseen -= set(one.items())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with files of one's own, which is the current one."""
    folder = tmp_path_factory.mktemp("beginning")
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.mark.usefixtures("place")
def test_every_combination_loads(tmp_path: Path) -> None:
    """Whatever is answered, the recipe loads, names what was answered, and is as its schema has it."""
    for number, texts in enumerate(some(60)):
        folder = tmp_path / f"run-{number}"
        begun = begin(folder, settle(folder, texts))
        recipe = load_recipe(folder / "recipe.yaml")
        assert (recipe.name, recipe.models.policy.name) == (folder.name, texts["model"])
        assert {path.name for path in begun.files} == {path.name for path in folder.iterdir()}
        is_own = texts["principles"] != "0"
        assert (folder / "constitution.yaml").exists() == is_own
        assert (recipe.constitution.source == texts["constitution"]) == (
            not is_own and texts["constitution"] != "mine.yaml"
        )
        for path in begun.files:
            if path.suffix == ".yaml":
                schema = json.loads(path.with_suffix(".schema.json").read_text("utf-8"))
                Draft202012Validator(schema).validate(read_yaml(path).data)
                assert path.read_text("utf-8").startswith(f"# yaml-language-server: $schema={path.stem}.schema.json\n")


@pytest.mark.usefixtures("place")
def test_combinations_pass_the_check(tmp_path: Path) -> None:
    """``charter check`` finds no error in any of them, as it was written."""
    hold_to_the_check(some(8), tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("constitution", CONSTITUTIONS)
@pytest.mark.usefixtures("place")
def test_every_combination_passes_the_check(constitution: str, tmp_path: Path) -> None:
    """The same of all of them."""
    hold_to_the_check((one for one in combinations() if one["constitution"] == constitution), tmp_path)


def hold_to_the_check(several: Iterator[dict[str, str]], tmp_path: Path) -> None:
    """Begin with each combination of answers, and check it."""
    for number, texts in enumerate(several):
        folder = tmp_path / f"run-{number}"
        begin(folder, settle(folder, texts))
        report = check_recipe(load_recipe(folder / "recipe.yaml"), folder / "run")
        assert report.errors == [], texts
        unwritten = [one for one in report.findings if "[unwritten]" in one.message]
        assert len(unwritten) == int(texts["principles"]), texts


@pytest.mark.model
@pytest.mark.usefixtures("place")
def test_a_models_folder(tmp_path: Path, tiny_model: Path) -> None:
    """A model's folder is named from where the recipe lies."""
    begin(tmp_path / "mine", settle(tmp_path, {"model": str(tiny_model)}))
    recipe = load_recipe(tmp_path / "mine" / "recipe.yaml")
    assert Path(recipe.models.policy.name).resolve() == tiny_model.resolve()
    assert check_recipe(recipe, tmp_path / "run").errors == []


@pytest.mark.usefixtures("place")
def test_a_bare_name_that_lies_here_is_found_from_there(tmp_path: Path) -> None:
    """What has the form of a name and is a folder here is a path in the recipe, which lies elsewhere."""
    Path("model").mkdir(exist_ok=True)
    Path("model/config.json").write_text("{}", "utf-8")
    begin(tmp_path / "mine", settle(tmp_path, {"model": "model"}))
    written = read_yaml(tmp_path / "mine" / "recipe.yaml").data["models"]["policy"]
    assert is_path(written)
    assert (tmp_path / "mine" / written).resolve() == Path("model").resolve()


@pytest.mark.usefixtures("place")
def test_what_stands_as_a_comment_can_be_uncommented(tmp_path: Path) -> None:
    """Ideas in a recipe, and worked examples in a constitution, are sound once their signs are taken away."""
    begin(tmp_path / "mine", settle(tmp_path, {"prompts": "many.csv", "constitution": "blank"}))
    file = tmp_path / "mine" / "recipe.yaml"
    text = re.sub(r"^  # (judge|harm): ", r"  \1: ", file.read_text("utf-8"), flags=re.MULTILINE)
    file.write_text(text, "utf-8")
    recipe = load_recipe(file)
    assert recipe.models.judge is not None
    assert not recipe.evaluate.harm
    own = tmp_path / "mine" / "constitution.yaml"
    before, marked = own.read_text("utf-8").split("# few_shots:")
    own.write_text(before + re.sub(r"^# ", "", f"# few_shots:{marked}", flags=re.MULTILINE), "utf-8")
    assert own.read_text("utf-8").endswith(FEW_SHOTS)
    assert (len(load_constitution(own).few_shots.revise), len(load_constitution(own).few_shots.judge)) == (1, 1)


@pytest.mark.usefixtures("place")
def test_own_principles_come_beside_those_that_are_built_on(tmp_path: Path) -> None:
    """Places for principles take ids that the base has not, so that none of the base's is replaced."""
    begin(tmp_path / "mine", settle(tmp_path, {"constitution": "mine.yaml", "principles": "2"}))
    own = load_constitution(tmp_path / "mine" / "constitution.yaml")
    assert own.ids == ("principle-2", "principle-1", "principle-3")
    assert own.principle("principle-2").text == "The assistant asks back."
    assert [one.principle for one in check_constitution(own) if one.rule == "unwritten"] == [
        "principle-1",
        "principle-3",
    ]


@pytest.mark.usefixtures("place")
def test_the_tuned_recipe_is_the_published_one(tmp_path: Path) -> None:
    """On a laptop, the embedded model and the constitution for harmlessness have the settings that were measured."""
    folder = tmp_path / "smollm2-135m"
    begin(folder, settle(folder, {"size": "laptop"}))
    assert load_recipe(folder / "recipe.yaml") == load_recipe(Path(__file__).parents[2] / "recipes/smollm2-135m.yaml")


@pytest.mark.parametrize(
    ("texts", "kind", "said"),
    [
        ({"model": "smollm2-135"}, ModelError, "did you mean 'smollm2-135m'?"),
        ({"model": "./nowhere"}, ModelError, "is no model"),
        ({"model": ""}, ModelError, "is no model"),
        ({"model": "a\0b"}, ModelError, "is no model"),
        ({"model": "few.jsonl"}, ModelError, "holds no model"),
        ({"constitution": "harmles"}, ConstitutionError, 'did you mean "harmless"?'),
        ({"constitution": "blank", "principles": "0"}, UserError, "expected 1 to 100"),
        ({"principles": "101"}, UserError, "expected 0 to 100"),
        ({"principles": "-1"}, UserError, "expected 0 to 100"),
        ({"principles": "two"}, UserError, "expected 0 to 100"),
        ({"prompts": "nowhere.csv"}, PromptError, "is no file"),
        ({"prompts": "few.jsonl", "prompt_column": "sak"}, PromptError, "sak"),
        ({"prompts": "few.jsonl"}, PromptError, "ask"),
        ({"prompt_column": "ask"}, PromptError, "leave it out"),
        ({"size": "labtop"}, UserError, 'did you mean "laptop"?'),
        ({"name": "../out"}, UserError, "it names a folder"),
        ({"name": "x\n"}, UserError, "it names a folder"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("place")
def test_what_is_no_answer_is_said(texts: dict[str, str], kind: type[UserError], said: str, tmp_path: Path) -> None:
    """Each answer that cannot be one is an error that says what was expected."""
    with pytest.raises(kind, match=re.escape(said)):
        settle(tmp_path, texts)


@pytest.mark.usefixtures("place")
def test_too_few_prompts(tmp_path: Path) -> None:
    """Prompts of which none would be left to train on make no recipe."""
    (tmp_path / "three.csv").write_text("prompt\n" + "\n".join(PROMPTS[:3]), "utf-8")
    with pytest.raises(PromptError, match="holds 3 distinct prompts"):
        settle(tmp_path, {"prompts": str(tmp_path / "three.csv")})


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    """Nothing is written where one of the files is there, a link that leads nowhere too; unless that is asked for."""
    answers = settle(tmp_path, {"constitution": "blank"})
    (tmp_path / "constitution.yaml").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"constitution\.yaml: there already"):
        begin(tmp_path, answers)
    assert [path.name for path in tmp_path.iterdir()] == ["constitution.yaml"]
    begin(tmp_path, answers, force=True)
    assert load_constitution(tmp_path / "constitution.yaml").ids == ("principle-1", "principle-2", "principle-3")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the folder should be is an error."""
    (tmp_path / "taken").write_text("x", "utf-8")
    with pytest.raises(UserError, match="cannot be written to"):
        begin(tmp_path / "taken", settle(tmp_path, {}))


@pytest.mark.parametrize(("folder", "name"), [("mine", "mine"), ("two words", "first"), ("-x", "first")])
def test_a_run_is_called_as_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    """The folder's name is the run's, where it can be one."""
    assert settle(tmp_path / folder, {}).name == name


def test_every_question_has_its_option(tmp_path: Path) -> None:
    """The command can be given each answer."""
    assert [one.option for one in questions(tmp_path)] == [
        *("--model", "--constitution", "--principles", "--prompts", "--prompt-column", "--size", "--name"),
    ]
