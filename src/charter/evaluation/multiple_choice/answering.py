"""How a model answers a question with options: by letters, by whole texts, after a chain of thought, or by rewards.

Options are shown in the order of the file and in the reverse one, and what a model finds of each is averaged over both:
a liking for a letter falls out. A question whose options cannot be found in its text is asked as it stands.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from charter.engines.base import Capability, ChoiceRequest, CompletionRequest, Engine, Sampling, ScoreRequest
from charter.errors import CapabilityError, PromptError
from charter.evaluation.multiple_choice.questions import OPENING, ChoiceRow
from charter.feedback.votes import TIE_WIDTH
from charter.prompts.layouts.conversations import is_transcript, read_transcript
from charter.records import Message, Record
from charter.rows import Mapped, RowMapper
from charter.seeds import derive_seed

Mode = Literal["letters", "text", "chain", "rewards"]
Layout = Literal["text", "chat"]
#: Gives conversations and their last turns rewards: what a preference model is asked.
Rewards = Callable[[Sequence[tuple[tuple[Message, ...], str]]], Sequence[float]]

_REASONING = "Let's think step by step:"
_CONCLUSION = "So the answer is"
_NEXT = ("\n\nHuman:", "\n\nOptions:", "\n\nQuestion:", "####")  # where plain text goes on to something else
_OF_TEXTS = frozenset({"text", "rewards"})  # modes that read the options' texts
_WANTED: Mapping[Mode, tuple[Capability, ...]] = {
    "letters": ("choose",),
    "chain": ("complete", "choose"),
    "text": ("score",),
    "rewards": (),
}
_SHOWN = 60  # characters of a question in an error


@dataclass(frozen=True)
class Asking:
    """How questions are asked.

    Attributes:
        mode: ``letters`` reads the log-probabilities of the options' letters; ``text`` those of their whole texts, per
            token; ``chain`` those of the letters after chains of thought; ``rewards`` is a preference model's.
        layout: ``text`` shows a question as the file has it, ``chat`` through the model's chat template.
        examples: answered questions that stand before each one.
        chains: chains of thought in each order, of which the probabilities are averaged.
        max_chain_tokens: the longest chain.
        seed: what chains are drawn from.
    """

    mode: Mode = "letters"
    layout: Layout = "text"
    examples: tuple[ChoiceRow, ...] = ()
    chains: int = 1
    max_chain_tokens: int = 200
    seed: int = 0

    @property
    def shown(self) -> str:
        """The answered questions, as one text that ends where the next one begins."""
        return "".join(f"{one.text}{one.corrects[0]})\n\n" for one in self.examples)


AS_LETTERS = Asking()


class OptionReading(Record):
    """What one order of the options gave: a number for each option, by the file's letters.

    ``place`` says at which place, counted from 0, each option stood. ``logits`` are log-probabilities, or rewards;
    ``mass`` is the summed probability of all letters, where letters were read; ``chain`` the reasoning before.
    """

    place: tuple[int, ...]
    logits: tuple[float, ...]
    mass: float | None = None
    chain: str = ""
    n_tokens: tuple[int, ...] = ()

    @property
    def p(self) -> tuple[float, ...]:
        """The options' probabilities among themselves; of texts by what their mean token has."""
        logits = [one / n for one, n in zip(self.logits, self.n_tokens, strict=True)] if self.n_tokens else self.logits
        highest = max(logits)
        if not math.isfinite(highest):
            return (1 / len(logits),) * len(logits)
        shares = [math.exp(one - highest) for one in logits]
        return tuple(one / math.fsum(shares) for one in shares)


class ChoiceAnswer(Record):
    """A model's answer to one question: the options' probabilities ``p``, over all readings, by the file's letters.

    ``correct`` is 1 where the likeliest option is right, 0 where it is not; of options that are equally likely 1 where
    all are right, a half where at least half of them are, else 0. Without a reading ``p`` is empty, and it is wrong.
    """

    id: str
    options: tuple[str, ...]
    readings: tuple[OptionReading, ...]
    p: tuple[float, ...]
    correct: float

    @property
    def p_answer(self) -> float:
        """The probability of the answer; that of chance where there is none."""
        return max(self.p) if self.p else 1 / len(self.options)


