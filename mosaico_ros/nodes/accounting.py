"""What became of every message: received, stored, malformed, dropped, lost on the way.

Nothing here is estimated. Where the middleware gives no way to know about losses they are
``None`` (unknown), never zero.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class SequenceGaps:
    """Count the messages missing between those received, by the publisher's own numbering.

    rmw numbers publications per publisher. Kilted and newer say which publisher a message
    comes from (`publisher` below); Iron and Jazzy number without naming the publisher, which
    is exact as long as there is one per topic; Humble does not number at all. What was
    published before the first message received is not a loss, and a loss shows only when a
    later message arrives. A number seen before is a repeated latched message, not news: a
    publisher's messages never overtake each other.
    """

    _next: dict[Hashable, int] = field(default_factory=dict)
    _lost: int = 0
    _numbered: bool = False
    _ambiguous: bool = False

    def saw(self, number: int | None, publisher: Hashable) -> None:
        """Note the arrival of publication `number` of `publisher` (None: the rmw names none)."""
        if number is None:
            return
        self._numbered = True
        expected = self._next.get(publisher)
        if expected is None or number >= expected:
            if expected is not None:
                self._lost += number - expected
            self._next[publisher] = number + 1

    def several_publishers(self) -> None:
        """Note that a topic has more than one publisher, so that unnamed numbers mean nothing."""
        self._ambiguous = True

    @property
    def lost(self) -> int | None:
        """Messages lost in transport so far, or None where that cannot be known."""
        if not self._numbered or (self._ambiguous and None in self._next):
            return None
        return self._lost


@dataclass(frozen=True)
class TopicReport:
    """The account of one topic at one moment.

    Attributes
    ----------
    received, received_bytes
        Messages taken from the middleware, and their serialized size in bytes.
    stored
        Rows that the daemon acknowledged as durable.
    sent
        Rows handed to the daemon, durable or not yet.
    malformed
        Messages whose bytes do not fit their type: skipped.
    dropped
        Messages thrown away here: the archive did not keep up and the buffer was full, or a
        single one is larger than the daemon accepts.
    lost
        Messages lost between publisher and recorder; None if the middleware cannot tell.
    problem
        Why the topic is not recorded, or empty.
    """

    name: str
    type: str
    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    stored: int = 0
    malformed: int = 0
    dropped: int = 0
    lost: int | None = None
    first_stamp_ns: int | None = None
    last_stamp_ns: int | None = None
    problem: str = ''

    @property
    def complete(self) -> bool:
        """True if every message that was received is stored and none is known to be lost."""
        return self.stored == self.received and not self.lost and not self.problem

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON-ready values."""
        return asdict(self)


@dataclass
class TopicAccount:
    """The running account of one topic; each counter is written by one thread only."""

    name: str
    type: str
    received: int = 0
    received_bytes: int = 0
    dropped: int = 0
    first_stamp_ns: int | None = None
    last_stamp_ns: int | None = None
    gaps: SequenceGaps = field(default_factory=SequenceGaps)
    # Written by the sink's thread.
    sent: int = 0
    stored: int = 0
    malformed: int = 0
    too_large: int = 0
    problem: str = ''

    def report(self) -> TopicReport:
        """Freeze the account as it stands."""
        return TopicReport(
            name=self.name,
            type=self.type,
            received=self.received,
            received_bytes=self.received_bytes,
            sent=self.sent,
            stored=self.stored,
            malformed=self.malformed,
            dropped=self.dropped + self.too_large,
            lost=self.gaps.lost if self.received else 0,
            first_stamp_ns=self.first_stamp_ns,
            last_stamp_ns=self.last_stamp_ns,
            problem=self.problem,
        )
