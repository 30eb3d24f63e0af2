"""Which topics the recorder takes."""

from __future__ import annotations

import pytest

from mosaico_ros.nodes.topic_selection import TopicSelection
from mosaico_ros.protocol.errors import InvalidArgumentError

IMU = 'sensor_msgs/msg/Imu'
IMAGE = 'sensor_msgs/msg/Image'


def taken(selection: TopicSelection, name: str, topic_type: str = IMU) -> bool:
    return selection.verdict(name, topic_type).selected


def test_no_rule_takes_every_visible_topic() -> None:
    selection = TopicSelection()
    assert taken(selection, '/imu')
    assert taken(selection, '/deep/down/here', IMAGE)
    assert not taken(selection, '/_hidden/imu')
    assert not taken(selection, '/robot/_private')


@pytest.mark.parametrize(
    ('topics', 'name', 'expected'),
    [
        (('/imu',), '/imu', True),
        (('/imu',), '/imu2', False),
        (('/imu',), '/robot/imu', False),
        (('/camera/*',), '/camera/left/image', True),
        (('/camera/*',), '/camera', False),
        (('/arm?/state',), '/arm1/state', True),
        (('/arm[12]/state',), '/arm3/state', False),
        (('/a', '/b'), '/b', True),
        (('*',), '/anything', True),
    ],
)
def test_names_and_globs(topics: tuple[str, ...], name: str, expected: bool) -> None:
    assert taken(TopicSelection(topics=topics), name) is expected


def test_regex_is_searched_anywhere() -> None:
    selection = TopicSelection(regex='left|right')
    assert taken(selection, '/camera/left/image')
    assert not taken(selection, '/camera/front/image')


def test_types_take_by_type_and_add_to_names() -> None:
    selection = TopicSelection(topics=('/odom',), topic_types=('sensor_msgs/msg/*',))
    assert taken(selection, '/whatever', IMAGE)
    assert taken(selection, '/odom', 'nav_msgs/msg/Odometry')
    assert not taken(selection, '/path', 'nav_msgs/msg/Path')


def test_excludes_win_over_includes() -> None:
    selection = TopicSelection(
        topics=('/camera/*', '/imu'),
        exclude_topics=('/camera/raw*',),
        exclude_regex='debug$',
        exclude_topic_types=(IMAGE,),
    )
    assert taken(selection, '/imu')
    assert not taken(selection, '/camera/raw')
    assert not taken(selection, '/camera/debug')
    assert not taken(selection, '/camera/left', IMAGE)
    assert '/camera/raw*' in selection.verdict('/camera/raw', IMU).reason


def test_a_hidden_topic_is_taken_when_named_or_wanted() -> None:
    name = '/arm/_action/feedback'
    assert not taken(TopicSelection(topics=('/arm/*',)), name)
    assert taken(TopicSelection(topics=(name,)), name)
    assert taken(TopicSelection(include_hidden_topics=True), name)


def test_exact_names_are_those_that_can_be_missed() -> None:
    assert TopicSelection(topics=('/a', '/b*')).exact_names() == ('/a',)


@pytest.mark.parametrize('parameter', ['regex', 'exclude_regex'])
def test_a_broken_expression_is_refused_by_name(parameter: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f'^{parameter}: '):
        TopicSelection(**{parameter: '('})
