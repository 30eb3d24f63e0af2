"""What every kind of bag yields."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.sizes import size_text
from mosaico_ros.ros_bridge.bags.extras import Extras
from mosaico_ros.ros_bridge.cdr.cursor import collapse
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.cdr.rows import Rows
from mosaico_ros.ros_bridge.channels.codec import Channel
from mosaico_ros.ros_bridge.definitions import same_fields

#: A group is complete with this many messages or bytes, whichever comes first. Decoding has a
#: fixed cost of some 0.3 ms per group; 8192 small messages make that negligible.
GROUP_MESSAGES = 8192
GROUP_BYTES = 8 << 20
#: Payloads of this mean size count as large.
_LARGE_BYTES = 32 << 10
#: How payloads begin that the recorder has compressed one by one; no encapsulation does.
_CODECS = {b'\x28\xb5\x2f\xfd': 'zstd', b'\x04\x22\x4d\x18': 'lz4'}
#: A message that claims to be larger is taken for damage.
_LARGEST_MESSAGE = 1 << 30
_UNPACKED_BYTES = 1 << 20
#: Incomplete groups of all topics together may hold this many bytes.
PENDING_BYTES = 48 << 20


@dataclass(frozen=True)
class BagTopic:
    """One recorded topic.

    Attributes
    ----------
    name, msgtype : str
        Topic, and full type name.
    definition : str or None
        Definition text, if the bag holds one.
    ros1 : bool
        Payloads are in ROS 1 serialization.
    count : int or None
        Number of messages, where the bag says it without being read.
    qos : str or None
        Offered QoS profiles (YAML), as recorded.
    channel : Channel or None
        What the messages are, if they are not ROS messages; ``msgtype`` is the schema's name then.
    variant : int
        From 2 on if other messages were recorded under the same name before.
    """

    name: str
    msgtype: str
    definition: str | None = field(default=None, repr=False)
    ros1: bool = False
    count: int | None = None
    qos: str | None = field(default=None, repr=False)
    channel: Channel | None = field(default=None, repr=False)
    variant: int = 1

    @property
    def key(self) -> str:
        """The name, and the variant where there are several."""
        return self.name if self.variant == 1 else f'{self.name} ({self.variant})'

    def shortfall(self, found: int) -> str | None:
        """What to say of that many messages found; None if the bag tells of no more."""
        if self.count is None or found >= self.count:
            return None
        return f'{self.key}: the bag tells of {self.count:,} messages, and has {found:,}'

    def is_like(self, other: BagTopic) -> bool:
        """Whether messages of both can be decoded alike."""
        mine, others = (self.msgtype, self.ros1, self.channel), (other.msgtype, other.ros1)
        return mine == (*others, other.channel) and same_fields(
            self.msgtype, self.definition, other.definition
        )


@dataclass(frozen=True)
class MessageGroup:
    """Messages of one topic, in recorded order.

    Small payloads share a buffer, large ones are separate pieces of memory.

    Attributes
    ----------
    topic : str
        Its key.
    timestamps, published : numpy.ndarray
        Record times and times of publication, shape (n,), int64, ns; the same where the bag does
        not tell them apart.
    payloads : Payloads or list of memoryview
        The messages.
    """

    topic: str
    timestamps: np.ndarray
    published: np.ndarray
    payloads: Payloads | list[memoryview]

    @property
    def nbytes(self) -> int:
        """Bytes of the payloads."""
        if isinstance(self.payloads, Payloads):
            return int(self.payloads.lengths.sum())
        return sum(map(len, self.payloads))


class Bag(ABC):
    """An open recording: topics, and their messages in groups.

    Attributes
    ----------
    path : Path
        File or folder.
    topics : dict
        `BagTopic` by key. In an unfinished file without index it grows while `groups` runs.
    distro : str or None
        ROS distribution that recorded it, if known.
    extras : Extras
        What it holds beside messages.
    problems : list of str
        What could not be read, said for people. Grows while `groups` runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, BagTopic] = {}
        self.distro: str | None = None
        self.extras = Extras()
        self.problems: list[str] = []

    @property
    def message_count(self) -> int | None:
        """Number of messages, if every topic says its own."""
        counts = [topic.count for topic in self.topics.values()]
        return sum(filter(None, counts)) if counts and None not in counts else None

    @abstractmethod
    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        """Messages of the wanted topics; memory stays bounded however large the bag is."""

    def _admit(self, topic: BagTopic) -> BagTopic:
        """Take in a topic; what has another type or definition than one of its name is another."""
        for variant in itertools.count(1):
            mine = replace(topic, variant=variant)
            known = self.topics.setdefault(mine.key, mine)
            if known.is_like(mine):
                break
        return known

    def _add(self, topic: BagTopic) -> BagTopic:
        """Take in a topic, or further messages of it."""
        there = len(self.topics)
        known = self._admit(topic)
        if len(self.topics) == there:
            counts = [known.count, topic.count]
            total = None if None in counts else sum(filter(None, counts))
            known = self.topics[known.key] = replace(known, count=total)
        return known

    def _collect(
        self,
        collector: Collector,
        topic: BagTopic,
        times: np.ndarray,
        payloads: Payloads,
        published: np.ndarray | None = None,
    ) -> Iterator[MessageGroup]:
        """`Collector.add`, of messages that may be compressed."""
        packed = len(payloads) and bytes(payloads[0][:4]) in _CODECS
        if packed and topic.channel is None and not topic.ros1:
            unpacked = [self._unpacked_message(topic.name, payload) for payload in payloads]
            kept = np.array([payload is not None for payload in unpacked])
            payloads = Payloads.join([payload for payload in unpacked if payload is not None])
            times = times[kept]
            published = None if published is None else published[kept]
        yield from collector.add(topic.key, times, payloads, published)

    def _unpacked_message(self, topic: str, payload: memoryview) -> bytes | None:
        """The message; None, and a problem, if it is damaged."""
        codec = _CODECS.get(bytes(payload[:4]))
        if codec is None:
            return bytes(payload)
        try:
            with pa.CompressedInputStream(pa.BufferReader(payload), codec) as stream:
                plain = bytearray()
                while (piece := stream.read(_UNPACKED_BYTES)) and len(plain) < _LARGEST_MESSAGE:
                    plain += piece
                if not piece:
                    return bytes(plain)
            reason = f'it has more than {size_text(_LARGEST_MESSAGE)}'
        except (OSError, pa.ArrowException) as error:
            reason = str(error)
        self.problems.append(f'{topic}: a message cannot be unpacked ({reason})')
        return None

    def close(self) -> None:  # noqa: B027 (most kinds hold nothing between calls)
        """Release files."""

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Collector:
    """Gathers messages per topic until there are enough for a group."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._bytes = 0

    def add(
        self,
        topic: str,
        timestamps: np.ndarray,
        payloads: Payloads,
        published: np.ndarray | None = None,
    ) -> Iterator[MessageGroup]:
        """Take messages; yield the groups that are complete now.

        Without times of publication those are the record times.
        Small payloads are copied together, so that the buffer (a chunk of the file) need not be
        kept for them; large ones stay where they lie if they are most of it.
        """
        nbytes = int(payloads.lengths.sum())
        times = np.stack([timestamps, timestamps if published is None else published])
        pending = self._pending.setdefault(topic, _Pending())
        if nbytes >= _LARGE_BYTES * len(payloads):
            # One at a time: a chunk may hold more than a group should.
            for i, size in enumerate(payloads.lengths.tolist()):
                pending.add_large(
                    times[:, i], payloads, i, keep=2 * nbytes >= len(payloads.buffer)
                )
                self._bytes += size
                if pending.nbytes >= GROUP_BYTES:
                    yield from self._flush(topic)
                    pending = self._pending.setdefault(topic, _Pending())
        else:
            for piece in _pieces(payloads):
                pending.add_small(times[:, piece], payloads, piece)
                self._bytes += int(payloads.lengths[piece].sum())
                if pending.messages >= GROUP_MESSAGES or pending.nbytes >= GROUP_BYTES:
                    yield from self._flush(topic)
                    pending = self._pending.setdefault(topic, _Pending())
        if self._bytes >= PENDING_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[MessageGroup]:
        """All incomplete groups."""
        for topic in list(self._pending):
            yield from self._flush(topic)

    def _flush(self, topic: str) -> Iterator[MessageGroup]:
        pending = self._pending.pop(topic)
        self._bytes -= pending.nbytes
        yield from pending.groups(topic)


class _Pending:
    """Messages of one topic in the order of their arrival, small and large ones in turns.

    Times are given in pairs, shape (2, n) or (2,): of the record, of publication.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.nbytes = 0
        self._runs: list[_Small | _Large] = []

    def add_small(self, times: np.ndarray, payloads: Payloads, piece: slice) -> None:
        lengths = payloads.lengths[piece]
        rows = Rows(payloads.buffer, payloads.offsets[piece], lengths)
        _, data = rows.cut(0, collapse(lengths))
        # A slice of a chunk would keep all of it alive.
        data = data if data.base is None else data.copy()
        self._run(_Small).add(times, lengths, data)
        self.messages += len(lengths)
        self.nbytes += len(data)

    def add_large(self, times: np.ndarray, payloads: Payloads, i: int, *, keep: bool) -> None:
        start, size = int(payloads.offsets[i]), int(payloads.lengths[i])
        data = payloads.buffer[start : start + size]
        self._run(_Large).add(times, (data if keep else data.copy()).data)
        self.messages += 1
        self.nbytes += size

    def groups(self, topic: str) -> Iterator[MessageGroup]:
        for run in self._runs:
            yield run.group(topic)

    def _run(self, kind: type[RunT]) -> RunT:
        if not self._runs or not isinstance(self._runs[-1], kind):
            self._runs.append(kind())
        run = self._runs[-1]
        assert isinstance(run, kind)
        return run


