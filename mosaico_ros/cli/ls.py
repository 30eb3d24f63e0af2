"""``mosaico ls``: the sequences of an archive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.connection import connects
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient


@click.command('ls')
@click.option(
    '--json',
    'as_json',
    is_flag=True,
    help='One JSON object per sequence and line, each part by itself.',
)
@connects
def command(client: MosaicoClient, as_json: bool) -> None:
    """List the sequences of an archive, oldest first; the parts of a recording as one."""
    found = []
    for name in client.list_sequences():
        sequence = client.sequence_handler(name)
        if sequence is not None:  # None: deleted since it was listed
            found.append(sequence)
    if as_json:
        for sequence in found:
            click.echo(
                json.dumps(
                    {
                        'sequence': sequence.name,
                        'topics': sequence.topics,
                        'bytes': sequence.total_size_bytes,
                        'start_ns': sequence.timestamp_ns_min,
                        'end_ns': sequence.timestamp_ns_max,
                        'created_ns': sequence.created_timestamp,
                        'metadata': sequence.user_metadata,
                    }
                )
            )
        return
    if not found:
        click.echo(
            'The archive is empty. `mosaico record --all` or `mosaico ingest BAG` fills it.'
        )
        return
    from mosaico_ros.client.handlers.recording_handler import joined

    recordings = joined(found)
    rendering.console().print(
        rendering.table(
            ('sequence', 'topics', 'size', 'start (UTC)', 'duration', ''),
            [
                (
                    recording.name,
                    str(len(recording.topics)),
                    size_text(recording.total_size_bytes),
                    rendering.moment(recording.timestamp_ns_min),
                    rendering.duration(
                        _span(recording.timestamp_ns_min, recording.timestamp_ns_max)
                    ),
                    f'{len(recording.parts)} parts' if len(recording.parts) > 1 else '',
                )
                for recording in recordings
            ],
            right=('topics', 'size', 'duration'),
        )
    )


def _span(start_ns: int | None, end_ns: int | None) -> int | None:
    return None if start_ns is None or end_ns is None else end_ns - start_ns
