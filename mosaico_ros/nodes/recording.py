"""One recording from the first look at the graph to the last acknowledged row.

Three threads carry it: the capture's takes messages, the spool's writes them to the disk, and the
delivery's brings them into the archive. The caller's thread looks at the graph and at the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mosaico_ros.nodes.accounting import TopicAccount, TopicReport
from mosaico_ros.nodes.capture import Capture
from mosaico_ros.nodes.delivery import Delivery
from mosaico_ros.nodes.inbox import FlushPolicy
from mosaico_ros.nodes.parcel import Bundle, Parcel
from mosaico_ros.nodes.reports import RecordingState
from mosaico_ros.nodes.spool import Recording, Spool
from mosaico_ros.nodes.spool_log import FULL
from mosaico_ros.nodes.spool_room import SpoolRoom
from mosaico_ros.nodes.spool_writer import SpoolWriter
from mosaico_ros.nodes.taken import Taken
from mosaico_ros.protocol.errors import (
    DeadlineExceededError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

MB = 1_000_000
#: Topic of the notes that were sent while recording.
MARKS = '/_marks'
_DRAIN_PATIENCE = 1.5
# `ros2 launch` kills 10 s after it asked to stop. That costs nothing: what has not reached the
# archive by then is in the spool.
_CLOSE_PATIENCE = 20.0
_READY_PATIENCE = 3.0
# All topics go to the disk together, so that one call makes all of them durable. What a tick that
# comes late would leave in memory goes by its age. Parts of a flush period:
_TOGETHER, _BY_AGE = 0.7, 0.9
# How long a call to the daemon may take, and how long it may be silent, seconds. Whatever takes
# longer goes on from the spool.
_CALL_TIMEOUT, _SILENCE_TIMEOUT = 20.0, 20.0
# A daemon that is gone says so at once. Where nothing answers at all, as on a slow line, the next
# attempt waits twice as long, up to the second of these, seconds.
_CONNECT_TIMEOUT, _SLOW_CONNECT_TIMEOUT = 0.2, 3.2
_THIS_MACHINE = ('localhost', '127.0.0.1', '::1')


def spool_root(settings: Mapping[str, Any]) -> Path:
    """Return the folder of the spools."""
    if settings['spool_dir']:
        return Path(settings['spool_dir']).expanduser()
    home = os.environ.get('ROS_HOME') or '~/.ros'
    return Path(home).expanduser() / 'mosaico_spool'


def daemon_address(settings: Mapping[str, Any]) -> str:
    """Return how a spool names the daemon that it is for."""
    host = settings['host']
    return f'{"localhost" if host in _THIS_MACHINE else host}:{settings["port"]}'


def connector(settings: Mapping[str, Any]) -> Callable[[], MosaicoClient]:
    """Return what makes a client of the daemon, quickly or not at all.

    Over a slow line it takes some attempts: each is given more time than the one before.
    """
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

    timeout = _CONNECT_TIMEOUT

    def connect() -> MosaicoClient:
        nonlocal timeout
        try:
            return MosaicoClient.connect(
                settings['host'],
                settings['port'],
                timeout=timeout,
                enable_tls=settings['enable_tls'],
                tls_cert_path=settings['tls_cert_path'] or None,
                api_key=os.environ.get('MOSAICO_API_KEY'),
                call_timeout=_CALL_TIMEOUT,
                silence_timeout=_SILENCE_TIMEOUT,
            )
        except UnavailableError as error:
            if isinstance(error.__cause__, DeadlineExceededError):
                timeout = min(2 * timeout, _SLOW_CONNECT_TIMEOUT)
            raise

    return connect


def batches(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a delivery is to send."""
    return {
        'batch_rows': settings['flush_rows'],
        'batch_size': int(settings['flush_size_mb'] * MB),
        'commit_period': settings['commit_period_sec'],
    }


def _new_spool(settings: Mapping[str, Any], recording: Recording) -> Spool:
    root = spool_root(settings)
    try:
        return Spool.create(
            root,
            recording,
            segment_bytes=int(settings['spool_segment_mb'] * MB),
            limit_bytes=int(settings['spool_max_mb'] * MB),
            min_free_bytes=int(settings['min_free_space_mb'] * MB),
            memory_bytes=int(settings['buffer_max_mb'] * MB / 2),
        )
    except OSError as error:
        if error.errno in FULL:
            raise ResourceExhaustedError(
                f'the disk of {root} is full', remedy='free some space'
            ) from error
        raise InvalidArgumentError(
            f'no spool can be made in {root}: {error}',
            remedy='give a folder on a local disk as spool_dir',
        ) from error


