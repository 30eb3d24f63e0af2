"""Attachments too large for a sequence's metadata: a topic of its own, whose rows are pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.protocol.errors import AlreadyExistsError
from mosaico_ros.protocol.fingerprint import fingerprint
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.serialization import SerializationFormat
from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.bags.extras import PIECE_BYTES, Attachment

if TYPE_CHECKING:
    from mosaico_ros.client.handlers.base_session_writer import BaseSessionWriter
    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler
    from mosaico_ros.client.handlers.topic_writer import TopicWriter

_TOPIC = '/attachments'
#: Later log times than this, in the year 2116, count as this on the time axis.
_LATEST_NS = 1 << 62


class AttachmentPiece(Serializable):
    """A piece of a file that was attached to a recording; its pieces follow each other.

    Source: the attachments of MCAP files.
    """

    __serialization_format__ = SerializationFormat.Image

    name: MosaicoType.string = MosaicoField(description='Name of the file.')
    media_type: MosaicoType.string = MosaicoField(description='Such as text/yaml.')
    log_time_ns: MosaicoType.uint64 = MosaicoField(description='When it was recorded, in ns.')
    create_time_ns: MosaicoType.uint64 = MosaicoField(description='When it was made, in ns.')
    size: MosaicoType.uint64 = MosaicoField(description='Bytes of the whole file.')
    piece: MosaicoType.uint32 = MosaicoField(description='Number of the piece, from 0.')
    pieces: MosaicoType.uint32 = MosaicoField(description='Number of all pieces.')
    data: MosaicoType.binary = MosaicoField(description='Bytes of the piece.')


def store_attachments(session: BaseSessionWriter, attachments: Sequence[Attachment]) -> None:
    """Store attachments as a topic; it is numbered where the sequence has one of the name.

    Its rows are at the log times, as close to them as lets each have a time of its own: the
    pieces of a file lie together then, and a reader never holds more than a few.
    """
    writer = _created(session)
    time = -1
    for file in sorted(attachments, key=lambda file: file.log_time):
        pieces = max(1, -(-file.size // PIECE_BYTES))
        time = max(time + 1, min(file.log_time, _LATEST_NS))
        for number, data in enumerate(file.pieces if file.size else [b'']):
            row = {
                TIMESTAMP_COLUMN: time + number,
                'name': file.name,
                'media_type': file.media_type,
                'log_time_ns': file.log_time,
                'create_time_ns': file.create_time,
                'size': file.size,
                'piece': number,
                'pieces': pieces,
                'data': data,
            }
            writer.push_batch(pa.RecordBatch.from_pylist([row], writer.schema))
        time += pieces - 1
    writer.close()


def _created(session: BaseSessionWriter) -> TopicWriter:
    number = 1
    while True:
        try:
            name = _TOPIC if number == 1 else f'{_TOPIC}_{number}'
            return session.topic_create(name, {}, AttachmentPiece)
        except AlreadyExistsError:
            number += 1


def holds_attachments(handler: RecordedTopicHandler) -> bool:
    """Whether a topic is such a one."""
    tagged = same_tag(handler.ontology_tag, AttachmentPiece.ontology_tag())
    return tagged and fingerprint(handler.ontology_schema) == AttachmentPiece.fingerprint()


def stored_attachments(handler: RecordedTopicHandler, problems: list[str]) -> list[Attachment]:
    """The attachments of such a topic; ``problems`` is told of those that are there in part."""
    names = [TIMESTAMP_COLUMN, *(field.name for field in AttachmentPiece.arrow_struct())]
    names.remove('data')
    files: list[list[dict[str, Any]]] = []
    for row in handler.to_arrow(columns=names).to_pylist():
        if row['piece'] == 0 or not files:
            files.append([])
        files[-1].append(row)
    found = []
    for rows in files:
        first = rows[0]
        if [row['piece'] for row in rows] != list(range(first['pieces'])):
            problems.append(
                f'the attachment {first["name"]!r} is in the archive in part only: '
                f'{len(rows)} of {first["pieces"]} pieces'
            )
            continue
        start, end = first[TIMESTAMP_COLUMN], rows[-1][TIMESTAMP_COLUMN] + 1
        found.append(
            Attachment(
                first['name'],
                first['media_type'],
                first['log_time_ns'],
                first['create_time_ns'],
                first['size'],
                _StoredPieces(handler, start, end),
            )
        )
    return found


@dataclass(frozen=True)
class _StoredPieces:
    """Bytes of an attachment: the rows of the topic in [start, end), ns."""

    handler: RecordedTopicHandler
    start_ns: int
    end_ns: int

    def __iter__(self) -> Iterator[bytes]:
        window = self.start_ns, self.end_ns
        with self.handler.get_data_streamer(*window) as streamer:
            for batch in streamer.batches():
                for piece in batch.column('data'):
                    yield piece.as_py()
