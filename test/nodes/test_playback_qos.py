"""What is offered for a recorded topic."""

from __future__ import annotations

from typing import Any

import pytest

from mosaico_ros.nodes.playback_qos import PublishedOffer, recorded_offer

RELIABLE = {'reliability': 'reliable', 'durability': 'volatile', 'deadline_ns': 2**63 - 1}
BEST_EFFORT = {'reliability': 'best_effort', 'durability': 'volatile', 'deadline_ns': 5}
LATCHED = {'reliability': 'reliable', 'durability': 'transient_local', 'lifespan_ns': 0}
OF_BAG = """\
- history: keep_last
  depth: 1
  reliability: best_effort
  durability: transient_local
  deadline: {sec: 1, nsec: 500}
  lifespan: {sec: 9223372036, nsec: 854775807}
  liveliness: automatic
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false
"""


@pytest.mark.parametrize(
    ('about', 'expected'),
    [
        ({'offered_qos': [RELIABLE]}, PublishedOffer(True, False)),
        ({'offered_qos': [BEST_EFFORT]}, PublishedOffer(False, False, deadline_ns=5)),
        ({'offered_qos': [BEST_EFFORT, BEST_EFFORT]}, PublishedOffer(False, False, 5)),
        ({'offered_qos': [RELIABLE, BEST_EFFORT, LATCHED]}, PublishedOffer(True, True)),
        ({'offered_qos_profiles': OF_BAG}, PublishedOffer(False, True, 1_000_000_500)),
        ({'offered_qos_profiles': 'no: [such'}, PublishedOffer()),
        ({}, PublishedOffer()),
    ],
)
def test_what_was_offered_is_offered_again(
    about: dict[str, Any], expected: PublishedOffer
) -> None:
    assert recorded_offer('/topic', about) == expected


def test_what_nobody_noted_is_latched_where_it_must_be() -> None:
    assert recorded_offer('/robot/tf_static', {}).transient_local
