"""The sources that a node's parameters ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mosaico_ros.nodes.fault_sources.actions import Actions
from mosaico_ros.nodes.fault_sources.base import Source
from mosaico_ros.nodes.fault_sources.medkit import Medkit
from mosaico_ros.nodes.fault_sources.rosout import Rosout
from mosaico_ros.nodes.fault_sources.scope import Scope
from mosaico_ros.nodes.fault_sources.statuses import Diagnostics, Reports
from mosaico_ros.nodes.fault_sources.value_rules import ValueRule
from mosaico_ros.protocol.errors import InvalidArgumentError

#: What the parameter `sources` may name.
NAMES = ('medkit', 'diagnostics', 'rosout', 'actions')


def sources(
    settings: Mapping[str, Any],
    full_name: Callable[[str], str],
    node_name: str,
    scope: Scope,
) -> list[Source]:
    """Make the sources.

    Parameters
    ----------
    settings
        Checked values of the `FAULT_SNAPSHOT` table.
    full_name
        Completes the name of a topic; leaves globs alone.
    node_name
        Full name of the node, whose own words are no faults of the robot.

    scope
        Whose faults are meant.

    Raises
    ------
    InvalidArgumentError
        A rule or pattern is malformed, or a source is unknown.
    """
    wanted = settings['sources']
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise InvalidArgumentError(
            f'parameter sources: {unknown[0]!r} is unknown', remedy=f'known are {", ".join(NAMES)}'
        )
    own = node_name.lstrip('/')
    found: list[Source] = [Reports(full_name(settings['report_topic']), scope)]
    if 'medkit' in wanted:
        found.append(Medkit(full_name(settings['medkit_topic']), scope))
    if 'diagnostics' in wanted:
        found.append(
            Diagnostics(
                full_name(settings['diagnostics_topic']),
                settings['diagnostics_level'],
                settings['diagnostics_pattern'],
                settings['diagnostics_stale_sec'],
                f'{own}: ',
                scope,
            )
        )
    if 'rosout' in wanted:
        found.append(
            Rosout(
                settings['rosout_level'],
                settings['rosout_pattern'],
                own.replace('/', '.'),
                scope,
            )
        )
    if 'actions' in wanted and settings['watched_actions']:
        found.append(Actions([scope.below(name) for name in settings['watched_actions']]))
    found += [ValueRule.parse(rule, full_name) for rule in settings['value_rules']]
    return found
