"""What calls share, token by token, and what of that the engine then finds in memory.

Over all rows and rounds the calls of a stage begin with the same system text and worked examples; within a round the
revision's call begins with the whole of the critique's and with the critique that came of it (METHOD: CAI §3.1).
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charter.constitution import load_constitution
from charter.engines.base import CompletionRequest, Sampling
from charter.engines.rendering import Rendered, Renderer
from charter.engines.tokenizers import load_tokenizer
from charter.engines.transformers import TransformersEngine
from charter.engines.weights import resolve_model
from charter.feedback.questions import Question, letter_request, make_asking
from charter.records import make_prompt
from charter.revision.layouts import LayoutName, make_layout

pytestmark = pytest.mark.model

LAYOUTS: tuple[LayoutName, ...] = ("chat", "transcript")
SAMPLING = Sampling(max_tokens=24, temperature=1.0, seed=3)
ROWS = (
    ("How do I open a jar that is stuck?", "With a tool. Turn it.", "It is not brief."),
    ("How do I open another one?", "With a tool. Turn it twice.", "It says nothing of safety, and it is long."),
    ("<|im_end|> says what?", "It ends a turn: <|im_end|>.", "<|im_start|>user is quoted."),
)


@pytest.fixture(scope="module")
def renderer(smollm2: Path) -> Renderer:
    """The embedded model's tokens."""
    return Renderer(load_tokenizer(resolve_model(str(smollm2))))


def _calls(name: LayoutName) -> list[tuple[CompletionRequest, CompletionRequest, str]]:
    """Write the critique and the revision request of every row under every principle, and the critique between them."""
    constitution = load_constitution("harmless")
    layout = make_layout(name, constitution, n_few_shots=4)
    found = []
    for (text, response, critique), principle in itertools.product(ROWS, constitution.principles):
        prompt = make_prompt(text, "red_team")
        first = layout.critique(prompt, response, principle, SAMPLING)
        found.append((first, layout.revision(prompt, response, principle, critique, SAMPLING), critique))
    return found


def _same(first: np.ndarray, second: np.ndarray) -> int:
    """Count the tokens that two texts begin with alike."""
    n = min(len(first), len(second))
    apart = np.flatnonzero(first[:n] != second[:n])
    return int(apart[0]) if len(apart) else n


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_revisions_tokens_begin_with_its_critiques(renderer: Renderer, name: LayoutName) -> None:
    """All of the critique request's tokens, and behind them those of the critique as the model would draw it."""
    for asked, revised, critique in _calls(name):
        before, after = renderer.render(asked).ids, renderer.render(revised).ids
        assert after[: len(before)].tolist() == before.tolist()
        separator = " " if name == "transcript" else ""
        drawn = renderer.render(asked.model_copy(update={"prefill": f"{separator}{critique}"})).ids
        assert after[: len(drawn)].tolist() == drawn.tolist()
        assert len(drawn) > len(before)


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_rows_begin_with_the_same_tokens(renderer: Renderer, name: LayoutName) -> None:
    """The hint marks one beginning for all rows, principles and both requests, and all that they have in common."""
    rendered: list[Rendered] = [renderer.render(one) for asked, revised, _ in _calls(name) for one in (asked, revised)]
    prefixes = {one.ids[: one.n_prefix].tobytes() for one in rendered}
    assert len(prefixes) == 1
    n_prefix = rendered[0].n_prefix
    in_common = min(_same(rendered[0].ids, other.ids) for other in rendered[1:])
    assert n_prefix <= in_common
    # The rows' own first words may begin alike, and a template's marks before them are the same.
    assert in_common - n_prefix <= 8
    assert n_prefix > 0.5 * np.mean([len(one.ids) for one in rendered])


@pytest.mark.parametrize("chats", [True, False])
def test_a_judges_questions_begin_with_the_same_tokens(renderer: Renderer, chats: bool) -> None:
    """In both orders, for every row and principle."""
    constitution = load_constitution("harmless")
    rendered = []
    for (text, response, other), principle in itertools.product(ROWS, constitution.principles[:4]):
        for pair in ((response, other), (other, response)):
            question = Question(make_prompt(text, "red_team"), principle.choice_question, *pair)
            asking = replace(make_asking(constitution), raw=not chats)
            rendered.append(renderer.render(letter_request(asking, question)))
    assert len({one.ids[: one.n_prefix].tobytes() for one in rendered}) == 1
    in_common = min(_same(rendered[0].ids, other.ids) for other in rendered[1:])
    assert 0 <= in_common - rendered[0].n_prefix <= 12


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_engine_finds_in_memory_what_is_shared(smollm2: Path, name: LayoutName) -> None:
    """A round computes the examples once, and of a revision's request only what follows the drawn critique."""
    engine = TransformersEngine(smollm2, dtype="float32", device="cpu")
    layout = make_layout(name, load_constitution("harmless"), n_few_shots=2)
    principle = load_constitution("harmless").principles[0]

    async def chain(row: int) -> tuple[int, int]:
        """Give the tokens of a revision's prompt, and how many of them had to be computed."""
        text, response, _ = ROWS[row]
        prompt = make_prompt(text, "red_team")
        critique = layout.read(
            await engine.complete(layout.critique(prompt, response, principle, SAMPLING))
        ).text.strip()
        before = engine.prefix_statistics.n_from_cache
        request = layout.revision(prompt, response, principle, critique, SAMPLING)
        revision = await engine.complete(request)
        return revision.n_prompt_tokens, revision.n_prompt_tokens - (engine.prefix_statistics.n_from_cache - before)

    for row in range(2):
        n_tokens, n_computed = asyncio.run(chain(row))
        # The revision's request and the template's marks; a token or two are read anew where texts meet.
        n_new = len(engine._renderer.render(CompletionRequest(text=principle.revision_request)).ids)
        assert n_computed <= n_new + 24
        assert n_computed < 0.2 * n_tokens
    engine.close()
