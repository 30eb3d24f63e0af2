"""Whether a recording can be had back from the archive, so that the file may be deleted.

Per topic, the payloads that come back are held against those of the recording by digests that do
not depend on the order of messages with one time: the sum of a keyed hash over bytes and times, of
the record and of publication. A second digest is taken of record times and payloads in canonical
form, which is equal where only padding, encapsulation or times of publication differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.bags import BagTopic, open_bag
from mosaico_ros.ros_bridge.cdr.decoder import PayloadDecoder
from mosaico_ros.ros_bridge.cdr.encoder import PayloadEncoder
from mosaico_ros.ros_bridge.definitions import Definition, find_definition
from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig, ROSSequenceExtractor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BITS = 128


@dataclass
class Digest:
    """What a topic holds, whatever the order of messages: their number and two sums."""

    messages: int = 0
    raw: int = 0
    canonical: int = 0

    def add(
        self,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[memoryview],
        definition: Definition,
    ) -> None:
        """Add messages of one topic."""
        self.messages += len(payloads)
        stamps = times.tolist()
        self.raw = _sum(self.raw, zip(stamps, published.tolist(), strict=True), payloads)
        encoder = PayloadEncoder(definition.tree, definition.wire)
        for part in PayloadDecoder(definition.tree, ros1=definition.ros1).decode(payloads):
            encoded = encoder.encode(part.column)
            rows = range(len(payloads)) if part.rows is None else part.rows.tolist()
            self.canonical = _sum(self.canonical, [(stamps[row],) for row in rows], list(encoded))


@dataclass
class VerifiedTopic:
    """One topic: how many messages the recording has, how many came back, and how alike."""

    name: str
    recorded: int = 0
    restored: int = 0
    equal_bytes: bool = False
    equal_values: bool = False


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
    recorded: dict[str, Digest] = {}
    definitions: dict[str, Definition] = {}
    with open_bag(path) as bag:

        def known(topic: BagTopic) -> bool:
            distro = 'noetic' if topic.ros1 else bag.distro
            try:
                definitions[topic.name] = find_definition(
                    topic.msgtype, topic.definition, distro=distro, ros1=topic.ros1
                )
            except MosaicoError as error:
                verdict.problems.append(f'{topic.name}: {error}')
                return False
            return True

        for group in bag.groups(known):
            digest = recorded.setdefault(group.topic, Digest())
            definition = definitions[group.topic]
            digest.add(group.timestamps, group.published, list(group.payloads), definition)
        verdict.problems += bag.problems
    restored: dict[str, Digest] = {}
    with ROSSequenceExtractor(config).opened() as sources:
        for source in sources:
            digest = restored.setdefault(source.written.name, Digest())
            for times, published, payloads in source.messages():
                digest.add(times, published, list(payloads), source.written.definition)
    for name, digest in recorded.items():
        back = restored.get(name, Digest())
        verdict.topics[name] = VerifiedTopic(
            name,
            digest.messages,
            back.messages,
            digest.raw == back.raw,
            digest.canonical == back.canonical and digest.messages == back.messages,
        )
    return verdict


def _sum(total: int, stamps: Iterable[tuple[int, ...]], payloads: Sequence[memoryview]) -> int:
    for times, payload in zip(stamps, payloads, strict=True):
        key = b''.join(time.to_bytes(8, 'little', signed=True) for time in times)
        digest = blake2b(payload, digest_size=_BITS // 8, key=key).digest()
        total += int.from_bytes(digest, 'little')
    return total % (1 << _BITS)
