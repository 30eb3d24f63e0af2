"""Whether a recording can be had back from the archive, so that the file may be deleted.

Per topic and chunk of time, the payloads that come back are held against those of the recording by
digests that do not depend on the order of messages with one time: the sum of a keyed hash over
bytes and times, of the record and of publication. A second digest is taken of record times and
payloads in canonical form, which is equal where only padding, encapsulation, the spelling of JSON
or times of publication differ. Payloads that hold more than their columns stand for themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.bags import Bag, BagTopic, open_bag
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.channels.codec import Channel, codec_for
from mosaico_ros.ros_bridge.definitions import Definition, find_definition
from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig, ROSSequenceExtractor
from mosaico_ros.ros_bridge.residual import beyond

_BITS = 128
#: Record time that makes a chunk, in ns.
CHUNK_NS = 10_000_000_000
#: Which payload of some, and its canonical form; those that cannot be decoded have none.
Canonical = Callable[[Sequence[memoryview]], Iterator[tuple[int, bytes | memoryview]]]


@dataclass
class Digest:
    """What a chunk holds, whatever the order of messages: their number and two sums."""

    messages: int = 0
    raw: int = 0
    canonical: int = 0


class TopicDigest:
    """Digests of the chunks of one topic.

    Parameters
    ----------
    kind
        What its messages are.

    Attributes
    ----------
    kind
        As given.
    chunks : dict
        By the time of their beginning, in units of `CHUNK_NS`.
    """

    def __init__(self, kind: Definition | Channel) -> None:
        self.kind = kind
        self.chunks: dict[int, Digest] = {}
        self._canonical = _by_codec(kind) if isinstance(kind, Channel) else _by_layout(kind)

    def add(
        self, times: np.ndarray, published: np.ndarray, payloads: Sequence[memoryview]
    ) -> None:
        """Add messages, with their record and publish times, ns."""
        stamps = times.tolist()
        for recorded, *both in zip(payloads, stamps, published.tolist(), strict=True):
            digest = self._chunk(both[0])
            digest.messages += 1
            digest.raw = (digest.raw + _hash(recorded, both)) % (1 << _BITS)
        for row, canonical in self._canonical(payloads):
            digest, key = self._chunk(stamps[row]), (stamps[row],)
            digest.canonical = (digest.canonical + _hash(canonical, key)) % (1 << _BITS)

    def _chunk(self, time: int) -> Digest:
        return self.chunks.setdefault(time // CHUNK_NS, Digest())


@dataclass
class VerifiedChunk:
    """A chunk of a topic: its time, and what `VerifiedTopic` says of all of them."""

    start_ns: int
    end_ns: int
    recorded: int
    restored: int
    equal_bytes: bool
    equal_values: bool


@dataclass
class VerifiedTopic:
    """One topic: how many messages the recording has, how many came back, and how alike.

    ``different`` are those of its ``chunks`` chunks whose bytes do not all come back.
    """

    name: str
    recorded: int = 0
    restored: int = 0
    chunks: int = 0
    different: list[VerifiedChunk] = field(default_factory=list)

    @property
    def equal_bytes(self) -> bool:
        """Whether every message comes back bit for bit."""
        return not self.different

    @property
    def equal_values(self) -> bool:
        """Whether every message comes back with its values."""
        return all(chunk.equal_values for chunk in self.different)

    def __str__(self) -> str:
        lost = [chunk for chunk in self.different if not chunk.equal_values]
        shown = (lost or self.different)[0]
        what = 'differ' if lost else 'differ in padding, spelling or publish times only'
        return (
            f'{self.name}: {len(lost or self.different)} of {self.chunks} chunks {what}; the '
            f'first begins at {shown.start_ns} ns, with {shown.recorded:,} messages recorded and '
            f'{shown.restored:,} restored'
        )


@dataclass
class Verification:
    """The verdict over a recording."""

    path: Path
    sequence_name: str
    topics: dict[str, VerifiedTopic] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def equal_bytes(self) -> bool:
        """Whether every message comes back bit for bit."""
        return not self.problems and all(topic.equal_bytes for topic in self.topics.values())

    @property
    def equal_values(self) -> bool:
        """Whether every message comes back with its values, if not its padding."""
        return not self.problems and all(topic.equal_values for topic in self.topics.values())

    def __str__(self) -> str:
        count = sum(topic.recorded for topic in self.topics.values())
        what = f'{self.path.name}: all {count:,} messages on {len(self.topics)} topics'
        if self.equal_bytes:
            return f'{what} come back bit for bit; the file may be deleted'
        if self.equal_values:
            return (
                f'{what} come back with equal values, padding aside; the file may be deleted if '
                'that is enough (--keep-raw keeps padding)'
            )
        missing = [t.name for t in self.topics.values() if not t.equal_values]
        named = ', '.join([*missing, *self.problems])
        return f'{self.path.name}: NOT all of it comes back; keep the file ({named})'


def verify(path: Path, config: ROSExtractorConfig) -> Verification:
    """Compare a recording with a sequence.

    Parameters
    ----------
    path
        Bag file or rosbag2 folder.
    config
        Where the sequence is; of topics and times nothing is compared but what it chooses.

    Raises
    ------
    NotFoundError
        If there is no such file or sequence.
    InvalidArgumentError
        If the file is not a bag, or no topic of the sequence can be written.
    """
    verdict = Verification(path, config.sequence_name)
    with open_bag(path) as bag:
        recorded = _recorded(bag, verdict.problems)
        beside = bag.extras.digest()
    restored: dict[str, list[TopicDigest]] = {}
    extractor = ROSSequenceExtractor(config)
    with extractor.opened() as sources:
        for source in sources:
            digest = TopicDigest(source.written.kind)
            for times, published, payloads in source.messages():
                digest.add(times, published, list(payloads))
            restored.setdefault(source.written.name, []).append(digest)
        restored_beside = extractor.extras.digest()
    if restored_beside != beside:
        verdict.problems.append('its metadata and attachments differ')
    for topic, digest in recorded:
        back = _counterpart(digest, restored.get(topic.name, []))
        if back is None and not digest.chunks:
            verdict.problems.append(f'{topic.key} is not in {config.sequence_name}')
        chunks = {} if back is None else back.chunks
        verdict.topics[topic.key] = _compared(topic.key, digest.chunks, chunks)
    return verdict


def _counterpart(digest: TopicDigest, restored: list[TopicDigest]) -> TopicDigest | None:
    """The one with the same messages among topics of one name."""
    if len(restored) == 1:
        return restored[0]
    return next((other for other in restored if _same(digest.kind, other.kind)), None)


def _same(one: Definition | Channel, other: Definition | Channel) -> bool:
    if isinstance(one, Definition) and isinstance(other, Definition):
        return (one.msgtype, one.tree) == (other.msgtype, other.tree)
    return one == other


def _recorded(bag: Bag, problems: list[str]) -> list[tuple[BagTopic, TopicDigest]]:
    """Digests of the topics of a recording; what cannot be read is told as a problem."""
    found: dict[str, tuple[BagTopic, TopicDigest | None]] = {}
    read: Counter[str] = Counter()

    def known(topic: BagTopic) -> bool:
        if topic.key not in found:
            found[topic.key] = topic, digest_of(topic)
        return found[topic.key][1] is not None

    def digest_of(topic: BagTopic) -> TopicDigest | None:
        distro = 'noetic' if topic.ros1 else bag.distro
        try:
            return TopicDigest(
                topic.channel
                or find_definition(topic.msgtype, topic.definition, distro=distro, ros1=topic.ros1)
            )
        except MosaicoError as error:
            problems.append(f'{topic.key}: {error}')
            return None

    for topic in list(bag.topics.values()):
        known(topic)
    for group in bag.groups(known):
        _, digest = found[group.topic]
        assert digest is not None
        digest.add(group.timestamps, group.published, list(group.payloads))
        read[group.topic] += len(group.timestamps)
    problems += bag.problems
    problems += filter(None, (bag.topics[key].shortfall(read[key]) for key in found))
    return [(topic, digest) for topic, digest in found.values() if digest is not None]


def _compared(
    name: str, recorded: dict[int, Digest], restored: dict[int, Digest]
) -> VerifiedTopic:
    numbers = sorted(recorded.keys() | restored.keys())
    topic = VerifiedTopic(name, chunks=len(numbers))
    for number in numbers:
        there, back = recorded.get(number, Digest()), restored.get(number, Digest())
        topic.recorded += there.messages
        topic.restored += back.messages
        if there != back:
            chunk = VerifiedChunk(
                number * CHUNK_NS,
                (number + 1) * CHUNK_NS,
                there.messages,
                back.messages,
                there.raw == back.raw and there.messages == back.messages,
                there.canonical == back.canonical and there.messages == back.messages,
            )
            topic.different.append(chunk)
    return topic


def _by_layout(definition: Definition) -> Canonical:
    encoder = PayloadEncoder(definition.tree, definition.wire)

    def canonical(payloads: Sequence[memoryview]) -> Iterator[tuple[int, memoryview]]:
        for part in PayloadDecoder(definition.tree, ros1=definition.ros1).decode(payloads):
            rows = range(len(payloads)) if part.rows is None else part.rows.tolist()
            alike = part.wire == definition.wire
            for row, encoded in zip(rows, encoder.encode(part.column), strict=True):
                whole = alike and beyond(payloads[row], encoded)
                yield row, payloads[row] if whole else encoded

    return canonical


def _by_codec(channel: Channel) -> Canonical:
    codec = codec_for(channel)

    def canonical(payloads: Sequence[memoryview]) -> Iterator[tuple[int, bytes]]:
        return enumerate(codec.canonical(bytes(payload)) for payload in payloads)

    return canonical


def _hash(payload: bytes | memoryview, times: Iterable[int]) -> int:
    key = b''.join(time.to_bytes(8, 'little', signed=True) for time in times)
    return int.from_bytes(blake2b(payload, digest_size=_BITS // 8, key=key).digest(), 'little')