async def answer_one(row: ChoiceRow, engine: Engine, asking: Asking = AS_LETTERS) -> ChoiceAnswer:
    """Ask a model one question, in every order that it can be shown in."""
    if asking.mode == "text":
        return answered(row, [await _text_reading(row, engine, asking)])
    read = _letters_after_chains if asking.mode == "chain" else _letters
    readings = await asyncio.gather(*(read(row, order, engine, asking) for order in orders_of(row)))
    return answered(row, [one for several in readings for one in several])


def require_readable(file: str, rows: Sequence[ChoiceRow], asking: Asking) -> None:
    """See that every question has what a mode reads.

    Raises:
        PromptError: naming the question whose options' texts are wanted and not to be found, or whose conversations
            are none.
    """
    if asking.mode not in _OF_TEXTS:
        return
    in_turns = asking.mode == "rewards" or asking.layout == "chat"
    for row in rows:
        if in_turns and not all(is_transcript(text) and len(read_transcript(text)) > 1 for text in row.conversations):
            raise PromptError(
                f"{file}: text_correct and text_incorrect of {row.asked[:_SHOWN]!r} are no transcripts of a question "
                "and an answer, such as '\\n\\nHuman: ...\\n\\nAssistant: ...'; write them so, or take --mode text"
            )
        if not (row.slots or row.conversations):
            raise PromptError(
                f"{file}: the options of {row.asked[:_SHOWN]!r} cannot be found in its text, and --mode {asking.mode} "
                "reads them; show each on a line of its own, such as '(A) yes', or give text_correct and text_incorrect"
            )


def require_able(engine: Engine, asking: Asking) -> None:
    """See that a model can be asked so.

    Raises:
        CapabilityError: where it cannot.
    """
    wanted = (*_WANTED[asking.mode], *(("chat",) if asking.layout == "chat" else ()))
    missing = [one for one in wanted if one not in engine.capabilities]
    if missing:
        raise CapabilityError(
            f"this model cannot be asked to {missing[0]}, as --mode {asking.mode} --layout {asking.layout} does; "
            "take another mode or layout, or another engine"
        )


def answer(
    rows: Sequence[ChoiceRow],
    model: str,
    engine: Engine,
    *,
    file: str,
    mapper: RowMapper,
    asking: Asking = AS_LETTERS,
) -> Mapped[ChoiceAnswer]:
    """Answer every question of a file with one model."""

    async def one(row: ChoiceRow) -> ChoiceAnswer:
        return await answer_one(row, engine, asking)

    return mapper(one, rows, _stage(file, model), result=ChoiceAnswer)


def answer_with_rewards(
    rows: Sequence[ChoiceRow], model: str, rewards: Rewards, *, file: str, mapper: RowMapper
) -> Mapped[ChoiceAnswer]:
    """Answer every question of a file with a preference model: by the reward of each option's conversation."""

    async def one(row: ChoiceRow) -> ChoiceAnswer:
        found = await asyncio.to_thread(rewards, [_conversation(row, n) for n in range(len(row.letters))])
        return answered(row, [OptionReading(place=tuple(range(len(found))), logits=tuple(found))])

    return mapper(one, rows, _stage(file, model), result=ChoiceAnswer)


def _stage(file: str, model: str) -> str:
    """Name the rows' place in a journal; another than that of answers in one order, which earlier versions kept."""
    return f"evaluate/choices {Path(file).name}/{model}"


def answered(row: ChoiceRow, readings: Sequence[OptionReading]) -> ChoiceAnswer:
    """Average readings, and hold the likeliest option against what is right."""
    shares = [one.p for one in readings]
    p = tuple(math.fsum(option) / len(shares) for option in zip(*shares, strict=True))
    return ChoiceAnswer(id=row.id, options=row.letters, readings=tuple(readings), p=p, correct=_correct(row, p))


def orders_of(row: ChoiceRow) -> list[tuple[int, ...]]:
    """Give the orders in which a question is asked: at each place, the number of the option that stands there."""
    given = tuple(range(len(row.letters)))
    return [given, given[::-1]] if row.slots else [given]


def _correct(row: ChoiceRow, p: Sequence[float]) -> float:
    if not p:
        return 0.0
    likeliest = [letter for letter, one in zip(row.letters, p, strict=True) if max(p) - one < TIE_WIDTH]
    right = sum(letter in row.corrects for letter in likeliest) / len(likeliest)
    return right if right in {0.0, 1.0} else 0.5 * (right >= 0.5)


