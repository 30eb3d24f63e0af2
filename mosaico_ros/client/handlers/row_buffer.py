"""Messages on their way to becoming columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.models.core import Message, Serializable

__all__ = ['RowBuffer']

# A batch is worth sending from about here on: smaller ones are dominated by their headers, while
# messages that wait make every run of the garbage collector longer.
_TARGET_ROWS = 1024
_TARGET_BYTES = 4 * 1024 * 1024
# Until a batch was encoded nobody knows how large a message is: an image counts millions of bytes.
# So the first batch is short, and each may be this much longer than the last.
_FIRST_ROWS = 8
_GROWTH = 8
# Few enough that their messages die young: the garbage collector looks at what has survived.
_GATHERED_ROWS = 32
_REFUSALS = (ValueError, TypeError, OverflowError, KeyError, AttributeError)


class RowBuffer:
    """Collects messages of one type and encodes them in bulk.

    Parameters
    ----------
    ontology_type
        Type of every message's data.
    schema
        The topic's schema. Columns that it has beyond the ontology's become null.

    """

    def __init__(self, ontology_type: type[Serializable], schema: pa.Schema) -> None:
        from mosaico_ros.models.core.columns import Rows

        self._ontology_type = ontology_type
        self._schema = schema
        self._messages: list[Message] = []
        self._new_rows = partial(Rows, ontology_type)
        self._rows = self._new_rows()
        self._refused: list[tuple[int, Exception]] = []
        self._limit = _FIRST_ROWS
        self._room = _FIRST_ROWS

    def __len__(self) -> int:
        return len(self._messages) + len(self._rows) + len(self._refused)

    def append(self, message: Message) -> bool:
        """Take a message; `True` if the buffer is worth sending."""
        messages = self._messages
        messages.append(message)
        if len(messages) < self._room:
            return False
        self._gather()
        return len(self) >= self._limit

    def take(self) -> tuple[list[pa.RecordBatch], InvalidArgumentError | None]:
        """Empty the buffer.

        Returns
        -------
        batches
            The messages as columns, usually one batch.
        refused
            Describes the messages that do not fit the schema and are left out, if there are any.

        """
        count = len(self)
        if not count:
            return [], None
        self._gather()
        batches = self._encode(0, len(self._rows))
        refused, self._refused = self._refused, []
        self._rows = self._new_rows()
        if batches:
            rows = sum(batch.num_rows for batch in batches)
            row_bytes = sum(batch.nbytes for batch in batches) / rows
            wanted = max(1, min(_TARGET_ROWS, int(_TARGET_BYTES / max(row_bytes, 1))))
            self._limit = min(wanted, self._limit * _GROWTH)
        self._room = min(_GATHERED_ROWS, self._limit)
        if not refused:
            return batches, None
        time_ns, cause = min(refused, key=lambda each: each[0])
        error = InvalidArgumentError(
            f'{len(refused)} of {count} messages do not fit the schema of '
            f'{self._ontology_type.__name__}; the first, at timestamp_ns={time_ns}: {cause}',
            remedy='The others were sent.',
        )
        error.__cause__ = cause
        return batches, error

    def _gather(self) -> None:
        """Take the values out of the messages, which the garbage collector need not see then."""
        messages, self._messages = self._messages, []
        try:
            self._rows.add(messages)
        except _REFUSALS:
            for message in messages:
                try:
                    self._rows.add([message])
                except _REFUSALS as error:
                    self._refused.append((message.timestamp_ns, error))
        self._room = min(_GATHERED_ROWS, max(1, self._limit - len(self)))

    def _encode(self, start: int, stop: int) -> list[pa.RecordBatch]:
        if start == stop:
            return []
        try:
            batch = self._rows.encode(start, stop)
        except _REFUSALS as error:
            # Arrow refuses a batch as a whole. Halving finds the rows that do not fit.
            if stop - start == 1:
                self._refused.append((self._rows.stamps[start], error))
                return []
            half = (start + stop) // 2
            return self._encode(start, half) + self._encode(half, stop)
        return [self._complete(batch)]

    def _complete(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.schema.equals(self._schema, check_metadata=True):
            return batch
        return pa.RecordBatch.from_arrays(
            [
                batch.column(field.name)
                if field.name in batch.schema.names
                else pa.nulls(batch.num_rows, field.type)
                for field in self._schema
            ],
            schema=self._schema,
        )
