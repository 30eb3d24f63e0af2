"""Control services, called over ROS."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('rclpy')

from std_srvs.srv import Empty, Trigger

from mosaico_ros.nodes.control_services import Control, offer


@pytest.fixture
def done(operator: Any, request: Any) -> list[str]:
    """What the controls `pause` and `step` of the operator's own node have done."""
    done: list[str] = []

    def pause() -> tuple[bool, str]:
        done.append('pause')
        return True, 'paused'

    def answer_pause(_request: Any) -> dict[str, Any]:
        pause()
        return {}

    request.getfixturevalue(request.param)
    offer(
        operator.node,
        [
            Control('pause', 'Pause', answer_pause, pause),
            Control('step', 'PlayNext', lambda _: {'success': True}, lambda: (False, 'no')),
            Control('seek', 'Seek', lambda _: {'success': False}),
        ],
    )
    return done


@pytest.fixture
def rosbag2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-in for ``rosbag2_interfaces``, which no package index has, of types like its own.

    An old one, without `Seek`.
    """
    package, services = ModuleType('rosbag2_interfaces'), ModuleType('rosbag2_interfaces.srv')
    vars(services).update(Pause=Empty, PlayNext=Trigger)
    monkeypatch.setitem(sys.modules, 'rosbag2_interfaces', package)
    monkeypatch.setitem(sys.modules, 'rosbag2_interfaces.srv', services)


@pytest.fixture
def no_rosbag2(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a plain virtual environment."""
    monkeypatch.setitem(sys.modules, 'rosbag2_interfaces.srv', None)


@pytest.mark.parametrize('done', ['rosbag2'], indirect=True)
def test_names_have_the_types_of_rosbag2_where_these_are(operator: Any, done: list[str]) -> None:
    name = operator.node.get_name()
    operator.call(Empty, f'/{name}/pause')
    assert done == ['pause']
    assert operator.call(Trigger, f'/{name}/std/pause').message == 'paused'
    assert operator.call(Trigger, f'/{name}/step').success
    assert not operator.call(Trigger, f'/{name}/std/step').success
    offered = [service.srv_name for service in operator.node.services]
    assert f'/{name}/seek' not in offered


@pytest.mark.parametrize('done', ['no_rosbag2'], indirect=True)
def test_without_rosbag2_they_are_triggers(operator: Any, done: list[str]) -> None:
    name = operator.node.get_name()
    for each in ('pause', 'std/pause'):
        answer = operator.call(Trigger, f'/{name}/{each}')
        assert (answer.success, answer.message) == (True, 'paused')
    assert done == ['pause', 'pause']
