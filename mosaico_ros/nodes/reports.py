"""Tell the user how a recording goes: lines, a live table, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from mosaico_ros.nodes.accounting import TopicReport
from mosaico_ros.nodes.diagnostics import Level, Status
from mosaico_ros.protocol.sizes import size_text


@dataclass(frozen=True)
class RecordingState:
    """A recording at one moment.

    ``state`` is ``recording``, ``closed``, ``kept`` (some messages wait for another recorder) or
    ``failed``; `elapsed` in seconds; `pending_bytes` wait in memory, `spool_bytes` on the disk;
    `connected` says whether the daemon is there, `parts` which sequences are complete.
    """

    sequence: str
    state: str
    elapsed: float
    pending_bytes: int
    spool_bytes: int
    connected: bool
    parts: Sequence[str]
    topics: Sequence[TopicReport]

    @property
    def received(self) -> int:
        """Messages received on all topics."""
        return sum(topic.received for topic in self.topics)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-ready values."""
        return {
            'sequence': self.sequence,
            'state': self.state,
            'elapsed': round(self.elapsed, 3),
            'pending_bytes': self.pending_bytes,
            'spool_bytes': self.spool_bytes,
            'connected': self.connected,
            'parts': list(self.parts),
            'topics': [topic.to_dict() for topic in self.topics],
        }


def statuses(state: RecordingState) -> list[Status]:
    """Return what to say of a recording on ``/diagnostics``."""
    waiting = sum(topic.waiting for topic in state.topics)
    losing = [topic.name for topic in state.topics if topic.lost or topic.dropped or topic.thinned]
    missing = [topic.name for topic in state.topics if topic.problem]
    way = 'delivering' if state.connected else 'no way to the daemon: messages are kept here'
    return [
        Status(
            'recording',
            Level.WARN if missing else Level.OK,
            f'recording into {state.sequence}'
            + (f'; not recorded: {", ".join(missing)}' if missing else ''),
            {
                'topics': len(state.topics) - len(missing),
                'received': state.received,
                'stored': sum(topic.stored for topic in state.topics),
                'seconds': round(state.elapsed, 1),
                'parts complete': len(state.parts),
            },
        ),
        Status(
            'spool',
            Level.OK if state.connected else Level.WARN,
            way,
            {
                'bytes on the disk': state.spool_bytes,
                'bytes in memory': state.pending_bytes,
                'messages not acknowledged': waiting,
            },
        ),
        Status(
            'losses',
            Level.ERROR if losing else Level.OK,
            f'messages are lost on {", ".join(losing)}' if losing else 'none known',
            {
                topic.name: f'lost on the way {_unknown(topic.lost)}, dropped '
                f'{topic.dropped + topic.thinned}, malformed {topic.malformed}'
                for topic in state.topics
            },
        ),
    ]


class Reporter(Protocol):
    """Where the recorder tells what happens."""

    def event(self, text: str, *, warning: bool = False) -> None:
        """Say something that happened once."""

    def progress(self, state: RecordingState) -> None:
        """Show the state while recording."""

    def final(self, state: RecordingState, failure: str) -> None:
        """Show the result; `failure` is empty if all went well."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def _unknown(value: int | None) -> str:
    return 'unknown' if value is None else f'{value}'


def table_lines(topics: Sequence[TopicReport]) -> list[str]:
    """Lay out the account of every topic as text."""
    head = ('topic', 'received', 'stored', 'lost', 'dropped', 'malformed', 'waiting')
    rows = [
        (
            topic.name,
            str(topic.received),
            str(topic.stored),
            _unknown(topic.lost),
            str(topic.dropped),
            str(topic.malformed),
            str(topic.waiting),
        )
        for topic in topics
    ]
    widths = [max(len(row[index]) for row in [head, *rows]) for index in range(len(head))]
    lines = [
        '  '.join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in [head, *rows]
    ]
    lines += [f'  {topic.name}: {topic.problem}' for topic in topics if topic.problem]
    return lines


def summary(state: RecordingState) -> str:
    """Say in one line where a recording stands."""
    stored = sum(topic.stored for topic in state.topics)
    lost = sum(topic.lost or 0 for topic in state.topics)
    dropped = sum(topic.dropped for topic in state.topics)
    size = sum(topic.received_bytes for topic in state.topics)
    return (
        f'{state.sequence}: {state.elapsed:.0f} s, {len(state.topics)} topics, '
        f'{state.received} messages ({size_text(size)}), {stored} durable, '
        f'{lost} lost, {dropped} dropped'
        + (f', {size_text(state.spool_bytes)} in the spool' if state.spool_bytes else '')
        + ('' if state.connected or state.state != 'recording' else ', no way to the daemon')
    )


class PlainReporter:
    """Lines of text, for logs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout

    def event(self, text: str, *, warning: bool = False) -> None:
        """Print one line."""
        print(('WARNING: ' if warning else '') + text, file=self._stream, flush=True)

    def progress(self, state: RecordingState) -> None:
        """Print one line."""
        self.event(summary(state))

    def final(self, state: RecordingState, failure: str) -> None:
        """Print the table of topics and how it ended."""
        for line in table_lines(state.topics):
            self.event(line)
        if failure:
            print(f'ERROR: {failure}', file=sys.stderr, flush=True)
        else:
            self.event(f'closed {summary(state)}')

    def close(self) -> None:
        """Nothing to leave."""


