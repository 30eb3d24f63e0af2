"""What can be asked of a player: its services, and the parameters that may be set meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosaico_ros.nodes.control_services import Control
from mosaico_ros.nodes.playback import Playback
from mosaico_ros.nodes.player_parameters import PLAYER
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import InvalidArgumentError

_SECOND = 1_000_000_000
# What is larger is no position but a time since 1970, seconds.
_LONGEST = 1e6
# Messages: more than there are.
_ALL = 1 << 60
_SPECS = {spec.name: spec for spec in PLAYER}


def controls(playback: Playback, stop: StopSignals) -> list[Control]:
    """Return the controls of a playback; ``~/stop`` ends the node."""

    def now() -> str:
        return f'{"paused" if playback.paused else "playing"} at {playback.position / 1e9:.3f} s'

    def doing(action: Callable[[], None]) -> dict[str, Any]:
        def trigger() -> tuple[bool, str]:
            action()
            return True, now()

        def answer(_request: Any) -> dict[str, Any]:
            action()
            return {}

        return {'answer': answer, 'trigger': trigger}

    def toggle() -> None:
        if playback.paused:
            playback.resume()
        else:
            playback.pause()

    def step() -> tuple[bool, str]:
        done = playback.step() > 0
        return done, now() if done or playback.paused else 'not paused'

    return [
        Control('pause', 'Pause', **doing(playback.pause)),
        Control('resume', 'Resume', **doing(playback.resume)),
        Control('toggle_paused', 'TogglePaused', **doing(toggle)),
        Control('stop', 'Stop', **doing(lambda: stop.request('asked to stop'))),
        Control(
            'is_paused',
            'IsPaused',
            lambda _: {'paused': playback.paused},
            lambda: (playback.paused, now()),
        ),
        Control('play_next', 'PlayNext', lambda _: {'success': playback.step() > 0}, step),
        Control(
            'burst',
            'Burst',
            lambda request: {'actually_burst': playback.step(request.num_messages or _ALL)},
        ),
        Control('get_rate', 'GetRate', lambda _: {'rate': playback.rate}),
        Control(
            'set_rate',
            'SetRate',
            lambda request: {'success': set_rate(playback, request.rate) == ''},
        ),
        Control(
            'seek',
            'Seek',
            lambda request: {
                'success': playback.seek(request.time.sec * _SECOND + request.time.nanosec)
            },
        ),
    ]


def set_rate(playback: Playback, rate: float) -> str:
    """Go on at another rate; return why not, or nothing."""
    try:
        playback.set_rate(float(_SPECS['rate'].check(rate)))  # type: ignore[arg-type]
    except InvalidArgumentError as error:
        return str(error)
    return ''


def seek(playback: Playback, seconds: float) -> str:
    """Go on at a position or recorded time, see ``seek_sec``; return why not, or nothing."""
    recorded_ns = round(seconds * _SECOND)
    if seconds < _LONGEST:
        if not 0 <= recorded_ns < playback.timeline.duration_ns:
            return f'the playback is {playback.timeline.duration_ns / 1e9:g} s long'
        recorded_ns = playback.timeline.recorded(recorded_ns)
    if not playback.seek(recorded_ns):
        return f'{seconds:.9f} is not within what is played'
    return ''


def set_parameters(playback: Playback) -> Callable[[list[Any]], Any]:
    """Return what obeys to a change of the parameters `rate` and `seek_sec`."""
    from rcl_interfaces.msg import SetParametersResult

    obeying = {'rate': set_rate, 'seek_sec': seek}

    def obey(parameters: list[Any]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name in obeying:
                reason = obeying[parameter.name](playback, parameter.value)
                if reason:
                    return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    return obey
