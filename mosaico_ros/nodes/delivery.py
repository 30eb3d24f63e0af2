"""The recorder's way into the archive: from the spool to the daemon, over any outage.

Everything that talks to the daemon happens in one thread, so that a slow daemon never holds up
the taking of messages. Each sequence of a recording is a *part*. A part ends where the recording
is split, or where the connection breaks: then the daemon is asked to seal it, which says for good
how many rows of each topic it holds, and the next part goes on behind them.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.decoding import Decoders, together
from mosaico_ros.nodes.heap import give_back
from mosaico_ros.nodes.parts import part_name, seal
from mosaico_ros.nodes.spool import Part, Position, Spool, SpooledTopic
from mosaico_ros.nodes.spool_log import Piece, Record
from mosaico_ros.nodes.topic_delivery import TopicDelivery
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    CancelledError,
    DeadlineExceededError,
    InvalidArgumentError,
    MosaicoError,
    UnavailableError,
    UnimplementedError,
)
from mosaico_ros.protocol.server_info import EXTENSION_ACKS

if TYPE_CHECKING:
    import pyarrow as pa

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

_AWAY = (UnavailableError, DeadlineExceededError, CancelledError)
#: What the daemon would say of a topic again, however often it is asked.
_REFUSALS = (InvalidArgumentError, UnimplementedError, AlreadyExistsError)
# A topic whose upload fails so often in a row, while the daemon is there, is given up.
_STRIKES = 3
_NAME_ATTEMPTS = 100
# How often, in seconds, to look for rows that wait and for a daemon that is gone.
_LOOK_PERIOD = 1.0
_TICK = 0.2
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
_AWAY_PATIENCE = 1.0
# Records read from the disk wait for their topic's batch in memory too.
_WAITING_BYTES = 32_000_000


class Delivery(threading.Thread):
    """The thread that brings one recording into the archive.

    Parameters
    ----------
    spool
        What to deliver, and how far that is.
    connect
        Makes a client, within a moment or not at all; called in this thread.
    account
        Returns the account of a topic.
    released
        Called with the bytes of rows that need no memory any more.
    event
        Where to say what happened: ``event(text, warning=False)``.
    batch_rows, batch_size, commit_period
        Rows of a topic go to the daemon when there are so many, when they weigh so many bytes,
        or after so many seconds; then they are also asked to be made durable.
    growing
        Whether rows are still being added to the spool, until :meth:`finish`.

    Attributes
    ----------
    parts
        Names of the sequences that hold rows of the recording, as far as this process knows.
    connected
        Whether the daemon is there.
    failure
        Why it gave up, or None.
    trouble
        What went wrong last with the daemon, or None.
    delivered
        Whether the archive has everything.
    """

    def __init__(
        self,
        spool: Spool,
        connect: Callable[[], MosaicoClient],
        *,
        account: Callable[[SpooledTopic], TopicAccount],
        released: Callable[[int], None],
        event: Callable[..., None],
        batch_rows: int,
        batch_size: int,
        commit_period: float,
        growing: bool,
    ) -> None:
        super().__init__(name='delivery', daemon=True)
        self._spool = spool
        self._connect = connect
        self._account = account
        self._released = released
        self._event = event
        self._batch_rows = batch_rows
        self._batch_size = batch_size
        self._commit_period = commit_period
        self._growing = growing
        self._topics: dict[int, TopicDelivery] = {}
        self._decoders = Decoders()
        self._strikes: dict[int, int] = {}
        self._waiting_size = 0
        self._session: Any = None
        self._client: Any = None
        self._part: Part | None = spool.progress.part
        self._next_split = self._part.splits if self._part else 0
        self._told_away: type[MosaicoError] | None = None
        self._behind = False
        self._deadline = float('inf')
        self._finishing = threading.Event()
        if not growing:
            self._finishing.set()
        self.parts: list[str] = []
        self.ready = threading.Event()
        self.connected = False
        self.failure: BaseException | None = None
        self.trouble: MosaicoError | None = None
        self.delivered = False

    @property
    def recording_name(self) -> str:
        """Name of the recording, which is that of its first part."""
        return self._spool.progress.name or self._spool.recording.name

    def finish(self, patience: float) -> None:
        """Ask to deliver what the spool holds, for at most `patience` seconds, and to end.

        A daemon that is away is not waited for.
        """
        if not self.connected:
            patience = min(patience, _AWAY_PATIENCE)
        self._deadline = time.monotonic() + patience
        self._finishing.set()

    def run(self) -> None:
        """Deliver until everything is, or until the time after :meth:`finish` is over."""
        pause = _FIRST_PAUSE
        while True:
            acknowledged = self._rows_stored()
            try:
                with self._connect() as client:
                    self._deliver_to(client)
                return
            except MosaicoError as error:
                self.trouble = error
                if not self.ready.is_set() and not isinstance(error, _AWAY):
                    self.failure = error
                    return
                self._lost(error)
            except Exception as error:
                self.failure = error
                return
            finally:
                self.connected = False
                self._client = self._session = None
                self.ready.set()
            if self._finishing.is_set() and time.monotonic() >= self._deadline:
                return
            if self._rows_stored() > acknowledged:
                pause = _FIRST_PAUSE
            (time.sleep if self._finishing.is_set() else self._finishing.wait)(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _deliver_to(self, client: MosaicoClient) -> None:
        self._client = client
        part = self._part
        if part is not None and not part.closed:
            self._resume(client, part)
        self.connected = True
        if self._told_away is not None:
            self._told_away = None
            self._event('the daemon is there; delivering what was kept here meanwhile')
        if self._growing and self._part is None:
            self._open_part()
        self.ready.set()
        self._deliver(client)
        self._push(self._topics.values())
        self._close_part()
        self.delivered = self._complete()
        self._spool.acknowledge(self._positions())

    def _deliver(self, client: MosaicoClient) -> None:
        """Deliver until the log is at its end, or time is up."""
        next_look = time.monotonic() + _LOOK_PERIOD
        spoke = False
        while True:
            finishing = self._finishing.is_set()
            now = time.monotonic()
            if now >= self._deadline:
                return
            if now >= next_look:
                # A dead daemon shows on the next word to it; with nothing to push, ask.
                if not (self._send_due(now) or spoke):
                    client.info()
                spoke = False
                next_look = now + _LOOK_PERIOD
                self._spool.acknowledge(self._positions())
            record = self._spool.log.next(0.0 if finishing else min(_TICK, next_look - now))
            if record is None:
                if finishing:
                    return
                if self._behind:
                    # What an outage needed of memory is not needed any more.
                    self._behind = False
                    give_back()
                continue
            if record.split:
                self._split(record.split)
            for piece in record.pieces():
                self._take(piece, now)
            spoke |= self._send_full(record, now)

    def _take(self, piece: Piece, now: float) -> None:
        topic = self._topic(piece.share.topic)
        if topic.account.problem:
            topic.pass_over(piece.share.first + piece.share.rows)
            self._release([piece])
            return
        before = topic.waiting_size
        topic.take(piece, now)
        self._waiting_size += topic.waiting_size - before

    def _send_full(self, record: Record, now: float) -> bool:
        """Push what has become much by a record; tell whether there was any."""
        topics = [self._topics[share.topic] for share in record.shares]
        full = [
            topic
            for topic in topics
            if topic.waiting_rows >= self._batch_rows or topic.waiting_size >= self._batch_size
        ]
        self._push(full, now)
        if self._waiting_size > _WAITING_BYTES:
            self._push(self._topics.values())
            return True
        return bool(full)

    def _send_due(self, now: float) -> bool:
        """Push and commit what has waited long enough; tell whether there was any."""
        topics = list(self._topics.values())
        due = [topic for topic in topics if self._overdue(topic.since, now)]
        sent = self._push(due, now)
        for topic in topics:
            if self._overdue(topic.uncommitted_since, now):
                self._try(topic, topic.commit)
                sent = True
            if topic.acknowledge():
                self._strikes.pop(topic.topic.number, None)
        return sent

    def _overdue(self, since: float | None, now: float) -> bool:
        return since is not None and now - since >= self._commit_period

    def _push(self, topics: Iterable[TopicDelivery], now: float = float('-inf')) -> bool:
        """Push what waits of topics; tell whether there was any.

        Of those that have waited long enough by `now` everything is to be made durable.
        """
        waiting = [topic for topic in topics if topic.waiting_rows]
        for topic, decoded in together(waiting):
            self._waiting_size -= topic.waiting_size
            part = self._open_part()
            since = topic.since if topic.uncommitted_since is None else topic.uncommitted_since
            push = partial(topic.push, self._open_writer, part.largest_row, decoded)
            self._try(topic, partial(push, commit=self._overdue(since, now)))
            if part.number > 1:
                self._repeat_latched()
        return bool(waiting)

    def _repeat_latched(self) -> None:
        """Have the latched messages of before in a part also of topics that say nothing new."""
        if not any(topic.writer for topic in self._topics.values()):
            return  # nothing is new yet, and nothing may ever be
        for number in sorted(self._spool.latched.topics):
            topic = self._topic(number)
            if topic.between_parts and not topic.account.problem:
                self._try(topic, partial(topic.open, self._open_writer))

    def _try(self, topic: TopicDelivery, step: Callable[[], object]) -> None:
        """Do something with a topic's stream; a refusal ends this topic, not the recording."""
        try:
            step()
        except _AWAY:
            raise
        except MosaicoError as error:
            number = topic.topic.number
            strikes = self._strikes[number] = self._strikes.get(number, 0) + 1
            if strikes < _STRIKES and not isinstance(error, _REFUSALS):
                raise  # what became of its session tells the daemon when it is sealed
            topic.refuse(str(error))
            self._event(f'{topic.topic.name} is not recorded: {error}', warning=True)

    def _open_writer(self, topic: TopicDelivery) -> tuple[Any, pa.RecordBatch | None]:
        known = topic.topic
        if not known.definition:
            # So that the rows can be delivered even if the package is gone by then.
            topic.topic = replace(known, definition=topic.decoder.definition.text)
            self._spool.add_topic(topic.topic)
        writer = self._session.topic_create(
            topic.topic.name,
            topic.metadata(),
            topic.decoder.ontology_type,
            schema=topic.decoder.schema,
        )
        part = self._part
        assert part is not None
        latched = topic.latched_before(part.largest_row) if part.number > 1 else None
        if latched is not None and latched.num_rows:
            topic.repeat(latched.num_rows)
            # On the disk before a row is durable: whoever goes on has to know what it counts.
            self._spool.open_part(part, self._positions())
            return writer, latched
        return writer, None

    # -- parts -------------------------------------------------------------------------------

    def _open_part(self) -> Part:
        """Return the part that is being written; begins the next one if there is none."""
        part = self._part
        if self._session is not None and part is not None:
            return part
        recording = self._spool.recording
        number = 1 if part is None else part.number + (1 if part.closed else 0)
        metadata = {**recording.metadata, 'recording_id': recording.id, 'part': number}
        wanted = part_name(self.recording_name, number)
        if part is not None and not part.closed:
            wanted = part.sequence  # it is empty, and used on
        for attempt in range(1, _NAME_ATTEMPTS + 1):
            name = wanted if attempt == 1 else f'{wanted}_{attempt}'
            token = str(uuid.uuid5(uuid.NAMESPACE_URL, f'mosaico:{recording.id}/{number}/{name}'))
            session = self._client.sequence_create(name, metadata, token=token)
            try:
                session.__enter__()
            except AlreadyExistsError:
                continue
            break
        else:
            raise AlreadyExistsError(
                f'the sequences {wanted} to {wanted}_{_NAME_ATTEMPTS} exist already',
                remedy='choose another name, or put {date} and {time} into it',
            )
        self._session = session
        server = self._client.info()
        if EXTENSION_ACKS not in server.extensions and number == 1:
            self._event(
                'this daemon does not say which rows are durable: they stay in the spool until '
                'their part ends, and may be stored twice after an outage; set rotate_sec',
                warning=True,
            )
        opened = Part(
            number,
            name,
            session.session_uuid,
            self._next_split,
            server.config.grpc_max_decode_message_size * 9 // 10,
        )
        self._spool.open_part(opened, self._positions())
        self._part = opened
        if number > 1 or not self._growing:
            self._event(f'recording into {name}')
        return opened

    def _close_part(self) -> None:
        """Complete the present part: every row pushed is durable afterwards."""
        part = self._part
        if part is None or part.closed:
            return
        writers = [topic.writer for topic in self._topics.values() if topic.writer is not None]
        for writer in writers:
            writer.end()
        for writer in writers:
            writer.close()
        if writers:
            self._note_accounts()
            self._session.__exit__(None, None, None)
            self.parts.append(part.sequence)
        else:
            # The daemon finalizes no session without topics; better no sequence at all than one
            # that looks interrupted.
            with contextlib.suppress(MosaicoError):
                self._client.sequence_delete(part.sequence)
        for topic in self._topics.values():
            topic.end_part()
        self._session = None
        self._part = replace(part, closed=True)
        self._spool.open_part(self._part, self._positions())

    def _note_accounts(self) -> None:
        """Store with part and topics what became of every message so far."""
        written = [topic for topic in self._topics.values() if topic.writer is not None]
        for topic in written:
            topic.acknowledge_all()
        last = self._finishing.is_set() and self._complete()
        notes = {
            topic.topic.name: {'account': topic.account.note(whole=self._growing)}
            for topic in written
        }
        try:
            self._session.annotate({'last_part': True} if last else {}, notes)
        except _AWAY:
            raise
        except MosaicoError as error:
            self._event(f'the account of {self.recording_name} is not stored: {error}')

    def _split(self, number: int) -> None:
        if number <= self._next_split:
            return
        self._push(self._topics.values())
        self._next_split = number
        if any(topic.writer for topic in self._topics.values()):
            self._close_part()

    def _resume(self, client: MosaicoClient, part: Part) -> None:
        """Learn what is durable of a part that broke off, and begin behind it."""
        self._behind = True
        rows, finalized = seal(client, part, self._spool.recording.id)
        for number in list(self._spool.topics):
            topic = self._topic(number)
            topic.resume(rows.get(topic.topic.name.strip('/'), 0))
        self._waiting_size = 0
        self._released(self._spool.log.rewind())
        if finalized:
            if part.sequence not in self.parts:
                self.parts.append(part.sequence)
            self._part = replace(part, closed=True, splits=self._next_split)
            self._spool.open_part(self._part, self._positions())

    # -- small things ------------------------------------------------------------------------

    def _topic(self, number: int) -> TopicDelivery:
        topic = self._topics.get(number)
        if topic is None:
            spooled = self._spool.topics[number]
            position = self._spool.progress.position(number)
            topic = self._topics[number] = TopicDelivery(
                spooled,
                self._account(spooled),
                position,
                self._decoders,
                self._release,
                self._spool.latched,
            )
        return topic

    def _release(self, pieces: Sequence[Piece]) -> None:
        self._released(self._spool.log.release(pieces))

    def _positions(self) -> dict[int, Position]:
        return {number: topic.position for number, topic in self._topics.items()}

    def _rows_stored(self) -> int:
        return sum(topic.account.stored for topic in self._topics.values())

    def _complete(self) -> bool:
        ends = self._spool.log.ends()
        return all(self._topic(number).position.row >= end for number, end in ends.items())

    def _lost(self, error: MosaicoError) -> None:
        # Again, when something else is wrong: a daemon that has come may refuse the key.
        if self._told_away is not type(error):
            self._told_away = type(error)
            self._event(
                f'no way to the daemon, what is captured is kept in {self._spool.folder}: {error}',
                warning=True,
            )
