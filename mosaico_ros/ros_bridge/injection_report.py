"""What became of an injection."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class InjectionStatus(Enum):
    """How an injection ended."""

    COMPLETED = 'completed'
    CANCELLED = 'cancelled'
    DRY_RUN = 'dry_run'
    #: With ``resume``: nothing was sent, the archive has the bag already.
    PRESENT = 'present'


@dataclass
class TopicReport:
    """What became of one topic.

    The bag says that it holds ``expected`` messages, ``read`` came out of it, ``stored`` reached
    the archive; ``malformed`` counts the difference by reason. ``skipped`` says why nothing of
    the topic was loaded. ``start_ns`` and ``end_ns`` are record times.
    """

    name: str
    msgtype: str
    ontology: str = ''
    expected: int | None = None
    read: int = 0
    stored: int = 0
    nbytes: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    malformed: dict[str, int] = field(default_factory=dict)
    invalid_text: int = 0
    skipped: str | None = None


@dataclass
class InjectionReport:
    """What became of a bag.

    ``problems`` concern the bag itself; ``replaced`` says that a part of it, which a killed
    injection had left, was deleted first. It has ``attachments`` files attached to it, of
    ``attached_bytes`` bytes, which are stored too. ``unused`` are patterns that match none of its
    topics, and topics that were given metadata and are not loaded.
    """

    sequence_name: str
    topics: dict[str, TopicReport] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    expected: int | None = None
    seconds: float = 0.0
    replaced: bool = False
    attachments: int = 0
    attached_bytes: int = 0
    unused: list[str] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Messages in the archive."""
        return sum(topic.stored for topic in list(self.topics.values()))

    @property
    def nbytes(self) -> int:
        """Payload bytes read."""
        return sum(topic.nbytes for topic in list(self.topics.values()))

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is in the archive."""
        return not self.problems and not any(
            topic.skipped or topic.read != topic.stored for topic in self.topics.values()
        )
