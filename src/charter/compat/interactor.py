"""The answer-improvement library's interactor, on Charter's engines and stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from charter.compat.asking import Asked, compare, improve, lost
from charter.compat.given_prompts import AnyMessage, AnyPrompt, as_messages, as_prompts, choose_prompt
from charter.compat.histories import Compared, Improved, compared, improved, rows_of
from charter.compat.models import open_engine
from charter.compat.saving import save_comparisons, save_revisions
from charter.compat.telling import tell_left_out
from charter.constitution.model import Constitution
from charter.engines.base import CompletionRequest, Engine, Sampling
from charter.engines.cache import CachedEngine
from charter.engines.conversation import Conversation
from charter.engines.templates import CHATML, find_template
from charter.errors import UserError
from charter.event_loop import result_of
from charter.journal.store import Journal
from charter.progress import Progress
from charter.records import Message, OnCut, Preference, Trace, Unlabelled
from charter.revision.layouts import LayoutName
from charter.rows import RowMapper, map_rows


class ModelInteractor:
    """A model, and what the answer-improvement library has it do.

    Every loop runs its rows at once and draws principles and texts from seeds, so that the same call gives the same
    answers. What it leaves out it counts: a ``LeftOutWarning`` tells.

    Args:
        hf_model: the model's name (see ``models.open_engine``, also for the next three), or any engine.
        hf_api_key: the token of a hosted model.
        endpoint_url: where it is hosted.
        use_mock: take a scripted engine in its place.
        system_message: put before a chat; the principles' own is put before answers that are to be improved.
        max_new_tokens: at most, of every text.
        temperature: of every text; 0 takes the likeliest token every time.
        top_p: nucleus kept at each token.
        on_cut: what becomes of an answer or revision that ran into that limit: it is ended after its last whole
            sentence, flagged (and then in no file), or left open.
        seed: of all that is drawn.
        memory: a file that remembers every answer, so that nothing is asked twice, whatever ended the program.
        template: the model whose chat template SFT texts are written in, or ``ChatML``; None takes the local model's,
            and ChatML where there is none.
        progress: where it is shown how far a loop is.

    Attributes:
        engine: what is asked.

    Raises:
        UserError: where model, server or memory cannot be had.
        EngineError: where the server gives no answer.
    """

    def __init__(
        self,
        hf_model: str | Path | Engine,
        hf_api_key: str | None = None,
        endpoint_url: str | None = None,
        use_mock: bool = False,
        system_message: str | None = "",
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.7,
        top_p: float = 0.95,
        on_cut: OnCut = "trim",
        seed: int = 0,
        memory: str | Path | None = None,
        template: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._opened: Engine | None = None
        self._template = template or CHATML
        if isinstance(hf_model, Engine):
            self.engine = hf_model
        else:
            hosted = {"hf_api_key": hf_api_key, "endpoint_url": endpoint_url}
            self.engine = self._opened = open_engine(str(hf_model), use_mock=use_mock, **hosted)
            if template is None and not use_mock and not any(hosted.values()):
                self._template = str(hf_model)
        self._journal = None if memory is None else Journal(memory)
        if self._journal is not None:
            self.engine = CachedEngine(self.engine, self._journal)
        sampling = Sampling(max_tokens=max_new_tokens, temperature=temperature, top_p=top_p, seed=seed)
        self._asked = Asked(self.engine, sampling, on_cut)
        opening = (Message(role="system", content=system_message),) if system_message else ()
        self._chat = Conversation(self.engine, opening, sampling)
        self._progress = progress

    def __enter__(self) -> Self:
        """Use the interactor as a context that closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the memory, and the engine where it was opened here."""
        if self._opened is not None:
            self._opened.close()
        if self._journal is not None:
            self._journal.close()

    def execute_llm_request(self, prompt: str | Sequence[AnyMessage], *, seed: int | None = None) -> str:
        """Draw one text.

        Args:
            prompt: a question, or messages with ``role`` and ``content``.
            seed: of the draw; None takes the interactor's.

        Raises:
            EngineError: where the model gives none.
        """
        sampling = self._asked.sampling
        if seed is not None:
            sampling = sampling.model_copy(update={"seed": seed})
        request = CompletionRequest(messages=as_messages(prompt), sampling=sampling)
        return result_of(self.engine.complete(request)).text

    def run_single_answer_improvement(
        self,
        prompts: Sequence[AnyPrompt],
        principles: Constitution,
        prompt_index: int | None = None,
        *,
        layout: LayoutName = "chat",
    ) -> Improved:
        """Answer one prompt, criticise the answer, revise it; see ``run_answer_improvement_loop``.

        Args:
            prompts: of which one is taken.
            principles: where the requests for critique and revision are drawn from.
            prompt_index: which, counted from 0; None draws one by the seed.
            layout: as there.
        """
        one = choose_prompt(prompts, prompt_index, self._asked.sampling.seed)
        return self.run_answer_improvement_loop([one], principles, layout=layout)[0]

    def run_answer_improvement_loop(
        self,
        prompts: Iterable[AnyPrompt],
        principles: Constitution,
        *,
        layout: LayoutName = "chat",
        n_in_flight: int = 256,
    ) -> list[Improved]:
        """Answer prompts, criticise each answer and revise it, by a principle drawn for each (``charter.revise``).

        Args:
            prompts: ours, or mappings with a ``prompt`` and perhaps an ``id``.
            principles: with requests for critique and revision; their system message for answers is put before each.
            layout: how critique and revision are put: through the chat template, or as a ``transcript``, which small
                models follow better.
            n_in_flight: prompts at once; what comes of them does not depend on it.

        Returns:
            What was asked and answered of each prompt, in their order, those that failed left out.

        Raises:
            UserError: where there are no principles to revise by, or two prompts of one id.
            CapabilityError: where the model cannot be asked in this layout.
            TooManyFailures: where more than a tenth failed, or 20 in a row alike.
        """
        done = improve(as_prompts(prompts), principles, self._asked, layout=layout, mapper=self._mapper(n_in_flight))
        tell_left_out("answer improvement", done.n_in, lost(done))
        return [improved(trace) for trace in done.done]

    def run_single_comparison(
        self,
        prompts: Sequence[AnyPrompt],
        principles: Constitution,
        prompt_index: int | None = None,
        *,
        judge: Engine | None = None,
        chains: int = 1,
    ) -> Compared:
        """Answer one prompt twice and compare the answers; see ``run_comparison_loop``.

        Args:
            prompts: of which one is taken.
            principles: where the question is drawn from.
            prompt_index: which, counted from 0; None draws one by the seed.
            judge: as there.
            chains: as there.

        Raises:
            UserError: where the two answers are no pair, as when they are the same.
        """
        one = as_prompts([choose_prompt(prompts, prompt_index, self._asked.sampling.seed)])
        found, left_out = compare(one, principles, self._asked, judge=judge, chains=chains, mapper=self._mapper(1))
        if not found:
            raise UserError(f"the two answers are no pair ({next(iter(left_out))}); take another prompt or seed")
        return compared(found[0], principles)

    def run_comparison_loop(
        self,
        prompts: Iterable[AnyPrompt],
        principles: Constitution,
        *,
        judge: Engine | None = None,
        chains: int = 1,
        n_in_flight: int = 256,
    ) -> list[Compared]:
        """Answer prompts twice each, and say which answer is better by a principle, after a chain of thought.

        A judge sees each pair in both orders; its probabilities for the letters are averaged (``charter.label``).

        Args:
            prompts: as for ``run_answer_improvement_loop``.
            principles: with questions for comparisons; no system message is put before the answers.
            judge: who compares, where that is not the interactor's own model.
            chains: chains of thought per order; 0 asks for the letter at once.
            n_in_flight: prompts at once; what comes of them does not depend on it.

        Returns:
            What was asked and answered of each prompt, in their order. A pair of which neither answer is preferred, or
            no verdict can be read, is among them, with no selected answer; prompts that gave no pair are left out.

        Raises:
            UserError: where there are no principles to compare by, or two prompts of one id.
            CapabilityError: where the model has no chat template, or the judge tells no log-probabilities.
            TooManyFailures: where more than a tenth failed, or 20 in a row alike.
        """
        rows, mapper = as_prompts(prompts), self._mapper(n_in_flight)
        found, left_out = compare(rows, principles, self._asked, judge=judge, chains=chains, mapper=mapper)
        tell_left_out("comparison", len(rows), left_out)
        return [compared(one, principles) for one in found]

    def save_prompts_and_revisions_to_csv(
        self, responses: Iterable[Improved], output_file: str | Path, *, raw: bool = False
    ) -> int:
        """Write prompts with their revisions as a CSV of one column ``text``, in the chat template.

        Revisions that must not be trained on (cut, empty, looping, about the critique and so on) are left out. The
        system message that was put before the answers is no part of the text: it is to be learnt.

        Args:
            responses: of ``run_answer_improvement_loop``.
            output_file: written over where it is there.
            raw: leave cells that a spreadsheet would run as they are, for tools that train on them.

        Returns:
            How many texts were written.

        Raises:
            UserError: where none is left, the file cannot be written, or there is no such template.
        """
        traces = rows_of(responses, Trace)
        written = save_revisions(traces, output_file, render=find_template(self._template), raw=raw)
        tell_left_out(str(output_file), len(traces), written.left_out)
        return written.n_rows

    def save_comparison_data_to_csv(
        self, responses: Iterable[Compared], output_file: str | Path, *, raw: bool = False
    ) -> int:
        """Write prompts with the preferred answer and the other as a CSV ``prompt, chosen, rejected``.

        Args:
            responses: of ``run_comparison_loop``; those without a selected answer are left out.
            output_file: written over where it is there.
            raw: leave cells that a spreadsheet would run as they are, for tools that train on them.

        Returns:
            How many pairs were written.

        Raises:
            UserError: where none is left, or the file cannot be written.
        """
        found = rows_of(responses, Preference, Unlabelled)
        written = save_comparisons(found, output_file, raw=raw)
        tell_left_out(str(output_file), len(found), written.left_out)
        return written.n_rows

    def chat_with_model(self, user_prompt: str) -> str:
        """Say something in the chat and give the answer; both stay in its history.

        Raises:
            EngineError: where the model gives none; the history is as it was then.
        """
        return result_of(self._chat.say(user_prompt)).text.strip()

    @property
    def chat_history(self) -> list[dict[str, str]]:
        """What was said in the chat, as messages, without the system message."""
        return [turn.model_dump() for turn in self._chat.turns]

    def reset_chat(self) -> None:
        """Forget what was said in the chat; the system message stays."""
        self._chat.reset()

    def _mapper(self, n_in_flight: int) -> RowMapper:
        return partial(map_rows, n_in_flight=n_in_flight, progress=self._progress)
