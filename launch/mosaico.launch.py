"""The robot's side, of one robot or several: `ros2 launch mosaico_ros mosaico.launch.py`."""

from mosaico_ros.nodes.launching import describe_robot_side


def generate_launch_description():
    """Describe the arguments, and daemon, recorders and fault snapshots."""
    return describe_robot_side()
