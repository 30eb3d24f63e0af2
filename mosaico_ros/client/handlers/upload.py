"""The stream of one topic to the daemon: batches out, acknowledgements back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.client.comm.connection import Connection
from mosaico_ros.client.comm.translation import translate
from mosaico_ros.protocol import codec, shapes
from mosaico_ros.protocol.errors import (
    AbortedError,
    CancelledError,
    DeadlineExceededError,
    FailedPreconditionError,
    MosaicoError,
    UnavailableError,
    UnimplementedError,
)
from mosaico_ros.protocol.flights import PutAck, PutCommand, PutMark
from mosaico_ros.protocol.locators import TopicLocator

__all__ = ['Upload']

# The daemon counts the whole gRPC message, our estimate only the Arrow body and header.
_SAFE_SHARE = 0.9
# Larger batches gain nothing and cost memory at both ends.
_PREFERRED_BYTES = 16 * 1024 * 1024


class Upload:
    """One open DoPut stream. Not safe for several writing threads; the writer's lock guards it.

    Only :meth:`cancel` may be called from any thread, and :meth:`wait_durable`.

    Parameters
    ----------
    connection
        The client's connection.
    locator, uuid
        The topic, and the authority to write it.
    schema
        Of every batch.

    """

    def __init__(
        self, connection: Connection, locator: TopicLocator, uuid: str, schema: pa.Schema
    ) -> None:
        self.locator = locator
        self.schema = schema
        self.rows_sent = 0
        self.rows_dropped = 0
        self._acks = connection.offers('acks')
        self._limit = 16 * 1024 * 1024
        if connection.server is not None:
            self._limit = connection.server.config.grpc_max_decode_message_size
        self._limit = int(self._limit * _SAFE_SHARE)
        self._peer = str(connection.endpoint)
        command = PutCommand(locator, UUID(uuid), self._acks)
        self._writer, reader = connection.open_put(command, schema)
        # gRPC does not bear one thread that writes and another that closes.
        self._writing = threading.RLock()
        self._progress = threading.Condition()
        self._durable_rows = 0
        self._ended = False
        self._closed = False
        self._failure: MosaicoError | None = None
        self._listener: threading.Thread | None = None
        if self._acks:
            self._listener = threading.Thread(
                target=self._listen, args=(reader,), name=f'mosaico-acks {locator}', daemon=True
            )
            self._listener.start()
        try:
            connection.cancel_on_close(self)
        except MosaicoError:
            self.abandon()
            raise

    @property
    def broken(self) -> bool:
        """Whether :meth:`check` would raise."""
        return self._failure is not None or (self._ended and not self._closed)

    @property
    def largest_row(self) -> int:
        """Bytes above which a single row cannot be sent."""
        return self._limit

    @property
    def durable_rows(self) -> int:
        """Rows that the daemon has acknowledged as durable."""
        return self._durable_rows

    def send(self, batch: pa.RecordBatch, *, commit: bool = False) -> int:
        """Send a batch in slices that the daemon accepts.

        Parameters
        ----------
        batch
            Rows of :attr:`schema`.
        commit
            Ask the daemon to make everything up to here durable now.

        Returns
        -------
        int
            Rows left out because a single one exceeds the daemon's message size.

        """
        slices, dropped = self._slices(batch)
        for index, part in enumerate(slices):
            last = commit and index == len(slices) - 1
            with self._unbroken():
                if last and self._acks:
                    self._writer.write_with_metadata(part, _mark(PutMark(commit=True)))
                else:
                    self._writer.write_batch(part)
            self.rows_sent += part.num_rows
        if commit and not slices:
            self.ask_commit()
        self.rows_dropped += dropped
        return dropped

    def ask_commit(self) -> None:
        """Ask the daemon to make everything sent so far durable now."""
        with self._unbroken():
            if self._acks:
                self._writer.write_metadata(_mark(PutMark(commit=True)))

    def wait_durable(self, rows: int, timeout: float | None) -> None:
        """Wait until the daemon has acknowledged this many rows, or the stream has ended.

        Touches nothing that a writing thread uses; :meth:`check` tells which of both it was.

        Raises
        ------
        UnimplementedError
            The daemon does not acknowledge rows.
        DeadlineExceededError
            `timeout` seconds have passed.

        """
        if not self._acks:
            raise UnimplementedError(
                f'The daemon does not say which rows of {self.locator} are durable',
                remedy='Close the writer instead: the end of an upload waits for the store.',
            )
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._progress:
            while self._durable_rows < rows and not self._ended:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise DeadlineExceededError(
                        f'{self._durable_rows} of {rows} rows of {self.locator} were durable '
                        f'after {timeout} s'
                    )
                self._progress.wait(left)

    def check(self) -> None:
        """Raise if the stream has broken since the last call."""
        with self._unbroken():
            pass

    def end(self) -> None:
        """Mark the end of the upload; nothing can be sent afterwards."""
        with self._unbroken():
            if self._acks:
                self._writer.write_metadata(_mark(PutMark(end=True, rows=self.rows_sent)))
            self._closed = True
            self._writer.done_writing()

    def finish(self) -> None:
        """Wait until the daemon has stored and locked what :meth:`end` marked."""
        self.check()
        if self._listener is not None:
            self._listener.join()
        with self._unbroken():
            self._let_go()

    def abandon(self) -> None:
        """Close the stream without its end mark: the daemon does not lock the topic."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                self._writer.done_writing()
                if self._listener is not None:
                    self._listener.join()
                self._let_go()
            except (pa.ArrowException, OSError):
                pass  # the upload is given up, its status concerns nobody

    def cancel(self) -> None:
        """Give the upload up, as its client is being closed; one that was ended is waited for."""
        with self._writing:
            if not self._closed:
                self._failure = FailedPreconditionError(
                    f'The upload of {self.locator} was given up ({self._progress_text()}): its '
                    'client was closed',
                    remedy='Close the client after the block of the session.',
                )
                self.abandon()
        if self._listener is not None:
            self._listener.join()

    def _let_go(self) -> None:
        """Close the stream. It is not kept: a call, even an ended one, holds the socket open."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _listen(self, reader: flight.FlightMetadataReader) -> None:
        try:
            while True:
                answer = reader.read()
                if answer is None:
                    return
                body = codec.decode_object(answer.to_pybytes(), 'an acknowledgement')
                ack = shapes.from_json(PutAck, body, 'an acknowledgement')
                with self._progress:
                    self._durable_rows = max(self._durable_rows, ack.durable_rows)
                    self._progress.notify_all()
        except (pa.ArrowException, OSError, MosaicoError):
            return  # the status of the stream, read by check(), says why
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Do something with the stream, alone; raises what broke it, now or before."""
        with self._writing:
            if self.broken:
                raise self._break(None)
            try:
                yield
            except (pa.ArrowException, OSError) as error:
                raise self._break(error) from error

    def _progress_text(self) -> str:
        if not self._acks:
            return f'{self.rows_sent} rows were sent'
        return f'{self._durable_rows} of {self.rows_sent} rows sent were acknowledged as durable'

    def _break(self, error: BaseException | None) -> MosaicoError:
        """Return what ended the stream, with how far the upload came."""
        if self._failure is None:
            self._closed = True
            try:
                self._let_go()  # says why, where a write only says that it failed
            except (pa.ArrowException, OSError) as status:
                error = status
            cause = (
                translate(error, peer=self._peer)
                if error is not None
                else AbortedError('the daemon ended the stream early')
            )
            # Nobody on this side cancelled: the daemon was stopped in the middle of the call.
            kind = UnavailableError if isinstance(cause, CancelledError) else type(cause)
            self._failure = kind(
                f'The upload of {self.locator} broke off ({self._progress_text()}): {cause}'
            )
            self._failure.__cause__ = error
        return self._failure

    def _slices(self, batch: pa.RecordBatch) -> tuple[list[pa.RecordBatch], int]:
        """Cut a batch to messages the daemon accepts; single rows above the limit are counted."""
        if batch.num_rows == 0:
            return [], 0
        if batch.num_rows == 1 or batch.nbytes <= _PREFERRED_BYTES:
            if pa.ipc.get_record_batch_size(batch) <= self._limit:
                return [batch], 0
            if batch.num_rows == 1:
                return [], 1
        half = batch.num_rows // 2
        left, lost_left = self._slices(batch.slice(0, half))
        right, lost_right = self._slices(batch.slice(half))
        return left + right, lost_left + lost_right


def _mark(mark: PutMark) -> pa.Buffer:
    return pa.py_buffer(codec.encode(shapes.to_json(mark)))
