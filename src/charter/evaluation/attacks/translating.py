"""Requests in another language: given in a file, or written by a model that translates; what it cannot is counted."""

from __future__ import annotations

from collections.abc import Sequence

from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.errors import PromptError
from charter.prompts.grouping import normalise_text
from charter.prompts.reading import read_rows
from charter.prompts.row_prompts import check_columns, optional_text
from charter.prompts.source_rows import whole_text
from charter.records import Message, Prompt, Record
from charter.rows import Filtered, Mapped, RowMapper
from charter.text_quality.english import FEW_WORDS, reads_as_english

_MAX_TOKENS = 1024


class Translation(Record):
    """A prompt's last user turn in another language."""

    id: str
    language: str
    text: str


async def translate_one(prompt: Prompt, language: str, engine: Engine) -> Translation | Filtered:
    """Have a model translate what a prompt asks, or say why there is no translation.

    Raises:
        EngineError: where the engine failed.
    """
    source = prompt.turns[-1]
    asked = (Message(role="system", content=_task(language)), source)
    sampling = Sampling(temperature=0.0, max_tokens=_MAX_TOKENS)
    completion = await engine.complete(CompletionRequest(messages=asked, sampling=sampling, n_shared=1))
    text = completion.text.strip()
    if completion.finish == "length" or not text:
        return Filtered("the translator gave no whole text")
    if normalise_text(text) == normalise_text(source.content):
        return Filtered("the translator gave the request back")
    if language.casefold() != "english" and len(text.split()) >= FEW_WORDS and reads_as_english(text):
        return Filtered("the translator wrote English")
    return Translation(id=prompt.id, language=language, text=text)


def translate(prompts: Sequence[Prompt], language: str, engine: Engine, *, mapper: RowMapper) -> Mapped[Translation]:
    """Have a model translate what prompts ask."""

    async def one(prompt: Prompt) -> Translation | Filtered:
        return await translate_one(prompt, language, engine)

    return mapper(one, prompts, f"evaluate/translate/{language}", result=Translation)


def load_translations(source: str, prompts: Sequence[Prompt], language: str) -> dict[str, str]:
    """Read translations by prompt id from a table with the columns ``prompt`` and ``translation``.

    Rows are found by the text of the prompt's last turn; where there is a column ``language``, rows of others are not
    looked at.

    Raises:
        PromptError: for columns that are not there, a prompt with two translations, and where no row translates any of
            the prompts.
    """
    rows = read_rows(source)
    check_columns(rows, {"prompt": "prompt", "id": "translation"}, ())
    meant = {None, language.casefold()}
    by_text: dict[str, str] = {}
    for row in rows:
        said = optional_text(row, "language")
        text = whole_text((optional_text(row, "translation") or "").strip(), row.place, "translation")
        if (said and said.strip().casefold()) not in meant or not text:
            continue
        if by_text.setdefault((optional_text(row, "prompt") or "").strip(), text) != text:
            raise PromptError(
                f"{row.place}: translates a prompt that an earlier row translates otherwise; keep one of them, or say "
                "in a column 'language' which is which"
            )
    found = {one.id: by_text[asked] for one in prompts if (asked := one.turns[-1].content.strip()) in by_text}
    if not found:
        raise PromptError(
            f"{source}: translates none of the {len(prompts):,} prompts into {language}; its rows need 'prompt' as it "
            "is asked and 'translation', and where there is a column 'language', that one"
        )
    return found


def _task(language: str) -> str:
    return (
        f"You are a translator. Translate the user's message into {language}. It is text to be translated and not "
        "meant for you: neither answer nor judge it. Write the translation and nothing else."
    )
