"""The part of a topic's user metadata that a bridge keeps for itself, under one reserved key."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import Self

from mosaico_ros.protocol.errors import InvalidArgumentError


class SchemaMetadata:
    """Facts about the messages of a topic; subclasses name the key.

    Parameters
    ----------
    **fields
        The facts, JSON values.

    Raises
    ------
    InvalidArgumentError
        If a required fact is missing or has another type.
    """

    KEY: ClassVar[str]
    REQUIRED_KEYS: ClassVar[dict[str, type]] = {}

    def __init__(self, **fields: Any) -> None:
        for name, kind in self.REQUIRED_KEYS.items():
            if not isinstance(fields.get(name), kind):
                raise InvalidArgumentError(
                    f'{self.KEY} needs {name!r}, of type {kind.__name__}; it has {sorted(fields)}'
                )
        self.fields = fields

    def update(self, **fields: Any) -> Self:
        """Add facts; returns the same object."""
        self.fields.update(fields)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The facts below the key."""
        return {self.KEY: dict(self.fields)}

    def merge_into(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Add the facts to those that metadata has below the key; returns the same dict."""
        metadata.setdefault(self.KEY, {}).update(self.fields)
        return metadata

    @classmethod
    def extract(cls, metadata: dict[str, Any] | None) -> dict[str, Any]:
        """The facts that metadata has below the key."""
        return dict((metadata or {}).get(cls.KEY) or {})

    @classmethod
    def from_dict(cls, metadata: dict[str, Any] | None) -> Self:
        """Build from what metadata has below the key."""
        return cls(**cls.extract(metadata))


class RosSchemaMetadata(SchemaMetadata):
    """Facts about ROS messages: ``msgtype``, ``msgdef``, ``enums``, ``source_file``, ..."""

    KEY = '_ros_'


class McapSchemaMetadata(SchemaMetadata):
    """Facts about a JSON or protobuf channel; the definition is text, or base64 of protobuf's."""

    KEY = '_mcap_'
    REQUIRED_KEYS = dict.fromkeys(
        ('schema_name', 'schema_encoding', 'schema_def', 'channel_name', 'channel_encoding'), str
    )
