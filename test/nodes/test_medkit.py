"""With ros2_medkit's messages: its fault events, and its own recordings.

Runs where ``ros2_medkit_msgs`` is installed; a node of the test speaks as the fault manager does.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ros2_medkit_msgs.msg', reason='ros2_medkit_msgs is not installed')

from ros2_medkit_msgs.msg import Fault, FaultEvent
from ros2_medkit_msgs.srv import GetRosbag
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import Imu

sys.path.insert(0, str(Path(__file__).parent))
from rosmessages import message
from snapshot_process import Peer, SnapshotNode, imu

from mosaico_ros.ros_bridge.definitions import find_definition


class FaultManager:
    """Confirms faults, and has a recording of each."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._folder = folder
        self._peer = peer
        self._events = peer.publisher(FaultEvent, '/fault_manager/events')
        peer.node.create_service(GetRosbag, '/fault_manager/get_rosbag', self._answer)

    def confirm(self, code: str) -> None:
        fault = Fault(
            fault_code=code, severity=2, status='CONFIRMED', reporting_sources=['/motor']
        )
        event = FaultEvent(event_type='fault_confirmed', fault=fault)
        self._peer.publish(self._events, event)

    def _answer(self, request: Any, response: Any) -> Any:
        path = self._folder / f'fault_{request.fault_code}_1000'
        if not path.exists():
            definition = find_definition('sensor_msgs/msg/Imu')
            with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
                topic = bag.add_connection(
                    '/imu', definition.msgtype, typestore=definition.messages
                )
                bag.write(topic, 10**18, message(definition.msgtype, {}))
        response.success = True
        response.file_path = str(path)
        response.recording_id = path.name
        return response


@pytest.fixture
def peer(domain: int, ros_here: None) -> Iterator[Peer]:
    made = Peer(domain)
    yield made
    made.close()


def test_a_fault_of_medkit_brings_our_snapshot_and_its_recording(
    daemon: Any, peer: Peer, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    recordings = tmp_path / 'medkit'
    recordings.mkdir()
    manager = FaultManager(peer, recordings)
    parameters = {'port': daemon.port, 'post_sec': 0.1, 'confirm_count': 99}
    node = SnapshotNode(peer, tmp_path / 'snapshots', ros_environment, parameters).start()
    try:
        node.captures('/fault_manager/events')
        readings = peer.publisher(Imu, '/imu')
        node.captures('/imu')
        peer.publish(readings, imu(1))
        manager.confirm('MOTOR_OVERHEAT')
        (ours,) = node.told('delivered', kind='fault')
        (theirs,) = node.told('delivered', kind='medkit')
        shutil.rmtree(recordings)
        assert node.stop() == 0, node.log
    finally:
        node.kill()
    assert ours['fault_code'] == theirs['fault_code'] == 'MOTOR_OVERHEAT'
    assert ours['reporting_sources'] == '/motor'
    assert theirs['incident_id'] == ours['snapshot_id'] != theirs['snapshot_id']
    assert theirs['recording_id'] == 'fault_MOTOR_OVERHEAT_1000'
    with daemon.client() as client:
        assert '/fault_manager/events' in client.sequence_handler(ours['sequence']).topics
        about = client.sequence_handler(theirs['sequence'])
        assert about.user_metadata['source_pipeline'] == 'ros2_medkit'
        assert about.user_metadata['fault_severity_int'] == 2
        assert about.topics == ['/imu']