async def _letters(
    row: ChoiceRow, order: tuple[int, ...], engine: Engine, asking: Asking, chain: str = ""
) -> list[OptionReading]:
    """Read the letters' log-probabilities after the question's opening bracket, in one forward pass."""
    ending = f" {_REASONING} {chain}\n{_CONCLUSION}{OPENING}" if chain else OPENING
    choice = await engine.choose(ChoiceRequest(**_asked(row, order, asking, ending), options=row.letters))
    place = tuple(order.index(option) for option in range(len(order)))
    logits = tuple(choice.logprobs[one] for one in place)
    return [OptionReading(place=place, logits=logits, mass=choice.mass, chain=chain)]


async def _letters_after_chains(
    row: ChoiceRow, order: tuple[int, ...], engine: Engine, asking: Asking
) -> list[OptionReading]:
    """Draw chains of thought and read the letters after each; one that says nothing is left out."""
    # Both orders draw from the same seeds: which place an option stands at must not change them.
    seeds = [derive_seed(asking.seed, row.id, f"chain {number}") for number in range(asking.chains)]
    chains = await asyncio.gather(*(_chain(row, order, engine, asking, seed) for seed in seeds))
    read = await asyncio.gather(*(_letters(row, order, engine, asking, chain) for chain in chains if chain))
    return [one for several in read for one in several]


async def _chain(row: ChoiceRow, order: tuple[int, ...], engine: Engine, asking: Asking, seed: int) -> str:
    sampling = Sampling(max_tokens=asking.max_chain_tokens, seed=seed, stop=(_CONCLUSION, *_NEXT))
    request = CompletionRequest(**_asked(row, order, asking, f" {_REASONING}"), sampling=sampling)
    return (await engine.complete(request)).text.strip()


def _asked(row: ChoiceRow, order: tuple[int, ...], asking: Asking, ending: str) -> dict[str, object]:
    """Give a request's input: the examples, the question in an order, and how the answer begins."""
    shown = asking.shown
    question = row.shown_as(order).removesuffix(OPENING)
    if asking.layout == "chat":
        turn = Message(role="user", content=f"{shown}{question}".strip())
        return {"messages": (turn,), "prefill": ending.lstrip()}
    return {"text": f"{shown}{question}{ending}", "n_shared": len(shown)}


async def _text_reading(row: ChoiceRow, engine: Engine, asking: Asking) -> OptionReading:
    """Read the log-probability of each option's whole text, where no other option is in sight."""
    requests = [_score_request(row, number, asking) for number in range(len(row.letters))]
    scores = await asyncio.gather(*map(engine.score, requests))
    return OptionReading(
        place=tuple(range(len(scores))),
        logits=tuple(one.logprob for one in scores),
        n_tokens=tuple(one.n_tokens for one in scores),
    )


def _score_request(row: ChoiceRow, number: int, asking: Asking) -> ScoreRequest:
    if row.conversations and asking.layout == "text":
        shared = _shared_beginning(row.conversations)
        return ScoreRequest(text=shared, continuation=row.conversations[number][len(shared) :])
    turns, option = _conversation(row, number)
    if asking.layout == "chat":
        return ScoreRequest(messages=turns, continuation=option)
    asked = row.asked
    talks = is_transcript(asked)
    return ScoreRequest(text=f"{asked}\n\n{'Assistant' if talks else 'Answer'}:", continuation=f" {option}")


def _conversation(row: ChoiceRow, number: int) -> tuple[tuple[Message, ...], str]:
    """Give the turns before an option, and the option as the last of them."""
    if row.conversations:
        turns = read_transcript(row.conversations[number])
        return tuple(turns[:-1]), turns[-1].content
    asked = row.asked
    turns = read_transcript(asked) if is_transcript(asked) else [Message(role="user", content=asked.strip())]
    return tuple(turns), row.options[number]


def _shared_beginning(texts: Sequence[str]) -> str:
    """Give what texts begin with alike, up to the last blank: no word is cut in two."""
    columns = zip(*texts, strict=False)
    shared = "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
    return shared[: max(shared.rfind(" "), shared.rfind("\n")) + 1].rstrip(" ")
