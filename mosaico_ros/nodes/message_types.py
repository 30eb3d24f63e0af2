"""Find the Python class of a message type by its name.

``rosidl_runtime_py`` does the first as well, but only a full ROS installation has it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mosaico_ros.protocol.errors import NotFoundError


def message_class(topic_type: str) -> type[Any]:
    """Import the class of ``package/msg/Name``, or of a message of a service or action.

    Raises
    ------
    NotFoundError
        The package is not installed, was not sourced, or has no such type. Without the class
        rclpy cannot subscribe, not even to raw bytes.
    """
    package, _, rest = topic_type.partition('/')
    kind, _, name = rest.partition('/')
    if not (package and kind and name):
        raise NotFoundError(f'{topic_type!r} is not the name of a message type')
    try:
        return _found(import_module(f'{package}.{kind}'), kind, name)
    except ImportError as error:
        raise NotFoundError(
            f'message package {package!r} of type {topic_type!r} cannot be imported: {error}',
            remedy=f'install {package} and source its workspace',
        ) from error
    except AttributeError as error:
        raise NotFoundError(
            f'message package {package!r} has no type {name!r}',
            remedy=f'install the version of {package} that the publisher uses',
        ) from error


def _found(module: Any, kind: str, name: str) -> Any:
    # What introspection publishes, and an action's own topics, have classes inside that of the
    # service or action.
    if kind == 'srv' and name.endswith('_Event'):
        return getattr(module, name.removesuffix('_Event')).Event
    if kind == 'action':
        action, _, part = name.partition('_')
        implementation = getattr(module, action).Impl
        if part == 'FeedbackMessage':
            return implementation.FeedbackMessage
        if part.endswith('_Event'):
            return getattr(implementation, f'{part.removesuffix("_Event")}Service').Event
    return getattr(module, name)
