"""Load bags into the archive: `ros2 launch mosaico_ros ingest.launch.py bags:=run.mcap`."""

from mosaico_ros.nodes.launching import describe_ingest


def generate_launch_description():
    """Describe the arguments and the process that loads the bags."""
    return describe_ingest()