class _Small:
    def __init__(self) -> None:
        self._times: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []
        self._data: list[np.ndarray] = []

    def add(self, times: np.ndarray, lengths: np.ndarray, data: np.ndarray) -> None:
        self._times.append(times)
        self._lengths.append(lengths)
        self._data.append(data)

    def group(self, topic: str) -> MessageGroup:
        lengths = np.concatenate(self._lengths)
        payloads = Payloads(np.concatenate(self._data), np.cumsum(lengths) - lengths, lengths)
        times, published = np.concatenate(self._times, axis=1)
        return MessageGroup(topic, times, published, payloads)


class _Large:
    def __init__(self) -> None:
        self._times: list[np.ndarray] = []
        self._data: list[memoryview] = []

    def add(self, times: np.ndarray, data: memoryview) -> None:
        self._times.append(times)
        self._data.append(data)

    def group(self, topic: str) -> MessageGroup:
        times, published = np.stack(self._times, axis=1)
        return MessageGroup(topic, times, published, self._data)


RunT = TypeVar('RunT', _Small, _Large)


def _pieces(payloads: Payloads) -> Iterator[slice]:
    """Slices of at most a group's messages and bytes (a single larger message stays whole)."""
    start = 0
    total = np.cumsum(payloads.lengths)
    while start < len(payloads):
        before = int(total[start - 1]) if start else 0
        stop = int(np.searchsorted(total, before + GROUP_BYTES, 'right'))
        stop = min(max(stop, start + 1), start + GROUP_MESSAGES)
        yield slice(start, stop)
        start = stop
