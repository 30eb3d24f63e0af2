"""What gives way while the spool fills up."""

from __future__ import annotations

import pytest

from mosaico_ros.nodes.spool_room import SpoolRoom, Stage

HELD = {'/camera': 80, '/lidar': 15, '/imu': 3, '/text': 2}
PRIORITIES = {'/imu': 10, '/camera': 10}


@pytest.mark.parametrize(
    ('fill', 'priorities', 'dropped'),
    [
        (0.79, {}, set()),
        (0.8, {}, {'/camera'}),
        (0.95, {}, {'/camera'}),
        (0.8, PRIORITIES, set()),  # the camera matters, and what matters less holds little
        (0.9, PRIORITIES, {'/camera', '/lidar', '/text'}),
        (0.8, {'/imu': 10}, {'/camera'}),
        (0.9, {'/imu': 10}, {'/camera', '/lidar', '/text'}),
    ],
)
def test_greedy_topics_of_little_priority_give_way_first(
    fill: float, priorities: dict[str, int], dropped: set[str]
) -> None:
    room = SpoolRoom(lambda name: priorities.get(name, 0))
    room.review(fill, HELD)
    assert {name for name in HELD if room.drops(name)} == dropped


def test_stages_end_later_than_they_begin_and_each_is_told() -> None:
    room = SpoolRoom(lambda _name: 0)
    stages = []
    for fill in (0.5, 0.8, 0.75, 0.91, 0.86, 0.84, 0.69):
        room.review(fill, HELD)
        stages.append(room.stage)
    greedy, shed = Stage.GREEDY, Stage.SHED
    assert stages == [Stage.ROOMY, greedy, greedy, shed, shed, greedy, Stage.ROOMY]
    told = [(text.split(':')[0], worse) for text, worse in room.changes]
    assert told == [
        ('the spool is 80 % full', True),
        ('the spool is 91 % full', True),
        ('the spool is 84 % full', False),
        ('the spool is 69 % full', False),
    ]


def test_what_does_not_fit_is_dropped_until_there_is_room() -> None:
    room = SpoolRoom(lambda _name: 0)
    room.overflow()
    assert all(room.drops(name) for name in HELD)
    room.review(0.99, HELD)
    assert room.drops('/imu')
    room.review(0.97, HELD)
    assert not room.drops('/imu')
    assert room.drops('/camera')
    assert [worse for _, worse in room.changes] == [True, False]


def test_a_topic_alone_is_kept_until_nothing_fits() -> None:
    room = SpoolRoom(lambda _name: 0)
    room.review(0.99, {'/camera': 80})
    assert not room.drops('/camera')
