"""``mosaico ingest``: ROS bags into the archive."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli.connection import addressed

if TYPE_CHECKING:
    from mosaico_ros.ros_bridge.ingest_jobs import Outcome


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


def _json_objects(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, dict[str, Any]]:
    """The same with JSON objects in it."""
    value = _json_object(context, parameter, text)
    if not all(isinstance(inner, dict) for inner in value.values()):
        raise click.BadParameter('has to be like {"/imu": {"mount": "wrist"}}')
    return value


@click.command('ingest')
@click.argument('paths', nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option('--name', '-n', help='Name of the sequence (one bag only). Default: the file name.')
@click.option(
    '--jobs',
    '-j',
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help='Bags to load at once, each in a process of its own.',
)
@click.option('--topics', multiple=True, metavar='GLOB', help='Topics to load; !GLOB removes.')
@click.option('--metadata', callback=_json_object, metavar='JSON', help='JSON object, or a file.')
@click.option(
    '--topic-metadata',
    callback=_json_objects,
    metavar='JSON',
    help='JSON object from topic name to metadata, or a file.',
)
@click.option('--update-if-exists', is_flag=True, help='Add the topics to an existing sequence.')
@click.option('--ros-distro', help='Type set for messages without definition, such as humble.')
@click.option('--dry-run', is_flag=True, help='Say what would be loaded; connect to nothing.')
@click.option(
    '--keep-raw', is_flag=True, help='Keep padding bytes too, for exports equal to the last bit.'
)
@click.option(
    '--no-checksum',
    is_flag=True,
    help='Neither store nor compare the SHA-256 of the bag: the size alone tells bags apart.',
)
@addressed
@click.option(
    '--json', 'as_json', is_flag=True, help='Print one JSON object per bag, no progress.'
)
def command(
    paths: tuple[Path, ...],
    name: str | None,
    jobs: int,
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

    Any other folder is searched for them, links to folders and hidden names excepted. Each bag
    becomes a sequence, named after the file or, in a folder that was searched, after its path
    there (day1/run.mcap: day1-run).

    Run it again after an interruption or with further bags: what is there already is skipped, a
    bag that was stored in part is stored anew. After a failure or Ctrl-C nothing is left of the
    bag concerned.

    Exit code over all bags: 0 everything is stored, 1 a bag failed, 2 wrong use (nothing was
    sent), 3 stored with losses (topics or messages that could not be read), 130 interrupted.
    """
    from mosaico_ros.cli import ingest_report
    from mosaico_ros.client.enums import SessionLevelErrorPolicy
    from mosaico_ros.protocol.errors import InvalidArgumentError
    from mosaico_ros.ros_bridge.ingest_jobs import ingest_all
    from mosaico_ros.ros_bridge.ingest_plan import plan
    from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
    from mosaico_ros.ros_bridge.injection_report import InjectionStatus

    try:
        recordings = plan(paths, name)
    except InvalidArgumentError as error:
        raise click.UsageError(str(error)) from error
    configs = [
        ROSInjectionConfig(
            recording.path,
            recording.sequence_name,
            metadata,
            topic_metadata,
            update_if_exists,
            host,
            port,
            # Half a bag cannot be told from a whole one by those who query it.
            on_error=SessionLevelErrorPolicy.Delete,
            log_level='ERROR',  # the table below says what the log would
            mosaico_api_key=api_key,
            tls_cert_path=tls_cert,
            enable_tls=tls,
            dry_run=dry_run,
            ros_distro=ros_distro,
            topics=list(topics) or None,
            keep_raw=keep_raw,
            checksum=not no_checksum,
            resume=True,
        )
        for recording in recordings
    ]
    outcomes: list[Outcome] = []
    with ingest_report.Bars(len(configs), shown=not as_json and sys.stderr.isatty()) as bars:
        try:
            for outcome in ingest_all(configs, min(jobs, len(configs)), bars.advance):
                outcomes.append(outcome)
                bars.finish(outcome)
                _tell(outcome, as_json=as_json)
            interrupted = any(o.status is InjectionStatus.CANCELLED for o in outcomes)
        except KeyboardInterrupt:  # between two bags
            interrupted = True
    if not as_json:
        if len(configs) > 1:
            ingest_report.show_bags(outcomes, len(configs))
        elif outcomes:
            ingest_report.show_bag(outcomes[0])
    if interrupted:
        click.echo('interrupted; the same command goes on with what is missing', err=True)
        return 130
    if any(outcome.status is None for outcome in outcomes):
        return 1
    sent = [outcome for outcome in outcomes if outcome.status is not InjectionStatus.DRY_RUN]
    return 0 if all(outcome.report.complete for outcome in sent) else 3


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    from mosaico_ros.cli import ingest_report

    if as_json:
        click.echo(json.dumps(ingest_report.facts(outcome)))
        return
    path = str(outcome.config.file_path)
    for remark in ingest_report.remarks(outcome):
        place = '' if path in remark else f'{path}: '
        click.echo(f'mosaico: {place}{remark}', err=True)
