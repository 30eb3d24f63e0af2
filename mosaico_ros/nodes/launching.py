"""What the launch files of this package have in common: one node, its params file, overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Closing drains, flushes and seals every topic; launch's own 5 s can be short for a slow link.
_PATIENCE_SEC = '15'


def describe_node(executable: str, overrides: Mapping[str, str]) -> Any:
    """Describe the launch of one node.

    Parameters
    ----------
    executable
        Executable of this package; also the name of its params file in ``config/``, and the node
        is ``mosaico_<executable>`` by default.
    overrides
        Parameters that are launch arguments too, with their descriptions. Given, they win over
        the params file.

    Returns
    -------
    launch.LaunchDescription
    """
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
    from launch_ros.actions import Node
    from launch_ros.parameter_descriptions import ParameterFile
    from launch_ros.substitutions import FindPackageShare

    def node(context: Any) -> list[Any]:
        given = {name: LaunchConfiguration(name).perform(context) for name in overrides}
        values = given_parameters(given)
        return [
            Node(
                package='mosaico_ros',
                executable=executable,
                name=LaunchConfiguration('node_name'),
                namespace=LaunchConfiguration('namespace'),
                output='both',
                sigterm_timeout=_PATIENCE_SEC,
                sigkill_timeout=_PATIENCE_SEC,
                parameters=[
                    ParameterFile(LaunchConfiguration('params_file'), allow_substs=True),
                    *([values] if values else []),
                ],
            )
        ]

    params_file = PathJoinSubstitution(
        [FindPackageShare('mosaico_ros'), 'config', f'{executable}.yaml']
    )
    arguments = {
        'params_file': (params_file, 'YAML file of parameters; the default one explains each.'),
        'namespace': ('', 'Namespace of the node.'),
        'node_name': (f'mosaico_{executable}', 'Name of the node.'),
        **{name: ('', f'{text} Empty: as in params_file.') for name, text in overrides.items()},
    }
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            OpaqueFunction(function=node),
        ]
    )


def given_parameters(arguments: Mapping[str, str]) -> dict[str, Any]:
    """Read launch arguments as parameter values; those left empty stay with the params file."""
    import yaml

    return {name: yaml.safe_load(text) for name, text in arguments.items() if text}
