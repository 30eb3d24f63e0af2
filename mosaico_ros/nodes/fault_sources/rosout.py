"""Faults in the log: ``/rosout``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.fault_sources.scope import Scope
from mosaico_ros.nodes.faults import FaultEvent, Severity, fault_code
from mosaico_ros.nodes.topic_selection import compiled

_ALL = Scope()
#: Levels of ``rcl_interfaces/msg/Log`` that can be a fault.
LEVELS = {'WARN': 30, 'ERROR': 40, 'FATAL': 50}
_SEVERITIES = {30: Severity.WARN, 40: Severity.ERROR, 50: Severity.CRITICAL}


class Rosout(Source):
    """Log lines of a level, or that match a pattern as well.

    The fault code is LOG and the name of the logger, unless the pattern has a group named
    ``code``: then it is what that group matched. A log never says that something passed.

    Parameters
    ----------
    level
        From which level on a line is a fault: a key of `LEVELS`.
    pattern
        Regular expression searched in the text; empty takes all lines.
    own
        Name of the node's own logger, which is left out.
    scope
        Whose lines count, by the name of the logger.
    """

    topics = ('/rosout',)
    types = ('rcl_interfaces/msg/Log',)

    def __init__(self, level: str, pattern: str = '', own: str = '', scope: Scope = _ALL) -> None:
        self._level = LEVELS[level]
        self._pattern = compiled('rosout_pattern', pattern)
        self._own = own
        self._scope = scope

    def watches(self, topic: str) -> bool:
        """Tell whether it is ``/rosout``."""
        return topic == '/rosout'

    def examine(
        self, topic: str, stamps: np.ndarray, rows: pa.RecordBatch
    ) -> Iterator[FaultEvent]:
        """Yield bad lines."""
        levels = rows.column('level').to_numpy()
        for i in np.flatnonzero(levels >= self._level).tolist():
            line = rows.slice(i, 1).to_pylist()[0]
            if line['name'] == self._own or not self._scope.has(line['name']):
                continue
            code = f'log {line["name"]}'
            if self._pattern is not None:
                found = self._pattern.search(line['msg'])
                if found is None:
                    continue
                code = found.groupdict().get('code') or code
            yield FaultEvent(
                fault_code(code),
                _SEVERITIES.get(line['level'], Severity.CRITICAL),
                line['name'],
                int(stamps[i]),
                description=line['msg'],
                extra={'file': line['file'], 'function': line['function']},
            )
