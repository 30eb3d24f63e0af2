"""The fault snapshot's parameters."""

from __future__ import annotations

from mosaico_ros.nodes.archive_connection import CONNECTION
from mosaico_ros.nodes.capture_parameters import CAPTURE
from mosaico_ros.nodes.managed_parameters import MANAGED
from mosaico_ros.nodes.parameters import ParameterSpec

# Delivery tries again and again; how long one attempt waits is no matter.
_CONNECTION = tuple(spec for spec in CONNECTION if spec.name != 'connect_timeout_sec')

FAULT_SNAPSHOT = (
    ParameterSpec(
        'software_version',
        '',
        "Version of the robot's software, noted with every snapshot: what a fault is first asked "
        'for. Empty notes the version of this package.',
    ),
    ParameterSpec(
        'metadata',
        '',
        'What else to note with every snapshot, as a JSON object, for example {"site": "hall 3"}; '
        'queries can ask for it.',
    ),
    # --- what a snapshot holds --------------------------------------------------------------
    ParameterSpec(
        'pre_sec',
        10.0,
        'Seconds before the fault that a snapshot holds: long enough to see what led to it.',
        low=0.0,
        high=3600.0,
    ),
    ParameterSpec(
        'post_sec',
        5.0,
        'Seconds after the fault that a snapshot holds: how the robot came to rest.',
        low=0.0,
        high=3600.0,
    ),
    ParameterSpec(
        'ring_sec',
        15.0,
        'Seconds that are held in memory all the time. At least pre_sec; the rest is what may '
        'pass between a fault and its being noticed: a status at 1 Hz, a debouncing by time.',
        low=0.1,
        high=7200.0,
    ),
    ParameterSpec(
        'segment_sec',
        0.5,
        'The ring takes messages in pieces of so many seconds, each immutable, so that snapshots '
        'share them. Shorter notices faults earlier and costs more.',
        low=0.02,
        high=10.0,
    ),
    ParameterSpec(
        'ring_topic_max_mb',
        256.0,
        'Memory of one topic in the ring, MB: a camera of 25 MB/s for 10 s. Beyond it the oldest '
        'goes, and the snapshot says that the topic was cut short.',
        low=0.1,
        high=65536.0,
    ),
    ParameterSpec(
        'ring_max_mb',
        512.0,
        'Memory of the ring, MB; the topic that has most gives first. Snapshots that are not '
        'written yet may hold as much again; beyond that new faults get none, which is told and '
        'counted.',
        low=1.0,
        high=65536.0,
    ),
    # --- what a fault is --------------------------------------------------------------------
    ParameterSpec(
        'sources',
        ('medkit', 'diagnostics', 'rosout', 'actions'),
        'What faults are taken from, out of these four. The service ~/trigger, reports of nodes '
        '(report_topic) and value rules are there besides. What is not on the robot costs '
        'nothing. A node in a namespace takes the faults of that namespace only: those whose '
        'logger, status, hardware id, action or reporter is named so.',
    ),
    ParameterSpec(
        'report_topic',
        '/faults/report',
        'Where nodes report faults themselves, as diagnostic_msgs/DiagnosticStatus: the name is '
        'the fault code, OK says that it passed. See mosaico_ros.nodes.fault_reporter.',
    ),
    ParameterSpec(
        'value_rules',
        (),
        'Conditions on message fields that are faults, for example '
        '"/imu: linear_acceleration.z < 2.0 -> code DROP severity ERROR". Left of the arrow '
        'stands what `mosaico query` takes, with the field names of the message definition.',
    ),
    ParameterSpec('diagnostics_topic', '/diagnostics', 'Where diagnostic statuses are published.'),
    ParameterSpec(
        'diagnostics_level',
        'ERROR',
        'From which level on a diagnostic status is a fault. WARN is said of much that goes away '
        'by itself.',
        choices=('WARN', 'ERROR', 'STALE'),
    ),
    ParameterSpec(
        'diagnostics_pattern',
        '',
        'Regular expression searched in the names of diagnostic statuses; empty takes all.',
    ),
    ParameterSpec(
        'diagnostics_stale_sec',
        0.0,
        'A diagnostic status that is not heard of for so long, seconds, is a CRITICAL fault; 0 '
        'lets them be silent, because many are published only when something changes.',
        low=0.0,
        high=86400.0,
    ),
    ParameterSpec(
        'rosout_level',
        'FATAL',
        'From which level on a line of /rosout is a fault. ERROR is logged on most robots every '
        'few minutes.',
        choices=('WARN', 'ERROR', 'FATAL'),
    ),
    ParameterSpec(
        'rosout_pattern',
        '',
        'Regular expression searched in the text of log lines; empty takes all. A group named '
        'code, (?P<code>E[0-9]+), gives the fault code; else it is LOG_ and the name of the '
        'logger.',
    ),
    ParameterSpec(
        'watched_actions',
        ('*',),
        'Actions, by name or glob, of which an aborted goal is a fault.',
    ),
    ParameterSpec(
        'medkit_topic',
        '/fault_manager/events',
        'Where the fault manager of ros2_medkit publishes its events. They are not debounced '
        'here: medkit has done that.',
    ),
    ParameterSpec(
        'medkit_bags',
        True,
        "Also bring medkit's own recording of a fault into the archive, where it makes one.",
    ),
    # --- when a fault counts ----------------------------------------------------------------
    ParameterSpec(
        'min_severity',
        'WARN',
        'Milder faults get no snapshot, except by ~/trigger; one that gets worse gets it then.',
        choices=('INFO', 'WARN', 'ERROR', 'CRITICAL'),
    ),
    ParameterSpec(
        'confirm_count',
        1,
        'So many more failed than passed reports confirm a fault; 0 counts none. 1, because most '
        'sources report what they have made sure of themselves.',
        low=0,
        high=1_000_000,
    ),
    ParameterSpec(
        'confirm_after_sec',
        0.0,
        'A failure that lasts so long without a passed report, seconds, is confirmed; 0 waits '
        'for none.',
        low=0.0,
        high=86400.0,
    ),
    ParameterSpec(
        'rate_count',
        0,
        'So many failed reports within rate_window_sec confirm a fault, whatever passed between '
        'them; 0 looks at no rate.',
        low=0,
        high=100_000,
    ),
    ParameterSpec(
        'rate_window_sec',
        10.0,
        'See rate_count, seconds.',
        low=0.01,
        high=86400.0,
    ),
    ParameterSpec(
        'bypass_severity',
        'CRITICAL',
        'A report of this severity or worse is confirmed at once.',
        choices=('INFO', 'WARN', 'ERROR', 'CRITICAL', 'never'),
    ),
    ParameterSpec(
        'heal_count',
        3,
        'So many more passed than failed reports end a fault, so that it can be confirmed again; '
        '0 lets none end it. Several, so that a value at its bound is one fault, not many.',
        low=0,
        high=1_000_000,
    ),
    ParameterSpec(
        'heal_after_sec',
        30.0,
        'A fault also ends when nothing failed for so long, seconds: a log never says that '
        'something passed. 0 leaves it to heal_count.',
        low=0.0,
        high=86400.0,
    ),
    ParameterSpec(
        'cooldown_sec',
        60.0,
        'A fault that comes back sooner after the last snapshot of its code gets no other one, '
        'seconds. One that was too mild for a snapshot, or got none, begins no cooldown.',
        low=0.0,
        high=86400.0,
    ),
    ParameterSpec(
        'snapshots_per_minute',
        30,
        'At most so many snapshots within 60 s, of all faults together, those of ~/trigger aside; '
        'what is more is told and counted. A robot that falls apart reports hundreds of faults, '
        'and each of their snapshots would hold the same seconds. 0 sets no limit.',
        low=0,
        high=100_000,
    ),
    ParameterSpec(
        'overrides',
        (),
        'Other values for faults whose code begins with something; the longest beginning wins: '
        '"MOTOR_: confirm_count=3 cooldown_sec=5 pre_sec=2". Of these parameters: confirm_count, '
        'confirm_after_sec, rate_count, rate_window_sec, bypass_severity, heal_count, '
        'heal_after_sec, cooldown_sec, min_severity, pre_sec, post_sec.',
    ),
    # --- where snapshots go -----------------------------------------------------------------
    ParameterSpec(
        'snapshot_dir',
        '~/.ros/mosaico_snapshots/{robot_id}',
        'Folder of the snapshots: they are written here first, and stay for a while after they '
        'were delivered. {robot_id} is filled in: each node needs a folder of its own.',
    ),
    ParameterSpec(
        'write_ahead',
        True,
        'Write what is before a fault at once, too: it survives if the robot goes down with the '
        'fault. It is replaced by the whole snapshot after post_sec; that it is written twice '
        'is the price.',
    ),
    ParameterSpec(
        'deliver',
        True,
        'Bring snapshots into the archive; false only writes files.',
    ),
    ParameterSpec(
        'sequence_name',
        'fault_{robot_id}_{fault_code}_{seconds}_{snapshot_id}',
        'Name of a snapshot in the archive, and of its file. {source}, {robot_id}, {fault_code}, '
        '{severity}, {seconds}, {date}, {time} and {snapshot_id} are filled in; the last one has '
        'to be there, because it is what makes delivery repeatable.',
    ),
    *_CONNECTION,
    ParameterSpec(
        'retry_max_sec',
        60.0,
        'While the daemon is away, the pauses between attempts double from 1 s up to this, '
        'seconds: little on a slow link, and no long wait once it is back.',
        low=1.0,
        high=86400.0,
    ),
    ParameterSpec(
        'keep_count',
        100,
        'Delivered snapshots that stay in the folder, at most.',
        low=0,
        high=1_000_000,
    ),
    ParameterSpec(
        'keep_mb',
        2000.0,
        'MB of delivered snapshots that stay in the folder, at most.',
        low=0.0,
        high=1e9,
    ),
    ParameterSpec(
        'keep_days',
        30.0,
        'Days that a delivered snapshot stays in the folder, at most.',
        low=0.0,
        high=36500.0,
    ),
    ParameterSpec(
        'outbox_max_mb',
        10000.0,
        'MB of all snapshots in the folder, at most. While the daemon is away for so long that '
        'they are more, the mildest and oldest are lost, which is told and counted.',
        low=1.0,
        high=1e9,
    ),
    # --- what is captured -------------------------------------------------------------------
    *CAPTURE,
    *MANAGED,
)
