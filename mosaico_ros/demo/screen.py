"""What the demo shows while it runs and at the end."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mosaico_ros.demo.evidence import Copy, Found
from mosaico_ros.demo.motion import SPIKE_THRESHOLD
from mosaico_ros.demo.proof import Proof, WindowProof
from mosaico_ros.protocol.sizes import size_text

# From this width on the tables show full type names.
_WIDE = 104
QUERY = f'IMU.acceleration.y > {SPIKE_THRESHOLD:g}'


class Screen:
    """Where the demo shows what it does; silent by itself."""

    def begin(self, seconds: float) -> None:
        """Say what is going to happen; the robot will run for `seconds`."""

    def done(self, text: str) -> None:
        """Say that a step is done."""

    def recording(self, elapsed: float, state: Mapping[str, Any]) -> None:
        """Show how the recording goes; called often."""

    def recorded(self, state: Mapping[str, Any]) -> None:
        """Say that the recording is closed."""

    def reading(self, what: str) -> None:
        """Say what is being read back."""

    def result(
        self,
        proof: Proof,
        copies: Sequence[Copy],
        found: Sequence[Found],
        state: Mapping[str, Any],
        data_dir: Path,
    ) -> None:
        """Show the result."""


def totals(state: Mapping[str, Any]) -> str:
    """Sum up a recorder's state: messages, size and losses."""
    topics = state.get('topics', ())
    received = sum(topic['received'] for topic in topics)
    size = sum(topic['received_bytes'] for topic in topics)
    lost = sum((topic['lost'] or 0) + topic['dropped'] for topic in topics)
    unknown = any(topic['lost'] is None for topic in topics)
    losses = 'loss unknown to this rmw' if unknown else f'{lost} lost'
    return f'{_count(received)} messages, {size_text(size)}, {losses}'


def _count(value: int) -> str:
    return f'{value:_}'.replace('_', ' ')


class JsonScreen(Screen):
    """One JSON object at the end, for programs; silent before."""

    def result(
        self,
        proof: Proof,
        copies: Sequence[Copy],
        found: Sequence[Found],
        state: Mapping[str, Any],
        data_dir: Path,
    ) -> None:
        """Print everything."""
        content = {
            **proof.to_dict(),
            'copies': [copy.to_dict() for copy in copies],
            'found': {each.sequence: each.windows for each in found},
            'data_dir': str(data_dir),
            'recorder': dict(state),
        }
        print(json.dumps(content))


