"""Hold the archive against the robot's ledger, through the public SDK alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mosaico_ros.demo.ledger import Ledger, SpikeLedger, TopicLedger, ValueDigest
from mosaico_ros.demo.motion import SPIKE_THRESHOLD
from mosaico_ros.demo.readback import FEEDS, stamp_ns
from mosaico_ros.protocol.errors import NotFoundError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient
    from mosaico_ros.client.handlers.topic_handler import TopicHandler

# Matches closer than this belong to one window: far longer than the IMU's 5 ms, far shorter than
# the seconds between the two spikes.
CLUSTER_DISTANCE_NS = 500_000_000
_SECOND = 1e9


@dataclass(frozen=True)
class TopicProof:
    """One topic: what the robot published and what the archive returns."""

    name: str
    type: str
    ontology: str
    published: int
    stored: int
    values_equal: bool
    size_bytes: int
    first_ns: int | None
    last_ns: int | None

    @property
    def ok(self) -> bool:
        """True if every message came back with every value."""
        return self.published == self.stored and self.values_equal

    @property
    def rate_hz(self) -> float:
        """Messages per second between the first and the last, by record time."""
        if self.first_ns is None or self.last_ns is None or self.last_ns == self.first_ns:
            return 0.0
        return (self.stored - 1) / (self.last_ns - self.first_ns) * _SECOND


@dataclass(frozen=True)
class WindowProof:
    """One spike: the window that the query found beside what the robot says.

    `found` is the window in record time; its first and last matching header stamps must be the
    robot's. ``None`` where the query found no such window.
    """

    made: SpikeLedger | None
    found: tuple[int, int] | None
    first_stamp_ns: int | None
    last_stamp_ns: int | None
    messages: int

    @property
    def ok(self) -> bool:
        """True if exactly the messages of the spike are in the window."""
        return self.made is not None and (
            self.first_stamp_ns,
            self.last_stamp_ns,
            self.messages,
        ) == (self.made.first_stamp_ns, self.made.last_stamp_ns, self.made.messages)


@dataclass(frozen=True)
class Sample:
    """One IMU message near the first spike; `stamp_ns` is its header stamp, `y` in m/s^2."""

    stamp_ns: int
    acceleration: tuple[float, float, float]
    matches: bool


@dataclass(frozen=True)
class Proof:
    """Everything the demo shows."""

    sequence: str
    size_bytes: int
    first_ns: int
    last_ns: int
    topics: list[TopicProof]
    windows: list[WindowProof]
    around: list[Sample]
    query_seconds: float

    @property
    def ok(self) -> bool:
        """True if every count, every value and every window is right."""
        return all(topic.ok for topic in self.topics) and all(each.ok for each in self.windows)

    def failures(self) -> list[str]:
        """Say what is wrong, one line each."""
        lines = []
        for topic in self.topics:
            if topic.published != topic.stored:
                lines.append(
                    f'{topic.name}: {topic.published} messages published, {topic.stored} stored'
                )
            elif not topic.values_equal:
                lines.append(f'{topic.name}: stored values differ from the published ones')
        for number, window in enumerate(self.windows, 1):
            if window.made is None:
                lines.append(f'the query found a window {number} that the robot did not make')
            elif window.found is None:
                lines.append(f'spike {number} was not found')
            elif not window.ok:
                lines.append(
                    f'spike {number}: {window.made.messages} messages made, '
                    f'{window.messages} found'
                )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        content = asdict(self)
        for entry, topic in zip(content['topics'], self.topics, strict=True):
            entry.update(ok=topic.ok, rate_hz=round(topic.rate_hz, 3))
        for entry, window in zip(content['windows'], self.windows, strict=True):
            entry['ok'] = window.ok
        return {**content, 'ok': self.ok, 'failures': self.failures()}


def prove(
    client: MosaicoClient, sequence: str, ledger: Ledger, progress: Callable[[str], None]
) -> Proof:
    """Read everything back and compare.

    Parameters
    ----------
    progress
        Told which topic is being read.

    Raises
    ------
    MosaicoError
        The archive does not have the sequence, or cannot be read.
    """
    handler = client.sequence_handler(sequence)
    if handler is None:
        raise NotFoundError(f'the archive has no sequence {sequence}')
    stored = {name.lstrip('/') for name in handler.topics}
    topics = []
    for name, page in ledger.topics.items():
        progress(name)
        topics.append(
            _prove_topic(client, sequence, name, page)
            if name.lstrip('/') in stored
            else TopicProof(name, page.type, '-', page.count, 0, False, 0, None, None)
        )
    progress('query')
    began = time.perf_counter()
    windows, first_window = _prove_windows(client, sequence, ledger.spikes)
    took = time.perf_counter() - began
    around = _around(client, sequence, first_window) if first_window is not None else []
    return Proof(
        sequence=sequence,
        size_bytes=handler.total_size_bytes,
        first_ns=handler.timestamp_ns_min or 0,
        last_ns=handler.timestamp_ns_max or 0,
        topics=topics,
        windows=windows,
        around=around,
        query_seconds=took,
    )


def _topic(client: MosaicoClient, sequence: str, name: str) -> TopicHandler:
    handler = client.topic_handler(sequence, name)
    if handler is None:
        raise NotFoundError(f'the archive has no topic {name} in sequence {sequence}')
    return handler


def _prove_topic(client: MosaicoClient, sequence: str, name: str, page: TopicLedger) -> TopicProof:
    handler = _topic(client, sequence, name)
    digest = ValueDigest()
    feed = FEEDS[page.type]
    for message in handler.get_data_streamer():
        feed(digest, message.data)
        digest.end_message()
    return TopicProof(
        name=name,
        type=page.type,
        ontology=handler.ontology_tag,
        published=page.count,
        stored=digest.messages,
        values_equal=digest.hexdigest() == page.sha256,
        size_bytes=handler.total_size_bytes,
        first_ns=handler.timestamp_ns_min,
        last_ns=handler.timestamp_ns_max,
    )


def _prove_windows(
    client: MosaicoClient, sequence: str, spikes: list[SpikeLedger]
) -> tuple[list[WindowProof], tuple[int, int] | None]:
    """Find the spikes by a value query; return the proofs and the first window."""
    from mosaico_ros.client.query import QueryOntologyCatalog, QuerySequence
    from mosaico_ros.models.sensors import IMU

    response = client.query(
        QuerySequence().with_name(sequence),
        QueryOntologyCatalog(IMU.Q.acceleration.y.gt(SPIKE_THRESHOLD)),
    )
    found = [
        (cluster.timerange.start, cluster.timerange.end)
        for item in response
        for topic in item.topics
        for cluster in topic.clusterize(clustering_dt_ns=CLUSTER_DISTANCE_NS)
    ]
    found.sort()
    windows = []
    for number in range(max(len(found), len(spikes))):
        made = spikes[number] if number < len(spikes) else None
        window = found[number] if number < len(found) else None
        stamps = _matching_stamps(client, sequence, window) if window is not None else []
        windows.append(
            WindowProof(
                made=made,
                found=window,
                first_stamp_ns=min(stamps, default=None),
                last_stamp_ns=max(stamps, default=None),
                messages=len(stamps),
            )
        )
    return windows, found[0] if found else None


def _matching_stamps(client: MosaicoClient, sequence: str, window: tuple[int, int]) -> list[int]:
    from mosaico_ros.models.sensors import IMU

    streamer = _topic(client, sequence, '/imu').get_data_streamer(window[0], window[1] + 1)
    return [
        stamp_ns(imu)
        for imu in (message.get_data(IMU) for message in streamer)
        if imu is not None and (imu.acceleration.y or 0.0) > SPIKE_THRESHOLD
    ]


def _around(client: MosaicoClient, sequence: str, window: tuple[int, int]) -> list[Sample]:
    """Return the IMU messages around the begin of a window."""
    from mosaico_ros.models.sensors import IMU

    streamer = _topic(client, sequence, '/imu').get_data_streamer(
        window[0] - 17_500_000, window[0] + 17_500_000
    )
    samples = []
    for message in streamer:
        imu = message.get_data(IMU)
        assert imu is not None
        felt = imu.acceleration
        x, y, z = (value or 0.0 for value in (felt.x, felt.y, felt.z))
        samples.append(Sample(stamp_ns(imu), (x, y, z), y > SPIKE_THRESHOLD))
    return samples
