"""Windows of time in which a condition on values holds, for what takes them out or plays them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mosaico_ros.client.handlers.recording_handler import (
    RECORDING_ID,
    RecordingHandler,
    open_recording,
)
from mosaico_ros.client.query.text import parse

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

__all__ = ['ConditionWindow', 'find_windows', 'joined_spans']


@dataclass(frozen=True)
class ConditionWindow:
    """A window, ns from (inclusive) and to (exclusive), of a sequence or recording."""

    sequence: str
    start_ns: int
    end_ns: int


def find_windows(
    client: MosaicoClient,
    where: str,
    around_ns: int = 0,
    recordings: Sequence[RecordingHandler] = (),
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> list[ConditionWindow]:
    """Return the windows in which a condition holds on some topic, widened and joined.

    Parameters
    ----------
    client
        The archive.
    where
        The condition, as `mosaico_ros.client.query.text` reads it. One on no values at all holds
        in the whole of the sequences it finds.
    around_ns
        How much longer each window becomes on either side; what overlaps then is one.
    recordings
        Where to look; by default in the sequences of the whole archive, each by itself.
    start_ns, end_ns
        Cut the windows to [start, end).

    Raises
    ------
    InvalidArgumentError
        The condition cannot be understood.
    """
    places: Sequence[RecordingHandler | None] = recordings or (None,)
    windows: list[ConditionWindow] = []
    for recording in places:
        spans: dict[str, list[tuple[int, int]]] = {}
        for item in client.query(query=parse(_within(where, recording))):
            name = item.sequence.name if recording is None else recording.name
            topics = [topic for topic in item.topics if topic.has_conditions]
            if not topics:
                whole = recording or open_recording(client, name)
                low, high = whole.timestamp_ns_min, whole.timestamp_ns_max
                if low is not None and high is not None:
                    spans[name] = [(max(low, start_ns or low), min(high + 1, end_ns or high + 1))]
            for topic in topics:
                for cluster in topic.clusterize(max(2 * around_ns, 1)):
                    start = cluster.timerange.start - around_ns
                    end = cluster.timerange.end + around_ns + 1
                    start = start if start_ns is None else max(start, start_ns)
                    end = end if end_ns is None else min(end, end_ns)
                    spans.setdefault(name, []).append((start, end))
        windows += [
            ConditionWindow(name, *span)
            for name, found in spans.items()
            for span in joined_spans(found)
        ]
    return windows


def joined_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans [start, end) in order of time; those that touch are one, empty ones none."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _within(where: str, recording: RecordingHandler | None) -> str:
    if recording is None:
        return where
    if len(recording.parts) > 1:
        identity = recording.user_metadata[RECORDING_ID]
        return f"({where}) and sequence.metadata.{RECORDING_ID} == '{identity}'"
    return f"({where}) and sequence.name == '{recording.name}'"
