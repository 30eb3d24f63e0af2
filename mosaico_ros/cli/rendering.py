"""How times and tables are shown on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def moment(stamp_ns: int | None) -> str:
    """Nanoseconds since the epoch as UTC with milliseconds; a dash when there is none.

    Stamps of a simulation (within a day of the epoch) are shown as seconds.
    """
    if stamp_ns is None:
        return '-'
    if abs(stamp_ns) < 86_400 * 10**9:
        return f'{stamp_ns / 1e9:.3f} s'
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    try:
        day = datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return f'{stamp_ns} ns'
    return f'{day:%Y-%m-%d %H:%M:%S}.{nanoseconds // 10**6:03d}'


def duration(span_ns: int | None) -> str:
    """A span of nanoseconds: ``850 ms``, ``9.98 s``, ``2 h 05 min``; a dash when there is none."""
    if span_ns is None:
        return '-'
    if span_ns < 10**9:
        return f'{span_ns / 1e6:.0f} ms'
    seconds = span_ns / 1e9
    if seconds < 60:
        return f'{seconds:.2f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f'{minutes} min {rest:02d} s'
    return f'{minutes // 60} h {minutes % 60:02d} min'


#: Rows that follow each other faster are the pieces of something, and have no rate.
_SHORTEST_NS = 100


def rate(count: int, start_ns: int | None, end_ns: int | None) -> str:
    """Mean rate of ``count`` messages from the first to the last stamp."""
    if count < 2 or start_ns is None or end_ns is None:
        return '-'
    if end_ns - start_ns < _SHORTEST_NS * (count - 1):
        return '-'
    return f'{(count - 1) * 1e9 / (end_ns - start_ns):.1f} Hz'


def span(start_ns: int | None, end_ns: int | None, origin_ns: int) -> str:
    """Two stamps as seconds from an origin: ``0.00 – 9.99 s``; a dash when there are none."""
    if start_ns is None or end_ns is None:
        return '-'
    return f'{(start_ns - origin_ns) / 1e9:.2f} – {(end_ns - origin_ns) / 1e9:.2f} s'


def console() -> Console:
    """A console on standard output; wide when piped, so that no line is folded."""
    from rich.console import Console

    shown = Console(highlight=False)
    return shown if shown.is_terminal else Console(highlight=False, width=300)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()
) -> Table:
    """A table with a dim header and no lines; the columns named in ``right`` hold numbers."""
    from rich.table import Table

    numbers = set(right)
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style='dim')
    for column in columns:
        drawn.add_column(column, justify='right' if column in numbers else 'left', overflow='fold')
    for row in rows:
        drawn.add_row(*row)
    return drawn
