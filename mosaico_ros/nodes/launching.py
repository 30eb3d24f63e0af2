"""What the launch files of this package start, and with which parameters.

What is computed are plain functions over launch arguments as texts; the functions ``describe_*``
put their results into the terms of ``launch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError

# Closing drains, flushes and seals every topic; launch's own 5 s can be short for a slow link.
_PATIENCE_SEC = '15'
# What that leaves to a daemon for the closing of others, with some seconds for its own.
_LINGER_SEC = 9.0
# Long enough for the port of a daemon that was killed to be free, and not to fill the log.
_RESPAWN_DELAY_SEC = 2.0

_RESPAWN = 'Start the node again whenever it ends: true or false.'
_HOST = 'Host of the archive daemon.'
_PORT = 'Port of the archive daemon.'
_USE_SIM_TIME = 'Follow /clock; rows keep the receive stamp of the system clock.'


@dataclass(frozen=True)
class NodeStart:
    """One node to start.

    Attributes
    ----------
    executable
        Of this package.
    params_file
        Argument that names its YAML file.
    parameters
        What wins over that file.
    """

    executable: str
    params_file: str
    name: str
    namespace: str = ''
    parameters: Mapping[str, Any] = field(default_factory=dict)
    respawn: bool = False


@dataclass(frozen=True)
class SingleNode:
    """A launch file of one node.

    Attributes
    ----------
    executable
        Executable of this package; also the name of its params file in ``config/``, and the node
        is ``mosaico_<executable>`` by default.
    overrides
        Parameters that are launch arguments too, with their descriptions. Given, they win over
        the params file.
    respawn
        Whether it starts again when it ends, unless the launch argument says otherwise. Sensible
        where a node never ends by itself.
    """

    executable: str
    overrides: Mapping[str, str]
    respawn: bool = False

    def arguments(self) -> dict[str, tuple[str, str]]:
        """Return default and description of its launch arguments, but that of ``params_file``."""
        return {
            'namespace': ('', 'Namespace of the node.'),
            'node_name': (f'mosaico_{self.executable}', 'Name of the node.'),
            'respawn': (str(self.respawn).lower(), _RESPAWN),
            **{
                name: ('', f'{text} Empty: as in params_file.')
                for name, text in self.overrides.items()
            },
        }

    def start(self, given: Mapping[str, str]) -> NodeStart:
        """Return the node for the arguments given."""
        return NodeStart(
            self.executable,
            'params_file',
            given['node_name'],
            given['namespace'],
            given_parameters({name: given[name] for name in self.overrides}),
            is_true('respawn', given['respawn']),
        )


DAEMON = SingleNode(
    'daemon',
    {
        'host': 'Address to listen on; 0.0.0.0 opens the archive to the network.',
        'port': 'Port to listen on; 0 lets the system choose.',
        'data_dir': 'Folder of catalog and chunks.',
    },
    respawn=True,
)
RECORDER = SingleNode(
    'recorder',
    {
        'host': _HOST,
        'port': _PORT,
        'topics': 'YAML list of topic names or globs, for example "[/imu, /camera/*]".',
        'sequence_name': 'Name of the recording; {date}, {time}, {host} and {node} are filled in.',
        'use_sim_time': _USE_SIM_TIME,
    },
)
FAULT_SNAPSHOT = SingleNode(
    'fault_snapshot',
    {
        'host': _HOST,
        'port': _PORT,
        'topics': 'YAML list of topic names or globs that a snapshot holds.',
        'robot_id': 'Name of the robot, noted with every snapshot.',
        'use_sim_time': _USE_SIM_TIME,
    },
    respawn=True,
)
PLAYER = SingleNode(
    'player',
    {
        'host': _HOST,
        'port': _PORT,
        'sequences': 'YAML list of the sequences to play, merged by time: "[monday, tuesday]".',
        'topics': 'YAML list of topic names or globs to play.',
        'where': 'Play only the windows in which this condition holds.',
        'rate': 'How many times faster than recorded, for example 2.0; 0.0 is unthrottled.',
        'loop': 'Begin again at the end: true or false.',
        'start_paused': 'Begin paused: true or false.',
        'clock_hz': 'How often to publish /clock, for example 100.0; 0.0 is never.',
    },
)

#: Launch arguments of a robot's whole side: default and description.
ROBOT_SIDE = {
    'robots': (
        '',
        'YAML list of robots, "[rover_1, rover_2]": each has its nodes in the namespace of its '
        'name, and they take what is below that, /tf and /tf_static. Empty: one robot, without '
        'namespace.',
    ),
    'daemon': ('true', 'Serve the archive here, too: true or false.'),
    'recorder': ('true', 'Record: true or false.'),
    'fault_snapshot': ('true', 'Capture faults: true or false.'),
    'host': ('127.0.0.1', f'{_HOST} With daemon:=true, also the address it listens on.'),
    'port': ('6726', _PORT),
    'data_dir': ('', 'Folder of catalog and chunks of the daemon here. Empty: as in its file.'),
    'use_sim_time': ('false', _USE_SIM_TIME),
    'respawn': ('true', f'{_RESPAWN} False lets ~/stop of the recorder last.'),
}
#: The nodes of a robot's side, by the arguments that name their params files.
ROBOT_PARAMS_FILES = {
    'daemon_params_file': 'daemon',
    'recorder_params_file': 'recorder',
    'fault_snapshot_params_file': 'fault_snapshot',
}

INGEST = {
    'bags': ('', 'YAML list of bags or folders, "[day1, run.mcap]", or one path.'),
    'host': ('127.0.0.1', _HOST),
    'port': ('6726', _PORT),
    'jobs': ('1', 'Bags to load at once, each in a process of its own.'),
    'topics': (
        '',
        'YAML list of topic names or globs to load; "!" in front removes.',
    ),
    'metadata': ('', 'JSON object to note with each sequence.'),
}


def given_parameters(arguments: Mapping[str, str]) -> dict[str, Any]:
    """Read launch arguments as parameter values; those left empty stay with the params file."""
    import yaml

    return {name: yaml.safe_load(text) for name, text in arguments.items() if text}


def is_true(name: str, text: str) -> bool:
    """Read a launch argument that is true or false.

    Raises
    ------
    InvalidArgumentError
        It is neither.
    """
    if text.lower() not in ('true', 'false'):
        raise InvalidArgumentError(f'launch argument {name} must be true or false, not {text!r}')
    return text.lower() == 'true'


def texts(name: str, text: str) -> list[str]:
    """Read a launch argument that is a YAML list of texts, or one text.

    Raises
    ------
    InvalidArgumentError
        It is something else.
    """
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidArgumentError(f'launch argument {name} is not YAML: {error}') from error
    if value is None:
        return []
    values = value if isinstance(value, list) else [text]
    if not all(isinstance(each, str) for each in values):
        raise InvalidArgumentError(f'launch argument {name} must be a list of texts, not {text!r}')
    return values


def robot_side(given: Mapping[str, str]) -> list[NodeStart]:
    """Return the nodes of all robots for the arguments of `ROBOT_SIDE`.

    Raises
    ------
    InvalidArgumentError
        An argument cannot be read.
    """
    respawn = is_true('respawn', given['respawn'])
    starts = []
    address = given_parameters({'host': given['host'], 'port': given['port']})
    if is_true('daemon', given['daemon']):
        parameters = {
            **address,
            **given_parameters({'data_dir': given['data_dir']}),
            # A recorder that is stopped at the same time has to find it when it closes.
            'linger_sec': _LINGER_SEC,
        }
        starts.append(
            NodeStart(
                'daemon',
                'daemon_params_file',
                'mosaico_daemon',
                parameters=parameters,
                respawn=respawn,
            )
        )
    address['use_sim_time'] = is_true('use_sim_time', given['use_sim_time'])
    for robot in texts('robots', given['robots']) or ['']:
        for executable in ('recorder', 'fault_snapshot'):
            if is_true(executable, given[executable]):
                starts.append(
                    NodeStart(
                        executable,
                        f'{executable}_params_file',
                        f'mosaico_{executable}',
                        robot,
                        {**address, **robot_parameters(executable, robot)},
                        respawn,
                    )
                )
    return starts


def robot_parameters(executable: str, robot: str) -> dict[str, Any]:
    """Return what makes a node one robot's own; nothing without a name."""
    if not robot:
        return {}
    parameters: dict[str, Any] = {
        'robot_id': robot,
        'topics': [f'/{robot}/*', '/tf', '/tf_static'],
    }
    if executable == 'recorder':
        # Two recorders that begin in the same second would ask for one name.
        parameters['sequence_name'] = f'{robot}_{{date}}_{{time}}'
    return parameters


