"""What is rated: two answers to one prompt, from a run or a file, dealt to each rater in an order of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charter.errors import PromptError, RunError, UserError
from charter.evaluation.head_to_head import Match, round_robin
from charter.files.tables import read_table
from charter.given.loaded import LoadedPairs
from charter.given.pairs import load_pairs
from charter.given.preferences import preferences_of
from charter.given.reading import GivenFile, read_file
from charter.given.transcripts import read_prompt_turns
from charter.given.values import prompt_kind
from charter.prompts.row_prompts import content_id
from charter.rating.records import Side
from charter.records import Pair, Prompt, PromptKind, Response
from charter.seeds import derive_seed, row_id
from charter.spelling import hint

#: Which models meet where none are named: those that come first and last, or all of them.
Unnamed = Literal["ends", "every"]
_ANSWER_COLUMNS = ("model", "prompt", "response")
RIGHT, WRONG = "right", "wrong"  # whose answers those of a gold pair are


@dataclass(frozen=True)
class Item:
    """Two answers to be compared; ``gold`` is the side that is known to be better, of a pair that checks the rater."""

    match: Match
    gold: Side | None = None

    @property
    def id(self) -> str:
        """What determines it, texts too: answers that are made anew are other items."""
        one = self.match
        return row_id("item", one.prompt.id, one.model, one.base, one.answer, one.base_answer)

    @property
    def who(self) -> frozenset[str]:
        """Whose answers they are."""
        return frozenset({self.match.model, self.match.base})


@dataclass(frozen=True)
class Items:
    """The items of a source, the names of those who answered, and how many pairs were left out, by reason."""

    items: tuple[Item, ...]
    names: tuple[str, ...]
    left_out: dict[str, int]


def run_items(
    folder: Path, models: Sequence[str] = (), kind: PromptKind | None = None, *, unnamed: Unnamed = "ends"
) -> Items:
    """Pair the answers of a run's models to its held-out prompts.

    Args:
        folder: of the run.
        models: who meet, each with each.
        kind: of the prompts; None takes all.
        unnamed: who does where ``models`` are none.

    Raises:
        RunError: where there are no answers yet.
        UserError: for a model that has none, or fewer than two.
    """
    table = folder / "data" / "responses.parquet"
    if not table.exists():
        raise RunError(f"{folder}: its models have answered no held-out prompts yet; run its stage evaluate first")
    responses = (one for one in read_table(table, Response) if kind in {None, one.prompt.kind})
    return response_items(responses, models, source=folder, unnamed=unnamed)


def response_items(
    responses: Iterable[Response], models: Sequence[str] = (), *, source: str | Path, unnamed: Unnamed = "every"
) -> Items:
    """Pair models' answers to the same prompts.

    Args:
        responses: of any number of models.
        models: who meet, each with each.
        source: where the answers come from, as errors name it.
        unnamed: who does where ``models`` are none.

    Raises:
        UserError: for a model that has none, or fewer than two.
    """
    return _met(source, ((one.model, one.prompt, one.text) for one in responses), models, unnamed)


def file_items(
    source: str, models: Sequence[str] = (), kind: PromptKind | None = None, *, unnamed: Unnamed = "ends"
) -> Items:
    """Read pairs in any layout, or answers of several models to the same prompts (model, prompt, response).

    Args:
        source: any file that pairs are read from.
        models: as of ``run_items``, of a file of answers.
        kind: of the prompts: of a file that says it in a column the only one taken, else what all are for.
        unnamed: as of ``run_items``.

    Raises:
        PromptError: where it is neither, or a prompt has two answers of one model.
        UserError: for models of a file of pairs, or that have no answers.
    """
    file = read_file(source)
    if set(_ANSWER_COLUMNS) <= set(file.columns):
        return _met(source, _answers(file, kind), models, unnamed)
    if models:
        raise UserError(
            f"--models {','.join(models)}: {source} holds pairs, and all of them are rated; leave it out, or give a "
            f"file with the columns {', '.join(_ANSWER_COLUMNS)}"
        )
    loaded = load_pairs(source, kind=kind or "red_team")
    items = [Item(_match(pair, loaded)) for pair in loaded.pairs if kind in {None, pair.prompt.kind}]
    names = tuple(dict.fromkeys(name for one in items for name in (one.match.model, one.match.base)))
    return Items(tuple(items), names, loaded.rejected)


def gold_items(source: str) -> Items:
    """Read pairs of which it is known which answer is better.

    Raises:
        PromptError: where none says so.
    """
    loaded = load_pairs(source)
    known = preferences_of(loaded)
    if not known.rows:
        raise PromptError(
            f"{source}: none of its {len(loaded.pairs):,} pairs says which answer is better; gold checks need pairs "
            "that do, such as rows of prompt, chosen and rejected"
        )
    items = [Item(Match(one.prompt, RIGHT, WRONG, one.chosen, one.rejected), "model") for one in known.rows]
    return Items(tuple(items), (), dict(known.left_out))


def draw_items(items: Sequence[Item], n: int | None, seed: int) -> list[Item]:
    """Draw items by their ids, the same for every rater; more of them contain those of fewer, and None takes all."""
    if n is None or n >= len(items):
        return list(items)
    return sorted(items, key=lambda item: derive_seed(seed, item.id, "rated"))[:n]


def deal(items: Iterable[Item], rater: str, seed: int) -> list[Item]:
    """Put items into a rater's own order."""
    return sorted(items, key=lambda item: derive_seed(seed, item.id, f"order for {rater}"))


