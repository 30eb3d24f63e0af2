"""The QoS override file of rosbag2."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSReliabilityPolicy

from mosaico_ros.nodes.qos_overrides import read_qos_overrides
from mosaico_ros.protocol.errors import InvalidArgumentError

FILE = """
/imu:
  history: keep_last
  depth: 7
  reliability: best_effort
  durability: volatile
  deadline: {sec: 1, nsec: 500}
  lifespan:
    sec: 0
    nsec: 5
  liveliness: automatic
  liveliness_lease_duration: {sec: 2, nsec: 0}
  avoid_ros_namespace_conventions: false
/map:
  history: keep_all
  durability: transient_local
"""


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / 'qos.yaml'
    path.write_text(text)
    return read_qos_overrides(str(path))


def test_a_file_of_rosbag2_is_read_as_it_is(tmp_path: Path) -> None:
    profiles = read(tmp_path, FILE)
    assert isinstance(profiles, dict)
    imu, grid = profiles['/imu'], profiles['/map']
    assert (imu.history, imu.depth) == (QoSHistoryPolicy.KEEP_LAST, 7)
    assert imu.reliability == QoSReliabilityPolicy.BEST_EFFORT
    assert imu.deadline.nanoseconds == 1_000_000_500
    assert imu.liveliness_lease_duration.nanoseconds == 2_000_000_000
    assert grid.history == QoSHistoryPolicy.KEEP_ALL
    assert grid.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL
    assert grid.reliability == QoSReliabilityPolicy.RELIABLE  # left out: the default


def test_an_empty_file_overrides_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, '') == {}


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('/imu: {depht: 5}', "/imu has the unknown key 'depht'"),
        ('/imu: {depth: -1}', '/imu has depth -1'),
        ('/imu: {depth: deep}', "/imu has depth 'deep'"),
        ('/imu: {history: keep_some}', "/imu has history 'keep_some'"),
        ('/imu: {depth: 5, deadline: {sec: 1}}', '/imu has deadline .*both sec and nsec'),
        ('/imu: {depth: 5, lifespan: {sec: -1, nsec: 0}}', '/imu has lifespan .*not negative'),
        ('/imu: {reliability: reliable}', '/imu is no profile'),
        ('/imu: reliable', "/imu is 'reliable', not a map"),
        ('imu: {depth: 5}', "'imu' .* is not a full topic name"),
        ('[1]', 'not a map from topic'),
        ('{', 'cannot be read'),
    ],
)
def test_what_is_wrong_is_named_with_topic_and_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r'qos_overrides_path: .*nowhere'):
        read_qos_overrides(str(tmp_path / 'nowhere'))
