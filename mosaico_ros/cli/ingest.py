"""``mosaico ingest``: ROS bags into the archive."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.connection import addressed
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.injector import InjectionReport

_FAILED, _PARTLY, _INTERRUPTED = 1, 3, 130


def _json_object(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any]:
    """JSON text, or the name of a file that holds it."""
    if not text:
        return {}
    if not text.lstrip().startswith('{') and Path(text).is_file():
        text = Path(text).read_text(encoding='utf-8')
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f'is neither a file nor JSON ({error})') from error
    if not isinstance(value, dict):
        raise click.BadParameter('has to be a JSON object, such as {"site": "lab"}')
    return value


@click.command('ingest')
@click.argument('paths', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--name', '-n', help='Name of the sequence (one PATH only). Default: the file name.')
@click.option('--topics', multiple=True, metavar='GLOB', help='Topics to load; !GLOB removes.')
@click.option('--metadata', callback=_json_object, metavar='JSON', help='JSON object, or a file.')
@click.option(
    '--topic-metadata',
    callback=_json_object,
    metavar='JSON',
    help='JSON object from topic name to metadata, or a file.',
)
@click.option('--update-if-exists', is_flag=True, help='Add the topics to an existing sequence.')
@click.option('--ros-distro', help='Type set for messages without definition, such as humble.')
@click.option('--dry-run', is_flag=True, help='Say what would be loaded; connect to nothing.')
@click.option(
    '--keep-raw', is_flag=True, help='Keep padding bytes too, for exports equal to the last bit.'
)
@click.option('--no-checksum', is_flag=True, help='Do not store the SHA-256 of the bag.')
@addressed
@click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON object per bag, no progress.'
)
def command(
    paths: tuple[Path, ...],
    name: str | None,
    topics: tuple[str, ...],
    metadata: dict[str, Any],
    topic_metadata: dict[str, Any],
    update_if_exists: bool,
    ros_distro: str | None,
    dry_run: bool,
    keep_raw: bool,
    no_checksum: bool,
    host: str,
    port: int,
    api_key: str | None,
    tls: bool,
    tls_cert: str | None,
    as_json: bool,
) -> int:
    """Load ROS bags: .mcap, .db3, .bag files, or folders that rosbag2 wrote.

    Each PATH becomes a sequence. Exit code: 0 everything is stored, 1 a bag failed, 2 wrong use,
    3 stored with losses (topics or messages that could not be read; the table says which).
    """
    if name and len(paths) > 1:
        raise click.UsageError('--name names one sequence; give one PATH with it')
    from mosaico_ros.protocol.errors import MosaicoError
    from mosaico_ros.ros_bridge.injector import (
        InjectionStatus,
        RosbagInjector,
        ROSInjectionConfig,
        sequence_name_for,
    )

    worst = 0
    for path in paths:
        config = ROSInjectionConfig(
            path,
            name or sequence_name_for(path),
            metadata,
            topic_metadata,
            update_if_exists,
            host,
            port,
            log_level='ERROR',  # the table below says what the log would
            mosaico_api_key=api_key,
            tls_cert_path=tls_cert,
            enable_tls=tls,
            dry_run=dry_run,
            ros_distro=ros_distro,
            topics=list(topics) or None,
            keep_raw=keep_raw,
            checksum=not no_checksum,
        )
        with _progress(path, hidden=as_json) as advance:
            injector = RosbagInjector(config, advance)
            try:
                status = injector.run()
            except MosaicoError as error:
                worst = _FAILED
                if as_json:
                    failure = {'path': str(path), 'status': 'failed', 'error': str(error)}
                    click.echo(json.dumps(failure))
                else:
                    click.echo(f'mosaico: {path}: {error}', err=True)
                continue
        report = injector.report
        if as_json:
            click.echo(json.dumps({'path': str(path), 'status': status.value, **_facts(report)}))
        else:
            _show(report, dry_run=dry_run)
        if status is InjectionStatus.CANCELLED:
            return _INTERRUPTED
        if not dry_run and not report.complete and worst == 0:
            worst = _PARTLY
    return worst


@contextmanager
def _progress(path: Path, *, hidden: bool) -> Iterator[Callable[[InjectionReport], None]]:
    """Bar on stderr, if that is a terminal."""
    if hidden or not sys.stderr.isatty():
        yield lambda report: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn('{task.fields[told]}'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(path.name, total=None, told='')

        def advance(report: InjectionReport) -> None:
            told = f'{report.stored:,} messages, {size_text(report.nbytes)}'
            bar.update(task, total=report.expected, completed=report.stored, told=told)

        yield advance


def _facts(report: InjectionReport) -> dict[str, Any]:
    return {
        'sequence': report.sequence_name,
        'messages': report.stored,
        'bytes': report.nbytes,
        'seconds': round(report.seconds, 3),
        'complete': report.complete,
        'problems': report.problems,
        'topics': [asdict(topic) for topic in report.topics.values()],
    }


def _show(report: InjectionReport, *, dry_run: bool) -> None:
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
                '' if dry_run else size_text(topic.nbytes),
            )
        )
    console = rendering.console()
    header = ('topic', 'type', 'stored as', 'messages', 'lost', 'rate', 'size')
    console.print(rendering.table(header, rows, right=header[3:]))
    for remark in _remarks(report):
        click.echo(f'mosaico: {remark}', err=True)
    if dry_run:
        console.print('Nothing was sent (--dry-run).')
        return
    per_second = report.stored / report.seconds if report.seconds else 0
    console.print(
        f'[bold]{report.sequence_name}[/bold]: {report.stored:,} messages, '
        f'{size_text(report.nbytes)} in {report.seconds:.2f} s '
        f'({per_second:,.0f} messages/s, '
        f'{size_text(report.nbytes / max(report.seconds, 1e-9))}/s)'
    )


def _remarks(report: InjectionReport) -> Iterator[str]:
    yield from report.problems
    for topic in report.topics.values():
        if topic.skipped:
            yield f'{topic.name}: skipped, {topic.skipped}'
        for reason, count in topic.malformed.items():
            yield f'{topic.name}: {count:,} messages left out, {reason}'
        if topic.invalid_text:
            yield f'{topic.name}: {topic.invalid_text:,} texts were not UTF-8; U+FFFD marks them'
