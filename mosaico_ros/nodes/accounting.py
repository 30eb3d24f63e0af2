"""What became of every message: received, stored, malformed, dropped, lost on the way.

Nothing here is estimated. Where the middleware gives no way to know about losses they are
``None`` (unknown), never zero.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mosaico_ros.nodes.publications import Publications


@dataclass(frozen=True)
class TopicReport:
    """The account of one topic at one moment.

    What was received is stored, throttled, thinned, dropped, paused, malformed or still on its
    way; every message is in one of these numbers.

    Attributes
    ----------
    received, received_bytes
        Messages taken from the middleware, repetitions aside, and their serialized size in bytes.
    recorded_bytes
        Serialized size of the messages that were not left out, bytes.
    stored
        Rows that the daemon acknowledged as durable.
    sent
        Rows handed to the daemon, durable or not yet; after an outage, some for the second time.
    waiting
        Messages kept on this machine, of which the daemon has not said that they are durable.
    malformed
        Messages whose bytes do not fit their type: skipped.
    throttled
        Messages left out because of ``topic_max_hz``.
    thinned
        Messages left out because memory was getting tight.
    dropped
        Messages thrown away here: the disk did not keep up and the buffer was full, the spool
        was full, a single one is larger than the daemon accepts, or it refuses the topic.
    paused
        Messages that came while capture was paused.
    repeated
        Latched messages stored once more, at the beginning of a part; not counted as received.
    lost
        Messages lost between publisher and recorder, as far as a later message shows it; None if
        the middleware cannot tell.
    duplicates
        Repetitions left out: messages that more than one subscription delivered.
    odd_stamps
        Messages stamped more than a day away from the system's clock.
    problem
        Why the topic is not recorded, or empty.
    """

    name: str
    type: str
    received: int = 0
    received_bytes: int = 0
    recorded_bytes: int = 0
    sent: int = 0
    stored: int = 0
    waiting: int = 0
    malformed: int = 0
    throttled: int = 0
    thinned: int = 0
    dropped: int = 0
    paused: int = 0
    repeated: int = 0
    lost: int | None = None
    duplicates: int = 0
    odd_stamps: int = 0
    first_stamp_ns: int | None = None
    last_stamp_ns: int | None = None
    problem: str = ''

    @property
    def recorded(self) -> int:
        """Messages received and not left out."""
        left_out = self.throttled + self.thinned + self.dropped + self.paused + self.malformed
        return self.received - left_out

    @property
    def complete(self) -> bool:
        """True if all that was received and wanted is stored and none is known to be lost."""
        wanted = self.received - self.throttled - self.paused + self.repeated
        return self.stored == wanted and not self.lost and not self.problem

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON-ready values."""
        return asdict(self)


@dataclass
class TopicAccount:
    """The running account of one topic; each counter is written by one thread only."""

    name: str
    type: str
    # Repetitions included: they are known a moment later.
    arrived: int = 0
    duplicates: int = 0
    received_bytes: int = 0
    recorded_bytes: int = 0
    throttled: int = 0
    thinned: int = 0
    dropped: int = 0
    paused: int = 0
    odd_stamps: int = 0
    first_stamp_ns: int | None = None
    last_stamp_ns: int | None = None
    publications: Publications = field(default_factory=Publications)
    # Written by the spool's thread.
    spooled: int = 0
    unkept: int = 0
    # Written by the delivery's thread.
    repeated: int = 0
    refused: int = 0
    sent: int = 0
    stored: int = 0
    malformed: int = 0
    too_large: int = 0
    problem: str = ''

    def note(self, *, whole: bool) -> dict[str, int | None]:
        """Return what to store with the topic; what is not known is None.

        Parameters
        ----------
        whole
            Whether this is the account of the process that captured the messages. What another
            one delivers later says nothing of what was lost before it came into the spool.
        """
        report = self.report()
        if not whole:
            return {'received': None, 'stored': report.stored, 'lost': None, 'dropped': None}
        names = ('received', 'stored', 'throttled', 'thinned', 'dropped', 'paused', 'repeated')
        return {
            **{name: getattr(report, name) for name in names},
            'malformed': report.malformed,
            'lost': report.lost,
        }

    @property
    def _left_out(self) -> int:
        """Rows that were in the spool and came to nothing."""
        return self.malformed + self.too_large + self.refused

    def report(self) -> TopicReport:
        """Freeze the account as it stands."""
        return TopicReport(
            name=self.name,
            type=self.type,
            received=self.arrived - self.duplicates,
            received_bytes=self.received_bytes,
            recorded_bytes=self.recorded_bytes,
            sent=self.sent,
            stored=self.stored,
            waiting=max(0, self.spooled + self.repeated - self.stored - self._left_out),
            malformed=self.malformed,
            throttled=self.throttled,
            thinned=self.thinned,
            dropped=self.dropped + self.unkept + self.refused + self.too_large,
            paused=self.paused,
            repeated=self.repeated,
            lost=self.publications.lost if self.arrived else 0,
            duplicates=self.duplicates,
            odd_stamps=self.odd_stamps,
            first_stamp_ns=self.first_stamp_ns,
            last_stamp_ns=self.last_stamp_ns,
            problem=self.problem,
        )
