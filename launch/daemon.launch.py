"""Serve the archive: `ros2 launch mosaico_ros daemon.launch.py`."""

from mosaico_ros.nodes.launching import DAEMON, describe_node


def generate_launch_description():
    """Describe the arguments and the daemon node."""
    return describe_node(DAEMON)
