"""What can be asked of a recorder, and what can be told it, while it records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosaico_ros.nodes.control_services import Control
from mosaico_ros.nodes.recording import LiveRecording
from mosaico_ros.nodes.stop_signals import StopSignals

_NOT_ACTIVE = 'nothing is being recorded'
# Of rosbag2's SplitBagfile.
_SPLIT, _NOT_RECORDING = 0, 1


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

        def answer(_request: Any) -> dict[str, Any]:
            trigger()
            return {}

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
        # Newer requests can name a time to split at; here it is always now.
        done, words = split()
        return {
            'return_code': _SPLIT if done else _NOT_RECORDING,
            'error_string': '' if done else words,
        }

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
    ]
