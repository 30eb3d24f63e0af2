"""Streaming one topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence as AbstractSequence
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.enums import SerializationFormat
from mosaico_ros.client.handlers.app_metadata import TopicEntry, span, total
from mosaico_ros.client.handlers.batch_source import BatchSource
from mosaico_ros.client.handlers.table_output import to_numpy, to_pandas
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.errors import FailedPreconditionError
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN, is_sidecar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from typing_extensions import Self

    from mosaico_ros.models.core import Message, Serializable

__all__ = ['TopicDataStreamer']

# Rows decoded at a time: enough to spread the fixed cost, few enough that the first message of a
# large batch does not wait for the last.
_DECODED_ROWS = 1024


class TopicDataStreamer:
    """Rows of one topic in time order: as messages, or as columns.

    `entries` are what to read, one after the other: one, but for a recording in parts. Iterating
    yields messages; :meth:`batches`, :meth:`to_arrow`, :meth:`to_pandas` and
    :meth:`to_numpy` give what is left as columns. Not safe for several threads; only
    :meth:`close` may be called from any, and ends what another one is waiting for.
    """

    def __init__(
        self,
        connection: Connection,
        entries: AbstractSequence[TopicEntry],
        meter: Meter,
        columns: AbstractSequence[str] | None = None,
    ) -> None:
        self._connection = connection
        self._entry, *self._later = entries
        self._msg_count = total(entry.row_count for entry in entries)
        self._first, self._last = span(entries)
        self._meter = meter
        self._columns = columns
        self._source = BatchSource(connection, self._entry.locator, self._entry.ticket, columns)
        self._ontology_type: type[Serializable] | None = None
        self._batch: pa.RecordBatch | None = None
        self._decoded = 0  # rows of _batch that are in _messages already
        self._messages: list[Message] = []
        self._position = 0
        self._open = True

    @property
    def name(self) -> str:
        """Name of the topic, with a leading slash."""
        return self._entry.topic.name

    @property
    def ontology_tag(self) -> str:
        """Ontology tag of the topic."""
        return self._entry.topic.ontology_tag

    @property
    def serialization_format(self) -> SerializationFormat:
        """Storage hint of the topic."""
        return self._entry.topic.serialization_format

    @property
    def msg_count(self) -> int | None:
        """Messages inside the window; `None` if the daemon does not tell."""
        return self._msg_count

    @property
    def timestamp_ns_min(self) -> int | None:
        """First time inside the window, `None` without messages."""
        return self._first

    @property
    def timestamp_ns_max(self) -> int | None:
        """Last time inside the window (inclusive), `None` without messages."""
        return self._last

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the columns."""
        self._check_open()
        return self._source.schema()

    @property
    def ontology_type(self) -> type[Serializable]:
        """Class of the messages' data.

        The registered class of the tag if its layout is the stored one, otherwise one generated
        from the stored layout.
        """
        if self._ontology_type is None:
            from mosaico_ros.models.core import resolve_ontology_class

            fields = [
                field
                for field in self.schema
                if field.name != TIMESTAMP_COLUMN and not is_sidecar(field.metadata)
            ]
            self._ontology_type = resolve_ontology_class(
                self.ontology_tag,
                schema=pa.struct(fields),
                serialization_format=self.serialization_format,
            )
        return self._ontology_type

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        messages, position = self._messages, self._position
        if position >= len(messages):
            messages, position = self._at_hand()
            if not messages:
                raise StopIteration
        self._position = position + 1
        return messages[position]

    def next_timestamp(self) -> int | None:
        """Return the time of the next message without taking it; `None` at the end."""
        messages, position = self._at_hand()
        return messages[position].timestamp_ns if messages else None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that are left as columns, in batches as the daemon sends them."""
        self._check_open()
        left = len(self._messages) - self._position
        if self._batch is not None:
            rest = self._batch.slice(self._decoded - left)
            self._forget_batch()
            if rest.num_rows:
                yield rest
        schema = self.schema
        while (batch := self._next_batch()) is not None:
            if not batch.schema.equals(schema):
                raise FailedPreconditionError(
                    f'The columns of {self._entry.locator} are not those of the parts before it',
                    remedy='Read it as messages, or each part of the recording by itself.',
                )
            yield batch

    def to_arrow(self) -> pa.Table:
        """Return the rows that are left as one table."""
        schema = self.schema
        return pa.Table.from_batches(self.batches(), schema)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows that are left as a flat data frame; see `TopicHandler.to_pandas`."""
        return to_pandas(self.to_arrow())

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Return the rows that are left as one array per column; see `TopicHandler.to_numpy`."""
        return to_numpy(self.to_arrow())

    def close(self) -> None:
        """Cancel the stream; calling it again does nothing."""
        if self._open:
            self._open = False
            self._forget_batch()
            self._source.cancel()
            self._meter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def take_decoded(self) -> list[Message]:
        """Return the next messages, all of one decoded slice; empty at the end.

        What merging streamers work on, so that one message costs them no call.
        """
        messages, position = self._at_hand()
        self._messages, self._position = [], 0
        return messages[position:] if position else messages

    def _at_hand(self) -> tuple[list[Message], int]:
        """Return decoded messages and the place of the next one in them; empty at the end."""
        # Another thread that closes the streamer replaces the list: each is looked at once, and
        # an empty one is the end only if nothing can be decoded any more.
        messages, position = self._messages, self._position
        while position >= len(messages):
            if not self._decode_more():
                return [], 0
            messages, position = self._messages, 0
        return messages, position

    def _decode_more(self) -> bool:
        self._check_open()
        if self._columns is not None:
            raise FailedPreconditionError(
                f'The streamer of {self._entry.locator} reads some columns, messages need all',
                remedy='Use batches(), to_arrow() and their like, or stream without columns.',
            )
        batch, decoded = self._batch, self._decoded
        if batch is None or decoded >= batch.num_rows:
            self._forget_batch()
            batch, decoded = self._next_batch(), 0
            if batch is None:
                return False
        from mosaico_ros.models.core import columns

        part = batch.slice(decoded, _DECODED_ROWS)
        messages = columns.decode(self.ontology_type, part)
        self._batch, self._decoded = batch, decoded + part.num_rows
        self._messages, self._position = messages, 0
        return True

    def _next_batch(self) -> pa.RecordBatch | None:
        while (batch := self._source.next()) is None and self._later:
            self._entry = entry = self._later.pop(0)
            self._source = BatchSource(
                self._connection, entry.locator, entry.ticket, self._columns
            )
            self._ontology_type = None
            if not self._open:  # closed by another thread just now
                self._source.cancel()
        if batch is not None:
            self._meter.advance(batch.num_rows)
        return batch

    def _forget_batch(self) -> None:
        self._batch, self._decoded = None, 0
        self._messages, self._position = [], 0

    def _check_open(self) -> None:
        if not self._open:
            raise FailedPreconditionError(
                f'The streamer of {self._entry.locator} is closed', remedy='Make a new one.'
            )
