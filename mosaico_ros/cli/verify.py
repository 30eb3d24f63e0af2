"""``mosaico verify``: whether a recording can be had back, so that the file may be deleted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from mosaico_ros.cli.connection import addressed

_DIFFERENT, _PARTLY = 1, 3


@click.command('verify')
@click.argument('bag', type=click.Path(exists=True, path_type=Path))
@click.argument('sequence')
@click.option('--json', 'as_json', is_flag=True, help='One JSON object instead of a line.')
@addressed
def command(
    bag: Path,
    sequence: str,
    as_json: bool,
    host: str,
    port: int,
    api_key: str | None,
    tls: bool,
    tls_cert: str | None,
) -> int:
    """Compare every message of BAG with what SEQUENCE gives back, and say whether BAG may go.

    Messages are compared by digests per topic and ten seconds of record time; the chunks that
    differ are named.

    Exit code: 0 it comes back bit for bit, 3 with equal values but other padding, 1 not all of it.
    """
    from mosaico_ros.ros_bridge.bags import open_bag
    from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig
    from mosaico_ros.ros_bridge.verification import verify

    with open_bag(bag) as opened:
        ros1 = any(topic.ros1 for topic in opened.topics.values())
    config = ROSExtractorConfig(
        Path(),
        sequence,
        host,
        port,
        log_level='ERROR',
        mosaico_api_key=api_key,
        tls_cert_path=tls_cert,
        enable_tls=tls,
        storage_plugin='ros1' if ros1 else 'mcap',
    )
    verdict = verify(bag, config)
    if as_json:
        facts = {
            'bag': str(bag),
            'sequence': sequence,
            'equal_bytes': verdict.equal_bytes,
            'equal_values': verdict.equal_values,
            'problems': verdict.problems,
            'topics': [
                {
                    **asdict(topic),
                    'equal_bytes': topic.equal_bytes,
                    'equal_values': topic.equal_values,
                }
                for topic in verdict.topics.values()
            ],
        }
        click.echo(json.dumps(facts))
    else:
        click.echo(str(verdict))
        for topic in verdict.topics.values():
            if topic.different:
                click.echo(f'mosaico: {topic}', err=True)
    if verdict.equal_bytes:
        return 0
    return _PARTLY if verdict.equal_values else _DIFFERENT
