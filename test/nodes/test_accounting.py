"""What a node says about every message."""

from __future__ import annotations

import numpy as np

from mosaico_ros.nodes.accounting import TopicAccount


def hear(account: TopicAccount, *numbers: int) -> None:
    column = np.array(numbers, np.int64)
    account.publications.news(
        [b'a'] * len(numbers), column, column, [b''] * len(numbers), repeated=False
    )


def test_a_report_is_complete_only_if_all_that_came_is_stored() -> None:
    account = TopicAccount('/imu', 'sensor_msgs/msg/Imu', arrived=3, stored=3)
    hear(account, 1, 2, 3)
    assert account.report().complete
    hear(account, 5)
    assert account.report().lost == 1
    assert not account.report().complete
    assert not TopicAccount('/imu', 'x', arrived=3, stored=2).report().complete


def test_what_was_not_wanted_leaves_a_recording_complete() -> None:
    account = TopicAccount('/imu', 'x', arrived=10, duplicates=2, throttled=4, paused=1, stored=3)
    hear(account, 1)
    report = account.report()
    assert (report.received, report.complete) == (8, True)
    assert not TopicAccount('/imu', 'x', arrived=10, thinned=5, stored=5).report().complete


def test_a_report_is_json_ready() -> None:
    values = TopicAccount('/imu', 'x', arrived=1).report().to_dict()
    assert (values['name'], values['received'], values['lost']) == ('/imu', 1, None)
