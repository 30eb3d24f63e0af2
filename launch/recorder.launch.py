"""Record live topics into the archive: `ros2 launch mosaico_ros recorder.launch.py`."""

from mosaico_ros.nodes.launching import describe_node


def generate_launch_description():
    """Describe the arguments and the recorder node."""
    return describe_node(
        'recorder',
        {
            'host': 'Host of the archive daemon.',
            'port': 'Port of the archive daemon.',
            'topics': 'YAML list of topic names or globs, for example "[/imu, /camera/*]".',
            'sequence_name': (
                'Name of the recording; {date}, {time}, {host} and {node} are filled in.'
            ),
            'use_sim_time': 'Follow /clock; rows keep the receive stamp of the system clock.',
        },
    )
