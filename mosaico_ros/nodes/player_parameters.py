"""The player's parameters."""

from __future__ import annotations

from mosaico_ros.nodes.archive_connection import CONNECTION
from mosaico_ros.nodes.managed_parameters import MANAGED
from mosaico_ros.nodes.parameters import Changes, ParameterSpec

PLAYER = (
    ParameterSpec(
        'sequences',
        (),
        'What to play: names of sequences, or of the first part of a recording in parts, which is '
        'played as one. Several are merged by their recorded times. With none, "where" looks in '
        'the whole archive.',
    ),
    ParameterSpec(
        'topics',
        (),
        'Topics to play: names or globs ("/camera/*"); one with "!" in front is left out. All, '
        'if there is none.',
    ),
    ParameterSpec('exclude_topics', (), 'Names or globs of topics not to play.'),
    ParameterSpec(
        'start_ns',
        0,
        'Play from this recorded time on, nanoseconds since 1970; 0 is the beginning.',
        low=0,
        high=9.2e18,
    ),
    ParameterSpec(
        'end_ns',
        0,
        'Play up to and including this recorded time, nanoseconds since 1970; 0 is the end.',
        low=0,
        high=9.2e18,
    ),
    ParameterSpec(
        'start_offset_sec',
        0.0,
        'Leave out so many seconds of what would be played, at the beginning.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'duration_sec', 0.0, 'Play so many recorded seconds; 0 is all.', low=0.0, high=1e9
    ),
    ParameterSpec(
        'where',
        '',
        'Play only the windows in which this condition holds, one after the other without the '
        'time between them, as `mosaico query` writes it: "IMU.acceleration.y > 8".',
    ),
    ParameterSpec(
        'around_sec',
        2.0,
        'Seconds to play before and after each window of "where": what led to it, and what came '
        'of it.',
        low=0.0,
        high=1e6,
    ),
    ParameterSpec(
        'rate',
        1.0,
        'How many times faster than recorded; 0 is as fast as subscribers with reliable quality '
        'of service acknowledge. May be set while playing.',
        low=0.0,
        high=1000.0,
        changes=Changes.ALWAYS,
    ),
    ParameterSpec(
        'seek_sec',
        0.0,
        'Set it while playing to go on elsewhere: seconds since the beginning at rate 1, or, '
        'from one million on, recorded time in seconds since 1970. It has no effect at the start.',
        low=0.0,
        high=1e10,
        changes=Changes.ALWAYS,
    ),
    ParameterSpec('loop', False, 'Begin again at the end, until stopped.'),
    ParameterSpec(
        'start_paused', False, 'Begin paused: ~/resume goes on, ~/play_next plays one message.'
    ),
    ParameterSpec(
        'discovery_sec',
        3.0,
        'How long to wait at the start for subscriptions, seconds; playing begins earlier if each '
        'topic has one. What is published before a subscription was discovered is lost to it, and '
        'that can take 2.6 s.',
        low=0.0,
        high=3600.0,
    ),
    ParameterSpec(
        'clock_hz',
        0.0,
        'How often to publish the recorded time on /clock, for nodes with use_sim_time; 0 is '
        'never. Robots at rest are content with 40, fast control loops want 200.',
        low=0.0,
        high=2000.0,
    ),
    ParameterSpec(
        'qos_overrides_path',
        '',
        'YAML file of qualities of service by topic, as `ros2 bag play` takes it. Other topics '
        'are offered as they were recorded.',
    ),
    ParameterSpec(
        'read_ahead_mb',
        64.0,
        'Memory for messages read ahead, MB: a second of several cameras.',
        low=0.1,
        high=65536.0,
    ),
    ParameterSpec(
        'report',
        'plain',
        'What to print on standard output: log-like lines (plain), or one JSON object per line '
        '(json, for programs).',
        choices=('plain', 'json'),
    ),
    ParameterSpec(
        'report_period_sec',
        10.0,
        'How often to print where the playback is, seconds.',
        low=0.1,
        high=3600.0,
    ),
    *CONNECTION,
    *MANAGED,
)
