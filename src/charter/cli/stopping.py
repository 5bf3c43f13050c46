"""Ctrl-C and SIGTERM: the first asks a run to stop, the second makes it."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from charter.cli.console import flush, note_from_signal

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A run stops between two rows or steps. Where one takes longer (a download, a checkpoint), it is ended: what was
# recorded is kept, as it is when the machine loses its power.
_SECONDS_TO_STOP = 8.0
_CONTINUES = "the same command continues the run"
BEGINS_ANEW = "nothing is kept, and the same command begins anew"


class Stopping:
    """Turn signals into a stop flag while a run is under way.

    Args:
        outlook: what the same command does when it is given again.

    Attributes:
        event: set when the run is to stop.
        received: the signal that asked for it; None where none has.
    """

    def __init__(self, outlook: str = _CONTINUES) -> None:
        self._outlook = outlook
        self.event = threading.Event()
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._handle) for one in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    @property
    def exit_code(self) -> int:
        """What the command ends with: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + (self.received or signal.SIGINT)

    def end(self) -> NoReturn:
        """End the process of a run that has stopped and closed what it had open.

        The interpreter would take a second or two more to take torch down, and nothing could end it sooner.
        """
        flush()
        os._exit(self.exit_code)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            self._force(f"stopped at once; {self._outlook}")
        self.received = signal.Signals(number)
        note_from_signal(f"stopping; {self._outlook} (once more stops at once)")
        self.event.set()
        deadline = threading.Timer(_SECONDS_TO_STOP, self._force, [f"stopped in the middle of a step; {self._outlook}"])
        deadline.daemon = True
        deadline.start()

    def _force(self, message: str) -> NoReturn:
        note_from_signal(message)
        os._exit(self.exit_code)
