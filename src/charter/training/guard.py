"""The guard of a training: it looks at a few answers every so many steps, and stops where they degenerate.

What it saw stands in the work folder (``guard.json``), so that a training that was stopped goes on under the same eyes,
and one that the guard has ended does not come to the same end by taking the same steps again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from charter.engines.base import Request
from charter.engines.rendering import Renderer
from charter.errors import Collapsed
from charter.files.tables import write_text
from charter.records import Prompt, PromptRow
from charter.seeds import digest
from charter.training import ranks
from charter.training.adapters import Trainee
from charter.training.answering import answer_prompts, ends_of
from charter.training.checkpoints import Workplace, checkpoint_at, drop_after, step_of
from charter.training.collapse import (
    Answer,
    Figures,
    Guard,
    Passed,
    choose_prompts,
    measure_answers,
    passed_limits,
    show_example,
)
from charter.training.data import Examples
from charter.training.logs import LOOK
from charter.training.oversight import Oversight
from charter.training.pace import rounded_up

_RECORD = "guard.json"  # in the work folder: what is asked, every look, and what ended the training


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why the guard ended a training.

    Attributes:
        step: at which it looked.
        n_steps: that the training was to have.
        passed: the limits that were passed.
        example: an answer, or what is wrong with several.
    """

    step: int
    n_steps: int
    passed: tuple[Passed, ...]
    example: str

    def __str__(self) -> str:
        """Say which figures passed their limits, and when."""
        figures = "; ".join(map(str, self.passed))
        return f"limits were passed at step {self.step} of {self.n_steps}: {figures}; as in {self.example}"


class AtLastGood(Exception):  # noqa: N818 - nothing is wrong: the weights are where they are to be
    """Raised at the beginning of a training that goes on no further than its last good checkpoint."""


