"""Conditions on user metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mosaico_ros.protocol.query import MetadataCondition, MetadataStep, Operator, StepKind

__all__ = ['satisfies']


def satisfies(metadata: dict[str, Any], condition: MetadataCondition) -> bool:
    """Whether some value that the path addresses satisfies the condition.

    An array satisfies it if one of its elements does; ``$nex`` holds where the path leads
    nowhere. Whether the condition is negated is left to the caller.
    """
    operator = condition.condition.operator
    found = _values(metadata, condition.path)
    if operator is Operator.NEX:
        return not found
    if operator is Operator.EX:
        return bool(found)
    return any(
        any(map(condition.condition.matches, value))
        if isinstance(value, list)
        else condition.condition.matches(value)
        for value in found
    )


def _values(value: Any, path: Sequence[MetadataStep]) -> list[Any]:
    """Return what a path addresses; step by step, as ``**`` can reach a value in many ways."""
    found = [value]
    for step in path:
        found = _descendants(found) if step.kind is StepKind.ANY_DEPTH else _inside(found, step)
    return found


def _descendants(values: list[Any]) -> list[Any]:
    found: dict[int, Any] = {}
    pending = values[::-1]
    while pending:
        value = pending.pop()
        if id(value) not in found:
            found[id(value)] = value
            if isinstance(value, dict):
                pending.extend(value.values())
    return list(found.values())


def _inside(values: list[Any], step: MetadataStep) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not isinstance(value, dict):
            continue
        if step.kind is StepKind.ANY_KEY:
            found.extend(value.values())
        elif step.name in value:
            found.append(value[step.name])
    if step.elements:
        found = [element for value in found if isinstance(value, list) for element in value]
    return found
