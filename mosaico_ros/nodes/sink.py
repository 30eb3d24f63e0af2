"""The recorder's way into the archive: decode to columns, push, commit, close.

Everything that talks to the daemon happens in one thread, so that a slow daemon never holds up
the taking of messages, and a dead one is noticed in one place.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.parcel import Parcel, payloads
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    CancelledError,
    DeadlineExceededError,
    MosaicoError,
    UnavailableError,
)
from mosaico_ros.ros_bridge.provenance import PROVENANCE
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

_CONNECTION_LOST = (UnavailableError, DeadlineExceededError, CancelledError)
_NAME_ATTEMPTS = 100
# How often, in seconds, to look for rows that wait and for a daemon that is gone.
_LOOK_PERIOD = 1.0


@dataclass
class _Channel:
    account: TopicAccount
    decoder: TopicDecoder
    writer: Any
    committed: int = 0
    uncommitted_since: float = 0.0

    def decode(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows as the topic's columns, where they came from beside them."""
        stamps, *provenance = rows.columns[:-1]
        return self.decoder.decode(stamps.to_numpy(), payloads(rows), provenance)


class ArchiveSink(threading.Thread):
    """The thread that writes one recording.

    Parameters
    ----------
    connect
        Makes the client; called in this thread, which also closes it.
    name
        Sequence to create. If it exists, ``_2``, ``_3``, ... is appended.
    metadata
        User metadata of the sequence.
    topic_metadata
        Returns what is known of a topic beyond its decoder (offered QoS, type hash), when its
        first message arrives; merged into the topic's ``_ros_`` metadata.
    released
        Called with a parcel's size in bytes once its memory is free again.
    commit_period
        Seconds after which at the latest a row is asked to be made durable.

    Attributes
    ----------
    sequence_name
        The sequence written, once `ready` is set.
    failure
        Why the sink gave up, or None.
    empty
        True if nothing came, so that the sequence was removed again.
    """

    def __init__(
        self,
        connect: Callable[[], MosaicoClient],
        name: str,
        metadata: Mapping[str, Any],
        *,
        topic_metadata: Callable[[str], Mapping[str, Any]],
        released: Callable[[int], None],
        commit_period: float,
    ) -> None:
        super().__init__(name='archive-sink', daemon=True)
        self._connect = connect
        self._name = name
        self._metadata = dict(metadata)
        self._topic_metadata = topic_metadata
        self._released = released
        self._commit_period = commit_period
        self._parcels: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._channels: dict[str, _Channel] = {}
        self.sequence_name = name
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self.failed_topic: str | None = None
        self.empty = False

    def put(self, parcel: Parcel) -> None:
        """Queue a parcel; never blocks. The caller bounds the memory."""
        self._parcels.put(parcel)

    def finish(self) -> None:
        """Ask to write what is queued, close the recording and end."""
        self._parcels.put(None)

    def run(self) -> None:
        """Write until told to finish, or until the daemon is lost."""
        try:
            with self._connect() as client, contextlib.ExitStack() as closing:
                session = self._open(client, closing)
                self.ready.set()
                self._write(client, session)
                if not self._channels:
                    # The daemon finalizes no session without topics; better no recording at all
                    # than one that looks interrupted.
                    closing.pop_all()
                    client.sequence_delete(self.sequence_name)
                    self.empty = True
            # The daemon has acknowledged the end of every stream.
            for channel in self._channels.values():
                account = channel.account
                if not account.problem:
                    account.stored = account.sent - account.too_large
        except BaseException as error:
            self._note_durable()
            self.failure = error
        finally:
            self.ready.set()

    def _open(self, client: MosaicoClient, closing: contextlib.ExitStack) -> Any:
        for attempt in range(1, _NAME_ATTEMPTS + 1):
            name = self._name if attempt == 1 else f'{self._name}_{attempt}'
            try:
                session = closing.enter_context(client.sequence_create(name, self._metadata))
            except AlreadyExistsError:
                continue
            self.sequence_name = name
            return session
        raise AlreadyExistsError(
            f'the sequences {self._name} to {self._name}_{_NAME_ATTEMPTS} exist already',
            remedy='choose another name, or put {date} and {time} into it',
        )

    def _write(self, client: MosaicoClient, session: Any) -> None:
        next_look = time.monotonic() + _LOOK_PERIOD
        spoke = False
        while True:
            now = time.monotonic()
            if now >= next_look:
                # A dead daemon shows on the next word to it; with nothing to push, ask.
                if not (self._commit_stragglers(now) or spoke):
                    client.info()
                spoke = False
                next_look = now + _LOOK_PERIOD
            try:
                parcel = self._parcels.get(timeout=max(0.0, next_look - now))
            except queue.Empty:
                continue
            if parcel is None:
                return
            spoke |= self._store(session, parcel)
            self._released(parcel.size)

    def _store(self, session: Any, parcel: Parcel) -> bool:
        account = parcel.account
        if account.problem:
            return False
        channel = self._channels.get(account.name)
        if channel is None:
            try:
                channel = self._channels[account.name] = self._channel(session, account)
            except _CONNECTION_LOST:
                self.failed_topic = account.name
                raise
            except MosaicoError as error:
                account.problem = str(error)
                return False
        before = channel.decoder.malformed
        batch = channel.decode(parcel.rows)
        account.malformed += channel.decoder.malformed - before
        if not batch.num_rows:
            return False
        if account.sent == channel.committed:
            channel.uncommitted_since = parcel.since
        if not self._try(channel, lambda: channel.writer.push_batch(batch)):
            return False
        account.sent += batch.num_rows
        account.too_large = channel.writer.dropped_record_count
        self._commit_if_due(channel, time.monotonic())
        return True

    def _commit_stragglers(self, now: float) -> bool:
        """Commit what no later parcel has come to commit."""
        committed = [self._commit_if_due(channel, now) for channel in self._channels.values()]
        return any(committed)

    def _commit_if_due(self, channel: _Channel, now: float) -> bool:
        account = channel.account
        if account.problem:
            return False
        account.stored = channel.writer.durable_rows
        if account.sent == channel.committed:
            return False
        if now - channel.uncommitted_since < self._commit_period:
            return False
        channel.committed = account.sent
        return self._try(channel, channel.writer.commit)

    def _try(self, channel: _Channel, step: Callable[[], object]) -> bool:
        """Do something with a topic's stream; a refusal ends this topic, not the recording."""
        account = channel.account
        try:
            step()
        except _CONNECTION_LOST:
            self.failed_topic = account.name
            raise
        except MosaicoError as error:
            account.problem = str(error)
            account.stored = channel.writer.durable_rows
            with contextlib.suppress(MosaicoError):
                channel.writer.close_after(error)
            return False
        return True

    def _channel(self, session: Any, account: TopicAccount) -> _Channel:
        decoder = TopicDecoder(account.type, fidelity=Fidelity.VALUES, sidecars=PROVENANCE)
        metadata = dict(decoder.metadata())
        ros = {**metadata.get('_ros_', {}), **self._topic_metadata(account.name)}
        writer = session.topic_create(
            account.name,
            {**metadata, '_ros_': ros},
            decoder.ontology_type,
            schema=decoder.schema,
        )
        return _Channel(account, decoder, writer)

    def _note_durable(self) -> None:
        for channel in self._channels.values():
            with contextlib.suppress(Exception):
                channel.account.stored = channel.writer.durable_rows
