"""Serve the archive: `ros2 launch mosaico_ros daemon.launch.py`."""

import yaml
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile
from launch_ros.substitutions import FindPackageShare

# Arguments that win over the params file when given.
OVERRIDES = {
    'host': 'Address to listen on; 0.0.0.0 opens the archive to the network.',
    'port': 'Port to listen on; 0 lets the system choose.',
    'data_dir': 'Folder of catalog and chunks.',
}


def _node(context):
    given = {name: LaunchConfiguration(name).perform(context) for name in OVERRIDES}
    # Only what was given: an argument's default must not hide what the params file says.
    values = {name: yaml.safe_load(text) for name, text in given.items() if text}
    return [
        Node(
            package='mosaico_ros',
            executable='daemon',
            name=LaunchConfiguration('node_name'),
            namespace=LaunchConfiguration('namespace'),
            output='both',
            # Uploads under way are made durable before it ends.
            sigterm_timeout='15',
            sigkill_timeout='15',
            parameters=[
                ParameterFile(LaunchConfiguration('params_file'), allow_substs=True),
                *([values] if values else []),
            ],
        )
    ]


def generate_launch_description():
    """Describe the arguments and the daemon node."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                'params_file',
                default_value=PathJoinSubstitution(
                    [FindPackageShare('mosaico_ros'), 'config', 'daemon.yaml']
                ),
                description='YAML file of parameters; the default one explains each.',
            ),
            DeclareLaunchArgument(
                'namespace', default_value='', description='Namespace of the daemon node.'
            ),
            DeclareLaunchArgument(
                'node_name', default_value='mosaico_daemon', description='Name of the node.'
            ),
            *(
                DeclareLaunchArgument(
                    name, default_value='', description=f'{text} Empty: as in params_file.'
                )
                for name, text in OVERRIDES.items()
            ),
            OpaqueFunction(function=_node),
        ]
    )
