"""Continuous batching: which rows run, when rows join, and in whose interest the next pass is.

One thread owns the model. Each turn it takes in what has arrived, reads probabilities for one batch of jobs, lets one
batch of waiting rows join, and takes one step with all rows that run, whatever their prefixes. So nothing starves:
the oldest job's batch is always the next of its kind, and a row that finishes makes room at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from charter.engines.transformers.allowance import Allowance, Room
from charter.engines.transformers.attention import Stopped
from charter.engines.transformers.batches import alike, distinct, within_memory, without
from charter.engines.transformers.decoding import Arrival, Decoder
from charter.engines.transformers.jobs import Drawing, Job, Reading
from charter.engines.transformers.keeping import MIN_KNOWN, PrefixMemory, RowMemory
from charter.engines.transformers.sampling import Draws, draw, uniforms
from charter.engines.transformers.stopping import Stopping
from charter.engines.transformers.store import Prefix
from charter.engines.usage import PrefixStatistics
from charter.errors import CharterError, EngineError

_JOIN_TOKENS = 192  # waiting tokens that are worth a pass of their own while others run
_JOIN_TURNS = 8  # turns after which a waiting row joins however few tokens wait
_GATHER_S = 0.002  # rows of one event-loop turn arrive within this time: the first of them waits for the others


class Scheduler:
    """Serves jobs until it is stopped; ``run`` is the worker thread's whole life.

    Args:
        decoder: the model's forward passes.
        stopping: decides when a text has ended.
        asked: how much is done at once, and how much is remembered, at most.
        room: how much memory there is for it.
        stop: set to end the thread; a waiting thread must also be woken with ``submit(None)``.
    """

    def __init__(
        self, decoder: Decoder, stopping: Stopping, asked: Allowance, room: Room, stop: threading.Event
    ) -> None:
        self.statistics = PrefixStatistics()
        self._decoder, self._stopping, self._room, self._stop = decoder, stopping, room, stop
        self._limits = limits = asked.within(room.tokens())
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._readings: list[Reading] = []
        self._waiting: list[Drawing] = []
        self._running: list[Drawing] = []
        self._waited = 0
        self._prefixes = PrefixMemory(decoder.make_prefix, limits.max_prefix_tokens)
        self._kept = RowMemory(limits.max_kept_tokens if decoder.shares else 0)

    def submit(self, job: Job | None) -> None:
        """Hand a job in, from any thread; None only wakes the worker."""
        self._inbox.put(job)
        if job is not None and self._stop.is_set():  # the worker may have looked for the last time
            job.fail(EngineError("the engine is closed; calls after close() are not answered"))

    @torch.inference_mode()
    def run(self) -> None:
        """Serve until stopped, by a fault in here too; then fail what is left."""
        try:
            while not self._stop.is_set():
                self._take_in()
                for work in (self._read, self._join, self._advance):
                    if not self._stop.is_set():
                        work()
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - the thread's end: raised where the answers are awaited, as it is
            self._fail_all(error)
        finally:
            self._stop.set()
            self._fail_all(EngineError("the engine was closed before this call was answered"))
            del (
                self._decoder,
                self._prefixes,
                self._kept,
            )  # the model's memory, although somebody may still hold the closed engine

    def _take_in(self) -> None:
        """Sort what has arrived; wait where there is nothing to do."""
        if not (self._readings or self._waiting or self._running):
            self._sort(self._inbox.get())
            self._stop.wait(_GATHER_S)
        while not self._inbox.empty():
            self._sort(self._inbox.get())
        self._readings = [job for job in self._readings if not job.abandoned]
        self._waiting = [job for job in self._waiting if not job.abandoned]

    def _sort(self, job: Job | None) -> None:
        if isinstance(job, Reading):
            self._readings.append(job)
        elif isinstance(job, Drawing):
            self._waiting.append(job)

    def _read(self) -> None:
        """Answer one batch of readings."""
        if not self._readings:
            return
        batch = alike(self._readings, len(self._readings), self._limits.max_pass_tokens, pads=self._decoder.pads)
        self._readings = without(self._readings, batch)
        self._guarded(batch, lambda: self._answer(batch))

    def _answer(self, batch: list[Reading]) -> None:
        prefix = self._prefix_of(batch)
        pairs = [
            (position, token)
            for position, targets in enumerate(targets for job in batch for targets in job.targets)
            for token in targets
        ]
        positions, tokens = (torch.tensor(column) for column in zip(*pairs, strict=True))
        values, first = [], 0
        arrivals = [self._arrival(job, len(job.targets)) for job in batch]
        for logits in self._decoder.read(arrivals, [job.targets for job in batch], prefix):
            logprobs = logits.log_softmax(-1)
            inside = (positions >= first) & (positions < first + len(logits))
            values.append(logprobs[positions[inside] - first, tokens[inside]].cpu())
            first += len(logits)
        flat = iter(torch.cat(values).tolist())
        for job in batch:
            job.answer(job.conclude([next(flat) for targets in job.targets for _ in targets]))

    def _join(self) -> None:
        """Let one batch of waiting rows join, where there is room and it is worth a pass."""
        room = self._limits.max_rows - len(self._running)
        if not self._waiting or room <= 0 or (self._running and not self._decoder.joins):
            return
        self._waited += 1
        n_tokens = sum(job.n_suffix for job in self._waiting[:room])
        if self._running and n_tokens < _JOIN_TOKENS and self._waited < _JOIN_TURNS:
            return
        batch = alike(self._waiting, room, self._limits.max_pass_tokens, pads=self._decoder.pads)
        batch = within_memory(distinct(batch), self._running, self._max_batch_tokens())
        self._waited = 0
        self._waiting = without(self._waiting, batch)
        self._guarded(batch, lambda: self._start(batch))

    def _max_batch_tokens(self) -> int | None:
        known = (self._limits.max_batch_tokens, self._room.tokens(self._decoder.n_held))
        return min((limit for limit in known if limit is not None), default=None)

    def _start(self, batch: list[Drawing]) -> None:
        n_before = len(self._running)
        try:
            prefix = self._prefix_of(batch)
            logits = self._decoder.start([self._arrival(job, 1) for job in batch], prefix)
            self._running += batch
            repeated = {job.key for job in self._waiting}
            self._set_aside(row for row, job in enumerate(batch, n_before) if job.key in repeated)
            self._draw(logits, n_before)
        except Exception:  # whatever it was: the rows that ran before go on without these
            self._running = self._running[:n_before]
            self._decoder.keep(range(n_before))
            raise

    def _advance(self) -> None:
        """Take one step with all rows that run."""
        if not self._running:
            return
        tokens = np.array([job.tokens[-1] for job in self._running])
        try:
            logits = self._decoder.step(tokens)
            self._draw(logits, 0)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - as in _guarded
            for job in self._running:
                job.fail(_engine_error(error))
            self._running = []
            self._decoder.keep([])

    def _draw(self, logits: torch.Tensor, first: int) -> None:
        """Draw the next token of the rows from ``first`` on; those that end leave."""
        jobs = self._running[first:]
        tokens = draw(logits, _draws(jobs))
        stays = [
            first + row
            for row, (job, token) in enumerate(zip(jobs, tokens.tolist(), strict=True))
            if not self._stopping.accept(job, token) and not job.abandoned
        ]
        if len(stays) < len(jobs):
            self._set_aside(set(range(first, len(self._running))).difference(stays))
            order = self._decoder.keep([*range(first), *stays])
            self._running = [self._running[row] for row in order]

    def _arrival(self, job: Job, n_last: int) -> Arrival:
        """Look for a row that holds what a job begins with; its last tokens' logits are wanted anew."""
        known, n_known = self._kept.find(job.prefix_key, job.suffix)
        n_known = min(n_known, job.n_suffix - n_last)
        if known is None or n_known < MIN_KNOWN:
            return Arrival(job.suffix)
        self.statistics.n_from_cache += n_known
        return Arrival(job.suffix, known, n_known)

    def _set_aside(self, rows: Iterable[int]) -> None:
        """Remember rows that are about to leave."""
        for row in rows:
            job = self._running[row]
            if self._kept.wants(job.n_suffix + len(job.tokens)):
                kept, n_tokens = self._decoder.set_aside(row)
                ids = np.concatenate((job.suffix, np.array(job.tokens, dtype=np.int64)))[:n_tokens]
                self._kept.add(job.prefix_key, ids, kept)

    def _prefix_of(self, batch: Sequence[Job]) -> Prefix | None:
        """Find or compute the batch's prefix, and count what that saved."""
        self.statistics.n_prompt_tokens += sum(len(job.ids) for job in batch)
        n_prefix = batch[0].n_prefix
        if not n_prefix:
            return None
        prefix, was_known = self._prefixes.get(batch[0].prefix_key, batch[0].prefix)
        self.statistics.n_from_cache += n_prefix * (len(batch) - (not was_known))
        return prefix

    def _guarded(self, batch: Sequence[Job], work: Callable[[], None]) -> None:
        """Do a batch's work; an error is the batch's own.

        What a model's pass raises is as open as the code of models, and the thread has nobody above it: every row
        concerned is told, the others are served.
        """
        try:
            work()
        except Stopped as error:
            for job in batch:
                job.fail(EngineError("the engine was closed before this call was answered"))
            raise Stopped from error
        except Exception as error:  # noqa: BLE001 - raised where each answer is awaited
            for job in batch:
                job.fail(_engine_error(error))

    def _fail_all(self, error: Exception) -> None:
        while not self._inbox.empty():
            self._sort(self._inbox.get())
        for job in (*self._readings, *self._waiting, *self._running):
            job.fail(error)
        self._readings, self._waiting, self._running = [], [], []


def _draws(jobs: Sequence[Drawing]) -> Draws:
    seeds = np.array([job.sampling.seed % 2**64 for job in jobs], dtype=np.uint64)
    steps = np.array([len(job.tokens) for job in jobs], dtype=np.uint64)
    return Draws(
        np.array([job.sampling.temperature for job in jobs], dtype=np.float32),
        np.array([job.sampling.top_p for job in jobs], dtype=np.float32),
        uniforms(seeds, steps),
    )


def _engine_error(error: Exception) -> CharterError:
    if isinstance(error, CharterError):
        return error
    wrapped = EngineError(f"the model failed on this call: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
