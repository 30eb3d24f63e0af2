"""Writing one topic."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

from mosaico_ros.client.enums import TopicLevelErrorPolicy, TopicWriterStatus
from mosaico_ros.client.handlers.row_buffer import RowBuffer
from mosaico_ros.client.handlers.table_input import TableInput, TableLike
from mosaico_ros.client.handlers.upload import Upload
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.client.progress import Meter
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError

if TYPE_CHECKING:
    from mosaico_ros.models.core import Message, Serializable

__all__ = ['TopicWriter']

logger = get_logger(__name__)

# Ignored errors beyond this many are counted and reported once, when the topic is closed: a
# notification is a call to the daemon, and a bad sensor fails at its full rate.
_NOTIFIED_ERRORS = 10


class TopicWriter:
    """Writes one topic; made by ``topic_create`` of a sequence writer.

    Messages are buffered and sent as columns, at the latest after about a second. Used as a
    context manager around the code that builds and pushes messages, it applies its error
    policy to whatever that code raises. Safe to use from several threads.

    Attributes
    ----------
    name : str
        The topic's name as it was given.

    """

    def __init__(
        self,
        name: str,
        ontology_type: type[Serializable],
        upload: Upload,
        on_error: TopicLevelErrorPolicy,
        notify: Callable[[str], None],
        meter: Meter,
    ) -> None:
        self.name = name
        self._ontology_type = ontology_type
        self._upload = upload
        self._on_error = on_error
        self._notify = notify
        self._meter = meter
        self._rows = RowBuffer(ontology_type, upload.schema)
        self._tables = TableInput(upload.schema, upload.locator)
        self._append = self._rows.append
        self._lock = threading.RLock()
        self._status = TopicWriterStatus.Active
        self._last_error: str | None = None
        self._rows_pushed = 0
        self._open = True
        self._ignored = 0
        self._late_error: Exception | None = None
        self._ended = False
        self._end_error: Exception | None = None

    @property
    def status(self) -> TopicWriterStatus:
        """Where the writer stands."""
        return self._status

    @property
    def last_error(self) -> str | None:
        """Text of the last error, `None` if there was none."""
        return self._last_error

    @property
    def is_active(self) -> bool:
        """Whether messages can still be pushed."""
        return self._open and not self._ended

    @property
    def rows_pushed(self) -> int:
        """Rows accepted by :meth:`push` and :meth:`push_batch`."""
        return self._rows_pushed

    @property
    def durable_rows(self) -> int:
        """Rows that the daemon has acknowledged as durable; 0 if it does not tell."""
        return self._upload.durable_rows

    @property
    def dropped_record_count(self) -> int:
        """Rows left out because a single one exceeds the daemon's message size."""
        return self._upload.rows_dropped

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the topic: ``timestamp_ns`` (int64 ns, not null), then its fields."""
        return self._upload.schema

    def push(self, message: Message) -> None:
        """Accept one message; it is sent together with others.

        Raises
        ------
        InvalidArgumentError
            The message is not of the topic's type, or one buffered earlier does not fit the
            schema (integers out of range, lists of the wrong fixed length); the text names it.
        FailedPreconditionError
            The writer is closed.
        UnavailableError
            The daemon is gone; the text says how many rows are durable.

        """
        with self._lock:
            try:
                if type(getattr(message, 'data', None)) is not self._ontology_type:
                    raise self._wrong_type(message)
                if self._ended or self._late_error is not None or self._upload.broken:
                    self._check_open()
                self._rows_pushed += 1
                self._status = TopicWriterStatus.Active
                if self._append(message):
                    self._send_rows()
            except Exception as error:
                self._note(error)
                raise

    def push_batch(self, batch: TableLike, *, commit: bool = False) -> None:
        """Accept rows that already are columns; sent at once.

        Parameters
        ----------
        batch
            An Arrow RecordBatch, Table or RecordBatchReader; a pandas data frame; a dictionary
            of numpy arrays, lists or Arrow arrays; or whatever else exports an Arrow stream
            (polars, DuckDB). Columns are found by their names, in any order; columns that may
            be null can be left out. A struct is a struct column, a dictionary of its members,
            or columns called ``struct.member``; made of members, it is null where all of them
            are. List columns take arrays of two dimensions. ``timestamp_ns`` also takes
            timestamps, naive ones as UTC.

            Numbers are converted where their value survives: integers into narrower ones that
            can hold them, whole floats into integers, and floats into narrower ones, which
            rounds. NaN of pandas is null where the column may be null; NaN elsewhere stays NaN.

            Nothing is sent of a table that has a fault. A RecordBatchReader is sent as it is
            read, so that it may be longer than the memory.
        commit
            Have everything up to the end of it made durable now, as :meth:`commit` does.

        Raises
        ------
        InvalidArgumentError
            A column is missing, unknown, of another type, or holds values or nulls that the
            schema does not allow; the text names it.
        FailedPreconditionError
            The writer is closed.
        UnavailableError
            The daemon is gone; the text says how many rows are durable.

        """
        with self._noting():
            self._check_open()
            parts: Iterable[pa.RecordBatch] = self._tables.batches(batch)
            last = None
            if not isinstance(batch, pa.RecordBatchReader):
                parts = list(parts)
                # The last rows and the wish are one message.
                last = parts.pop() if commit and parts else None
            self._send_rows()
            for part in parts:
                self._rows_pushed += part.num_rows
                self._send(part)
            if last is not None:
                self._rows_pushed += last.num_rows
                self._send(last, commit=True)
            elif commit:
                self._upload.ask_commit()

    def flush(self) -> None:
        """Send what is buffered. The daemon has it then, but perhaps not yet on disk.

        Raises
        ------
        InvalidArgumentError
            A buffered message does not fit the schema.
        UnavailableError
            The daemon is gone.

        """
        with self._noting():
            self._check_open()
            self._send_rows()

    def commit(self, wait: bool = False, timeout: float | None = None) -> None:
        """Make everything pushed so far durable now.

        Parameters
        ----------
        wait
            Return only when the daemon has acknowledged it.
        timeout
            Seconds to wait at most; for ever by default.

        Raises
        ------
        UnimplementedError
            `wait` is set and the daemon does not acknowledge rows.
        DeadlineExceededError
            `timeout` has passed.
        UnavailableError
            The daemon is gone.

        """
        with self._noting():
            self._check_open()
            self._send_rows(commit=True)
            rows = self._upload.rows_sent
        if wait:
            # Without the lock: other threads go on pushing meanwhile.
            self._upload.wait_durable(rows, timeout)
            if self._upload.durable_rows < rows:
                with self._noting():
                    self._upload.check()

    def close(self) -> None:
        """Send what is buffered, and wait until the daemon has stored and locked the topic.

        Calling it again does nothing; the session's block calls it for every topic.

        Raises
        ------
        InvalidArgumentError
            A buffered message does not fit the schema; the others are stored.
        MosaicoError
            The daemon refused or lost the upload.

        """
        with self._lock:
            if not self._open:
                return
            self.end()
            self._open = False
            failure = self._end_error
            try:
                self._upload.finish()
            except Exception as error:
                failure = error
            if failure is not None:
                self._note(failure, TopicWriterStatus.FinalizedWithError)
                raise failure
            self._status = TopicWriterStatus.Finalized

    def end(self) -> None:
        """Send what is buffered and mark the end, without waiting for the daemon.

        Failures are kept for :meth:`close`. A session ends all its topics before it waits for
        any, so that the daemon completes them side by side.
        """
        with self._lock:
            if not self._open or self._ended:
                return
            self._ended = True
            self._end_error = self._take_late_error()
            try:
                self._send_rows()
            except Exception as error:
                self._end_error = self._end_error or error
            if self._ignored > _NOTIFIED_ERRORS:
                more = self._ignored - _NOTIFIED_ERRORS
                self._notify(f'{more} more errors were ignored; the last: {self._last_error}')
            try:
                self._upload.end()
            except Exception as error:
                self._end_error = error

    def close_after(self, error: BaseException, *, keep_rows: bool = True) -> None:
        """Close because something failed; the rows accepted before are stored.

        Parameters
        ----------
        error
            The failure; notified on the topic.
        keep_rows
            `False` gives the upload up, for a session that is going to be deleted.

        """
        with self._lock:
            if not self._open:
                return
            self._last_error = str(error)
            self._notify(str(error))
            try:
                if keep_rows:
                    self._late_error = None  # this failure is told instead
                    self.end()
                    if isinstance(self._end_error, InvalidArgumentError):
                        self._notify(str(self._end_error))
                    self._upload.finish()
                else:
                    self._upload.abandon()
            finally:
                self._open, self._ended = False, True
                self._status = TopicWriterStatus.FinalizedWithError

    def flush_from_clock(self) -> None:
        """Send what has waited long enough; called by the client's clock."""
        # A push under way sends by itself soon; waiting for it would stop the other topics' clock.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.is_active and self._late_error is None and len(self._rows):
                self._send_rows()
        except Exception as error:
            self._late_error = error  # raised by the next call of the user's thread
        finally:
            self._lock.release()

    def __enter__(self) -> TopicWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        # An interrupt is no failure of the topic; only the session's block deals with it.
        if error is None or not isinstance(error, Exception):
            return False
        with self._lock:
            self._last_error = str(error)
            if self._on_error is TopicLevelErrorPolicy.Raise or not self._open:
                self._status = TopicWriterStatus.RaisedException
                return False
            logger.warning('Topic %s: %s', self.name, error)
            if self._on_error is TopicLevelErrorPolicy.Finalize:
                try:
                    self.close_after(error)
                except Exception as broken:
                    logger.error('Topic %s could not be closed: %s', self.name, broken)
                return True
            self._ignored += 1
            if self._ignored <= _NOTIFIED_ERRORS:
                self._notify(str(error))
            self._status = TopicWriterStatus.IgnoredLastError
            return True

    def _check_open(self) -> None:
        if not self.is_active:
            raise FailedPreconditionError(
                f'The writer of topic {self._upload.locator} is closed',
                remedy='Test is_active before pushing, or create another topic.',
            )
        late = self._take_late_error()
        if late is not None:
            raise late
        self._upload.check()

    def _take_late_error(self) -> Exception | None:
        late, self._late_error = self._late_error, None
        return late

    def _send_rows(self, *, commit: bool = False) -> None:
        refused: InvalidArgumentError | None = None
        batches, refused = self._rows.take()
        for index, batch in enumerate(batches):
            self._send(batch, commit=commit and index == len(batches) - 1)
        if commit and not batches:
            self._upload.ask_commit()
        if refused is not None:
            raise refused

    def _send(self, batch: pa.RecordBatch, *, commit: bool = False) -> None:
        dropped = self._upload.send(batch, commit=commit)
        self._meter.advance(batch.num_rows)
        if dropped:
            text = (
                f'{dropped} record(s) of {self._upload.locator} exceed the '
                f'{self._upload.largest_row} bytes that the daemon accepts in one message'
            )
            logger.warning('%s; left out', text)
            self._last_error = text
            self._status = TopicWriterStatus.RecordTooLarge
            self._notify(text)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Hold the lock, and remember what goes wrong meanwhile."""
        with self._lock:
            try:
                yield
            except Exception as error:
                self._note(error)
                raise

    def _note(
        self, error: Exception, status: TopicWriterStatus = TopicWriterStatus.RaisedException
    ) -> None:
        self._last_error = str(error)
        self._status = status

    def _wrong_type(self, message: object) -> InvalidArgumentError:
        data = getattr(message, 'data', message)  # a bare model is the likely mistake
        return InvalidArgumentError(
            f'Topic {self._upload.locator} holds {self._ontology_type.__name__}, '
            f'not {type(data).__name__}',
            remedy=f'Push Message(timestamp_ns=..., data={self._ontology_type.__name__}(...)).',
        )
