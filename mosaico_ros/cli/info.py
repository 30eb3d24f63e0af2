"""``mosaico info``: one sequence and its topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.connection import connects
from mosaico_ros.protocol.sizes import size_text

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

#: Of a value of the metadata, such as a small attachment, this many characters are shown.
_SHOWN = 1000


@click.command('info')
@click.argument('sequence')
@click.option('--json', 'as_json', is_flag=True, help='Everything as one JSON object.')
@connects
def command(client: MosaicoClient, sequence: str, as_json: bool) -> None:
    """Describe one sequence: its topics, sessions, metadata and notifications.

    A recording in parts is described as a whole by the name of its first part.
    """
    from mosaico_ros.client.handlers.recording_handler import open_recording

    handler = open_recording(client, sequence)
    sessions = [session for part in handler.parts for session in part.sessions]
    topics = [describe(handler.get_topic_handler(name)) for name in handler.topics]
    notifications = [
        (note.topic_name, note.message)
        for part in handler.parts
        for note in client.list_sequence_notifications(part.name, include_topics=True)
    ]
    if as_json:
        click.echo(
            json.dumps(
                {
                    'sequence': handler.name,
                    'parts': [part.name for part in handler.parts],
                    'created_ns': handler.parts[0].created_timestamp,
                    'bytes': handler.total_size_bytes,
                    'start_ns': handler.timestamp_ns_min,
                    'end_ns': handler.timestamp_ns_max,
                    'metadata': handler.user_metadata,
                    'sessions': [
                        {'locator': session.locator, 'finalized': session.locked}
                        for session in sessions
                    ],
                    'topics': topics,
                    'notifications': [
                        {'topic': topic, 'message': message} for topic, message in notifications
                    ],
                }
            )
        )
        return

    console = rendering.console()
    still_open = sum(not session.locked for session in sessions)
    console.print(f'[bold]{handler.name}[/bold]')
    console.print(
        f'{rendering.moment(handler.timestamp_ns_min)} to '
        f'{rendering.moment(handler.timestamp_ns_max)} UTC, '
        f'{size_text(handler.total_size_bytes)} stored, {len(sessions)} session(s)'
        + (f' in {len(handler.parts)} parts' if len(handler.parts) > 1 else '')
        + (f', {still_open} not finalized' if still_open else '')
    )
    console.print()
    console.print(topic_table(topics, handler.timestamp_ns_min or 0))
    if handler.user_metadata:
        console.print()
        for key, value in _flat(handler.user_metadata):
            text = json.dumps(value, ensure_ascii=False)
            if len(text) > _SHOWN:
                text = f'{text[:_SHOWN]}... ({size_text(len(text))}, see --json)'
            console.print(f'{key}: {text}', markup=False)
    for topic, message in notifications:
        console.print(f'! {topic or handler.name}: {message}', markup=False)


def _flat(metadata: dict[str, Any], path: str = '') -> Iterator[tuple[str, Any]]:
    """Metadata by the dotted keys that queries use."""
    for key, value in metadata.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f'{path}{key}.')
        else:
            yield f'{path}{key}', value


def describe(topic: Any) -> dict[str, Any]:
    """What the catalog knows of a topic, as plain values."""
    return {
        'topic': topic.name,
        'type': topic.ontology_tag,
        'ros_type': topic.user_metadata.get('_ros_', {}).get('msgtype'),
        'count': topic.message_count,
        'bytes': topic.total_size_bytes,
        'chunks': topic.chunks_number,
        'start_ns': topic.timestamp_ns_min,
        'end_ns': topic.timestamp_ns_max,
        'complete': topic.locked,
    }


def topic_table(topics: list[dict[str, Any]], origin_ns: int) -> Any:
    """The topics of a sequence as a table: type, count, rate, size, time span from an origin."""
    return rendering.table(
        ('topic', 'type', 'count', 'rate', 'size', 'span', ''),
        [
            (
                topic['topic'],
                topic['type'],
                str(topic['count']),
                rendering.rate(topic['count'], topic['start_ns'], topic['end_ns']),
                size_text(topic['bytes']),
                rendering.span(topic['start_ns'], topic['end_ns'], origin_ns),
                '' if topic['complete'] else 'incomplete',
            )
            for topic in topics
        ],
        right=('count', 'rate', 'size', 'span'),
    )
