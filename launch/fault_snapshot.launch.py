"""Capture what led to a fault: `ros2 launch mosaico_ros fault_snapshot.launch.py`."""

from mosaico_ros.nodes.launching import FAULT_SNAPSHOT, describe_node


def generate_launch_description():
    """Describe the arguments and the fault snapshot node."""
    return describe_node(FAULT_SNAPSHOT)
