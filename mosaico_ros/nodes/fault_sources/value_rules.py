"""Faults in values: a condition on the fields of any message.

::

    /imu: linear_acceleration.z < 2.0 -> code DROP severity ERROR
    /scan: ranges[?] < 0.2 and header.frame_id == 'front' -> code TOO_CLOSE severity 1
    /joint_states: effort[0] > 40 or effort[1] > 40 -> code OVERLOAD

Left of the arrow stands what ``mosaico query`` takes, with fields as the message definition names
them. Whole batches are compared, never single messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa

from mosaico_ros.client.query.text import parse_rows
from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.faults import FaultEvent, Severity, fault_code
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.query import Condition, OntologyCondition, Operator
from mosaico_ros.protocol.query.predicates import ResolvedCondition, resolve

_RULE = re.compile(
    r'\s*(?P<topic>[^\s:]+)\s*:\s*(?P<where>.+?)\s*->\s*'
    r'(?:code\s+)?(?P<code>[A-Za-z]\w*)(?:\s+severity\s+(?P<severity>\w+))?\s*',
    re.DOTALL,
)
# Of a value that flickers around its bound, the edges told per batch; the debouncing is for that.
_MOST_EDGES = 16
# How often it is said that nothing has changed, ns.
_PERIOD_NS = 500_000_000


@dataclass
class ValueRule(Source):
    """One condition on one topic (or a glob over several).

    True is a failure, false says that it passed. Told are the changes, and, from the first failure
    on, how it is every half second by the messages' own times: what lasts confirms and heals.

    Attributes
    ----------
    ways
        Conditions of which all of one of the alternatives must hold.
    """

    text: str
    topic: str
    ways: Sequence[tuple[OntologyCondition, ...]]
    code: str
    severity: Severity
    _masks: dict[str, list[list[ResolvedCondition]]] = field(default_factory=dict)
    _states: dict[str, bool] = field(default_factory=dict)
    _told: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, full_name: Callable[[str], str] = str) -> ValueRule:
        """Read a rule.

        Parameters
        ----------
        text
            As the head of this module describes.
        full_name
            Completes the name of a topic.

        Raises
        ------
        InvalidArgumentError
            It is none; says where.
        """
        found = _RULE.fullmatch(text)
        if found is None:
            raise InvalidArgumentError(
                f'{text!r} is not a value rule',
                remedy='write TOPIC: CONDITION -> code CODE severity SEVERITY, for example '
                "'/imu: linear_acceleration.z < 2.0 -> code DROP severity ERROR'",
            )
        rule = cls(
            text.strip(),
            full_name(found['topic']),
            parse_rows(found['where']),
            fault_code(found['code']),
            Severity.parse(found['severity'] or 'ERROR'),
        )
        rule.topics = (rule.topic,)
        return rule

    def watches(self, topic: str) -> bool:
        """Tell whether the rule is for a topic."""
        return fnmatchcase(topic, self.topic)

    def check(self, topic: str, schema: pa.Schema) -> None:
        """Find the fields of the rule.

        Raises
        ------
        InvalidArgumentError
            The messages have no such field.
        """
        for condition in (each for way in self.ways for each in way):
            there = replace(condition, condition=Condition(Operator.EX, None), negated=False)
            if resolve(there, schema) is None:
                path = '.'.join(map(str, condition.path))
                raise InvalidArgumentError(
                    f'its messages have no field {path}, which the rule {self.text!r} needs',
                    remedy=f'they have {", ".join(schema.names)}; of a list, say which element',
                )
        found = [[resolve(condition, schema) for condition in way] for way in self.ways]
        self._masks[topic] = [
            [each for each in way if each is not None] for way in found if None not in way
        ]

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield where the condition begins and ends to hold."""
        if not len(stamps):
            return
        holds = np.zeros(len(stamps), bool)
        for way in self._masks[topic]:
            one = np.ones(len(stamps), bool)
            for condition in way:
                one &= condition.mask(rows).to_numpy(zero_copy_only=False)
            holds |= one
        before = self._states.get(topic, False)
        self._states[topic] = bool(holds[-1])
        edges = np.flatnonzero(np.diff(holds, prepend=before))
        told = edges[:_MOST_EDGES].tolist()
        if holds.any() or topic in self._told:
            told = sorted({*told, *self._regularly(topic, stamps, holds)})
        for i in told:
            yield self._event(topic, int(stamps[i]), bool(holds[i]), len(edges))
        if len(edges) > _MOST_EDGES and holds[-1] != holds[told[-1]]:
            yield self._event(topic, int(stamps[-1]), bool(holds[-1]), len(edges))

    def _regularly(self, topic: str, stamps: np.ndarray, holds: np.ndarray) -> list[int]:
        """Messages at which it is said how it is, though nothing may have changed."""
        periods = stamps // _PERIOD_NS
        before = self._told.get(topic)
        self._told[topic] = int(periods[-1])
        if before is None:  # from the first failure on
            first = int(holds.argmax())
            return (np.flatnonzero(np.diff(periods[first:])) + first + 1).tolist()
        return np.flatnonzero(np.diff(periods, prepend=before)).tolist()

    def _event(self, topic: str, stamp: int, failed: bool, changes: int) -> FaultEvent:
        return FaultEvent(
            self.code,
            self.severity,
            topic,
            stamp,
            failed,
            self.text if failed else '',
            {'rule': self.text, 'changes': str(changes)},
        )
