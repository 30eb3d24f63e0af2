"""What recordings hold beside messages: the user's notes, metadata records, attached files."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from typing import Any

#: Attachments of more bytes than this together are not kept: the place for what is large is a
#: topic, or a file of its own.
KEPT_BYTES = 1 << 20


@dataclass(frozen=True)
class Attachment:
    """A file within a recording; its times in ns."""

    name: str
    media_type: str
    log_time: int
    create_time: int
    data: bytes = field(repr=False)


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

    def merge(self, other: Extras) -> None:
        """Take in what a further file of the recording holds."""
        self.custom_data = {**other.custom_data, **self.custom_data}
        self.metadata += other.metadata
        self.attachments += other.attachments

    def to_dict(self) -> dict[str, Any]:
        """As JSON; what there is none of is left out."""
        told = {
            'custom_data': self.custom_data,
            'metadata_records': [
                {'name': name, 'metadata': values} for name, values in self.metadata
            ],
            'attachments': [
                {**asdict(file), 'data': b64encode(file.data).decode()}
                for file in self.attachments
            ],
        }
        return {key: value for key, value in told.items() if value}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Extras:
        """The way back from `to_dict`."""
        return cls(
            told.get('custom_data', {}),
            [(one['name'], one['metadata']) for one in told.get('metadata_records', [])],
            [
                Attachment(**{**file, 'data': b64decode(file['data'])})
                for file in told.get('attachments', [])
            ],
        )
