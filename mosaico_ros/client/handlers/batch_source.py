"""The rows of one topic as they arrive: one batch in hand, one on its way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError as FutureCancelledError, Future

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.comm.translation import translate
from mosaico_ros.protocol.errors import FailedPreconditionError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.projection import narrowed, narrowed_schema

__all__ = ['BatchSource']


class BatchSource:
    """Reads a ticket's batches, always one ahead, so that memory stays at two batches.

    Parameters
    ----------
    connection
        The client's connection.
    locator
        The topic, for error texts.
    ticket
        What to read.
    columns
        What to keep of each row, whether or not the daemon narrows them; all by default.

    """

    def __init__(
        self,
        connection: Connection,
        locator: TopicLocator,
        ticket: flight.Ticket,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._connection = connection
        self._locator = locator
        self._ticket = ticket
        self._columns = columns
        self._reader: flight.FlightStreamReader | None = None
        self._schema: pa.Schema | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._coming: Future[pa.RecordBatch | None] | None = connection.read_ahead.submit(
            self._read
        )

    def schema(self) -> pa.Schema:
        """Return the schema of the batches; waits for the stream's first answer."""
        if self._schema is None and self._coming is not None:
            self._result(self._coming)
        if self._schema is None:
            raise self._closed_error()
        return self._schema

    def next(self) -> pa.RecordBatch | None:
        """Return the next batch, which has at least one row; `None` at the end.

        Raises
        ------
        MosaicoError
            The daemon refused or broke off the stream.

        """
        if self._coming is None:
            if self._closed:
                raise self._closed_error()
            return None
        coming, self._coming = self._coming, None
        try:
            batch = self._result(coming)
        except Exception:
            self._coming = coming  # a second call tells the same
            raise
        if batch is not None:
            self._coming = self._connection.read_ahead.submit(self._read)
        return batch

    def close(self) -> None:
        """Cancel the stream."""
        with self._lock:
            self._closed = True
            reader = self._reader
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None
        if reader is not None:
            reader.cancel()

    def _result(self, coming: Future[pa.RecordBatch | None]) -> pa.RecordBatch | None:
        try:
            return coming.result()
        except FutureCancelledError:
            raise self._closed_error() from None

    def _read(self) -> pa.RecordBatch | None:
        try:
            if self._reader is None:
                reader = self._connection.open_get(self._ticket)
                with self._lock:
                    self._reader = reader
                    if self._closed:
                        reader.cancel()
                        return None
                # Schema metadata speaks of the catalog (tag, format); handlers tell it.
                schema = reader.schema.remove_metadata()
                if self._columns is not None:
                    schema = narrowed_schema(schema, self._columns)
                self._schema = schema
            assert self._reader is not None
            assert self._schema is not None
            while True:
                batch = self._reader.read_chunk().data
                if batch is not None and batch.num_rows:
                    return narrowed(batch, self._schema)
        except StopIteration:
            return None
        except (pa.ArrowException, OSError) as error:
            raise translate(error, f'Reading {self._locator}') from error

    def _closed_error(self) -> FailedPreconditionError:
        return FailedPreconditionError(
            f'The streamer of {self._locator} is closed', remedy='Make a new one.'
        )
