"""What a recording says of itself on /diagnostics."""

from __future__ import annotations

from typing import Any

import pytest

from mosaico_ros.nodes.accounting import TopicReport
from mosaico_ros.nodes.diagnostics import Level, Status
from mosaico_ros.nodes.reports import RecordingState, statuses


def told(**values: Any) -> dict[str, Status]:
    topics = [TopicReport('/fine', 'x', received=5, lost=0), TopicReport('/imu', 'x', **values)]
    state = RecordingState('s', 'recording', 1.0, 0, 0, True, [], topics)
    return {status.name: status for status in statuses(state)}


@pytest.mark.parametrize('name', ['lost', 'dropped', 'thinned'])
def test_whatever_is_lost_is_an_error_by_topic(name: str) -> None:
    status = told(received=10, **{name: 3})['losses']
    assert (status.level, status.message) == (Level.ERROR, 'messages are lost on /imu')
    assert '3' in status.values['/imu']


def test_a_topic_that_cannot_be_recorded_is_named() -> None:
    status = told(problem='nobody knows its type')['recording']
    assert status.level is Level.WARN
    assert status.message == 'recording into s; not recorded: /imu'
    assert status.values['topics'] == 1


def test_what_was_not_wanted_is_no_loss() -> None:
    assert {status.level for status in told(throttled=5, paused=5).values()} == {Level.OK}
