"""Serve the archive: `ros2 launch mosaico_ros daemon.launch.py`."""

from mosaico_ros.nodes.launching import describe_node


def generate_launch_description():
    """Describe the arguments and the daemon node."""
    return describe_node(
        'daemon',
        {
            'host': 'Address to listen on; 0.0.0.0 opens the archive to the network.',
            'port': 'Port to listen on; 0 lets the system choose.',
            'data_dir': 'Folder of catalog and chunks.',
        },
    )
