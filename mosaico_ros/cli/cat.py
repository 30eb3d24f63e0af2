"""``mosaico cat``: the messages of a topic as JSON lines."""

from __future__ import annotations

import base64
import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli.connection import connects, open_topic
from mosaico_ros.cli.spans import exclusive

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient


@click.command('cat')
@click.argument('topic', metavar='SEQUENCE/TOPIC')
@click.option('--count', '-n', type=click.IntRange(min=1), help='Stop after this many messages.')
@click.option(
    '--start', 'start_ns', type=int, help='First time stamp wanted (ns since the epoch).'
)
@click.option('--end', 'end_ns', type=int, help='Last time stamp wanted (ns, included).')
@connects
def command(
    client: MosaicoClient,
    topic: str,
    count: int | None,
    start_ns: int | None,
    end_ns: int | None,
) -> None:
    """Print the messages of a topic as JSON lines, in time order.

    Bytes are written as base64, NaN and infinities as null.
    """
    handler = open_topic(client, topic)
    if handler.timestamp_ns_min is None:
        return
    reader = handler.get_data_streamer(start_ns, exclusive(end_ns))
    with reader:
        for message in islice(reader, count):
            line = {'timestamp_ns': message.timestamp_ns, **message.data.model_dump()}
            click.echo(json.dumps(jsonable(line), ensure_ascii=False))


def jsonable(value: Any) -> Any:
    """A value of the ontology as JSON can say it (see :func:`command`)."""
    if isinstance(value, dict):
        return {str(key): jsonable(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(member) for member in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode('ascii')
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, 'tolist'):
        return jsonable(value.tolist())
    return value
