"""What can be asked of a recorder, and what can be told it, while it records."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mosaico_ros.nodes.control_services import Control
from mosaico_ros.nodes.recording import LiveRecording
from mosaico_ros.nodes.stop_signals import StopSignals

_NOT_ACTIVE = 'nothing is being recorded'
# Of rosbag2's SplitBagfile.
_SPLIT, _NOT_RECORDING, _SPLIT_FAILED = 0, 1, 4


def controls(current: Callable[[], LiveRecording | None], stop: StopSignals) -> list[Control]:
    """Return the controls of a recorder; ``~/stop`` ends the node.

    Parameters
    ----------
    current
        Returns the recording that is going on.
    stop
        Ends the node.
    """

    def state(recording: LiveRecording) -> str:
        return f'{"paused" if recording.paused else "recording"} {recording.name}'

    def doing(action: Callable[[LiveRecording], None]) -> dict[str, Any]:
        def trigger() -> tuple[bool, str]:
            recording = current()
            if recording is None:
                return False, _NOT_ACTIVE
            action(recording)
            return True, state(recording)

        def answer(request: Any) -> dict[str, Any]:
            later = _later(request)
            done, words = (False, later) if later else trigger()
            return {'return_code': 0 if done else 1, 'error_string': '' if done else words}

        return {'answer': answer, 'trigger': trigger}

    def paused() -> tuple[bool, str]:
        recording = current()
        return (False, _NOT_ACTIVE) if recording is None else (recording.paused, state(recording))

    def split() -> tuple[bool, str]:
        recording = current()
        if recording is None:
            return False, _NOT_ACTIVE
        recording.split()
        return True, f'{recording.name} goes on in another part'

    def split_bagfile(request: Any) -> dict[str, Any]:
        later = _later(request)
        if later:
            return {'return_code': _SPLIT_FAILED, 'error_string': later}
        done, words = split()
        return {
            'return_code': _SPLIT if done else _NOT_RECORDING,
            'error_string': '' if done else words,
        }

    def is_recording() -> tuple[bool, str]:
        recording = current()
        return (False, _NOT_ACTIVE) if recording is None else (True, state(recording))

    def topics() -> list[str]:
        recording = current()
        return [] if recording is None else recording.topics

    def looking(on: bool) -> dict[str, Any]:
        return doing(lambda recording: recording.look_for_topics(on))

    def is_looking() -> tuple[bool, str]:
        recording = current()
        if recording is None:
            return False, _NOT_ACTIVE
        looking = recording.looks_for_topics
        return looking, 'new topics are recorded' if looking else 'no new topic is recorded'

    return [
        Control('pause', 'Pause', **doing(lambda recording: recording.pause(True))),
        Control('resume', 'Resume', **doing(lambda recording: recording.pause(False))),
        Control(
            'toggle_paused',
            'TogglePaused',
            **doing(lambda recording: recording.pause(not recording.paused)),
        ),
        Control('is_paused', 'IsPaused', lambda _: {'paused': paused()[0]}, paused),
        # rosbag2 knows it by a name of its own only, so both names have a type of their own.
        Control('split', '', lambda _: {}, split),
        Control('split_bagfile', 'SplitBagfile', split_bagfile),
        Control('stop', 'Stop', **doing(lambda _: stop.request('asked to stop'))),
        Control(
            'is_recording',
            'IsRecording',
            lambda _: {'recording': is_recording()[0]},
            is_recording,
        ),
        Control(
            'get_subscribed_topics',
            'GetSubscribedTopics',
            lambda _: {'topics': topics()},
            lambda: (current() is not None, ' '.join(topics())),
        ),
        Control('start_discovery', 'StartDiscovery', **looking(True)),
        Control('stop_discovery', 'StopDiscovery', **looking(False)),
        Control(
            'is_discovery_running',
            'IsDiscoveryRunning',
            lambda _: {'running': is_looking()[0]},
            is_looking,
        ),
    ]


def _later(request: Any) -> str:
    """Say that a request is for a later time, as newer ones can be, or nothing."""
    for name in ('split_time', 'resume_time'):
        when = getattr(request, name, None)
        if when is not None and when.sec + when.nanosec / 1e9 > time.time():
            return f'{name} lies in the future: call again when it is time'
    return ''
