"""The player node: what the archive holds, on live topics again.

The main thread reports, one thread publishes each message at its time, another one reads ahead,
and the services answer from the node's service thread. ``python -m mosaico_ros.nodes.player``,
``ros2 run mosaico_ros player`` and ``mosaico play`` are the same program.

Configured means that the topics are advertised, active that they are played; deactivated it stands
still, and goes on from there when it is activated again.

Exit codes: 0 all was played or it was stopped, 1 failed, 2 wrong use, 3 topics were left out (each
is named, with the reason).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.archive_connection import connect
from mosaico_ros.nodes.control_services import offer
from mosaico_ros.nodes.diagnostics import Level, Status
from mosaico_ros.nodes.player_controls import controls, set_parameters
from mosaico_ros.nodes.player_parameters import PLAYER
from mosaico_ros.nodes.player_report import PlaybackState, PlayedTopic, PlayerReport
from mosaico_ros.nodes.running import Work, program
from mosaico_ros.protocol.errors import CancelledError, FailedPreconditionError

if TYPE_CHECKING:
    from mosaico_ros.nodes.playback import Batch, Feed, Playback
    from mosaico_ros.nodes.playback_source import PlaybackSource, PlayRequest
    from mosaico_ros.nodes.publishers import Publishers

PARTIAL = 3

_SECOND = 1_000_000_000
# The reader must not keep the interpreter for longer than a message may be late, seconds.
_SWITCH_INTERVAL = 0.0005
# Accurate figures come from the thread that waits for each message; this one only looks on.
_TICK = 0.05


class Playing(Work):
    """One playback."""

    period = _TICK
    _playback: Playback | None = None
    _source: PlaybackSource
    _publishers: Publishers
    _thread: threading.Thread | None = None

    def configure(self) -> None:
        """Find what is to be played, and advertise its topics.

        Raises
        ------
        InvalidArgumentError
            Nothing says what to play, or nothing of that can be played.
        MosaicoError
            The daemon cannot be reached, or has no such sequence.
        """
        from mosaico_ros.nodes.playback import Playback
        from mosaico_ros.nodes.playback_source import PlaybackSource
        from mosaico_ros.nodes.publishers import Publishers
        from mosaico_ros.nodes.qos_overrides import read_qos_overrides

        settings = self.settings
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._report = PlayerReport(settings['report'] == 'json')
        self._held = ExitStack()
        self._failure: BaseException | None = None
        self._halt = threading.Event()
        try:
            client = self._held.enter_context(connect(settings, self.stop))
        except CancelledError:
            return  # a signal; nothing has begun
        self._source = PlaybackSource(client, _request(settings))
        path = settings['qos_overrides_path']
        self._publishers = Publishers(
            self.node,
            self._source.tracks,
            with_clock=settings['clock_hz'] > 0,
            overrides=read_qos_overrides(path) if path else {},
        )
        self._held.callback(self._publishers.close)
        self._source.drop(self._publishers.refused)
        for name, reason in self._source.left_out.items():
            self._report.event(f'{name} is left out: {reason}', warning=True)
        if not self._source.tracks:
            raise FailedPreconditionError('no topic of what was asked for can be published here')
        clock_hz = settings['clock_hz']
        self._playback = Playback(
            self._source.timeline,
            self._open_feed,
            self._publishers,
            # Until then `rate` may have been set.
            rate=self.node.get_parameter('rate').value,
            paused=settings['start_paused'],
            loop=settings['loop'],
            clock_period_ns=round(_SECOND / clock_hz) if clock_hz else 0,
        )
        self._held.callback(self._playback.close)
        self._begins = time.monotonic() + settings['discovery_sec']
        self._next_report = time.monotonic() + settings['report_period_sec']
        for service in offer(self.node, controls(self._playback, self.stop)):
            self._held.callback(self.node.destroy_service, service)
        setter = set_parameters(self._playback)
        self.node.add_on_set_parameters_callback(setter)
        self._held.callback(self.node.remove_on_set_parameters_callback, setter)

    def activate(self) -> None:
        """Play, or go on."""
        if self._playback is None:
            return
        self._halt.clear()
        self._playback.allow()
        self._thread = threading.Thread(target=self._play, name='playback', daemon=True)
        self._thread.start()
        timeline = self._source.timeline
        self._report.event(
            f'playing {len(self._source.tracks)} topics, {timeline.duration_ns / 1e9:.1f} s'
            + (' (paused)' if self._playback.paused else '')
        )

    def tick(self) -> None:
        """Report, and end the node when all is played.

        Raises
        ------
        MosaicoError
            What the playback broke off of.
        """
        if self._thread is None or self._playback is None:
            return
        if not self._thread.is_alive():
            if self._failure is not None:
                raise self._failure
            if self._playback.finished:
                self.stop.request('all is played')
        elif time.monotonic() >= self._next_report:
            self._report.progress(self._state())
            self._next_report = time.monotonic() + self.settings['report_period_sec']

    def deactivate(self) -> None:
        """Stand still."""
        self._halt.set()
        if self._playback is not None:
            self._playback.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def cleanup(self) -> None:
        """Say what was played, and let go of the topics and of the daemon."""
        if self._playback is not None:
            self._report.final(self._state(ending=True))
            self.exit_code = PARTIAL if self._source.left_out else self.exit_code
        self._playback = None
        self._held.close()

    def diagnose(self) -> Iterable[Status]:
        """Say where it is and how late messages are."""
        if self._playback is None:
            return [Status('playback', Level.WARN, 'nothing is opened to be played')]
        state = self._state()
        values = {
            'position_sec': state.position,
            'duration_sec': state.duration,
            'rate': state.rate,
            'messages': state.messages,
            'late_p99_sec': state.lateness.p99,
            'late_max_sec': state.lateness.max,
            'stalled_sec': state.stalled,
            'topics': len(state.topics),
            'topics_left_out': len(state.left_out),
        }
        level = Level.WARN if state.left_out else Level.OK
        return [Status('playback', level, state.state, values)]

    # --- the playback's thread ------------------------------------------------------------------

    def _play(self) -> None:
        assert self._playback is not None
        try:
            if self._heard():
                self._playback.run()
            if self._playback.finished:
                self._publishers.wait_for_acknowledgement()
        except BaseException as error:
            self._failure = error

    def _heard(self) -> bool:
        """Wait until every topic has a subscription, or had the time for it; False if halted."""
        while time.monotonic() < self._begins and not all(self._publishers.subscriptions()):
            if self._halt.wait(_TICK):
                return False
        # Deactivated and activated again, it goes on without delay.
        self._begins = 0.0
        return not self._halt.is_set()

    def _open_feed(self, position: int, wake: Any) -> Feed:
        from mosaico_ros.nodes.read_ahead import ReadAhead

        batches: Iterator[Batch] = self._source.read(position)
        return ReadAhead(batches, wake, round(self.settings['read_ahead_mb'] * 1e6))

    def _state(self, ending: bool = False) -> PlaybackState:
        playback = self._playback
        assert playback is not None
        counts = dict(playback.counts)
        subscriptions = self._publishers.subscriptions()
        state = 'paused' if playback.paused else 'playing'
        if ending:
            state = 'ended' if playback.finished else 'stopped'
        return PlaybackState(
            state=state,
            position=playback.position / 1e9,
            duration=playback.timeline.duration_ns / 1e9,
            recorded_ns=playback.recorded_ns,
            rate=playback.rate,
            lateness=playback.lateness.figures(),
            stalled=playback.stalled_ns / 1e9,
            topics=[
                PlayedTopic(
                    track.name,
                    track.definition.msgtype,
                    counts.get(number, 0),
                    subscriptions[number],
                )
                for number, track in enumerate(self._source.tracks)
            ],
            left_out=self._source.left_out,
        )


def _request(settings: Mapping[str, Any]) -> PlayRequest:
    from mosaico_ros.nodes.playback_source import PlayRequest

    duration = settings['duration_sec']
    return PlayRequest(
        sequences=settings['sequences'],
        topics=(*settings['topics'], *(f'!{name}' for name in settings['exclude_topics'])),
        start_ns=settings['start_ns'] or None,
        end_ns=settings['end_ns'] + 1 if settings['end_ns'] else None,
        offset_ns=round(settings['start_offset_sec'] * _SECOND),
        duration_ns=round(duration * _SECOND) if duration else None,
        where=settings['where'],
        around_ns=round(settings['around_sec'] * _SECOND),
    )


main = program('mosaico_player', PLAYER, Playing)

if __name__ == '__main__':
    sys.exit(main())
