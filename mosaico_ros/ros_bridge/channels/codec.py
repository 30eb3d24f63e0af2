"""What every encoding of channels has to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError

#: Encodings of messages that have a codec.
CHANNEL_ENCODINGS = ('json', 'protobuf')


@dataclass(frozen=True)
class Channel:
    """A channel of an MCAP file that is not ROS.

    Attributes
    ----------
    name : str
        As the file has it.
    encoding : str
        Of the messages: ``json`` or ``protobuf``.
    schema_name, schema_encoding : str
        Type of the messages, and in which language it is defined; empty without a schema.
    schema_def : bytes
        The definition.
    metadata : dict
        What else the file says of the channel.
    """

    name: str
    encoding: str
    schema_name: str = ''
    schema_encoding: str = ''
    schema_def: bytes = field(default=b'', repr=False)
    metadata: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def type_name(self) -> str:
        """Last part of the schema's name, without package; for what has none, the encoding's."""
        named = self.schema_name.replace('/', '.').rstrip('.').rsplit('.', 1)[-1]
        return named or self.encoding.capitalize()


@dataclass(frozen=True)
class Parsed:
    """Messages as rows.

    Attributes
    ----------
    values : pyarrow.StructArray
        The codec's struct, shape (m,).
    rows : numpy.ndarray
        Which of the payloads each row was, shape (m,), ascending.
    problems : Counter
        Number of payloads left out, by reason.
    """

    values: pa.StructArray
    rows: np.ndarray
    problems: Counter[str]


class ChannelCodec(ABC):
    """Payloads of one schema to rows, and back.

    Attributes
    ----------
    struct : pyarrow.StructType
        Layout of a message.
    """

    struct: pa.StructType

    @abstractmethod
    def parse(self, payloads: Sequence[bytes]) -> Parsed:
        """Rows of messages."""

    @abstractmethod
    def serialize(self, values: pa.StructArray) -> list[bytes]:
        """Messages of rows; what is null is left out of them."""

    @abstractmethod
    def native(self, payload: bytes) -> Any:
        """The object that libraries for the encoding make of a message."""

    @abstractmethod
    def canonical(self, payload: bytes) -> bytes:
        """The same bytes for all payloads that mean the same; damaged ones stay as they are."""


def codec_for(channel: Channel) -> ChannelCodec:
    """The codec of a channel.

    Raises
    ------
    InvalidArgumentError
        If there is none for its encoding, or its schema cannot be read.
    """
    if channel.encoding == 'json':
        from mosaico_ros.ros_bridge.channels.json_codec import JsonCodec

        text = channel.schema_def if channel.schema_encoding == 'jsonschema' else b''
        return JsonCodec(text)
    if channel.encoding == 'protobuf' and channel.schema_encoding == 'protobuf':
        from mosaico_ros.ros_bridge.channels.protobuf_codec import ProtobufCodec

        return ProtobufCodec(channel.schema_name, channel.schema_def)
    raise InvalidArgumentError(
        f'messages encoded as {channel.encoding or "nothing"!r}, with a schema in '
        f'{channel.schema_encoding or "nothing"!r}, cannot be read'
    )


class Budget:
    """Counts the columns that a schema asks for: references can multiply without end."""

    MOST = 4096

    def __init__(self) -> None:
        self._left = self.MOST

    def take(self) -> None:
        """Count one column.

        Raises
        ------
        InvalidArgumentError
            If there are too many.
        """
        self._left -= 1
        if self._left < 0:
            raise InvalidArgumentError(f'its schema asks for more than {self.MOST} columns')


def struct_array(
    length: int, arrays: list[pa.Array], kind: pa.StructType, valid: np.ndarray | None = None
) -> pa.StructArray:
    """Struct array of ready members; ``valid``, shape (length,), says which rows are there."""
    mask = None if valid is None or valid.all() else pa.array(~valid)
    if not arrays:
        return pa.array([{}] * length, kind)
    return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=mask)
