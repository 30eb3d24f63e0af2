"""Declare a parameter table on an rclpy node and read its values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mosaico_ros.nodes.parameters import Changes, ParameterSpec, resolve
from mosaico_ros.protocol.errors import InvalidArgumentError

# Where a number has only one bound; ROS ranges need both.
_OPEN_HIGH = 1e18


def as_overrides(values: Mapping[str, Any]) -> list[Parameter]:
    """Turn values by name into what a node's constructor takes as ``parameter_overrides``."""
    return [
        Parameter(name, value=list(value) if isinstance(value, tuple) else value)
        for name, value in values.items()
    ]


def declare(node: Node, table: Sequence[ParameterSpec]) -> dict[str, Any]:
    """Declare every parameter of a table and return the checked values.

    Raises
    ------
    InvalidArgumentError
        A value given by command line, params file or override has the wrong type, is out of
        range or not among the choices.

    Notes
    -----
    Values for parameters that the node does not have are told on its log.
    """
    for spec in table:
        _declare(node, spec)
    settings = read(node, table)
    for name in sorted(getattr(node, '_parameter_overrides', ())):
        if not node.has_parameter(name) and not name.startswith('qos_overrides.'):
            # No error: a file for `/**` may speak to other nodes, too.
            node.get_logger().warning(_unknown(name, [spec.name for spec in table]))
    return settings


def read(node: Node, table: Sequence[ParameterSpec]) -> dict[str, Any]:
    """Return the values as they are now, checked.

    Raises
    ------
    InvalidArgumentError
        A value does not fit.
    """
    return resolve(table, {spec.name: node.get_parameter(spec.name).value for spec in table})


def refusal(
    table: Sequence[ParameterSpec], wanted: Iterable[Parameter], *, configured: bool
) -> str:
    """Return why parameters cannot be set, or nothing.

    Parameters
    ----------
    table
        What is known of them; others are not judged.
    wanted
        The new values.
    configured
        Whether the node is.
    """
    specs = {spec.name: spec for spec in table}
    for parameter in wanted:
        spec = specs.get(parameter.name)
        if spec is None:
            continue
        if configured and spec.changes is Changes.UNCONFIGURED:
            return (
                f'{spec.name} is fixed while the node is configured: clean it up first '
                '(ros2 lifecycle set NODE deactivate, then cleanup)'
            )
        try:
            spec.check(parameter.value)
        except InvalidArgumentError as error:
            return str(error)
    return ''


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f'; did you mean {close[0]}?' if close else ''
    return f'the parameter {name} has no effect: this node has none of that name{hint}'


def _declare(node: Node, spec: ParameterSpec) -> None:
    # An empty Python list would be declared as a list of bytes; empty texts are dropped later.
    default = list(spec.default) or [''] if isinstance(spec.default, tuple) else spec.default
    try:
        node.declare_parameter(spec.name, default, _descriptor(spec))
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        # ROS takes no integer for a floating point parameter: the most frequent mistake.
        mistyped = isinstance(error, InvalidParameterTypeException)
        remedy = 'write it with a decimal point' if isinstance(spec.default, float) else None
        raise InvalidArgumentError(
            f'parameter {spec.name}: {error}', remedy=remedy if mistyped else spec.description
        ) from error


def _descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    fixed = spec.changes is Changes.NEVER
    descriptor = ParameterDescriptor(description=spec.description, read_only=fixed)
    if spec.choices:
        descriptor.additional_constraints = f'one of {", ".join(spec.choices)}'
    if spec.low is not None:
        high = spec.high if spec.high is not None else _OPEN_HIGH
        if isinstance(spec.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(high))]
        else:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(spec.low), to_value=float(high))
            ]
    return descriptor
