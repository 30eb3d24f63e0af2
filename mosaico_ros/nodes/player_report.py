"""Tell the user how a playback goes: lines, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mosaico_ros.nodes.lateness import LatenessFigures


@dataclass(frozen=True)
class PlayedTopic:
    """What was played of a topic."""

    name: str
    type: str
    messages: int
    subscriptions: int


@dataclass(frozen=True)
class PlaybackState:
    """A playback at one moment.

    ``state`` is ``playing``, ``paused``, ``ended`` or ``stopped``; times in seconds but
    `recorded_ns`; `stalled` is how long it stood still as what was next had not been read yet;
    `left_out` has the reason by topic.
    """

    state: str
    position: float
    duration: float
    recorded_ns: int
    rate: float
    lateness: LatenessFigures
    stalled: float
    topics: Sequence[PlayedTopic]
    left_out: Mapping[str, str]

    @property
    def messages(self) -> int:
        """Messages of all topics."""
        return sum(topic.messages for topic in self.topics)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-ready values."""
        return {
            **vars(self),
            'lateness': vars(self.lateness),
            'messages': self.messages,
            'topics': [vars(topic) for topic in self.topics],
        }


class PlayerReport:
    """Lines on standard output.

    Parameters
    ----------
    as_json
        One JSON object per line: ``{"event": ...}`` or a state.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def event(self, text: str, *, warning: bool = False) -> None:
        """Say something that happened once."""
        if self._as_json:
            print(json.dumps({'event': text, 'warning': warning}), flush=True)
        else:
            print(('WARNING: ' if warning else '') + text, flush=True)

    def progress(self, state: PlaybackState) -> None:
        """Say where it is."""
        if self._as_json:
            print(json.dumps(state.to_dict()), flush=True)
            return
        when = datetime.fromtimestamp(state.recorded_ns / 1e9, timezone.utc)
        self.event(
            f'{state.state}: {state.position:.1f} of {state.duration:.1f} s '
            f'({when:%Y-%m-%d %H:%M:%S} UTC), {state.messages} messages'
        )

    def final(self, state: PlaybackState) -> None:
        """Say what was played, and how accurately."""
        if self._as_json:
            print(json.dumps(state.to_dict()), flush=True)
            return
        width = max((len(topic.name) for topic in state.topics), default=0)
        for topic in state.topics:
            self.event(f'{topic.name.ljust(width)}  {topic.messages:>9}  {topic.type}')
        self.event(
            f'{state.state} at {state.position:.1f} of {state.duration:.1f} s: {state.messages} '
            f'messages; late by {state.lateness}; stood still {state.stalled:.2f} s for reading'
        )
