"""Control services of a node: rosbag2's where its interfaces are, plain ones always.

Each control has the name that rosbag2 gives it, for example ``~/pause``, with rosbag2's type where
``rosbag2_interfaces`` is installed, so that scripts and panels made for ``ros2 bag`` work; without
it, the name has ``std_srvs/srv/Trigger``. That type is also always at ``~/std/pause``, whatever is
installed: two types cannot share one name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Control:
    """Something that callers may ask for.

    Attributes
    ----------
    name
        Of the service, below the node.
    type_name
        Type in ``rosbag2_interfaces.srv``.
    answer
        Does it: takes rosbag2's request, fills the fields of its response by name.
    trigger
        Does it without an argument; tells success and a message. None if it needs one.
    """

    name: str
    type_name: str
    answer: Callable[[Any], dict[str, Any]]
    trigger: Callable[[], tuple[bool, str]] | None = None


def offer(node: Any, controls: Sequence[Control]) -> list[Any]:
    """Create the services on a node and return them."""
    from std_srvs.srv import Trigger

    services = []
    for control in controls:
        rosbag2_type = _rosbag2_type(control.type_name)
        if rosbag2_type is not None:
            services.append(
                node.create_service(rosbag2_type, f'~/{control.name}', _filling(control.answer))
            )
        if control.trigger is not None:
            names = [f'~/std/{control.name}']
            if rosbag2_type is None:
                names.append(f'~/{control.name}')
            services += [
                node.create_service(Trigger, name, _triggering(control.trigger)) for name in names
            ]
    return services


def _rosbag2_type(name: str) -> Any:
    try:
        return getattr(importlib.import_module('rosbag2_interfaces.srv'), name, None)
    except ImportError:
        return None


def _filling(answer: Callable[[Any], dict[str, Any]]) -> Callable[[Any, Any], Any]:
    def serve(request: Any, response: Any) -> Any:
        for name, value in answer(request).items():
            # Older types have fewer fields.
            if hasattr(response, name):
                setattr(response, name, value)
        return response

    return serve


def _triggering(trigger: Callable[[], tuple[bool, str]]) -> Callable[[Any, Any], Any]:
    def serve(_request: Any, response: Any) -> Any:
        response.success, response.message = trigger()
        return response

    return serve
