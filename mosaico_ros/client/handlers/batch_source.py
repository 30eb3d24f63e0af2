"""The rows of one topic as they arrive: one batch in hand, one on its way."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError as FutureCancelledError, Future
from dataclasses import replace

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.comm.retrying import repeat
from mosaico_ros.client.comm.translation import translated
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.protocol.errors import (
    AbortedError,
    CancelledError,
    FailedPreconditionError,
    MosaicoError,
    UnavailableError,
)
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.protocol.projection import narrowed, narrowed_schema
from mosaico_ros.protocol.server_info import EXTENSION_TICKETS
from mosaico_ros.protocol.ticket import Ticket

__all__ = ['BatchSource']

logger = get_logger(__name__)


class BatchSource:
    """Reads a ticket's batches, always one ahead, so that memory stays at two batches.

    A stream that breaks off because the daemon is away goes on after the last row received, if
    the daemon is back within the connection's `call_timeout`.

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
        self._doing = f'Reading {locator}'
        self._place = _Place(ticket, locator)
        self._resumable = connection.offers(EXTENSION_TICKETS)
        self._columns = columns
        self._reader: flight.FlightStreamReader | None = None
        self._schema: pa.Schema | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._coming: Future[pa.RecordBatch | None] | None = None
        connection.cancel_on_close(self)
        with self._lock:
            self._check_open()
            self._coming = connection.read_ahead(self._read)

    def schema(self) -> pa.Schema:
        """Return the schema of the batches; waits for the stream's first answer."""
        coming = self._coming
        if self._schema is None and coming is not None:
            self._result(coming)
        self._check_open()
        assert self._schema is not None
        return self._schema

    def next(self) -> pa.RecordBatch | None:
        """Return the next batch, which has at least one row; `None` at the end.

        Raises
        ------
        FailedPreconditionError
            The stream was cancelled, maybe by another thread and just now.
        AbortedError
            The stream broke off, and the topic does not hold what was read of it any more.
        MosaicoError
            The daemon refused the stream, or broke it off and did not come back.

        """
        coming = self._coming
        self._check_open()
        if coming is None:
            return None
        batch = self._result(coming)  # if it fails, a second call tells the same
        with self._lock:
            self._check_open()
            self._coming = None if batch is None else self._connection.read_ahead(self._read)
        return batch

    def cancel(self) -> None:
        """End the stream; may be called from any thread."""
        with self._lock:
            self._closed.set()
            # Nothing of it is kept: a call, even an ended one, holds the connection open.
            reader, self._reader = self._reader, None
            coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
        if reader is not None:
            reader.cancel()

    def _result(self, coming: Future[pa.RecordBatch | None]) -> pa.RecordBatch | None:
        try:
            return coming.result()
        except FutureCancelledError:
            raise self._closed_error() from None

    def _read(self) -> pa.RecordBatch | None:
        try:
            try:
                return self._receive()
            except UnavailableError as lost:
                if not self._resumable:
                    raise
                logger.warning('%s; going on after the last row when it is back', lost.message)
            return repeat(
                lambda left: self._receive(),
                self._connection.endpoint.call_timeout,
                self._closed.wait,
            )
        except MosaicoError as error:
            if self._closed.is_set():
                raise self._closed_error() from error
            raise

    def _receive(self) -> pa.RecordBatch | None:
        try:
            with translated(self._doing, str(self._connection.endpoint)):
                reader = self._reader or self._open()
                while True:
                    batch = reader.read_chunk().data
                    if batch is not None:
                        batch = self._place.advance(batch)
                        if batch.num_rows:
                            return narrowed(batch, self._schema)
        except StopIteration:
            self._place.end()
            return None
        except (UnavailableError, CancelledError) as error:
            self._reader = None
            if isinstance(error, CancelledError):
                # Nobody on this side cancelled, or it does not matter: the daemon was stopped.
                raise UnavailableError(error.message) from error
            raise

    def _open(self) -> flight.FlightStreamReader:
        reader = self._connection.open_get(self._place.rest(), self._doing)
        with self._lock:
            if self._closed.is_set():
                reader.cancel()
            self._check_open()
            self._reader = reader
        # Schema metadata speaks of the catalog (tag, format); handlers tell it.
        schema = reader.schema.remove_metadata()
        if self._columns is not None:
            schema = narrowed_schema(schema, self._columns)
        self._schema = schema
        return reader

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise self._closed_error()

    def _closed_error(self) -> FailedPreconditionError:
        return FailedPreconditionError(
            f'The streamer of {self._locator} is closed', remedy='Make a new one.'
        )


class _Place:
    """How far a ticket was read: up to which time, and how many rows of that time.

    A topic's rows always come in the same order, those of one time included.
    """

    def __init__(self, ticket: flight.Ticket, locator: TopicLocator) -> None:
        self._ticket = ticket
        self._locator = locator
        self._time: int | None = None
        self._rows = 0
        self._skip = 0

    def rest(self) -> flight.Ticket:
        """Return a ticket for what is left; rows of the last time that were read come again."""
        if self._time is None:
            return self._ticket
        self._skip = self._rows
        ticket = replace(Ticket.decode(self._ticket.ticket), start_ns=self._time)
        return flight.Ticket(ticket.encode())

    def advance(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count a batch that has come, and return what is new of it."""
        if not batch.num_rows:
            return batch
        times = batch.column(TIMESTAMP_COLUMN).to_numpy()
        again = min(self._skip, len(times))
        if again and times[again - 1] != self._time:
            raise self._changed()
        self._skip -= again
        last = int(times[-1])
        if last != self._time:
            self._time, self._rows = last, 0
        # Of the rows that come again none counts twice.
        self._rows += len(times) - max(again, int(times.searchsorted(last, 'left')))
        return batch.slice(again)

    def end(self) -> None:
        """Make sure that what was to come again has come."""
        if self._skip:
            raise self._changed()

    def _changed(self) -> AbortedError:
        return AbortedError(
            f'Reading {self._locator} broke off, and the topic does not hold the rows any more '
            f'that were read of it last, at timestamp_ns={self._time}',
            remedy='Read it again from the start.',
        )
