"""What a source of faults is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.nodes.faults import FaultEvent
from mosaico_ros.nodes.message_columns import MessageColumns
from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.definitions import Types
from mosaico_ros.ros_bridge.provenance import LATCHED

_LATCHED = CAPTURED.get_field_index(LATCHED.name)


class Source(ABC):
    """Sees faults in the messages of some topics.

    Attributes
    ----------
    topics
        Names or globs of the topics it needs.
    types
        Types it can read; empty means any.
    """

    topics: tuple[str, ...] = ()
    types: tuple[str, ...] = ()

    @property
    def definitions(self) -> Types | None:
        """Definitions of its types, where no installed package may have them."""
        return None

    @abstractmethod
    def watches(self, topic: str) -> bool:
        """Tell whether a topic, by its full name, is one of those it reads."""

    @abstractmethod
    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield what messages say of faults, in order.

        Parameters
        ----------
        topic
            Whose they are.
        stamps
            Of each message, ns, shape (n,).
        rows
            The messages, fields as ROS names them.
        """

    def check(self, topic: str, schema: pa.Schema) -> None:  # noqa: B027
        """Look whether a topic has the fields that are needed.

        Raises
        ------
        InvalidArgumentError
            One is missing.
        """

    def tick(self, _now_ns: int) -> Iterator[FaultEvent]:
        """Yield what the absence of messages says."""
        return iter(())


@dataclass
class Watch:
    """All sources over all topics: decodes what is watched, once, and lets them look.

    A message type that is not what a source reads, or cannot be decoded, is told once and left
    alone.
    """

    sources: list[Source]
    tell: Callable[..., None]
    _by_topic: dict[str, tuple[MessageColumns, list[Source]] | None] = field(default_factory=dict)

    def topics(self) -> tuple[str, ...]:
        """Names or globs of all topics that the sources need."""
        return tuple(dict.fromkeys(name for source in self.sources for name in source.topics))

    def examine(self, topic: str, msgtype: str, captured: pa.RecordBatch) -> Iterator[FaultEvent]:
        """Yield what captured rows of a topic say of faults."""
        if topic not in self._by_topic:
            self._by_topic[topic] = self._watchers(topic, msgtype)
        found = self._by_topic[topic]
        if found is None:
            return
        columns, watching = found
        latched = captured.column(_LATCHED)
        if latched.null_count < len(latched):
            # What was published before this node began is history, not news.
            captured = captured.filter(pc.invert(latched.fill_null(False)))
        for stamps, rows in columns.decode(captured):
            for source in list(watching):
                try:
                    yield from source.examine(topic, stamps, rows)
                except Exception as error:
                    # Whatever is wrong with one source, the others must go on.
                    watching.remove(source)
                    name = type(source).__name__
                    self.tell(f'{name} fails on {topic} and is left out: {error!r}', warning=True)

    def tick(self, now_ns: int) -> Iterator[FaultEvent]:
        """Yield what the absence of messages says."""
        for source in self.sources:
            yield from source.tick(now_ns)

    def _watchers(self, topic: str, msgtype: str) -> tuple[MessageColumns, list[Source]] | None:
        watching = []
        extra: Types = {}
        for source in self.sources:
            if not source.watches(topic):
                continue
            if source.types and msgtype not in source.types:
                self.tell(
                    f'{topic} is of type {msgtype}, not {source.types[0]}: it is not watched for '
                    'faults',
                    warning=True,
                )
                continue
            watching.append(source)
            extra.update(source.definitions or {})
        if not watching:
            return None
        try:
            columns = MessageColumns(msgtype, extra)
            for source in watching:
                source.check(topic, columns.schema)
        except MosaicoError as error:
            self.tell(f'{topic} is not watched for faults: {error}', warning=True)
            return None
        return columns, watching