def ingest_arguments(given: Mapping[str, str]) -> list[str]:
    """Return the command line of the ingest for the arguments of `INGEST`.

    Raises
    ------
    InvalidArgumentError
        No bag is named, or an argument cannot be read.
    """
    bags = texts('bags', given['bags'])
    if not bags:
        raise InvalidArgumentError('launch argument bags names no bag', remedy='bags:=run.mcap')
    options = ['--host', given['host'], '--port', given['port'], '--jobs', given['jobs']]
    for topic in texts('topics', given['topics']):
        options += ['--topics', topic]
    if given['metadata']:
        options += ['--metadata', given['metadata']]
    return [*bags, *options]


# --- in the terms of launch ---------------------------------------------------------------------


def describe_node(node: SingleNode) -> Any:
    """Describe the launch of one node.

    Returns
    -------
    launch.LaunchDescription
    """
    return _described(
        node.arguments(),
        {'params_file': node.executable},
        lambda given: [_node(node.start(given))],
    )


def describe_robot_side() -> Any:
    """Describe the launch of a robot's whole side.

    Returns
    -------
    launch.LaunchDescription
    """
    return _described(
        ROBOT_SIDE,
        ROBOT_PARAMS_FILES,
        lambda given: [_node(start) for start in robot_side(given)],
    )


