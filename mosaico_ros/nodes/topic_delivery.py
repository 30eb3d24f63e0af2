"""One topic on its way from the spool into the archive: decode, push, and note what is durable."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.decoding import Decoded, Decoders, decode
from mosaico_ros.nodes.latched_file import LatchedFile, latched_rows
from mosaico_ros.nodes.parcel import payloads
from mosaico_ros.nodes.spool import Position, SpooledTopic
from mosaico_ros.nodes.spool_log import Piece
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

# A decoded row weighs at most so many times its payload.
_SWELLING = 8


#: Begins a topic in the present part; returns its writer, and what to send before anything else.
OpenWriter = Callable[['TopicDelivery'], 'tuple[Any, pa.RecordBatch | None]']


@dataclass(frozen=True)
class _Pushed:
    """Rows of the log that were decoded together; `stored` rows of the sequence go up to them."""

    row: int
    stored: int
    malformed: int
    too_large: int
    damaged: int
    latched: pa.RecordBatch | None = None


class TopicDelivery:
    """The way of one topic, over all parts of its recording.

    Parameters
    ----------
    topic
        As the spool has it.
    account
        Where to note what became of the messages.
    position
        Where to go on.
    decoders
        Of the recording's topics.
    released
        Called with what is not needed in memory any more, always of one topic.
    latched
        Where to note the latched messages in front of `position`.

    Attributes
    ----------
    position
        Up to here everything is durable.
    waiting_size, waiting_rows
        Bytes and rows taken from the log and not yet pushed.
    since
        ``time.monotonic()`` when the oldest of them was taken.
    uncommitted_since
        The same of the oldest row pushed that the daemon was not asked to make durable; None if
        there is none.
    """

    def __init__(
        self,
        topic: SpooledTopic,
        account: TopicAccount,
        position: Position,
        decoders: Decoders,
        released: Callable[[Sequence[Piece]], None],
        latched: LatchedFile,
    ) -> None:
        self.topic = topic
        self.account = account
        self.position = position
        self.writer: Any = None
        self.waiting_rows = self.waiting_size = 0
        self.since = 0.0
        self.uncommitted_since: float | None = None
        self._decoders = decoders
        self._released = released
        self._latched = latched
        self._waiting: list[Piece] = []
        self._pushed: deque[_Pushed] = deque()
        self._next_row = position.row
        self._next_stored = position.stored
        self._base = 0  # rows in the parts before
        self._damaged = 0
        self._repeated = 0  # by this process, in the present part

    def _note(self, latched: pa.RecordBatch) -> None:
        offers = self.topic.details.get('offered_qos', ())
        depth = max((offer.get('depth', 1) for offer in offers), default=1)
        self._latched.note(self.topic.number, latched, depth)

    @property
    def between_parts(self) -> bool:
        """Whether nothing of it is in the present part, and what earlier ones have is known."""
        return self.writer is None and self._next_stored >= 0

    @cached_property
    def decoder(self) -> TopicDecoder:
        """Decoder of the topic's type, made when it is first needed.

        Raises
        ------
        InvalidArgumentError
            There is no definition of the type, or it cannot be parsed.
        """
        return self._decoders.of(self.topic)

    @property
    def waiting(self) -> list[pa.RecordBatch]:
        """What waits to be pushed."""
        return [piece.batch for piece in self._waiting]

    def metadata(self) -> dict[str, Any]:
        """Return what to note with the topic."""
        metadata = dict(self.decoder.metadata())
        return {**metadata, '_ros_': {**metadata.get('_ros_', {}), **self.topic.details}}

    def take(self, piece: Piece, now: float) -> None:
        """Take the next rows of the log; what was taken before is passed over."""
        share = piece.share
        end = share.first + share.rows
        if end <= self._next_row:
            self._released([piece])
            return
        if piece.batch is None:
            self.skip(end)
            return
        if share.first > self._next_row:
            self.skip(share.first)
        if not self._waiting:
            self.since = now
        self._waiting.append(piece)
        self.waiting_rows += share.rows
        self.waiting_size += share.size
        self._next_row = end

    def skip(self, row: int) -> None:
        """Pass over rows that are damaged on the disk; they are counted as refused."""
        self._damaged += row - self._next_row
        self._next_row = row
        if not self._waiting:
            self._note_pushed(0, 0)

    def push(
        self,
        open_writer: OpenWriter,
        largest_row: int,
        decoded: Decoded | None = None,
        *,
        commit: bool = False,
    ) -> None:
        """Send what waits, decoded already or not; with `commit` it is to be made durable.

        `open_writer` is called for the first rows of a part.
        """
        if not self._waiting:
            return
        if decoded is None:
            decoded = decode(self.decoder, pa.concat_batches(self.waiting))
        batch, too_large = _fitting(decoded.rows, decoded.captured, largest_row)
        # Those of the first rows that an earlier part has are not sent again.
        missing = batch.slice(min(max(0, -self._next_stored), batch.num_rows))
        latched = latched_rows(decoded.captured)
        if latched is not None and self._next_stored < 0:
            latched = self._leave_behind(latched, missing)
        if missing.num_rows:
            if self.writer is None:
                self.open(open_writer)
            self.writer.push_batch(missing, commit=commit)
            self.account.sent += missing.num_rows
            if commit:
                self.uncommitted_since = None
            elif self.uncommitted_since is None:
                self.uncommitted_since = self.since
        self._next_stored += batch.num_rows
        self._note_pushed(decoded.malformed, too_large, latched)
        self._forget_waiting()

    def open(self, open_writer: OpenWriter) -> None:
        """Begin the topic in the present part."""
        self.writer, latched = open_writer(self)
        if latched is not None:
            self.writer.push_batch(latched)
            self.account.sent += latched.num_rows
            # At once: what follows is of little use without it, should this part break off too.
            self.writer.commit()

    def _leave_behind(self, latched: pa.RecordBatch, missing: pa.RecordBatch) -> pa.RecordBatch:
        """Note latched messages that earlier parts have, and return the others."""
        if not missing.num_rows:
            self._note(latched)
            return latched.slice(len(latched))
        # Stamps only grow within a topic.
        earlier = pc.less(latched.column(0), missing.column(0)[0])
        self._note(latched.filter(earlier))
        return latched.filter(pc.invert(earlier))

    def latched_before(self, largest_row: int) -> pa.RecordBatch | None:
        """Decode the latched messages in front of the position, if there are any."""
        rows = self._latched.rows(self.topic.number)
        if rows is None:
            return None
        return _fitting(decode(self.decoder, rows).rows, rows, largest_row)[0]

    def repeat(self, count: int) -> None:
        """Note that so many messages of before go into the present part, ahead of others."""
        self._repeated = count
        self.account.repeated += count
        self.position = replace(self.position, repeated=count)

    def commit(self) -> None:
        """Ask the daemon to make durable what was pushed."""
        if self.uncommitted_since is not None:
            self.uncommitted_since = None
            self.writer.commit()

    def refuse(self, problem: str) -> None:
        """Give the topic up: the daemon does not take it."""
        account = self.account
        account.problem = problem
        self.acknowledge()
        if self.writer is not None:
            with contextlib.suppress(MosaicoError):
                self.writer.close_after(MosaicoError(problem))
            self.acknowledge()
        durable = self._durable - self.position.repeated
        account.refused -= max(0, durable - self.position.stored)
        self.position = replace(self.position, stored=max(durable, self.position.stored))
        self._next_stored = self.position.stored
        self._forget_waiting()
        self._pushed.clear()
        self.pass_over(self._next_row)

    def pass_over(self, row: int) -> None:
        """Let go of rows of a topic that was given up."""
        if row > self.position.row:
            self.account.refused += row - self.position.row
            self._next_row = max(row, self._next_row)
            self.position = replace(self.position, row=row)

    @property
    def _durable(self) -> int:
        return self.writer.durable_rows if self.writer is not None else 0

    def acknowledge(self, durable: int | None = None) -> bool:
        """Note what is durable in the present part; tell whether that is more than before."""
        if durable is None:
            durable = self._durable
        account = self.account
        account.stored = self._base + max(0, durable)
        before = self.position
        while self._pushed and self._pushed[0].stored <= durable - before.repeated:
            done = self._pushed.popleft()
            account.malformed += done.malformed
            account.too_large += done.too_large
            account.refused += done.damaged
            if done.latched is not None:
                self._note(done.latched)
            self.position = replace(before, row=done.row, stored=done.stored)
        return self.position != before

    def acknowledge_all(self) -> None:
        """Note that everything pushed is durable, as its upload was completed."""
        self.acknowledge(self._next_stored + self.position.repeated)

    def end_part(self) -> None:
        """Begin another part after one that was completed."""
        self.acknowledge_all()
        self._begin_part(self._next_stored + self.position.repeated)

    def resume(self, durable: int) -> None:
        """Begin another part after one that broke off with so many durable rows."""
        self.acknowledge(durable)
        self._forget_waiting()
        self._pushed.clear()
        self._damaged = 0
        self._begin_part(durable)
        self._next_row = self.position.row
        self._next_stored = self.position.stored

    def _note_pushed(
        self, malformed: int, too_large: int, latched: pa.RecordBatch | None = None
    ) -> None:
        damaged, self._damaged = self._damaged, 0
        self._pushed.append(
            _Pushed(self._next_row, self._next_stored, malformed, too_large, damaged, latched)
        )

    def _begin_part(self, durable: int) -> None:
        self._base += max(0, durable)
        self.account.stored = self._base
        self.account.repeated -= max(0, self._repeated - max(0, durable))
        self._repeated = 0
        of_the_log = max(0, durable - self.position.repeated)
        self.position = Position(self.position.row, self.position.stored - of_the_log)
        self._next_stored -= of_the_log
        self.writer = None
        self.uncommitted_since = None

    def _forget_waiting(self) -> None:
        self._released(self._waiting)
        self._waiting.clear()
        self.waiting_rows = self.waiting_size = 0


def _fitting(
    batch: pa.RecordBatch, rows: pa.RecordBatch, limit: int
) -> tuple[pa.RecordBatch, int]:
    """Leave out rows that are too large for one message; return the rest and their number."""
    largest = int(payloads(rows).lengths.max(initial=0))
    if largest * _SWELLING <= limit:
        return batch, 0
    fits = np.array(
        [
            pa.ipc.get_record_batch_size(batch.slice(row, 1)) <= limit
            for row in range(batch.num_rows)
        ],
        bool,
    )
    if fits.all():
        return batch, 0
    return batch.filter(pa.array(fits)), int((~fits).sum())
