"""What every kind of bag yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import numpy as np

from ..cdr.decoder import Payloads
from ..cdr.rows import Rows, collapse

#: A group is complete with this many messages or bytes, whichever comes first. Decoding has a
#: fixed cost of some 0.3 ms per group; 8192 small messages make that negligible.
GROUP_MESSAGES = 8192
GROUP_BYTES = 8 << 20
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
    """

    name: str
    msgtype: str
    definition: str | None = field(default=None, repr=False)
    ros1: bool = False
    count: int | None = None
    qos: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class MessageGroup:
    """Messages of one topic, in recorded order; ``timestamps`` (n,), int64, ns, record time."""

    topic: str
    timestamps: np.ndarray
    payloads: Payloads

    @property
    def nbytes(self) -> int:
        """Bytes of the payloads."""
        return int(self.payloads.lengths.sum())


class Bag(ABC):
    """An open recording: topics, and their messages in groups.

    Attributes
    ----------
    path : Path
        File or folder.
    topics : dict
        `BagTopic` by name. In an unfinished file without index it grows while `groups` runs.
    distro : str or None
        ROS distribution that recorded it, if known.
    problems : list of str
        What could not be read, said for people. Grows while `groups` runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topics: dict[str, BagTopic] = {}
        self.distro: str | None = None
        self.problems: list[str] = []

    @property
    def message_count(self) -> int | None:
        """Number of messages, if every topic says its own."""
        counts = [topic.count for topic in self.topics.values()]
        return sum(filter(None, counts)) if counts and None not in counts else None

    @abstractmethod
    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        """Messages of the wanted topics; memory stays bounded however large the bag is."""

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
        self, topic: str, timestamps: np.ndarray, payloads: Payloads
    ) -> Iterator[MessageGroup]:
        """Take messages; yield the groups that are complete now.

        Payloads of some size are passed on where they lie; small ones are copied together, so
        that the buffer (a chunk of the file) need not be kept for them.
        """
        nbytes = int(payloads.lengths.sum())
        if nbytes >= GROUP_BYTES // 8 or len(payloads) >= GROUP_MESSAGES:
            yield from self._flush(topic)
            yield from _split(topic, timestamps, payloads)
            return
        pending = self._pending.setdefault(topic, _Pending())
        pending.add(timestamps, payloads, nbytes)
        self._bytes += nbytes
        if pending.messages >= GROUP_MESSAGES or pending.nbytes >= GROUP_BYTES:
            yield from self._flush(topic)
        elif self._bytes >= PENDING_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[MessageGroup]:
        """All incomplete groups."""
        for topic in list(self._pending):
            yield from self._flush(topic)

    def _flush(self, topic: str) -> Iterator[MessageGroup]:
        pending = self._pending.pop(topic, None)
        if pending is not None:
            self._bytes -= pending.nbytes
            yield pending.group(topic)


class _Pending:
    def __init__(self) -> None:
        self.messages = 0
        self.nbytes = 0
        self._times: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []
        self._data: list[np.ndarray] = []

    def add(self, timestamps: np.ndarray, payloads: Payloads, nbytes: int) -> None:
        rows = Rows(payloads.buffer, payloads.offsets, payloads.lengths)
        _, data = rows.cut(0, collapse(payloads.lengths))
        self._times.append(timestamps)
        self._lengths.append(payloads.lengths)
        # A slice of a chunk would keep all of it alive.
        self._data.append(data if data.base is None else data.copy())
        self.messages += len(payloads)
        self.nbytes += nbytes

    def group(self, topic: str) -> MessageGroup:
        lengths = np.concatenate(self._lengths)
        offsets = np.cumsum(lengths) - lengths
        payloads = Payloads(np.concatenate(self._data), offsets, lengths)
        return MessageGroup(topic, np.concatenate(self._times), payloads)


def _split(topic: str, timestamps: np.ndarray, payloads: Payloads) -> Iterator[MessageGroup]:
    """Pieces of at most a group's size (a single larger message stays whole)."""
    start = 0
    total = np.cumsum(payloads.lengths)
    while start < len(payloads):
        before = int(total[start - 1]) if start else 0
        stop = int(np.searchsorted(total, before + GROUP_BYTES, 'right'))
        stop = min(max(stop, start + 1), start + GROUP_MESSAGES)
        piece = slice(start, stop)
        yield MessageGroup(
            topic,
            timestamps[piece],
            Payloads(payloads.buffer, payloads.offsets[piece], payloads.lengths[piece]),
        )
        start = stop
