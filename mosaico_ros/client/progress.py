"""How far long reads and writes are, on the terminal of an application that asked for it."""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ['Meter', 'show_meters']

# What takes less time needs no bar.
_SHOWN_AFTER_S = 1.0

_bars: Progress | None = None
_lock = threading.Lock()


def show_meters(console: Console | None) -> None:
    """Show the meters on a console if it is a terminal; `None` shows them nowhere."""
    global _bars
    if console is None or not (console.is_terminal and console.file.isatty()):
        _bars = None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    _bars = Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        TextColumn('{task.completed:,.0f} rows'),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class Meter:
    """Counts the rows of one read or write, and has a bar as soon as that takes long.

    Parameters
    ----------
    text
        What is going on.
    total
        Rows in all, if that is known.

    """

    def __init__(self, text: str, total: int | None = None) -> None:
        self._text = text
        self._total = total
        self._rows = 0
        self._begin = time.monotonic()
        self._closed = False
        self._bar: tuple[Progress, TaskID] | None = None

    def advance(self, rows: int) -> None:
        """Count some rows; called per batch, never per message."""
        self._rows += rows
        if self._bar is None:
            bars = _bars
            if bars is None or self._closed or time.monotonic() < self._begin + _SHOWN_AFTER_S:
                return
            self._bar = self._show(bars)
            if self._bar is None:
                self._closed = True
                return
            # A reader that is dropped half way, or at exit, takes its bar along.
            weakref.finalize(self, _hide, *self._bar)
        if self._rows == self._total:
            self.close()
        elif not self._closed:
            bars, task = self._bar
            bars.update(task, completed=self._rows)

    def close(self) -> None:
        """Take the bar away, as the last row does; calling it again does nothing."""
        self._closed = True
        if self._bar is not None:
            _hide(*self._bar)

    def _show(self, bars: Progress) -> tuple[Progress, TaskID] | None:
        from rich.errors import LiveError

        with _lock:
            try:
                bars.start()
            except LiveError:  # the application draws something of its own there
                return None
            return bars, bars.add_task(self._text, total=self._total)


def _hide(bars: Progress, task: TaskID) -> None:
    with _lock:
        if task in bars.task_ids:
            bars.remove_task(task)
        if not bars.task_ids:
            bars.stop()
