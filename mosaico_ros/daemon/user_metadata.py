"""Conditions on user metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mosaico_ros.protocol.query import MetadataCondition, MetadataStep, Operator, StepKind

__all__ = ['satisfies']


def satisfies(metadata: dict[str, Any], condition: MetadataCondition) -> bool:
    """Whether some value that the path addresses satisfies the condition.

    An array satisfies it if one of its elements does; ``$nex`` holds where the path leads
    nowhere.
    """
    operator = condition.condition.operator
    found = _values(metadata, condition.path)
    if operator is Operator.NEX:
        return next(found, _NOTHING) is _NOTHING
    if operator is Operator.EX:
        return next(found, _NOTHING) is not _NOTHING
    for value in found:
        if isinstance(value, list):
            if any(condition.condition.matches(element) for element in value):
                return True
        elif condition.condition.matches(value):
            return True
    return False


_NOTHING = object()


def _values(value: Any, path: Sequence[MetadataStep]) -> Iterator[Any]:
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    if step.kind is StepKind.ANY_DEPTH:
        yield from _values(value, rest)
        if isinstance(value, dict):
            for inner in value.values():
                yield from _values(inner, path)
        return
    if not isinstance(value, dict):
        return
    if step.kind is StepKind.ANY_KEY:
        inside = list(value.values())
    else:
        inside = [value[step.name]] if step.name in value else []
    for inner in inside:
        if not step.elements:
            yield from _values(inner, rest)
        elif isinstance(inner, list):
            for element in inner:
                yield from _values(element, rest)