class TextScreen(Screen):
    """Text for people: renewed in place on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        # Without a terminal there is no width to fit into; 80 columns would break the tables.
        self._console = console if console.is_terminal else Console(highlight=False, width=_WIDE)
        self._live: Live | None = None
        self._seconds = 0.0
        self._next_line = 0.0

    def begin(self, seconds: float) -> None:
        """Print the heading."""
        self._seconds = seconds
        self._console.print(
            '\n[bold]mosaico demo[/]  a synthetic robot on real ROS 2 topics, recorded live, '
            'and the proof\nthat nothing was lost. The robot keeps its own ledger, which the '
            'recorder never sees.\n'
        )

    def done(self, text: str) -> None:
        """Print the step with a tick."""
        self._stop_live()
        self._console.print(f' [green]✓[/] {text}')

    def recording(self, elapsed: float, state: Mapping[str, Any]) -> None:
        """Renew the bar ten times a second, or print a line every two seconds."""
        if elapsed < self._next_line:
            return
        self._next_line = elapsed + (0.1 if self._console.is_terminal else 2.0)
        elapsed = min(elapsed, self._seconds)
        text = f'{elapsed:4.1f} of {self._seconds:g} s   {totals(state)}'
        if not self._console.is_terminal:
            self._console.print(f'   recording  {text}')
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        row = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._seconds, completed=elapsed, width=30)
        row.add_row('   recording', bar, text)
        self._live.update(row, refresh=True)

    def recorded(self, state: Mapping[str, Any]) -> None:
        """Print what the recorder has."""
        self.done(f'recording closed: {totals(state)}')

    def reading(self, what: str) -> None:
        """Show it on a terminal only."""
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(Text(f'   reading back {what} through the SDK'), refresh=True)

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def result(
        self,
        proof: Proof,
        copies: Sequence[Copy],
        found: Sequence[Found],
        state: Mapping[str, Any],
        data_dir: Path,
    ) -> None:
        """Print the sequence, the proof, the query, the messages and what to do next."""
        _print_sequence(self._console, proof)
        _print_counts(self._console, proof)
        _print_windows(self._console, proof)
        _print_around(self._console, proof)
        _print_copies(self._console, copies, found)
        _print_verdict(self._console, proof, copies)
        _print_next(self._console, proof, data_dir)


def _table(*columns: str, left: int = 1) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style='dim', pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify='left' if number < left else 'right', no_wrap=True)
    return table


def _clock(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, timezone.utc).strftime('%H:%M:%S')


def _verdict(ok: bool) -> str:
    return '[green]✓[/]' if ok else '[bold red]✗[/]'


def _print_sequence(console: Console, proof: Proof) -> None:
    span = (proof.last_ns - proof.first_ns) / 1e9
    console.print(
        f'\n[bold]In the archive[/]  {proof.sequence}: {size_text(proof.size_bytes)} stored, '
        f'{span:.2f} s from {_clock(proof.first_ns)} to {_clock(proof.last_ns)} UTC'
    )
    table = _table('topic', 'type', 'count', 'rate', 'size', 'span', left=2)
    wide = console.width >= _WIDE
    for topic in proof.topics:
        first, last = topic.first_ns or 0, topic.last_ns or 0
        begin = (first - proof.first_ns) / 1e9
        table.add_row(
            topic.name,
            topic.type.replace('/msg/', '/') if wide else topic.type.rpartition('/')[2],
            _count(topic.stored),
            f'{topic.rate_hz:.1f} Hz',
            size_text(topic.size_bytes),
            f'{begin:.2f} – {(last - proof.first_ns) / 1e9:.2f} s' if first else '-',
        )
    console.print(table)


def _print_counts(console: Console, proof: Proof) -> None:
    console.print(
        '\n[bold]Published = stored[/]  counts, and a SHA-256 over every value of every message,'
        "\nfrom the robot's ledger and again from what the SDK reads back"
    )
    table = _table('topic', 'stored as', 'published', 'stored', 'values', '', left=2)
    for topic in proof.topics:
        values = 'equal' if topic.values_equal else '[red]differ[/]'
        table.add_row(
            topic.name,
            topic.ontology,
            _count(topic.published),
            _count(topic.stored),
            values,
            _verdict(topic.ok),
        )
    console.print(table)


def _print_windows(console: Console, proof: Proof) -> None:
    found = sum(window.found is not None for window in proof.windows)
    console.print(
        f'\n[bold]Query[/]  {QUERY}  found {found} windows in '
        f'{proof.query_seconds * 1000:.0f} ms; '
        'the robot hit two bumps'
    )
    table = _table(
        'made by the robot', 'length', 'messages', 'found in the archive', 'length', 'messages', ''
    )
    for window in proof.windows:
        table.add_row(*_made(window, proof.first_ns), *_found(window, proof.first_ns))
    console.print(table)


def _made(window: WindowProof, origin: int) -> tuple[str, str, str]:
    if window.made is None:
        return 'nothing', '', ''
    made = window.made
    return (
        _span(made.first_stamp_ns, made.last_stamp_ns, origin),
        _length(made.first_stamp_ns, made.last_stamp_ns),
        str(made.messages),
    )


def _found(window: WindowProof, origin: int) -> tuple[str, str, str, str]:
    if window.found is None:
        return '[red]nothing[/]', '', '', _verdict(False)
    first, last = window.found
    return (
        _span(first, last, origin),
        _length(first, last),
        str(window.messages),
        _verdict(window.ok),
    )


def _span(first: int, last: int, origin: int) -> str:
    return f'{(first - origin) / 1e9:.3f} – {(last - origin) / 1e9:.3f} s'


def _length(first: int, last: int) -> str:
    return f'{(last - first) / 1e6:.0f} ms'


def _print_around(console: Console, proof: Proof) -> None:
    if not proof.around:
        return
    console.print('\n[bold]Around the first spike[/]  /imu, acceleration in m/s²')
    table = _table('time', 'x', 'y', 'z', '', left=0)
    for sample in proof.around:
        x, y, z = (f'{value:.3f}' for value in sample.acceleration)
        table.add_row(
            f'{(sample.stamp_ns - proof.first_ns) / 1e9:.3f} s',
            x,
            f'[yellow]{y}[/]' if sample.matches else y,
            z,
            f'[yellow]> {SPIKE_THRESHOLD:g}[/]' if sample.matches else '',
        )
    console.print(table)


def _print_copies(console: Console, copies: Sequence[Copy], found: Sequence[Found]) -> None:
    windows = {each.sequence: each.windows for each in found}
    console.print(
        f'\n[bold]Across the archive[/]  the same query finds {sum(windows.values())} windows in '
        f'{len(windows)} sequences;\nthese hold the values of the recording, message by message'
    )
    table = _table('sequence', 'what it is', 'messages', 'windows', '', left=2)
    for copy in copies:
        count = str(windows.get(copy.sequence, 0))
        table.add_row(copy.sequence, copy.what, _count(copy.messages), count, _verdict(copy.ok))
    console.print(table)


def _print_verdict(console: Console, proof: Proof, copies: Sequence[Copy]) -> None:
    wrong = [f'{copy.sequence}: {problem}' for copy in copies for problem in copy.problems]
    wrong += [
        f'{copy.sequence}: {copy.messages} messages instead of {copy.expected}'
        for copy in copies
        if copy.expected not in (None, copy.messages)
    ]
    if proof.ok and not wrong:
        count = sum(topic.published for topic in proof.topics)
        console.print(
            f'\n[bold green]Nothing was lost.[/]\nAll {_count(count)} messages of '
            f'{len(proof.topics)} topics came back with equal values; both spikes were found.'
        )
        return
    console.print('\n[bold red]The archive does not hold what the robot published:[/]')
    for line in (*proof.failures(), *wrong):
        console.print(f'   [red]{line}[/]')


def _print_next(console: Console, proof: Proof, data_dir: Path) -> None:
    # From an environment that is not activated, the commands need the path this one came by.
    beside = Path(sys.argv[0]).parent
    here = '' if shutil.which('mosaico') or not (beside / 'mosaico').exists() else f'{beside}/'
    console.print(
        f'\nThe data is in {data_dir}. Serve it again, and explore it from another terminal:\n'
        f'\n   {here}mosaicod run --data-dir {shlex.quote(str(data_dir))}\n'
        f'\n   {here}mosaico info {proof.sequence}'
        f'\n   {here}mosaico cat {proof.sequence}/imu --count 5'
        f"\n   {here}mosaico query '{QUERY}'\n",
        soft_wrap=True,
    )
