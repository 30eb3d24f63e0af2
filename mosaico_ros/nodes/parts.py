"""The sequences of one recording: their names, and how one is ended that broke off."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mosaico_ros.nodes.spool import Part
from mosaico_ros.protocol.errors import NotFoundError, UnavailableError, UnimplementedError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

# How long a daemon that cannot seal may take to notice that an upload broke off, seconds.
_SEALED_BY_ITSELF = 60.0
_LOOK_PERIOD = 0.5


def part_name(recording: str, number: int) -> str:
    """Return the sequence of a part; a recording that is never split keeps its plain name."""
    return recording if number == 1 else f'{recording}_{number:04d}'


def seal(client: MosaicoClient, part: Part, recording_id: str) -> tuple[dict[str, int], bool]:
    """End a part that broke off.

    Returns
    -------
    rows : dict of str to int
        The durable rows by topic name without its leading slash; no more will become durable.
    finalized : bool
        Whether nothing can be added any more.
    """
    try:
        rows, finalized = client.session_seal(part.session_uuid)
        return {name.strip('/'): count for name, count in rows.items()}, finalized
    except (NotFoundError, UnimplementedError):
        # The catalog was rebuilt from the store, which keeps no secrets; or the daemon is one
        # that cannot. It seals by itself what has no writer.
        return _await_sealed(client, part, recording_id), True


def _await_sealed(client: MosaicoClient, part: Part, recording_id: str) -> dict[str, int]:
    deadline = time.monotonic() + _SEALED_BY_ITSELF
    while True:
        client.clear_sequence_handlers_cache()
        sequence = client.sequence_handler(part.sequence)
        if sequence is None or sequence.user_metadata.get('recording_id') != recording_id:
            return {}  # deleted: what had been acknowledged was let go of
        topics = [sequence.get_topic_handler(name) for name in sequence.topics]
        waiting = [
            topic.name
            for topic in topics
            if not topic.locked and not client.list_topic_notifications(part.sequence, topic.name)
        ]
        if not waiting:
            return {topic.name.strip('/'): topic.message_count or 0 for topic in topics}
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f'the daemon still waits for rows of {part.sequence}{waiting[0]}, whose upload '
                'broke off'
            )
        time.sleep(_LOOK_PERIOD)
