"""Which topics the recorder takes."""

from __future__ import annotations

from typing import Any

import pytest

from mosaico_ros.nodes.topic_selection import TopicSelection, static_topics
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


def test_names_that_nobody_published_are_told_by_kind() -> None:
    selection = TopicSelection(
        topics=('/a', '/b*', '/c'), services=('/reset',), actions=('/dock', '/undock'),
        static_topics=(('/static', IMU),),
    )  # fmt: skip
    seen = ('/a', '/dock/_action/status', '/undock/_action/send_goal/_service_event')
    assert selection.never_seen(seen) == ['/c', '/static', 'service /reset']


EVENT = 'std_srvs/srv/Trigger_Event'
SERVICE = '/reset/_service_event'
ACTION = '/dock/_action/feedback'
ACTION_STATUS = '/dock/_action/status'
ACTION_EVENT = '/dock/_action/send_goal/_service_event'


@pytest.mark.parametrize(
    ('rules', 'expected'),
    [
        ({}, {'/imu'}),
        ({'topics': ('/imu',)}, {'/imu'}),
        ({'services': ('/reset',)}, {SERVICE}),
        ({'services': ('/re*',), 'all_topics': True}, {'/imu', SERVICE}),
        ({'all_services': True}, {SERVICE}),
        ({'all_services': True, 'exclude_services': ('/reset',)}, set()),
        ({'actions': ('/dock',)}, {ACTION, ACTION_STATUS, ACTION_EVENT}),
        ({'all_actions': True, 'exclude_actions': ('/d*',)}, set()),
        ({'regex': 'reset|imu'}, {'/imu', SERVICE}),
        ({'regex': 'dock', 'exclude_topics': ('*feedback',)}, {ACTION_STATUS, ACTION_EVENT}),
        ({'all_services': True, 'all_topics': True, 'exclude_regex': '^/reset$'}, {'/imu'}),
        ({'static_topics': (('/radio', IMU),)}, set()),
    ],
)  # fmt: skip
def test_topics_services_and_actions(rules: Any, expected: set[str]) -> None:
    graph = {
        '/imu': IMU,
        SERVICE: EVENT,
        ACTION: 'dock_msgs/action/Dock_FeedbackMessage',
        ACTION_STATUS: 'action_msgs/msg/GoalStatusArray',
        ACTION_EVENT: 'dock_msgs/action/Dock_SendGoal_Event',
    }
    selection = TopicSelection(**rules)
    assert {name for name, kind in graph.items() if taken(selection, name, kind)} == expected


@pytest.mark.parametrize(
    ('rules', 'words'),
    [
        ({'topics': ('/imu',), 'exclude_topics': ('/x',)}, 'exclude_topics has nothing'),
        ({'topics': ('/imu',), 'exclude_regex': 'x'}, 'exclude_regex has nothing'),
        ({'exclude_services': ('/x',)}, 'exclude_services has nothing'),
        ({'services': ('/a',), 'exclude_services': ('/x',)}, 'exclude_services has nothing'),
        ({'exclude_actions': ('/x',)}, 'exclude_actions has nothing'),
        ({'all_topics': True, 'topics': ('/x',)}, 'all_topics takes'),
        ({'all_topics': True, 'regex': 'x'}, 'all_topics takes'),
        ({'all_services': True, 'services': ('/x',)}, 'all_services takes'),
        ({'all_actions': True, 'actions': ('/x',)}, 'all_actions takes'),
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        TopicSelection(**rules)


def test_static_topics_are_names_with_types() -> None:
    assert static_topics(['/imu:sensor_msgs/msg/Imu']) == (('/imu', IMU),)
    for entry in ('/imu', 'imu:sensor_msgs/msg/Imu', '/imu:Imu'):
        with pytest.raises(InvalidArgumentError, match='static_topics: '):
            static_topics([entry])


@pytest.mark.parametrize('parameter', ['regex', 'exclude_regex'])
def test_a_broken_expression_is_refused_by_name(parameter: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f'^{parameter}: '):
        TopicSelection(**{parameter: '('})
