"""Parameters of a node as one table: declaration, check, documentation and default YAML from it.

A table is a tuple of :class:`ParameterSpec`. The nodes' tables are `RECORDER` and `DAEMON` in the
modules beside this one; ``config/*.yaml`` is what :func:`to_yaml` makes of them.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Union

from mosaico_ros.protocol.errors import InvalidArgumentError

ParameterValue = Union[bool, int, float, str, 'tuple[str, ...]']


class Changes(Enum):
    """When a parameter may be set, once the node runs."""

    #: Not at all.
    NEVER = 'never'
    #: While the node is unconfigured; the next configuration goes by it.
    UNCONFIGURED = 'unconfigured'
    #: In any state, with effect at once.
    ALWAYS = 'always'


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter.

    Parameters
    ----------
    default
        Decides the type too: ``bool``, ``int``, ``float``, ``str`` or a tuple of ``str``.
    description
        What it does and why the default is what it is; shown by ``ros2 param describe``.
    low, high
        Bounds of a number, inclusive.
    choices
        The texts allowed; empty means any.
    changes
        When it may be set.
    """

    name: str
    default: ParameterValue
    description: str
    low: float | None = None
    high: float | None = None
    choices: Sequence[str] = ()
    changes: Changes = Changes.UNCONFIGURED

    def check(self, value: Any) -> ParameterValue:
        """Return the value in the parameter's own type.

        ``None`` stands for an empty list: that is what rcl makes of ``[]`` in a params file.

        Raises
        ------
        InvalidArgumentError
            The value has another type, is out of range or not among the choices.
        """
        if isinstance(self.default, tuple):
            if value is None:
                return ()
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise self._refuse(value, 'a list of texts')
            return tuple(item for item in value if item)
        expected = type(self.default)
        if expected is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not expected:
            raise self._refuse(value, f'of type {expected.__name__}')
        if self.choices and value not in self.choices:
            raise self._refuse(value, f'one of {", ".join(map(repr, self.choices))}')
        if isinstance(value, (int, float)):
            if value != value:  # NaN is in every range
                raise self._refuse(value, 'a number')
            if self.low is not None and value < self.low:
                raise self._refuse(value, f'at least {self.low:g}')
            if self.high is not None and value > self.high:
                raise self._refuse(value, f'at most {self.high:g}')
        return value

    def _refuse(self, value: Any, expected: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f'parameter {self.name} must be {expected}, not {value!r}', remedy=self.description
        )


def resolve(table: Sequence[ParameterSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Complete given values by the defaults and check all of them.

    Raises
    ------
    InvalidArgumentError
        A value does not fit.
    """
    return {spec.name: spec.check(given.get(spec.name, spec.default)) for spec in table}


def to_yaml(node_name: str, table: Sequence[ParameterSpec]) -> str:
    """Write the table as a ROS params file with every default explained."""
    lines = [
        '# Every parameter with its default. `/**` reaches the node under any name and namespace.',
        '/**:',
        '  ros__parameters:',
    ]
    for number, spec in enumerate(table):
        if number:
            lines.append('')
        lines += textwrap.wrap(
            spec.description, width=95, initial_indent='    # ', subsequent_indent='    # '
        )
        limits = _limits(spec)
        if limits:
            lines.append(f'    # {limits}')
        lines.append(f'    {spec.name}: {_yaml_value(spec.default)}')
    return f'# Parameters of the {node_name} node.\n' + '\n'.join(lines) + '\n'


def _limits(spec: ParameterSpec) -> str:
    if spec.choices:
        return f'One of: {", ".join(spec.choices)}.'
    if spec.low is not None and spec.high is not None:
        return f'From {spec.low:g} to {spec.high:g}.'
    if spec.low is not None:
        return f'At least {spec.low:g}.'
    return ''


def _yaml_value(value: ParameterValue) -> str:
    if isinstance(value, tuple):
        # rcl reads `[]` as "not set" and a list with one empty text as that: the nodes drop it.
        return json.dumps(list(value) or [''])
    return json.dumps(value)
