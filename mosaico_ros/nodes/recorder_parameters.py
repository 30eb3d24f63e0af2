"""The recorder's own parameters, with those of every node that captures topics."""

from __future__ import annotations

from mosaico_ros.nodes.archive_connection import CONNECTION
from mosaico_ros.nodes.capture_parameters import CAPTURE
from mosaico_ros.nodes.managed_parameters import MANAGED
from mosaico_ros.nodes.parameters import ParameterSpec

RECORDER = (
    ParameterSpec(
        'sequence_name',
        'recording_{date}_{time}',
        'Name of the recording in the archive. {date}, {time}, {host} and {node} are filled in. '
        'If the name exists already, _2, _3, ... is appended: a robot that restarts records on.',
    ),
    ParameterSpec(
        'metadata',
        '',
        'What to note with the recording, as a JSON object, for example {"robot": "rover-7"}; '
        'queries can ask for it.',
    ),
    ParameterSpec(
        'software_version',
        '',
        "Version of the robot's software, noted with the recording beside robot_id.",
    ),
    # It does not wait for the daemon: what it captures meanwhile is in the spool.
    *(spec for spec in CONNECTION if spec.name != 'connect_timeout_sec'),
    *CAPTURE,
    ParameterSpec(
        'duration_sec',
        0.0,
        'Stop by itself after this many seconds; 0 records until SIGINT or SIGTERM.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'start_paused',
        False,
        'Begin with capture paused: what comes is thrown away, latched messages aside, until '
        '~/resume is called.',
    ),
    ParameterSpec(
        'stop_after_messages',
        0,
        'Stop by itself after this many messages on all topics, or a few more; 0 does not.',
        low=0,
        high=1_000_000_000_000,
    ),
    ParameterSpec(
        'stop_after_mb',
        0.0,
        'Stop by itself after this many MB of messages, or a few more; 0 does not.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'flush_rows',
        8192,
        'Messages of a topic go to the daemon earlier when this many have gathered.',
        low=1,
        high=1_000_000,
    ),
    ParameterSpec(
        'flush_size_mb',
        4.0,
        'Messages of a topic go to the daemon earlier when they weigh this much, MB. A batch of 1 '
        'to 4 MB is what Flight moves best.',
        low=0.01,
        high=64.0,
    ),
    ParameterSpec(
        'commit_period_sec',
        10.0,
        'A message is sent to the daemon and asked to be made durable there after this time at '
        'the latest, seconds. Shorter costs more, in CPU here and in small chunks there; what is '
        'safe on this machine before that says flush_period_sec.',
        low=0.1,
        high=3600.0,
    ),
    ParameterSpec(
        'flush_period_sec',
        1.0,
        'A message is on the local disk after this time at the latest, seconds: what the death '
        'of the recorder or a power cut can cost. One call of the disk per period covers all '
        'topics.',
        low=0.05,
        high=60.0,
    ),
    ParameterSpec(
        'spool_dir',
        '',
        'Folder for messages that the daemon has not acknowledged yet. What a recorder leaves '
        'there, the next one with the same folder and daemon delivers. Empty means mosaico_spool '
        'in ROS_HOME, which is ~/.ros by default.',
    ),
    ParameterSpec(
        'spool_max_mb',
        20000.0,
        'Disk space for one spool, MB: two hours of a robot with 3 MB/s while the daemon is away. '
        'What happens when it is full says when_spool_full.',
        low=1.0,
        high=1e9,
    ),
    ParameterSpec(
        'when_spool_full',
        'stop',
        'What to do when the spool or its disk is full. "stop" ends the recording with what it '
        'has: it is complete up to there, and nobody takes it for more. "shed" goes on with less, '
        'for robots that are out of reach for days: from 80 % on topics that hold more than an '
        'equal share are dropped, those of the lowest topic_priority first, and when all is full '
        'everything, until there is room. All is told and counted.',
        choices=('stop', 'shed'),
    ),
    ParameterSpec(
        'spool_segment_mb',
        64.0,
        'Size of one file of the spool, MB; a file is removed when all of it is in the archive.',
        low=0.01,
        high=4096.0,
    ),
    ParameterSpec(
        'min_free_space_mb',
        500.0,
        'Space left free on the disk of the spool, MB; with less it counts as full: a full disk '
        'stops more on a robot than a recording.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'rotate_sec',
        0.0,
        'Begin another part (NAME_0002, NAME_0003, ...) after this many seconds; 0 does not. '
        'Parts that are complete can be read while the recording goes on.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'rotate_mb',
        0.0,
        'Begin another part after this many MB of messages; 0 does not.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'report',
        'plain',
        'What to print on standard output: log-like lines (plain), a table that renews itself '
        '(live, for a terminal), or one JSON object per line (json, for programs).',
        choices=('plain', 'live', 'json'),
    ),
    ParameterSpec(
        'report_period_sec',
        10.0,
        'How often to print the state of the recording, seconds.',
        low=0.1,
        high=3600.0,
    ),
    *MANAGED,
)