def left_side(item: Item, rater: str, seed: int) -> Side:
    """Say whose answer stands first for a rater."""
    return "model" if derive_seed(seed, item.id, f"left for {rater}") % 2 else "base"


def _met(
    source: str | Path, answers: Iterable[tuple[str, Prompt, str]], models: Sequence[str], unnamed: Unnamed
) -> Items:
    """Let models meet on the prompts that both answered; equal answers need no rater."""
    by_model: dict[str, dict[str, str]] = {}
    prompts: dict[str, Prompt] = {}
    for model, prompt, text in answers:
        by_model.setdefault(model, {})[prompt.id] = text
        prompts.setdefault(prompt.id, prompt)
    names = _chosen(source, list(by_model), models, unnamed)
    met = round_robin(list(prompts.values()), {name: by_model[name] for name in names})
    differing = [Item(one) for one in met if one.answer.strip() != one.base_answer.strip()]
    if not met:
        raise UserError(f"{source}: no prompt was answered by two of {', '.join(names)}; nothing can be compared")
    n_equal = len(met) - len(differing)
    return Items(tuple(differing), names, {"the two answers are equal": n_equal} if n_equal else {})


def _chosen(source: str | Path, there: Sequence[str], models: Sequence[str], unnamed: Unnamed) -> tuple[str, ...]:
    meeting = there if unnamed == "every" else (*there[:1], *there[-1:])
    names = tuple(dict.fromkeys(models or meeting))
    for name in names:
        if name not in there:
            raise UserError(
                f"--models {','.join(models)}: {source} has no answers of {name!r}; it has those of "
                f"{', '.join(there) or 'nobody'}{hint(name, there)}"
            )
    if len(names) < 2:
        raise UserError(f"{source}: has answers of {', '.join(names) or 'nobody'}; two models or more are compared")
    return names


def _answers(file: GivenFile, kind: PromptKind | None) -> Iterable[tuple[str, Prompt, str]]:
    """Read a file of answers: a model, a prompt and a response in each row."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for row in file.rows:
        model, asked, response = (_text(row.values.get(name), name, row.place) for name in _ANSWER_COLUMNS)
        told = prompt_kind(row.values.get("kind"))
        if told and kind not in {None, told}:
            continue
        turns = read_prompt_turns(asked)
        own = told or kind or "red_team"
        prompt = Prompt(id=content_id(own, turns), turns=turns, kind=own, source=file.source)
        place, other = first.setdefault((model, prompt.id), (row.place, response))
        if other != response:
            raise PromptError(f"{row.place}: {model} answers a prompt that it answers otherwise at {place}; keep one")
        yield model, prompt, response


def _text(value: object, name: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PromptError(f"{place}: {name!r} is {value!r}; expected a text")
    return value


def _match(pair: Pair, loaded: LoadedPairs) -> Match:
    """Name the two sides of a pair by who wrote them, else by what they are, else by their letters."""
    told = (loaded.authors.get(pair.id, ("", "")), (pair.origin_a, pair.origin_b), ("a", "b"))
    a, b = next(names for names in told if all(names) and names[0] != names[1])
    return Match(pair.prompt, a, b, pair.a, pair.b)
