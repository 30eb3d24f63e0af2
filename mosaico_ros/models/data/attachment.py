"""Files that were attached to a recording."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = ['AttachmentPiece']


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
