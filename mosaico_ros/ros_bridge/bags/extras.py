"""What recordings hold beside messages: the user's notes, metadata records, attached files."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaico_ros.protocol.errors import DataLossError

#: Attachments of more bytes than this together have no place in a sequence's metadata.
KEPT_BYTES = 1 << 20
#: Of attachments not more than this is read at once.
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class FilePart:
    """Bytes that lie in a file, read piece by piece, as often as they are asked for."""

    path: Path
    start: int
    size: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces of `PIECE_BYTES`, the last one shorter.

        Raises
        ------
        DataLossError
            If the file has become shorter meanwhile.
        """
        with self.path.open('rb', buffering=0) as file:
            file.seek(self.start)
            for at in range(0, self.size, PIECE_BYTES):
                size = min(PIECE_BYTES, self.size - at)
                piece = file.read(size)
                if len(piece) < size:
                    raise DataLossError(f'{self.path} has become shorter while it was read')
                yield piece


@dataclass(frozen=True)
class Attachment:
    """A file within a recording; its times in ns.

    Its ``pieces`` are its bytes, of which there are ``size``.
    """

    name: str
    media_type: str
    log_time: int
    create_time: int
    size: int
    pieces: Iterable[bytes] = field(repr=False)

    def facts(self) -> dict[str, Any]:
        """All but its bytes."""
        return {
            'name': self.name,
            'media_type': self.media_type,
            'log_time': self.log_time,
            'create_time': self.create_time,
        }

    def sha256(self) -> str:
        """Digest of its bytes, as hexadecimal text."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(piece)
        return digest.hexdigest()


@dataclass
class Extras:
    """All of it.

    Attributes
    ----------
    custom_data : dict
        What was given to ``ros2 bag record --custom-data``.
    metadata : list of tuple
        Name and content of MCAP metadata records, other than rosbag2's own.
    attachments : list of Attachment
        Files attached to an MCAP file.
    """

    custom_data: dict[str, str] = field(default_factory=dict)
    metadata: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)

    @property
    def attached_bytes(self) -> int:
        """Bytes of all attachments."""
        return sum(file.size for file in self.attachments)

    def merge(self, other: Extras) -> None:
        """Take in what a further file of the recording holds."""
        self.custom_data = {**other.custom_data, **self.custom_data}
        self.metadata += other.metadata
        self.attachments += other.attachments

    def digest(self) -> tuple[Any, ...]:
        """What is the same of equal ones; attachments are read for it, their order is none."""
        attached = sorted(
            (*file.facts().values(), file.size, file.sha256()) for file in self.attachments
        )
        return self.custom_data, self.metadata, attached

    def to_dict(self) -> dict[str, Any]:
        """As JSON; what there is none of is left out. Of large attachments it has the names."""
        small = self.attached_bytes <= KEPT_BYTES
        told = {
            'custom_data': self.custom_data,
            'metadata_records': [
                {'name': name, 'metadata': values} for name, values in self.metadata
            ],
            'attachments': [
                {**file.facts(), 'data': b64encode(b''.join(file.pieces)).decode()}
                for file in self.attachments
                if small
            ],
            'attached_files': [file.name for file in self.attachments if not small],
        }
        return {key: value for key, value in told.items() if value}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Extras:
        """The way back from `to_dict`."""
        attachments = []
        for file in map(dict, told.get('attachments', [])):
            data = b64decode(file.pop('data'))
            attachments.append(Attachment(**file, size=len(data), pieces=[data]))
        return cls(
            told.get('custom_data', {}),
            [(one['name'], one['metadata']) for one in told.get('metadata_records', [])],
            attachments,
        )
