"""What is played, out of the archive: recordings, merged, in windows of time, as payloads."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mosaico_ros.client.handlers.recording_handler import (
    RecordedTopicHandler,
    RecordingHandler,
    open_recording,
)
from mosaico_ros.client.query.condition_windows import find_windows, joined_spans
from mosaico_ros.nodes.playback import Batch
from mosaico_ros.nodes.playback_qos import PublishedOffer, recorded_offer
from mosaico_ros.nodes.timeline import Segment, Timeline
from mosaico_ros.protocol.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    MosaicoError,
)
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.attachments import holds_attachments
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder
from mosaico_ros.ros_bridge.topic_filter import TopicFilter
from mosaico_ros.ros_bridge.way_back import way_back

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.ros_bridge.definitions import Definition

# Rows encoded at once: each step keeps the interpreter to itself, and messages are due meanwhile.
_ROWS = 256
# Latched messages before the beginning: how many are said again, and how far back, seconds, they
# are looked for where a topic has too many to read them all.
_LATCHED = 100
_FEW = 1000
_BACK = (1, 60, 3600)

#: Record times (ns) and payloads of one topic.
_Rows = Iterator[tuple[np.ndarray, Sequence[bytes]]]


@dataclass(frozen=True)
class PlayRequest:
    """What to play.

    Attributes
    ----------
    sequences
        Names of sequences or of recordings in parts, merged by time. Without any, `where` says
        in which sequences of the archive.
    topics
        Patterns; see `TopicFilter`.
    start_ns, end_ns
        Record times from (inclusive) and to (exclusive).
    offset_ns, duration_ns
        Where to begin after what would be the beginning, and how much to play.
    where
        Play only the windows in which this condition holds.
    around_ns
        And so much before and after each of them.
    """

    sequences: Sequence[str] = ()
    topics: Sequence[str] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    offset_ns: int = 0
    duration_ns: int | None = None
    where: str = ''
    around_ns: int = 0


@dataclass
class Track:
    """A topic that is played.

    Attributes
    ----------
    name
        ROS name, with its leading slash.
    definition
        Its message type.
    offer
        Quality of service.
    """

    name: str
    definition: Definition
    offer: PublishedOffer
    _streams: list[_Stream] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class _Stream:
    """A topic in one recording."""

    recording: int
    handler: RecordedTopicHandler
    encoder: TopicEncoder
    first_ns: int
    last_ns: int

    def rows(self, start_ns: int | None, end_ns: int) -> _Rows:
        """Yield what is stored in [start, end) in time order."""
        with self.handler.get_data_streamer(start_ns, end_ns, sidecars=True) as streamer:
            for batch in streamer.batches():
                for begin in range(0, batch.num_rows, _ROWS):
                    yield self._encoded(batch.slice(begin, _ROWS))

    def before(self, end_ns: int) -> list[bytes]:
        """Return the last messages before a time: all, or the latest ones of a large topic."""
        if end_ns <= self.first_ns:
            return []
        few = (self.handler.message_count or 0) <= _FEW
        starts = [] if few else [end_ns - back * 1_000_000_000 for back in _BACK]
        for start_ns in (*starts, None):
            found = deque(
                (payload for _, payloads in self.rows(start_ns, end_ns) for payload in payloads),
                _LATCHED if few else 1,
            )
            if found:
                return list(found)
        return []

    def _encoded(self, rows: pa.RecordBatch) -> tuple[np.ndarray, Sequence[bytes]]:
        times, _, payloads = self.encoder.encode(rows)
        return times, [bytes(payload) for payload in payloads]


class PlaybackSource:
    """Recordings that are opened to be played.

    Parameters
    ----------
    client
        Where they are.
    request
        What of them.

    Attributes
    ----------
    timeline : Timeline
        In which order.
    tracks : list of Track
        Topics, numbered as in the batches.
    left_out : dict
        Why a topic is not played, by name.

    Raises
    ------
    NotFoundError
        There is no such sequence.
    InvalidArgumentError
        What was asked for holds nothing.
    FailedPreconditionError
        None of it can be played; says why.
    """

    def __init__(self, client: MosaicoClient, request: PlayRequest) -> None:
        if not request.sequences and not request.where:
            raise InvalidArgumentError(
                'nothing says what to play', remedy='name sequences, or a condition with `where`'
            )
        self.tracks: list[Track] = []
        self.left_out: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        chosen = TopicFilter(request.topics)
        recordings, segments = self._segments(client, request)
        for number, recording in enumerate(recordings):
            distro = recording.user_metadata.get('_bag_', {}).get('ros_distro')
            for topic in map(recording.get_topic_handler, filter(chosen, recording.topics)):
                if not holds_attachments(topic):
                    self._add(number, topic, distro)
        if self.left_out and not self.tracks:
            reasons = ''.join(f'\n  {name}: {why}' for name, why in self.left_out.items())
            raise FailedPreconditionError(f'no topic of this can be played{reasons}')
        if not self.tracks:
            raise InvalidArgumentError('no topic that was asked for has messages')
        if not request.where:
            streams = [stream for track in self.tracks for stream in track._streams]
            low = min(stream.first_ns for stream in streams)
            high = max(stream.last_ns for stream in streams) + 1
            start_ns = low if request.start_ns is None else max(low, request.start_ns)
            end_ns = high if request.end_ns is None else min(high, request.end_ns)
            segments = [Segment(start_ns, end_ns, tuple(range(len(recordings))))]
        self.timeline = Timeline(segments)
        if request.offset_ns or request.duration_ns is not None:
            self.timeline = self.timeline.cut(request.offset_ns, request.duration_ns)

    def drop(self, names: dict[str, str]) -> None:
        """Leave topics out, for the reasons given, by name."""
        self.left_out.update(names)
        self.tracks = [track for track in self.tracks if track.name not in names]

    def read(self, position: int) -> Iterator[Batch]:
        """Yield the messages from a position of the timeline on.

        First come the latched ones of before, as whoever listens now would have heard them.
        """
        tracks = list(self.tracks)
        for segment, offset in self.timeline.left(position):
            latched = [
                (number, payload)
                for number, track in enumerate(tracks)
                if track.offer.transient_local
                for stream in track._streams
                if stream.recording in segment.recordings
                for payload in stream.before(segment.start_ns)
            ]
            if latched:
                numbers, payloads = zip(*latched, strict=True)
                yield Batch(
                    np.full(len(latched), offset, np.int64),
                    np.array(numbers, np.int64),
                    list(payloads),
                )
            sources = [
                (
                    max(stream.first_ns, segment.start_ns),
                    number,
                    _reader(stream, segment.start_ns, segment.end_ns),
                )
                for number, track in enumerate(tracks)
                for stream in track._streams
                if stream.recording in segment.recordings
                and stream.first_ns < segment.end_ns
                and stream.last_ns >= segment.start_ns
            ]
            for times, numbers_, payloads_ in merge(sources):
                yield Batch(times - segment.start_ns + offset, numbers_, payloads_)

    def _segments(
        self, client: MosaicoClient, request: PlayRequest
    ) -> tuple[list[RecordingHandler], list[Segment]]:
        recordings = [open_recording(client, name) for name in dict.fromkeys(request.sequences)]
        if not request.where:
            return recordings, []
        found = find_windows(
            client,
            request.where,
            request.around_ns,
            recordings,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
        )
        if not found:
            raise InvalidArgumentError(f'{request.where!r} holds nowhere in what was asked for')
        if recordings:
            # Named ones are played together, wherever the condition holds in one of them.
            everyone = tuple(range(len(recordings)))
            spans = joined_spans((window.start_ns, window.end_ns) for window in found)
            return recordings, [Segment(start, end, everyone) for start, end in spans]
        names = list(dict.fromkeys(window.sequence for window in found))
        segments = [
            Segment(window.start_ns, window.end_ns, (names.index(window.sequence),))
            for window in sorted(found, key=lambda window: window.start_ns)
        ]
        return [open_recording(client, name) for name in names], segments

    def _add(self, recording: int, handler: RecordedTopicHandler, distro: str | None) -> None:
        about = handler.user_metadata.get('_ros_', {})
        name = about.get('topic', handler.name)
        try:
            definition, encoder = _encoder(handler, distro)
        except (MosaicoError, KeyError) as error:
            self.left_out[name] = str(error)
            return
        complete = [part for part in handler.parts if part.locked]
        if not complete:
            self.left_out[name] = 'it is still being recorded'
            return
        if len(complete) < len(handler.parts):
            self.left_out[f'{name} of the last part'] = 'it is still being recorded'
            handler = RecordedTopicHandler(complete)
        first_ns, last_ns = handler.timestamp_ns_min, handler.timestamp_ns_max
        if first_ns is None or last_ns is None:
            return
        offer = recorded_offer(name, about)
        stream = _Stream(recording, handler, encoder, first_ns, last_ns)
        number = self._numbers.get(name)
        if number is None:
            self._numbers[name] = len(self.tracks)
            self.tracks.append(Track(name, definition, offer, [stream]))
            return
        track = self.tracks[number]
        if track.definition.type_hash != definition.type_hash:
            self.left_out[f'{name} of {handler.name}'] = (
                f'its type {definition.msgtype} is not that of the other recording, '
                f'{track.definition.msgtype}'
            )
            return
        self.tracks[number] = replace(
            track, offer=track.offer.join(offer), _streams=[*track._streams, stream]
        )


def _encoder(handler: RecordedTopicHandler, distro: str | None) -> tuple[Definition, TopicEncoder]:
    """Message type of a topic in ROS 2, and what makes payloads of its rows."""
    made, way = way_back(handler, distro)
    definition = made.for_ros(2)
    target = None if definition is made else definition
    if way is None or isinstance(way, ColumnMap):
        return definition, TopicEncoder(made, way, target=target)
    return definition, TopicEncoder(made, None, adapter=way, target=target)


def _reader(stream: _Stream, start_ns: int, end_ns: int) -> Callable[[], _Rows]:
    return lambda: stream.rows(start_ns, end_ns)


def merge(
    sources: Sequence[tuple[int, int, Callable[[], _Rows]]],
) -> Iterator[tuple[np.ndarray, np.ndarray, list[bytes]]]:
    """Merge topics by time, as many messages at a time as are sure to be next.

    Parameters
    ----------
    sources
        Of each: a time before which it has nothing, the number of its track, and what opens it;
        that happens when its time comes.

    Yields
    ------
    tuple
        Times and tracks, shape (n,), int64, and payloads.
    """
    order = count()
    waiting = [(time, next(order), track, opens) for time, track, opens in sources]
    heapq.heapify(waiting)
    heads: list[_Head] = []
    try:
        while True:
            limit = min((int(head.times[-1]) for head in heads), default=None)
            while waiting and (limit is None or waiting[0][0] <= limit):
                _, number, track, opens = heapq.heappop(waiting)
                head = _Head(number, track, opens())
                if head.next():
                    heads.append(head)
                    last = int(head.times[-1])
                    limit = last if limit is None else min(limit, last)
            if limit is None:
                return
            taken = [head.until(limit) for head in sorted(heads, key=lambda head: head.number)]
            times = np.concatenate([part[0] for part in taken])
            tracks = np.concatenate([part[1] for part in taken])
            payloads = [payload for part in taken for payload in part[2]]
            rows = np.argsort(times, kind='stable')
            yield times[rows], tracks[rows], [payloads[row] for row in rows.tolist()]
            heads = [head for head in heads if head.row < len(head.times) or head.next()]
    finally:
        for head in heads:
            head.close()


class _Head:
    """What was read of a source and is not merged yet."""

    def __init__(self, number: int, track: int, rows: _Rows) -> None:
        self.number = number
        self._track = track
        self._rows = rows
        self.times = np.empty(0, np.int64)
        self._payloads: Sequence[bytes] = ()
        self.row = 0

    def next(self) -> bool:
        """Read on; tell whether there was more."""
        for times, payloads in self._rows:
            if len(times):
                self.times, self._payloads, self.row = times, payloads, 0
                return True
        return False

    def until(self, limit: int) -> tuple[np.ndarray, np.ndarray, Sequence[bytes]]:
        """Take what is not after a time."""
        begin, end = self.row, int(np.searchsorted(self.times, limit, 'right'))
        self.row = end
        return (
            self.times[begin:end],
            np.full(end - begin, self._track, np.int64),
            self._payloads[begin:end],
        )

    def close(self) -> None:
        close = getattr(self._rows, 'close', None)
        if close is not None:
            close()
