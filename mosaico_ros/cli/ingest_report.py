"""What ``mosaico ingest`` shows: bars while it works, then tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.progress import TaskID

from mosaico_ros.cli import rendering
from mosaico_ros.cli.progress import bars
from mosaico_ros.protocol.sizes import size_text
from mosaico_ros.ros_bridge.ingest_jobs import Advance, Outcome
from mosaico_ros.ros_bridge.injection_report import InjectionStatus

_RESULTS = {
    InjectionStatus.COMPLETED: 'stored',
    InjectionStatus.CANCELLED: 'interrupted',
    InjectionStatus.DRY_RUN: 'not sent',
    InjectionStatus.PRESENT: 'already there',
    None: 'failed',
}


class Bars:
    """A bar on stderr for each bag under way, and one for all bags if there are several."""

    def __init__(self, bags: int, *, shown: bool) -> None:
        self._progress = bars(shown=shown)
        self._total = bags
        self._ended = 0
        self._tasks: dict[str, TaskID] = {}
        self._all = self._progress.add_task('all bags', total=bags, told='', visible=bags > 1)

    def advance(self, advance: Advance) -> None:
        """Move the bar of a bag."""
        rate = size_text(advance.nbytes / max(advance.seconds, 1e-3))
        told: dict[str, Any] = {
            'total': advance.expected,
            'completed': advance.stored,
            'told': f'{advance.stored:,} messages, {rate}/s',
        }
        name = advance.sequence_name
        if name in self._tasks:
            self._progress.update(self._tasks[name], **told)
        else:
            self._tasks[name] = self._progress.add_task(name, **told)

    def finish(self, outcome: Outcome) -> None:
        """Take the bar of a bag away."""
        task = self._tasks.pop(outcome.report.sequence_name, None)
        if task is not None:
            self._progress.remove_task(task)
        self._ended += 1
        told = f'{self._ended} of {self._total}'
        self._progress.update(self._all, completed=self._ended, told=told)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def facts(outcome: Outcome) -> dict[str, Any]:
    """One bag for ``--json``."""
    report, status = outcome.report, outcome.status
    told = {
        'path': str(outcome.config.file_path),
        'sequence': report.sequence_name,
        'status': status.value if status else 'failed',
    }
    if status is None:
        return {**told, 'error': outcome.error}
    if status is InjectionStatus.CANCELLED:
        return told
    return {
        **told,
        'messages': report.stored,
        'bytes': report.nbytes,
        'seconds': round(report.seconds, 3),
        'complete': report.complete,
        'replaced': report.replaced,
        'problems': report.problems,
        'unused': report.unused,
        'attachments': report.attachments,
        'attached_bytes': report.attached_bytes,
        'topics': [asdict(topic) for topic in report.topics.values()],
    }


def remarks(outcome: Outcome) -> Iterator[str]:
    """What went wrong with a bag, for people."""
    report = outcome.report
    if outcome.error:
        yield outcome.error
    if report.replaced:
        yield 'a part of it, left by an ingest that was killed, was deleted first'
    yield from report.problems
    for unused in report.unused:
        yield f'no topic loaded is {unused}'
    for topic in report.topics.values():
        if topic.skipped:
            yield f'{topic.name}: skipped, {topic.skipped}'
        for reason, count in topic.malformed.items():
            yield f'{topic.name}: {count:,} messages left out, {reason}'
        if topic.invalid_text:
            yield f'{topic.name}: {topic.invalid_text:,} texts were not UTF-8; U+FFFD marks them'


def show_bag(outcome: Outcome) -> None:
    """Show the topics of a bag, and how it went."""
    report, status = outcome.report, outcome.status
    if status in (None, InjectionStatus.CANCELLED):
        return
    dry_run = status is InjectionStatus.DRY_RUN
    rows = []
    for topic in report.topics.values():
        lost = topic.read - topic.stored
        messages = topic.expected if dry_run else topic.stored
        rows.append(
            (
                topic.name,
                topic.msgtype,
                topic.ontology or '-',
                '?' if messages is None else f'{messages:,}',
                f'{lost:,}' if lost else '',
                rendering.rate(topic.stored, topic.start_ns, topic.end_ns),
                size_text(topic.nbytes) if topic.nbytes else '',
            )
        )
    console = rendering.console()
    attached = ''
    if report.attachments:
        attached = f', {report.attachments:,} attachment(s) of {size_text(report.attached_bytes)}'
    header = ('topic', 'type', 'stored as', 'messages', 'lost', 'rate', 'size')
    console.print(rendering.table(header, rows, right=header[3:]))
    if dry_run:
        console.print('Nothing was sent (--dry-run).')
    elif status is InjectionStatus.PRESENT:
        console.print(
            f'[bold]{report.sequence_name}[/bold]: this bag is in the archive already, '
            f'with {report.stored:,} messages{attached}; nothing was sent'
        )
    else:
        per_second = report.stored / report.seconds if report.seconds else 0
        console.print(
            f'[bold]{report.sequence_name}[/bold]: {report.stored:,} messages, '
            f'{size_text(report.nbytes)}{attached} in {report.seconds:.2f} s '
            f'({per_second:,.0f} messages/s, '
            f'{size_text(report.nbytes / max(report.seconds, 1e-9))}/s)'
        )


def show_bags(outcomes: Sequence[Outcome], bags: int) -> None:
    """Show one line per bag, and how many went how."""
    rows = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.config.file_path):
        report, status = outcome.report, outcome.status
        kept = status in (InjectionStatus.COMPLETED, InjectionStatus.PRESENT)
        messages = report.stored if kept else None
        if status is InjectionStatus.DRY_RUN:
            messages = report.expected
        lost = sum(topic.read - topic.stored for topic in report.topics.values())
        rows.append(
            (
                str(outcome.config.file_path),
                report.sequence_name,
                _RESULTS[status],
                f'{messages:,}' if messages is not None else '',
                f'{lost:,}' if kept and lost else '',
                *(
                    (size_text(report.nbytes), f'{report.seconds:.1f} s')
                    if status is InjectionStatus.COMPLETED
                    else ('', '')
                ),
            )
        )
    console = rendering.console()
    header = ('bag', 'sequence', 'result', 'messages', 'lost', 'size', 'time')
    console.print(rendering.table(header, rows, right=header[3:]))
    results = Counter(_RESULTS[outcome.status] for outcome in outcomes)
    if len(outcomes) < bags:
        results['not begun'] = bags - len(outcomes)
    counts = ', '.join(f'{count} {result}' for result, count in results.items())
    click.echo(f'{bags} bags: {counts}')
