"""Chat templates, which are programs that come with a model, applied within bounds.

The library runs them in a sandbox that keeps them from the system, and not from taking all time or memory. Here one
that takes longer, or more of either, than any template needs is ended, and whatever goes wrong in it is one error.
"""

from __future__ import annotations

import ctypes
import functools
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from charter.records import Message

_MOST_SECONDS = 10.0  # of the processor; one takes a millisecond
_SHORT_SECONDS = 0.2  # until which nobody looks at memory, which others may take at the same time
_MOST_BYTES = 500_000_000  # by which the process may grow from then on
_SECONDS_BETWEEN_LOOKS = 0.05
_GENERATION = re.compile(r"\{%[-+]?\s*(?:end)?generation\s*[-+]?%\}")  # tags of the library's own


class TemplateRefusedError(ValueError):
    """A chat template that takes no such conversation, or that cannot be applied to any."""


class _Endless(BaseException):
    """Raised inside of a template that is ended: no handling of errors in it catches this."""


@dataclass
class _Applied:
    """A template that is being applied, by which thread, since when, and what the process held a moment later."""

    thread: int
    began: float
    n_bytes: int = 0
    is_ended: bool = False

    @property
    def seconds(self) -> float:
        """What it took of the processor: whoever waits for one, or for another thread, takes no time."""
        return _clock(self.thread) - self.began

    @property
    def takes_too_much(self) -> bool:
        """Whether it is to be ended."""
        seconds = self.seconds
        if seconds < _SHORT_SECONDS:
            return False
        now = _held_bytes()
        self.n_bytes = self.n_bytes or now
        return seconds > _MOST_SECONDS or now - self.n_bytes > _MOST_BYTES


def _clock(thread: int) -> float:
    if hasattr(time, "pthread_getcpuclockid"):
        return time.clock_gettime(time.pthread_getcpuclockid(thread))
    return time.monotonic()  # on other systems


class _Watch:
    """Ends what is applied for too long. Its thread begins with the first template, and looks while one is applied."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied: dict[int, _Applied] = {}
        self._work = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> _Applied:
        """Watch what this thread applies now."""
        thread = threading.get_ident()
        one = _Applied(thread, _clock(thread))
        with self._lock:
            self._applied[one.thread] = one
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="charter-templates", daemon=True)
                self._thread.start()
        self._work.set()
        return one

    def end(self, one: _Applied) -> None:
        """Watch it no more; an end that it has not seen yet is taken back."""
        with self._lock:
            self._applied.pop(one.thread, None)
            if one.is_ended:
                _raise_in(one.thread, None)

    def _look(self) -> None:
        while True:
            self._work.wait()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            with self._lock:
                if not self._applied:
                    self._work.clear()
                for one in self._applied.values():
                    if not one.is_ended and one.takes_too_much:
                        one.is_ended = True
                        _raise_in(one.thread, _Endless)


def _held_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an error at its next step, or take that back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)


_WATCH = _Watch()


def apply_template(tokenizer: Any, messages: Sequence[Message], *, prompt: bool = False) -> str:
    """Write a conversation as a tokenizer's chat template does.

    Args:
        tokenizer: with a chat template.
        messages: the conversation.
        prompt: whether an answer is to begin behind it.

    Raises:
        TemplateRefusedError: where the template refuses the conversation, is none, or takes too much time or memory.
    """
    watched = _WATCH.begin()
    try:
        _check_template(str(tokenizer.chat_template))
        turns = [message.model_dump() for message in messages]
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt))
    except _Endless:
        raise TemplateRefusedError(
            f"it was ended after {watched.seconds:.1f} s: it takes more time or memory than any template needs"
        ) from None
    except MemoryError as error:
        raise TemplateRefusedError("it asks for more memory than there is") from error
    except Exception as error:  # a template is a program, and may fail as any
        raise TemplateRefusedError(str(error) or type(error).__name__) from error
    finally:
        _WATCH.end(watched)


@functools.lru_cache(maxsize=32)
def _check_template(text: str) -> None:
    """Refuse a template whose one step may be endless: nothing can end it inside of a power of whole numbers."""
    from jinja2 import Environment, TemplateSyntaxError, nodes
    from jinja2.ext import loopcontrols

    if "**" not in text:
        return
    try:
        environment = Environment(extensions=[loopcontrols], autoescape=False)  # noqa: S701 - it is only parsed
        tree = environment.parse(_GENERATION.sub("", text))
    except TemplateSyntaxError:
        return  # applying it tells
    if tree.find(nodes.Pow) is not None:
        raise ValueError("it takes powers of numbers, which no chat template needs")
