"""``mosaico export``: a sequence, or parts of it, as files of other tools."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.connection import addressed
from mosaico_ros.cli.spans import Seconds, exclusive
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.extractor import ExtractionReport, ROSExtractorConfig

    _Progress = Callable[[ExtractionReport], None]

_TABLES = ('parquet', 'csv')
_PARTLY = 3
#: A window of time in ns: from (inclusive), to (exclusive); None is open.
_Window = tuple[int | None, int | None]


@click.command('export')
@click.argument('sequence')
@click.option(
    '--format',
    'form',
    type=click.Choice(['mcap', 'sqlite3', 'ros1', *_TABLES]),
    default='mcap',
    show_default=True,
    help='rosbag2 folder (mcap, sqlite3), ROS 1 .bag, or one table file per topic.',
)
@click.option(
    '--output',
    '-o',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help='Folder to write into; the current one by default.',
)
@click.option('--topics', multiple=True, metavar='GLOB', help='Topics to write; !GLOB removes.')
@click.option('--start', 'start_ns', type=int, help='First time wanted (ns since the epoch).')
@click.option('--end', 'end_ns', type=int, help='Last time wanted (ns, included).')
@click.option(
    '--where', metavar='EXPRESSION', help='Only the windows where this holds, each by itself.'
)
@click.option(
    '--around',
    default=0.0,
    show_default=True,
    type=Seconds(),
    help='Seconds before and after each window of --where.',
)
@click.option('--overwrite', is_flag=True, help='Replace what is there.')
@click.option('--json', 'as_json', is_flag=True, help='One JSON object per recording, no table.')
@addressed
def command(
    sequence: str,
    form: str,
    output: Path,
    topics: tuple[str, ...],
    start_ns: int | None,
    end_ns: int | None,
    where: str | None,
    around: float,
    overwrite: bool,
    as_json: bool,
    host: str,
    port: int,
    api_key: str | None,
    tls: bool,
    tls_cert: str | None,
) -> int:
    """Write SEQUENCE as a recording that ROS tools play, or as tables.

    \b
    mosaico export first_drive
    mosaico export first_drive --format parquet --topics /imu
    mosaico export first_drive --where 'IMU.acceleration.y > 8' --around 2

    Exit code: 0 all of it is written, 1 failed, 2 wrong use, 3 topics, attachments, or members
    that the other ROS version lacks were left out (it says which, and why).
    """
    from mosaico_ros.cli.export_bars import ExportBars
    from mosaico_ros.protocol.errors import InvalidArgumentError
    from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig

    config = ROSExtractorConfig(
        output,
        sequence,
        host,
        port,
        list(topics) or None,
        'ERROR',
        api_key,
        tls_cert,
        tls,
        start_ns,
        exclusive(end_ns),
        overwrite,
    )
    whole = (config.start_timestamp_ns, config.end_timestamp_ns)
    windows = [whole] if where is None else _windows(config, where, round(around * 1e9))
    if not windows:
        click.echo(f'mosaico: {where!r} holds nowhere in {sequence}', err=True)
        return 0
    complete = True
    for number, (start, end) in enumerate(windows):
        part = replace(config, start_timestamp_ns=start, end_timestamp_ns=end)
        if where is not None:
            part = replace(part, recording_name=f'{sequence}_{number:04}')
        write = _tables if form in _TABLES else _recording
        with ExportBars(shown=not as_json and sys.stderr.isatty()) as bars:
            try:
                report = write(part, form, bars.advance)
            except OSError as error:
                raise InvalidArgumentError(
                    f'{sequence} cannot be written into {output} ({error.strerror or error})'
                ) from error
        _show(report, as_json=as_json)
        complete = complete and report.complete
    return 0 if complete else _PARTLY


def _recording(config: ROSExtractorConfig, form: str, progress: _Progress) -> ExtractionReport:
    from mosaico_ros.ros_bridge.extractor import ROSSequenceExtractor

    return ROSSequenceExtractor(replace(config, storage_plugin=form), progress).run()


def _tables(config: ROSExtractorConfig, form: str, progress: _Progress) -> ExtractionReport:
    from mosaico_ros.client.handlers.recording_handler import open_recording
    from mosaico_ros.client.table_files import TableFormat, write_table_file
    from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
    from mosaico_ros.ros_bridge.extractor import (
        ExtractedTopic,
        ExtractionReport,
        connect,
    )
    from mosaico_ros.ros_bridge.topic_filter import TopicFilter

    folder = config.saving_path / (config.recording_name or config.sequence_name)
    if folder.exists() and not config.overwrite:
        raise AlreadyExistsError(f'{folder} is there already', remedy='--overwrite replaces it.')
    report = ExtractionReport(folder)
    chosen = TopicFilter(config.topics)
    with connect(config) as client:
        handler = open_recording(client, config.sequence_name)
        whole = config.start_timestamp_ns is None and config.end_timestamp_ns is None
        for name in filter(chosen, handler.topics):
            topic = handler.get_topic_handler(name)
            done = ExtractedTopic(name, topic.ontology_tag)
            done.expected = topic.message_count if whole else None
            report.topics[name] = done
        report.unused = chosen.unused
        if not report.topics:
            raise InvalidArgumentError(
                f'{config.sequence_name} holds no topic to write',
                remedy=f'it has {", ".join(sorted(handler.topics))}' if handler.topics else '',
            )
        with _whole_folder(folder) as partial:
            for done in report.topics.values():
                path = partial / f'{done.name.strip("/")}.{form}'

                def advance(rows: int, done: ExtractedTopic = done) -> None:
                    done.messages = rows
                    progress(report)

                done.messages = write_table_file(
                    handler.get_topic_handler(done.name),
                    path,
                    TableFormat(form),
                    config.start_timestamp_ns,
                    config.end_timestamp_ns,
                    advance,
                )
                done.nbytes = path.stat().st_size
    return report


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` when it is complete."""
    partial = folder.with_name(f'.{folder.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _windows(config: ROSExtractorConfig, where: str, around_ns: int) -> list[_Window]:
    """Windows of the recording in which a condition holds on some topic, widened and joined."""
    from mosaico_ros.client.handlers.recording_handler import open_recording
    from mosaico_ros.client.query.condition_windows import find_windows
    from mosaico_ros.ros_bridge.extractor import connect

    with connect(config) as client:
        found = find_windows(
            client,
            where,
            around_ns,
            [open_recording(client, config.sequence_name)],
            start_ns=config.start_timestamp_ns,
            end_ns=config.end_timestamp_ns,
        )
    return [(window.start_ns, window.end_ns) for window in found]


def _show(report: ExtractionReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_facts(report)))
        return
    header = ('topic', 'type', 'messages', 'size')
    rows = [
        (t.name, t.msgtype or t.ontology, f'{t.messages:,}', size_text(t.nbytes))
        for t in report.topics.values()
        if not t.skipped
    ]
    console = rendering.console()
    console.print(rendering.table(header, rows, right=header[2:]))
    for pattern in report.unused:
        click.echo(f'mosaico: no topic of the sequence is {pattern}', err=True)
    for topic in report.topics.values():
        if topic.skipped:
            click.echo(f'mosaico: {topic.name}: left out, {topic.skipped}', err=True)
        if topic.lost:
            members = ', '.join(topic.lost)
            click.echo(
                f'mosaico: {topic.name}: without {members}, which its type does not have in the '
                'other ROS version',
                err=True,
            )
    for problem in report.problems:
        click.echo(f'mosaico: {problem}', err=True)
    attached = f', {report.attachments:,} attachment(s)' if report.attachments else ''
    console.print(
        f'[bold]{report.path}[/bold]: {report.messages:,} messages, '
        f'{size_text(report.nbytes)}{attached}'
    )


def _facts(report: ExtractionReport) -> dict[str, Any]:
    return {
        'path': str(report.path),
        'messages': report.messages,
        'bytes': report.nbytes,
        'attachments': report.attachments,
        'complete': report.complete,
        'problems': report.problems,
        'topics': [vars(topic) for topic in report.topics.values()],
    }
