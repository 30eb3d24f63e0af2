"""The file of ``ros2 bag record --qos-profile-overrides-path``, read as it is.

A YAML map from full topic name to policies. A topic named there is subscribed to exactly so;
policies left out have the defaults of `rclpy.qos.QoSProfile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rclpy.duration import Duration
from rclpy.exceptions import InvalidParameterException
from rclpy.qos import (
    InvalidQoSProfileException,
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSLivelinessPolicy,
    QoSProfile,
    QoSReliabilityPolicy,
)

from mosaico_ros.protocol.errors import InvalidArgumentError

_PARAMETER = 'qos_overrides_path'
_CHOICES: dict[str, Any] = {
    'history': QoSHistoryPolicy,
    'reliability': QoSReliabilityPolicy,
    'durability': QoSDurabilityPolicy,
    'liveliness': QoSLivelinessPolicy,
}
_DURATIONS = ('deadline', 'lifespan', 'liveliness_lease_duration')
_VALUES: dict[str, type] = {'depth': int, 'avoid_ros_namespace_conventions': bool}


def read_qos_overrides(path: str) -> dict[str, QoSProfile]:
    """Read the file; return the profile of each topic.

    Raises
    ------
    InvalidArgumentError
        It cannot be read, or a topic in it has an unknown policy or value; the message names both.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidArgumentError(
            f'{_PARAMETER}: {path} cannot be read: {error}',
            remedy='give the file of ros2 bag record --qos-profile-overrides-path',
        ) from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise InvalidArgumentError(
            f'{_PARAMETER}: {path} is not a map from topic to policies',
            remedy='write it like /imu: {history: keep_last, depth: 10}',
        )
    return {_topic(path, name): _profile(str(name), given) for name, given in content.items()}


def _topic(path: str, name: Any) -> str:
    if not isinstance(name, str) or not name.startswith('/'):
        raise InvalidArgumentError(
            f'{_PARAMETER}: {name!r} in {path} is not a full topic name',
            remedy='begin it with /',
        )
    return name


def _profile(topic: str, given: Any) -> QoSProfile:
    if not isinstance(given, Mapping):
        raise _wrong(topic, f'is {given!r}, not a map of policies')
    policies: dict[str, Any] = {}
    for key, value in given.items():
        if key in _CHOICES:
            policies[key] = _choice(topic, key, value)
        elif key in _DURATIONS:
            policies[key] = _duration(topic, key, value)
        elif key in _VALUES:
            if type(value) is not _VALUES[key] or (isinstance(value, int) and value < 0):
                raise _wrong(topic, f'has {key} {value!r}')
            policies[key] = value
        else:
            known = ', '.join([*_CHOICES, *_DURATIONS, *_VALUES])
            raise _wrong(topic, f'has the unknown key {key!r}; known: {known}')
    try:
        return QoSProfile(**policies)
    except (InvalidQoSProfileException, InvalidParameterException, AssertionError) as error:
        raise _wrong(topic, f'is no profile: {error}') from error


def _choice(topic: str, key: str, value: Any) -> Any:
    known = _CHOICES[key].short_keys()
    if value not in known:
        raise _wrong(topic, f'has {key} {value!r}; known: {", ".join(known)}')
    return _CHOICES[key].get_from_short_key(value)


def _duration(topic: str, key: str, value: Any) -> Duration:
    if not isinstance(value, Mapping) or set(value) != {'sec', 'nsec'}:
        raise _wrong(topic, f'has {key} {value!r}; it takes both sec and nsec')
    if any(type(part) is not int or part < 0 for part in value.values()):
        raise _wrong(topic, f'has {key} {value!r}; sec and nsec are whole and not negative')
    return Duration(seconds=value['sec'], nanoseconds=value['nsec'])


def _wrong(topic: str, what: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'{_PARAMETER}: {topic} {what}',
        remedy='the format is that of ros2 bag record --qos-profile-overrides-path',
    )