class JsonReporter:
    """One JSON object per line: ``{"event": ...}`` or a recording state."""

    def _write(self, content: dict[str, Any]) -> None:
        print(json.dumps(content), flush=True)

    def event(self, text: str, *, warning: bool = False) -> None:
        """Print the event."""
        self._write({'event': text, 'warning': warning})

    def progress(self, state: RecordingState) -> None:
        """Print the state."""
        self._write(state.to_dict())

    def final(self, state: RecordingState, failure: str) -> None:
        """Print the last state, with the failure beside it."""
        self._write({**state.to_dict(), 'failure': failure})
        if failure:
            print(f'ERROR: {failure}', file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to leave."""


class LiveReporter:
    """A table that renews itself on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._before: dict[str, tuple[float, int, int]] = {}
        self._rates: dict[str, tuple[float, float]] = {}

    def event(self, text: str, *, warning: bool = False) -> None:
        """Print warnings above the table; what is recorded the table shows by itself."""
        if warning:
            self._console.print(f'[yellow]warning:[/] {text}', highlight=False)

    def progress(self, state: RecordingState) -> None:
        """Renew the table."""
        from rich.table import Table

        now = time.monotonic()
        away = '' if state.connected else '  [red]no way to the daemon[/]'
        table = Table(
            title=f'[bold]{state.sequence}[/]  {state.elapsed:.0f} s  '
            f'spool {size_text(state.spool_bytes)}{away}  (Ctrl-C closes)',
            title_justify='left',
            box=None,
            padding=(0, 2, 0, 0),
        )
        for column in (
            *('topic', 'rate', 'received', 'size', 'bandwidth'),
            *('durable', 'spool', 'lost'),
        ):
            table.add_column(column, justify='left' if column == 'topic' else 'right')
        for topic in state.topics:
            rate, bandwidth = self._rate(topic, now)
            lost = (topic.lost or 0) + topic.dropped
            text = 'unknown' if topic.lost is None else str(lost)
            table.add_row(
                topic.name,
                f'{rate:.1f} Hz',
                str(topic.received),
                size_text(topic.received_bytes),
                f'{size_text(bandwidth)}/s',
                str(topic.stored),
                str(topic.waiting),
                f'[red]{text}[/]' if lost else f'[green]{text}[/]',
                style='dim' if topic.problem else None,
            )
        self._live.update(table, refresh=True)

    def _rate(self, topic: TopicReport, now: float) -> tuple[float, float]:
        then, count, size = self._before.get(topic.name, (now, topic.received, 0))
        if now - then >= 1.0 or topic.name not in self._before:
            if now > then:
                self._rates[topic.name] = (
                    (topic.received - count) / (now - then),
                    (topic.received_bytes - size) / (now - then),
                )
            self._before[topic.name] = (now, topic.received, topic.received_bytes)
        return self._rates.get(topic.name, (0.0, 0.0))

    def final(self, state: RecordingState, failure: str) -> None:
        """Replace the live table by the result."""
        self.close()
        PlainReporter().final(state, failure)

    def close(self) -> None:
        """Stop renewing."""
        self._live.stop()


def reporter(kind: str) -> Reporter:
    """Return the reporter of the `report` parameter."""
    if kind == 'json':
        return JsonReporter()
    if kind == 'live':
        return LiveReporter()
    return PlainReporter()