class GuardWatch(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
    """Looks at answers in a training, and stops it; made anew for each sitting.

    Args:
        guard: when it looks, and what it allows.
        prompts: to choose from: those that are trained on, or in reinforcement learning held out.
        tokenizer: of the model.
        seed: what the choice is drawn from.
        ends: tokens that end an answer.
        spare: prompts to fill up with that are trained on, where others are asked as far as there are any.
        oversight: what is looked at besides, in reinforcement learning.

    Attributes:
        looks: what was seen, in the order of steps; the first is what the others are held to.
        alarm: why the training was ended, once it was.
    """

    def __init__(
        self,
        guard: Guard,
        prompts: Sequence[Prompt],
        tokenizer: Any,
        *,
        seed: int,
        ends: Collection[int],
        spare: Sequence[Prompt] = (),
        oversight: Oversight | None = None,
    ) -> None:
        self.guard = guard
        self._oversight = oversight
        self._first: list[Answer] = []
        self.looks: list[Figures] = []
        self.alarm: Alarm | None = None
        self._tokenizer = tokenizer
        renderer = Renderer(tokenizer)
        self._prompts = choose_prompts(prompts, guard.n_prompts, seed, spare)
        self._n_spare = len({one.id for one in self._prompts} - {one.id for one in prompts})
        self._ids = [renderer.render(Request(messages=one.turns)).ids.tolist() for one in self._prompts]
        self._ends = ends
        self._asked = digest([self._ids, guard.max_tokens])
        self._is_over = False

    def attach(self, trainer: Any, workplace: Workplace) -> None:
        """Begin a sitting at a training's newest checkpoint, with what was seen up to it.

        Raises:
            Collapsed: where the training was ended before, by figures that pass today's limits too: it would come to
                them again.
        """
        self._trainer, self._workplace = trainer, workplace
        recorded = ranks.by_first(self._read)
        step = step_of(workplace)
        self.looks = [look for look in recorded["looks"] if look["step"] <= step]
        self._first = [Answer(prompt, *told) for prompt, told in zip(self._prompts, recorded["first"], strict=False)]
        self._note_good()
        later = [look for look in recorded["looks"] if look["step"] > step]
        told = recorded["alarm"]
        if told and self.looks and self.looks[-1]["step"] == step and len(later) == 1:
            passed = self._passed(later[0])
            if passed:
                self.looks += later
                self.alarm = Alarm(int(later[0]["step"]), told["n_steps"], passed, told["example"])
                self._is_over = True
                self._require_kept()

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Look before the first step, or where nothing is known of it."""
        if self._is_over:
            raise AtLastGood
        if not self.looks and self._ids:
            self._look(state)

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Look where it is time; say to save where nothing is found, and else to stop."""
        done = state.global_step >= state.max_steps
        every = rounded_up(self.guard.every, self._trainer.steps_between_checkpoints)
        if not self._ids or not (done or state.global_step % every == 0):
            return
        answers = self._look(state)
        passed = self._passed(self.looks[-1])
        if passed:
            example = show_example(answers, passed[0].measure)
            self.alarm = Alarm(state.global_step, state.max_steps, passed, example)
            self._write()
            control.should_training_stop, control.should_save = True, False
        elif not done:
            self._note_good()
            control.should_save = True

    def settle(self) -> Path | None:
        """Say where a training ended that has come to its end, or to the guard's.

        Returns:
            The checkpoint that is the trained model; None where the model is, as it is.

        Raises:
            Collapsed: with what was seen, and what to do.
        """
        if self.alarm is None:
            return None
        good_step = int(self.looks[-2]["step"])
        if self._last_good() or not good_step:  # nobody has looked at what was saved since
            ranks.by_first(lambda: drop_after(self._workplace.folder, good_step))
        self._require_kept()
        return self._last_good()

    def notes(self, step: int) -> Iterator[str]:
        """Say what a person should know of the looks at a training that has come to its end at a step."""
        if self.looks and self.looks[0]["step"]:
            yield f"the guard compares with step {self.looks[0]['step']}, where it was begun"
        if self._n_spare:
            yield f"the guard asks {self._n_spare} prompts that are trained on, for too few are held out"
        stage, most = self._workplace.identity["stage"], self.guard.length[1]
        before = self.looks[0]["length"] if self.looks else 0.0
        if stage != "sft" and most * before >= self.guard.max_tokens:  # its rows say how long answers are to be
            yield (
                f"the guard cannot see answers grow to {most:g} times their length: of {before:.0f} tokens at first, "
                f"they are cut at {self.guard.max_tokens}; raise {stage}.guard.max_tokens to see it"
            )
        if self._oversight is not None:
            yield from self._oversight.notes(self.looks)
        if self.alarm is not None:
            yield f"the guard ended the training, and the model is that of step {step}: {self.alarm}"

    def _require_kept(self) -> None:
        """Refuse to end at the last good checkpoint unless that is what is to become of a training."""
        good, stage = self._last_good(), self._workplace.identity["stage"]
        if self.alarm is None or (self.guard.then == "keep" and good is not None):
            return
        remedy = f"Take a lower {stage}.learning_rate, fewer epochs or other rows, in a new folder (--out)"
        if good is None:
            kept = "There is no checkpoint of a good look"
        else:
            kept = f"The last good checkpoint is {good}"
            remedy += f"; or make that checkpoint the model ({stage}.guard.then=keep)"
        limits = ", ".join(f"{stage}.guard.{one.measure}" for one in self.alarm.passed)
        raise Collapsed(
            f"{stage}: {self.alarm}. {kept}. {remedy}; or train on with other limits ({limits}), or with no "
            f"guard ({stage}.guard=null)."
        )

    def _last_good(self) -> Path | None:
        """Name the checkpoint of the last look that found nothing; None where there is none."""
        good = self.looks[-2] if self.alarm else self.looks[-1]
        found = checkpoint_at(self._workplace.folder, int(good["step"]))
        return found if found.exists() else None

    def _note_good(self) -> None:
        """Have the trainer keep the checkpoint of the last look."""
        self._trainer.kept_steps = tuple(int(look["step"]) for look in self.looks[-1:])

    def _look(self, state: Any) -> list[Answer]:
        begun = time.perf_counter()
        ends, pad = self._ends, self._tokenizer.pad_token_id
        ids = answer_prompts(self._trainer, self._ids, ends=ends, pad=pad, max_tokens=self.guard.max_tokens)
        texts = [self._tokenizer.decode(one, skip_special_tokens=True) for one in ids]
        answers = [Answer(*one) for one in zip(self._prompts, texts, map(len, ids), strict=True)]
        figures = measure_answers(answers)
        self._first = self._first if self.looks else answers
        if self._oversight is not None:
            figures |= self._oversight.measure(answers, self._first, state.log_history)
        self.looks.append({"step": state.global_step, **figures, "seconds": time.perf_counter() - begun})
        measured = {name: value for name, value in figures.items() if not name.startswith("n_")}
        self._trainer.report({f"{LOOK}{name}": value for name, value in measured.items()})
        self._write()
        return answers

    def _passed(self, look: Figures) -> tuple[Passed, ...]:
        passed = passed_limits(look, self.looks[0], self.guard)
        return passed if self._oversight is None else (*passed, *self._oversight.passed(look, self.looks[0]))

    def _write(self) -> None:
        alarm = self.alarm and {"n_steps": self.alarm.n_steps, "example": self.alarm.example}
        first = [[one.text, one.n_tokens] for one in self._first]
        told = {"asked": self._asked, "looks": self.looks, "first": first, "alarm": alarm}
        ranks.by_first(lambda: write_text(self._workplace.folder / _RECORD, json.dumps(told)))

    def _read(self) -> dict[str, Any]:
        nothing: dict[str, Any] = {"looks": [], "first": [], "alarm": None}
        try:
            found = json.loads((self._workplace.folder / _RECORD).read_text("utf-8"))
        except (OSError, ValueError):  # none yet, or torn: the guard begins with what is there now
            return nothing
        return found if isinstance(found, dict) and found.get("asked") == self._asked else nothing


def watch_answers(
    guard: Guard | None, rows: Sequence[PromptRow], examples: Examples[Any], trainee: Trainee, *, seed: int
) -> GuardWatch | None:
    """Set a guard over a training on rows, asking prompts of those that are trained on; None where there is none."""
    if guard is None:
        return None
    kept = {example.id for example in examples.kept}
    asked = [row.prompt for row in rows if row.id in kept]
    return GuardWatch(guard, asked, trainee.tokenizer, seed=seed, ends=ends_of(trainee.model, trainee.tokenizer))
