"""Play sequences: `ros2 launch mosaico_ros player.launch.py sequences:=[run]`."""

from mosaico_ros.nodes.launching import PLAYER, describe_node


def generate_launch_description():
    """Describe the arguments and the player node."""
    return describe_node(PLAYER)