class LiveRecording:
    """A recording that is going on.

    Parameters
    ----------
    node
        The rclpy node to subscribe with.
    settings
        Checked values of the `RECORDER` table.
    name
        Of the sequence.
    metadata
        Returns those of the sequence, given what the capture has to note.
    event
        Where to say what happened.

    Raises
    ------
    InvalidArgumentError
        A setting is malformed, or the spool cannot be made.
    ResourceExhaustedError
        The disk of the spool is full.
    """

    def __init__(
        self,
        node: Any,
        settings: Mapping[str, Any],
        name: str,
        metadata: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        event: Callable[..., None],
    ) -> None:
        self._settings = settings
        self._event = event
        period = settings['flush_period_sec']
        policy = FlushPolicy(
            settings['flush_rows'], int(settings['flush_size_mb'] * MB), period * _BY_AGE
        )
        self._capture = Capture(node, settings, policy, self._hand_over, event)
        recording = Recording.new(
            name, metadata(self._capture.metadata()), daemon_address(settings)
        )
        try:
            self._spool = _new_spool(settings, recording)
        except BaseException:
            self._capture.close()
            raise
        shedding = settings['when_spool_full'] == 'shed'
        self._room = SpoolRoom(self._capture.priority) if shedding else None
        self._writer = SpoolWriter(
            self._spool,
            details=self._capture.topic_details,
            released=self._capture.release,
            flush_period=period,
            room=self._room,
        )
        self._delivery = Delivery(
            self._spool,
            connector(settings),
            account=lambda topic: self._writer.accounts[topic.number],
            released=self._capture.release,
            event=event,
            growing=True,
            **batches(settings),
        )
        self._address = f'{settings["host"]}:{settings["port"]}'
        self._began = self._part_began = time.monotonic()
        self._next_look = 0.0
        self._next_flush = self._began + period * _TOGETHER
        self._split_size = 0
        self._ended = self._untouched = False
        self._marks = TopicAccount(MARKS, 'diagnostic_msgs/msg/KeyValue')
        self._last_mark = 0

    def _hand_over(self, bundle: Bundle) -> None:
        self._writer.put(bundle)

    def start(self) -> None:
        """Begin; waits a moment for the daemon, but does not need it.

        Raises
        ------
        MosaicoError
            The daemon refuses this client, for example its key.
        """
        if self._room is None:
            self._spool.log.check_space()
        self._writer.start()
        self._delivery.start()
        # What the first decoder imports takes a second of a busy machine, better not of the first
        # messages.
        TopicDecoder('diagnostic_msgs/msg/KeyValue')
        self._delivery.ready.wait(_READY_PATIENCE)
        if self._delivery.failure is not None:
            raise self._delivery.failure
        self._event(f'recording into {self._delivery.recording_name} at {self._address}')
        if self._settings['start_paused']:
            self._capture.pause_taking()
        self._capture.start()

    def tick(self) -> str:
        """Do what is due; return why the recording has to end, or an empty text."""
        now = time.monotonic()
        if now >= self._next_flush:
            self._capture.flush(self._writer.sync)
            self._next_flush = now + self._settings['flush_period_sec'] * _TOGETHER
        if now >= self._next_look:
            self._capture.look()
            self._next_look = now + self._capture.pause
        while self._room is not None and self._room.changes:
            text, worse = self._room.changes.popleft()
            self._event(text, warning=worse)
        broken = self._capture.failure or self._writer.failure or self._delivery.failure
        if broken is not None:
            return str(broken) or type(broken).__name__
        return self._bound_reached(now) or self._rotate(now)

    def _bound_reached(self, now: float) -> str:
        settings = self._settings
        if settings['duration_sec'] and now - self._began >= settings['duration_sec']:
            return f'{settings["duration_sec"]:g} s are over'
        if settings['stop_after_messages'] or settings['stop_after_mb']:
            reports = self._capture.reports()
            count, limit = sum(each.recorded for each in reports), settings['stop_after_messages']
            if limit and count >= limit:
                return f'{count} messages are recorded'
            size, limit = self._recorded_bytes(reports), settings['stop_after_mb'] * MB
            if limit and size >= limit:
                return f'{size / MB:.1f} MB are recorded'
        return ''

    def _reports(self) -> list[TopicReport]:
        marks = [self._marks.report()] if self._marks.arrived else []
        return [*self._capture.reports(), *marks]

    def _rotate(self, now: float) -> str:
        seconds, size = self._settings['rotate_sec'], self._settings['rotate_mb'] * MB
        if (seconds and now - self._part_began >= seconds) or (
            size and self._recorded_bytes(self._capture.reports()) - self._split_size >= size
        ):
            self.split()
        return ''

    @staticmethod
    def _recorded_bytes(reports: list[TopicReport]) -> int:
        return sum(each.recorded_bytes for each in reports)

    def split(self) -> None:
        """Have what comes from now on go into another part."""
        self._part_began = time.monotonic()
        self._capture.flush(self._writer.split)
        self._split_size = self._recorded_bytes(self._capture.reports())

    @property
    def paused(self) -> bool:
        """Whether what comes is thrown away."""
        return self._capture.paused

    @property
    def topics(self) -> list[str]:
        """Names of the topics that are subscribed to."""
        return self._capture.topics

    @property
    def looks_for_topics(self) -> bool:
        """Whether topics that appear are subscribed to."""
        return self._capture.looks_for_topics

    def look_for_topics(self, looking: bool) -> None:
        """Subscribe to topics that appear, or do not from now on."""
        self._capture.looks_for_topics = looking

    def mark(self, payload: bytes, info: Mapping[str, Any]) -> None:
        """Keep a note that was sent while recording, as a message of the topic `MARKS`."""
        received = np.array([info.get('received_timestamp') or 0], np.int64)
        stamps = np.maximum(received, self._last_mark + 1)
        if not received[0]:
            stamps = np.array([max(time.time_ns(), self._last_mark + 1)], np.int64)
        self._last_mark = int(stamps[0])
        taken = Taken(
            stamps=stamps,
            received=received,
            sources=np.array([info.get('source_timestamp') or 0], np.int64),
            clocks=np.zeros(1, np.int64),
            publishers=[None],
            numbers=np.full(1, -1, np.int64),
            latched=np.full(1, -1, np.int8),
            payloads=[payload],
        )
        self._marks.arrived += 1
        self._marks.received_bytes += len(payload)
        # Its memory is not that of the capture, and so not released either: size 0.
        parcel = Parcel(self._marks, taken.rows(stamps), 0, time.monotonic())
        self._writer.put(Bundle.of(parcel))

    def pause(self, pausing: bool) -> None:
        """Throw away, or keep again, what comes from now on."""
        if pausing:
            self._capture.pause_taking()
        elif self._capture.paused:
            self._capture.resume_taking()

    def close(self) -> None:
        """Take what is on its way, keep it, and deliver it if the daemon is there."""
        self._ended = True
        self._capture.finish(_DRAIN_PATIENCE)
        self._writer.finish()
        if self._writer.ident is not None:
            self._writer.join()
            self._delivery.finish(_CLOSE_PATIENCE)
            self._delivery.join(_CLOSE_PATIENCE + _DRAIN_PATIENCE)
        self._capture.close()
        if not self._delivery.is_alive():
            self._untouched = not self._spool.log.size and self._spool.progress.part is None
            self._spool.close(remove=self.complete)

    @property
    def name(self) -> str:
        """Name of the recording."""
        return self._delivery.recording_name

    @property
    def spool_folder(self) -> Path:
        """Where its spool is, or was."""
        return self._spool.folder

    @property
    def complete(self) -> bool:
        """Whether nothing is left in the spool."""
        return self._untouched or (self._delivery.delivered and not self._delivery.is_alive())

    @property
    def empty(self) -> bool:
        """Whether it has come to an end with nothing recorded."""
        return self.complete and not self._delivery.parts

    @property
    def failure(self) -> BaseException | None:
        """What broke it off, or None."""
        return self._capture.failure or self._writer.failure or self._delivery.failure

    @property
    def trouble(self) -> BaseException | None:
        """What went wrong last between here and the daemon, or None."""
        return self._delivery.trouble

    def never_seen(self) -> list[str]:
        """Return the topics asked for by name that have not appeared."""
        return self._capture.never_seen()

    def state(self, state: str) -> RecordingState:
        """Return where the recording stands."""
        return RecordingState(
            sequence=self._delivery.recording_name,
            state=state,
            elapsed=time.monotonic() - self._began,
            pending_bytes=self._capture.pending_bytes,
            spool_bytes=0 if self._ended and self.complete else self._spool.log.size,
            connected=self._delivery.connected,
            parts=list(self._delivery.parts),
            topics=self._reports(),
        )
