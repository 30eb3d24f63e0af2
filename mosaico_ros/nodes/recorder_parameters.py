"""The recorder's own parameters, with those of every node that captures topics."""

from __future__ import annotations

from mosaico_ros.nodes.capture_parameters import CAPTURE
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
    ParameterSpec('host', '127.0.0.1', 'Host of the archive daemon.'),
    ParameterSpec('port', 6726, 'Port of the archive daemon.', low=1, high=65535),
    ParameterSpec(
        'enable_tls',
        False,
        'Speak TLS to the daemon. An API key is read from the environment variable '
        'MOSAICO_API_KEY, never from a parameter: everybody in the graph can read parameters.',
    ),
    ParameterSpec(
        'tls_cert_path',
        '',
        "File with the certificate authority that signed the daemon; empty means the system's. "
        'Given, it turns TLS on.',
    ),
    ParameterSpec(
        'connect_timeout_sec',
        10.0,
        'How long to try to reach the daemon at the start, seconds: enough for a daemon that '
        'the same launch file starts.',
        low=0.1,
        high=3600.0,
    ),
    *CAPTURE,
    ParameterSpec(
        'duration_sec',
        0.0,
        'Stop by itself after this many seconds; 0 records until SIGINT or SIGTERM.',
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
        5.0,
        'A message is sent and asked to be made durable after this time at the latest, seconds: '
        'what a power cut can cost. Shorter costs more, in CPU here and in small chunks there.',
        low=0.1,
        high=3600.0,
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
)
