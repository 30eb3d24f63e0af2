"""Messages to columns and back, compiled once per class."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pyarrow as pa

from mosaico_ros.models.core.decoding import builder, member_decoders
from mosaico_ros.models.core.encoding import StructEncoder, encoder, wrong_value
from mosaico_ros.models.core.message import Message
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.unmodeled import Unmodeled
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

_encode_stamps = encoder(int, pa.int64(), f'Message.{TIMESTAMP_COLUMN}')
_build_messages = builder(Message, ['data', TIMESTAMP_COLUMN])


@cache
def writer_schema(cls: type[Serializable]) -> pa.Schema:
    """Return the schema that a topic of this type is written with.

    Returns
    -------
    pyarrow.Schema
        ``timestamp_ns`` (int64, not null), then the fields of the type. Descriptions are kept as
        metadata of the fields.

    Raises
    ------
    InvalidArgumentError
        The type has a field of its own named ``timestamp_ns``.
    """
    struct = cls.arrow_struct()
    if struct.get_field_index(TIMESTAMP_COLUMN) >= 0:
        raise InvalidArgumentError(
            f'{cls.__name__} has a field {TIMESTAMP_COLUMN!r}, the name of the record time',
            remedy='Rename the field.',
        )
    return pa.schema([pa.field(TIMESTAMP_COLUMN, pa.int64(), nullable=False), *struct])


def encode(cls: type[Serializable], messages: Sequence[Message]) -> pa.RecordBatch:
    """Turn messages of one type into columns.

    Parameters
    ----------
    cls
        The type of every payload; subclasses are accepted and lose what they add.
    messages
        In the order in which the rows shall stand.

    Returns
    -------
    pyarrow.RecordBatch
        One row per message, of the schema :func:`writer_schema`.

    Raises
    ------
    InvalidArgumentError
        A payload is of another type, or a field was assigned a value that its Arrow type cannot
        hold; field, expected and actual value are named.
    """
    rows = Rows(cls)
    rows.add(messages)
    return rows.encode()


class Rows:
    """Messages of one type whose values wait to become columns.

    The messages themselves can be forgotten as soon as they were added.

    Parameters
    ----------
    cls
        As for :func:`encode`.

    """

    def __init__(self, cls: type[Serializable]) -> None:
        self._schema = writer_schema(cls)
        self._name = cls.__name__
        self._encoder = _payload_encoder(cls)
        #: Times of the messages.
        self.stamps: list[int] = []
        self._payloads = self._encoder.empty()

    def __len__(self) -> int:
        return len(self.stamps)

    def add(self, messages: Sequence[Message]) -> None:
        """Add all of some messages, or none of them if one has a wrong type somewhere."""
        envelopes = [message.__dict__ for message in messages]
        stamps = [envelope[TIMESTAMP_COLUMN] for envelope in envelopes]
        payloads = self._payloads
        try:
            self._encoder.gather([envelope['data'] for envelope in envelopes], payloads)
            if payloads.nulls or payloads.blanks:
                raise wrong_value('Message.data', self._name, None)
        except BaseException:
            self._payloads = payloads.part(0, len(self))
            raise
        self.stamps += stamps

    def encode(self, start: int = 0, stop: int | None = None) -> pa.RecordBatch:
        """Return the rows from `start` to before `stop` as columns; errors as of `encode`."""
        stamps, payloads = self.stamps, self._payloads
        stop = len(stamps) if stop is None else stop
        if stop - start < len(stamps):
            stamps, payloads = stamps[start:stop], payloads.part(start, stop)
        columns = [_encode_stamps(stamps), *self._encoder.arrays(payloads)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def decode(cls: type[Serializable], batch: pa.RecordBatch) -> list[Message]:
    """Turn rows into messages, without validating what was validated when it was written.

    Parameters
    ----------
    cls
        The type of the topic.
    batch
        Rows with at least ``timestamp_ns`` and the fields of the type; further columns are
        ignored. A nullable struct whose members are all null is read as None.

    Raises
    ------
    InvalidArgumentError
        A column is missing.
    """
    names = [TIMESTAMP_COLUMN, *(field.name for field in cls.arrow_struct())]
    indices = [batch.schema.get_field_index(name) for name in names]
    if -1 in indices:
        raise InvalidArgumentError(
            f'The rows have no column {names[indices.index(-1)]!r}, which {cls.__name__} needs',
            remedy='Find the class for these rows with resolve_ontology_class(tag, schema).',
        )
    stamps, *columns = (batch.column(index) for index in indices)
    rows = batch.num_rows
    with _collector_at_rest():
        payloads = _payload_decoder(cls)(columns, rows)
        return _build_messages([payloads, stamps.to_numpy().tolist()], rows)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from walking the heap while many objects are made and none dies.

    A batch of messages would otherwise set it off dozens of times, and now and then for the whole
    heap of the process.
    """
    active = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if active:
            gc.enable()


@cache
def _payload_encoder(cls: type[Serializable]) -> StructEncoder:
    kind = _RawEncoder if issubclass(cls, Unmodeled) else StructEncoder
    return kind(cls, cls.arrow_struct(), cls.__name__)


class _RawEncoder(StructEncoder):
    """Of generated classes, which keep their values in a dictionary."""

    def _values(self, objects: list[Any]) -> Iterable[list[Any]]:
        rows = [payload.raw_data for payload in objects]
        return ([row.get(name) for row in rows] for name in self._names)


@cache
def _payload_decoder(
    cls: type[Serializable],
) -> Callable[[list[pa.Array], int], list[Any]]:
    raw = issubclass(cls, Unmodeled)
    struct = cls.arrow_struct()
    decoders = member_decoders(None if raw else cls, struct)
    build = builder(None if raw else cls, [field.name for field in struct])
    wrap = builder(cls, ['raw_data']) if raw else None

    def decode_columns(columns: list[pa.Array], rows: int) -> list[Any]:
        values = [
            decode_values(column)[0]
            for decode_values, column in zip(decoders, columns, strict=True)
        ]
        payloads = build(values, rows)
        return wrap([payloads], rows) if wrap is not None else payloads

    return decode_columns
