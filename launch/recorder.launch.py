"""Record live topics into the archive: `ros2 launch mosaico_ros recorder.launch.py`."""

from mosaico_ros.nodes.launching import RECORDER, describe_node


def generate_launch_description():
    """Describe the arguments and the recorder node."""
    return describe_node(RECORDER)
