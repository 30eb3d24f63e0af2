"""Feed any rclpy message to a :class:`ValueDigest`, in the order its definition declares."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mosaico_ros.demo.ledger import ValueDigest

_ARRAY = re.compile(r'^(?:sequence<(?P<of>.+?)(?:, *\d+)?>|(?P<item>.+)\[\d+\])$')
_REALS = {'float', 'double'}
_INTEGERS = {f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)}
_OCTETS = {'octet', 'uint8', 'char'}

Feed = Callable[[ValueDigest, Any], None]

_plans: dict[type[Any], tuple[tuple[str, Feed], ...]] = {}


def digest_message(digest: ValueDigest, message: Any) -> None:
    """Add every leaf of a message."""
    _feed_message(digest, message)
    digest.end_message()


def _feed_message(digest: ValueDigest, message: Any) -> None:
    kind = type(message)
    plan = _plans.get(kind)
    if plan is None:
        fields = kind.get_fields_and_field_types()
        plan = _plans[kind] = tuple((name, _feeder(spec)) for name, spec in fields.items())
    for name, feed in plan:
        feed(digest, getattr(message, name))


def _feeder(spec: str) -> Feed:
    if match := _ARRAY.match(spec):
        return _array_feeder(match['of'] or match['item'])
    if spec in _REALS:
        return ValueDigest.real
    if spec in _INTEGERS or spec == 'char':
        return ValueDigest.integer
    if spec == 'boolean':
        return ValueDigest.flag
    if spec == 'octet':
        return lambda digest, value: digest.integer(value[0])
    if spec.startswith(('string', 'wstring')):
        return ValueDigest.text
    return _feed_message


def _array_feeder(item: str) -> Feed:
    if item in _REALS:
        return ValueDigest.reals
    if item in _OCTETS:
        return ValueDigest.octets
    feed = _feeder(item)

    def feed_all(digest: ValueDigest, values: Any) -> None:
        digest.length(len(values))
        for value in values:
            feed(digest, value)

    return feed_all


def topic_type(message_type: type[Any]) -> str:
    """Return ``package/msg/Name`` of a message class."""
    package, kind, *_ = message_type.__module__.split('.')
    return f'{package}/{kind}/{message_type.__name__}'
