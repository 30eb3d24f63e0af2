"""How the fault snapshot node is, for ``/diagnostics``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mosaico_ros.nodes.accounting import TopicReport
from mosaico_ros.nodes.diagnostics import Level, Status

if TYPE_CHECKING:
    from mosaico_ros.nodes.black_box import BlackBox
    from mosaico_ros.nodes.outbox import Outbox
    from mosaico_ros.nodes.snapshot_delivery import Delivery
    from mosaico_ros.nodes.snapshot_writer import SnapshotWriter

_MB = 1_000_000


def statuses(
    box: BlackBox,
    writer: SnapshotWriter,
    outbox: Outbox,
    delivery: Delivery | None,
    topics: Sequence[TopicReport],
) -> Iterator[Status]:
    """Yield one status each of capture, ring, faults and outbox."""
    yield _capture(topics)
    held = box.ring.topics()
    yield Status(
        'ring',
        Level.OK,
        f'{box.ring.size / _MB:.1f} MB of {len(held)} topics',
        {
            'ring MB': box.ring.size / _MB,
            'held MB': box.ring.held / _MB,
            'high water MB': box.ring.high_water / _MB,
            'shortest s': min((seconds for seconds, _ in held.values()), default=None),
        },
    )
    yield _faults(box, writer)
    yield _outbox(outbox, delivery)


def _capture(topics: Sequence[TopicReport]) -> Status:
    dropped = sum(topic.dropped + topic.thinned for topic in topics)
    losses = [topic.lost for topic in topics]
    problems = [topic for topic in topics if topic.problem]
    level = Level.ERROR if dropped else Level.WARN if problems else Level.OK
    message = f'{len(topics) - len(problems)} topics'
    if problems:
        message += f'; not captured: {", ".join(topic.name for topic in problems)}'
    return Status(
        'capture',
        level,
        message,
        {
            'received': sum(topic.received for topic in topics),
            'dropped': dropped,
            'lost': None if None in losses else sum(filter(None, losses)),
        },
    )


def _faults(box: BlackBox, writer: SnapshotWriter) -> Status:
    counts = box.counts
    lost = counts.refused + writer.failed
    standing = box.confirmed
    message = f'confirmed: {", ".join(standing)}' if standing else 'no fault stands'
    if lost:
        message = f'{lost} snapshots were lost; {message}'
    return Status(
        'faults',
        Level.ERROR if lost else Level.OK,
        message,
        {
            'reports': counts.reports,
            'snapshots': counts.snapshots,
            'within the cooldown': counts.cooling,
            'too mild': counts.mild,
            'nearly confirmed': counts.near_misses,
            'refused': counts.refused,
            'not written': writer.failed,
        },
    )


def _outbox(outbox: Outbox, delivery: Delivery | None) -> Status:
    state = outbox.state()
    away = delivery.problem if delivery is not None else ''
    message = f'{state.waiting} waiting, {state.delivered} delivered ones kept'
    level = Level.OK
    if delivery is not None and (away or state.stuck):
        level = Level.WARN
        message += f'; {away or state.stuck[0]}'
    if state.discarded:
        level = Level.ERROR
        message = f'{state.discarded} deleted undelivered; {message}'
    return Status(
        'outbox',
        level,
        message,
        {
            'waiting': state.waiting,
            'waiting MB': state.waiting_bytes / _MB,
            'oldest s': state.oldest_sec if state.waiting else 0,
            'kept MB': state.kept_bytes / _MB,
            'discarded': state.discarded,
        },
    )
