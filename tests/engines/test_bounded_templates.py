from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from charter.engines import bounded
from charter.engines.bounded import TemplateRefusedError, apply_template
from charter.records import Message

TURNS = (Message(role="user", content="Hi"),)


@dataclass
class Tokenizer:
    """Has a template, and a function in its place."""

    does: Callable[[], object]
    chat_template: str = "{{ messages }}"

    def apply_chat_template(self, turns: object, **options: object) -> object:
        """Do what the function does."""
        del turns, options
        return self.does()


def _for_ever() -> None:
    while True:
        time.sleep(0)


def _more_and_more() -> None:
    held = []
    while True:
        held.append(bytearray(b"x" * 1_000_000))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a template have a third of a second, and little memory."""
    monkeypatch.setattr(bounded, "_MOST_SECONDS", 0.3)
    monkeypatch.setattr(bounded, "_SHORT_SECONDS", 0.05)


@pytest.mark.usefixtures("hurried")
def test_a_template_without_end_is_ended_and_the_next_is_not() -> None:
    """The thread that applied it goes on, and applies others as ever."""
    for _ in range(3):
        with pytest.raises(TemplateRefusedError, match=r"ended after 0\.\d s: it takes more time or memory"):
            apply_template(Tokenizer(_for_ever), TURNS)
        assert apply_template(Tokenizer(lambda: "Hi"), TURNS) == "Hi"


@pytest.mark.usefixtures("hurried")
def test_a_template_that_fills_the_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its time is over, by what the process grows."""
    monkeypatch.setattr(bounded, "_MOST_SECONDS", 60.0)
    monkeypatch.setattr(bounded, "_MOST_BYTES", 50_000_000)
    with pytest.raises(TemplateRefusedError, match="more time or memory"):
        apply_template(Tokenizer(_more_and_more), TURNS)


@pytest.mark.usefixtures("hurried")
def test_whoever_waits_takes_no_time() -> None:
    """A template that is kept waiting, as where the processor is given to others, is not ended."""
    assert apply_template(Tokenizer(lambda: time.sleep(0.6) or "Hi"), TURNS) == "Hi"


@pytest.mark.usefixtures("hurried")
def test_templates_of_two_threads_are_told_apart() -> None:
    """The one without end is ended, and the other one is not."""
    said: list[str] = []

    def never() -> None:
        with pytest.raises(TemplateRefusedError):
            apply_template(Tokenizer(_for_ever), TURNS)
        said.append("ended")

    thread = threading.Thread(target=never)
    thread.start()
    assert apply_template(Tokenizer(lambda: time.sleep(0.5) or "Hi"), TURNS) == "Hi"
    thread.join()
    assert said == ["ended"]


@pytest.mark.parametrize("error", [TypeError("odd"), OverflowError(), RecursionError("deep"), MemoryError()])
def test_whatever_fails_in_a_template_is_one_error(error: Exception) -> None:
    """A template is a program, and fails as programs do."""

    def fails() -> None:
        raise error

    with pytest.raises(TemplateRefusedError, match=str(error) or "memory|OverflowError"):
        apply_template(Tokenizer(fails), TURNS)


@pytest.mark.parametrize("tag", ["", "{% generation %}{% break %}"])
def test_powers_are_refused_unseen(tag: str) -> None:
    """One step of it could take hours, and nothing ends it meanwhile; asterisks in texts are no powers."""
    powers = Tokenizer(lambda: "Hi", f"{{% for x in messages %}}{tag}{{{{ 9 ** 9 }}}}{{% endfor %}}")
    with pytest.raises(TemplateRefusedError, match="powers of numbers"):
        apply_template(powers, TURNS)
    assert apply_template(Tokenizer(lambda: "Hi", "**{{ messages[0].content }}**"), TURNS) == "Hi"
