"""What the parameters say of a fault by its code: when it counts, how much of it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mosaico_ros.nodes.debounce import Debounce
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.faults import Severity
from mosaico_ros.protocol.errors import InvalidArgumentError

_DEBOUNCE = tuple(each.name for each in fields(Debounce))
_OVERRIDABLE = (*_DEBOUNCE, 'pre_sec', 'post_sec')
_SPECS = {spec.name: spec for spec in FAULT_SNAPSHOT if spec.name in _OVERRIDABLE}


@dataclass(frozen=True)
class SnapshotRule:
    """What applies to a fault code; times in seconds."""

    debounce: Debounce
    pre_sec: float
    post_sec: float


class SnapshotRules:
    """The rule of every fault code.

    Parameters
    ----------
    settings
        Checked values of the `FAULT_SNAPSHOT` table.

    Raises
    ------
    InvalidArgumentError
        An override is malformed, or asks for more history than the ring has.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        base = {name: settings[name] for name in _OVERRIDABLE}
        self._rules = {'': _rule(base)}
        for text in settings['overrides']:
            prefix, values = _override(text)
            self._rules[prefix] = _rule({**base, **values})
        for prefix, rule in self._rules.items():
            if rule.pre_sec > settings['ring_sec']:
                where = f' of {prefix}' if prefix else ''
                raise InvalidArgumentError(
                    f'parameter pre_sec{where} is {rule.pre_sec:g}, but the ring holds '
                    f'{settings["ring_sec"]:g} s',
                    remedy='raise ring_sec',
                )
        # Longest first: what is found first is the most special.
        self._prefixes = sorted(self._rules, key=len, reverse=True)

    def of(self, code: str) -> SnapshotRule:
        """Return the rule of a fault code: of its longest known beginning."""
        return self._rules[next(each for each in self._prefixes if code.startswith(each))]

    def debounce(self, code: str) -> Debounce:
        """Return when faults of a code count."""
        return self.of(code).debounce


def _override(text: str) -> tuple[str, dict[str, Any]]:
    prefix, colon, rest = text.partition(':')
    prefix = prefix.strip()
    values: dict[str, Any] = {}
    for part in rest.split():
        name, equals, value = part.partition('=')
        if not equals or name not in _OVERRIDABLE:
            raise InvalidArgumentError(
                f'overrides: {part!r} in {text!r} is not NAME=VALUE',
                remedy=f'the names are {", ".join(_OVERRIDABLE)}',
            )
        values[name] = _value(name, value, text)
    if not (prefix and colon and values):
        raise InvalidArgumentError(
            f'overrides: {text!r} says nothing', remedy='write "MOTOR_: confirm_count=3"'
        )
    return prefix, values


def _value(name: str, text: str, whole: str) -> Any:
    spec = _SPECS[name]
    if isinstance(spec.default, str):
        return spec.check(text if text == 'never' else text.upper())
    try:
        number = type(spec.default)(text)
    except ValueError as error:
        raise InvalidArgumentError(f'overrides: {text!r} in {whole!r} is no number') from error
    return spec.check(number)


def _rule(values: Mapping[str, Any]) -> SnapshotRule:
    debounce = {name: values[name] for name in _DEBOUNCE}
    bypass = values['bypass_severity']
    debounce['bypass_severity'] = None if bypass == 'never' else Severity.parse(bypass)
    debounce['min_severity'] = Severity.parse(values['min_severity'])
    return SnapshotRule(Debounce(**debounce), values['pre_sec'], values['post_sec'])
