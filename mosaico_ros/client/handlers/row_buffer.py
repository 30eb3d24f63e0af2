"""Messages on their way to becoming columns."""

from __future__ import annotations

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
        self._ontology_type = ontology_type
        self._schema = schema
        self._messages: list[Message] = []
        self._limit = _FIRST_ROWS

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Message) -> bool:
        """Take a message; `True` if the buffer is worth sending."""
        self._messages.append(message)
        return len(self._messages) >= self._limit

    def take(self) -> tuple[list[pa.RecordBatch], InvalidArgumentError | None]:
        """Empty the buffer.

        Returns
        -------
        batches
            The messages as columns, usually one batch.
        refused
            Describes the messages that do not fit the schema and are left out, if there are any.

        """
        messages, self._messages = self._messages, []
        if not messages:
            return [], None
        refused: list[tuple[Message, Exception]] = []
        batches = self._encode(messages, refused)
        if batches:
            rows = sum(batch.num_rows for batch in batches)
            row_bytes = sum(batch.nbytes for batch in batches) / rows
            wanted = max(1, min(_TARGET_ROWS, int(_TARGET_BYTES / max(row_bytes, 1))))
            self._limit = min(wanted, self._limit * _GROWTH)
        if not refused:
            return batches, None
        first, cause = refused[0]
        error = InvalidArgumentError(
            f'{len(refused)} of {len(messages)} messages do not fit the schema of '
            f'{self._ontology_type.__name__}; the first, at timestamp_ns={first.timestamp_ns}: '
            f'{cause}',
            remedy='The others were sent.',
        )
        error.__cause__ = cause
        return batches, error

    def _encode(
        self, messages: list[Message], refused: list[tuple[Message, Exception]]
    ) -> list[pa.RecordBatch]:
        from mosaico_ros.models.core import columns

        try:
            batch = columns.encode(self._ontology_type, messages)
        except (ValueError, TypeError, OverflowError, KeyError, AttributeError) as error:
            # Arrow refuses a batch as a whole. Halving finds the rows that do not fit.
            if len(messages) == 1:
                refused.append((messages[0], error))
                return []
            half = len(messages) // 2
            return self._encode(messages[:half], refused) + self._encode(messages[half:], refused)
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
