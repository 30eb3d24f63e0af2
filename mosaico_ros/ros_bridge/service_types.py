"""Definitions of the messages that ROS makes for services and actions.

No file defines them: introspection publishes ``pkg/srv/Name_Event``, an action's feedback comes as
``pkg/action/Name_FeedbackMessage``. They follow from the ``.srv`` or ``.action`` file.
"""

from __future__ import annotations

from typing import Any

_BASE, _NAME, _SEQUENCE = 1, 2, 4
_UUID = ('goal_id', (_NAME, 'unique_identifier_msgs/msg/UUID'))


def parts(kind: str) -> tuple[str, ...]:
    """Return what the parts of a ``.srv`` or ``.action`` file define, in their order."""
    return ('Request', 'Response') if kind == 'srv' else ('Goal', 'Result', 'Feedback')


def owner(kind: str, name: str) -> str | None:
    """Return the service or action to which a message belongs, or None for other kinds."""
    return name.partition('_')[0] if kind in ('srv', 'action') and '_' in name else None


def composed(package: str, kind: str, name: str) -> Any:
    """Return the definition of a message made of parts, in rosbags' form, or None."""
    own = f'{package}/{kind}/{owner(kind, name)}'
    fields: list[Any]
    if name.endswith('_Event'):
        service = f'{package}/{kind}/{name.removesuffix("_Event")}'
        fields = [
            ('info', (_NAME, 'service_msgs/msg/ServiceEventInfo')),
            ('request', (_SEQUENCE, ((_NAME, f'{service}_Request'), 1))),
            ('response', (_SEQUENCE, ((_NAME, f'{service}_Response'), 1))),
        ]
    elif kind != 'action':
        return None
    elif name.endswith('_FeedbackMessage'):
        fields = [_UUID, ('feedback', (_NAME, f'{own}_Feedback'))]
    elif name.endswith('_SendGoal_Request'):
        fields = [_UUID, ('goal', (_NAME, f'{own}_Goal'))]
    elif name.endswith('_SendGoal_Response'):
        fields = [
            ('accepted', (_BASE, ('bool', 0))),
            ('stamp', (_NAME, 'builtin_interfaces/msg/Time')),
        ]
    elif name.endswith('_GetResult_Request'):
        fields = [_UUID]
    elif name.endswith('_GetResult_Response'):
        fields = [('status', (_BASE, ('int8', 0))), ('result', (_NAME, f'{own}_Result'))]
    else:
        return None
    return [], fields


def as_message(msgtype: str) -> str:
    """Return the name that stands for a type in ``.msg`` texts, which know only messages."""
    package, _, name = msgtype.split('/')
    return f'{package}/msg/{name}'