def describe_ingest() -> Any:
    """Describe the launch of an ingest, which ends by itself.

    Returns
    -------
    launch.LaunchDescription
    """
    from launch.actions import ExecuteProcess
    from launch.substitutions import PathJoinSubstitution
    from launch_ros.substitutions import FindPackagePrefix

    def ingest(given: Mapping[str, str]) -> list[Any]:
        # Not a node: it would not know what to do with ROS arguments.
        script = PathJoinSubstitution(
            [FindPackagePrefix('mosaico_ros'), 'lib', 'mosaico_ros', 'ingest']
        )
        return [ExecuteProcess(cmd=[script, *ingest_arguments(given)], output='both')]

    return _described(INGEST, {}, ingest)


def _described(
    arguments: Mapping[str, tuple[str, str]],
    params_files: Mapping[str, str],
    actions: Callable[[Mapping[str, str]], Sequence[Any]],
) -> Any:
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction
    from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
    from launch_ros.substitutions import FindPackageShare

    def act(context: Any) -> list[Any]:
        given = {name: LaunchConfiguration(name).perform(context) for name in arguments}
        return list(actions(given))

    files = {
        name: PathJoinSubstitution([FindPackageShare('mosaico_ros'), 'config', f'{node}.yaml'])
        for name, node in params_files.items()
    }
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name,
                    default_value=path,
                    description='YAML file of parameters; the default one explains each.',
                )
                for name, path in files.items()
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            OpaqueFunction(function=act),
        ]
    )


def _node(start: NodeStart) -> Any:
    from launch.substitutions import LaunchConfiguration
    from launch_ros.actions import Node
    from launch_ros.parameter_descriptions import ParameterFile

    return Node(
        package='mosaico_ros',
        executable=start.executable,
        name=start.name,
        namespace=start.namespace,
        output='both',
        sigterm_timeout=_PATIENCE_SEC,
        sigkill_timeout=_PATIENCE_SEC,
        respawn=start.respawn,
        respawn_delay=_RESPAWN_DELAY_SEC,
        parameters=[
            ParameterFile(LaunchConfiguration(start.params_file), allow_substs=True),
            *([dict(start.parameters)] if start.parameters else []),
        ],
    )
