"""Numbers given per topic."""

from __future__ import annotations

import pytest

from mosaico_ros.nodes.per_topic import PerTopic
from mosaico_ros.protocol.errors import InvalidArgumentError


def test_the_first_entry_that_matches_counts() -> None:
    rates = PerTopic(
        'topic_max_hz',
        ['/camera/left=10', '/camera/*=2.5', 'imu=1'],
        float,
        resolve=lambda name: name if name.startswith('/') else f'/robot/{name}',
    )
    assert rates.of('/camera/left') == 10.0
    assert rates.of('/camera/right/image') == 2.5
    assert rates.of('/robot/imu') == 1.0
    assert rates.of('/odom') is None


@pytest.mark.parametrize(
    'entry', ['/imu', '/imu=', '=5', '/imu=fast', '/imu=0', '/imu=-1', '/imu=nan']
)
def test_a_malformed_entry_is_refused_by_name(entry: str) -> None:
    with pytest.raises(InvalidArgumentError, match='topic_max_hz: '):
        PerTopic('topic_max_hz', [entry], float, resolve=str, low=0.0)


def test_priorities_are_whole_and_may_be_negative() -> None:
    assert PerTopic('topic_priority', ['/imu=-3'], int, resolve=str).of('/imu') == -3
    with pytest.raises(InvalidArgumentError, match=r'topic_priority: .* a whole number'):
        PerTopic('topic_priority', ['/imu=1.5'], int, resolve=str)
