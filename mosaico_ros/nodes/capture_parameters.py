"""Parameters of every node that captures topics: what to take and how.

Names follow ``ros2 bag record`` where the meaning is the same.
"""

from __future__ import annotations

from mosaico_ros.nodes.parameters import ParameterSpec

CAPTURE = (
    ParameterSpec(
        'topics',
        (),
        'Topics to take: names or globs ("/camera/*"). With nothing asked for in this or another '
        'way, every visible topic is taken.',
    ),
    ParameterSpec(
        'all_topics', False, 'Take every visible topic, for example beside some services.'
    ),
    ParameterSpec(
        'regex', '', 'Take topics, services and actions in whose name this expression is found.'
    ),
    ParameterSpec(
        'topic_types', (), 'Take topics of these types ("sensor_msgs/msg/Imu") or globs.'
    ),
    ParameterSpec(
        'services',
        (),
        'Services whose events to take: names or globs. A service has events once introspection '
        'is on at its server or client (configure_introspection).',
    ),
    ParameterSpec('all_services', False, 'Take the events of every service.'),
    ParameterSpec(
        'actions',
        (),
        'Actions to take: names or globs. That is feedback, status, and the events of the three '
        'services of an action where introspection is on.',
    ),
    ParameterSpec('all_actions', False, 'Take every action: feedback, status and events.'),
    ParameterSpec(
        'static_topics',
        (),
        'Topics subscribed to without being seen in the graph, as "/imu:sensor_msgs/msg/Imu": '
        'for networks where discovery shows only a part.',
    ),
    ParameterSpec(
        'exclude_topics',
        (),
        'Names or globs never taken. An exclusion only makes sense beside a rule that takes more '
        'than single names; otherwise it is refused.',
    ),
    ParameterSpec(
        'exclude_regex',
        '',
        'Topics, services and actions in whose name this expression is found are not taken.',
    ),
    ParameterSpec('exclude_topic_types', (), 'Types or globs over types never taken.'),
    ParameterSpec('exclude_services', (), 'Services never taken: names or globs.'),
    ParameterSpec('exclude_actions', (), 'Actions never taken: names or globs.'),
    ParameterSpec(
        'include_hidden_topics',
        False,
        'Also take topics with a name token that starts with an underscore.',
    ),
    ParameterSpec(
        'include_unpublished_topics',
        False,
        'Also subscribe to topics that only have subscribers yet, in both ways that a publisher '
        'could need.',
    ),
    ParameterSpec('ignore_leaf_topics', False, 'Leave out topics that nobody else subscribes to.'),
    ParameterSpec(
        'qos_overrides_path',
        '',
        'File that says how to subscribe to some topics, in the format of ros2 bag record '
        '--qos-profile-overrides-path. For the others the quality of service follows from the '
        'publishers.',
    ),
    ParameterSpec(
        'discovery',
        'continuous',
        'Whether new topics are looked for all the time, or once: at the start, until the graph '
        'has been quiet for five discovery_period_sec.',
        choices=('continuous', 'once'),
    ),
    ParameterSpec(
        'discovery_period_sec',
        1.0,
        'How often to look for new topics once the graph is quiet, seconds. In the first seconds '
        'and after each change the node looks five times as often.',
        low=0.05,
        high=60.0,
    ),
    ParameterSpec(
        'intake',
        'drain',
        'How messages are taken. "drain" empties all subscriptions with one thread and costs a '
        'fraction of an executor; "callbacks" uses the documented rclpy interface, and is also '
        'what happens by itself where rclpy does not offer the other.',
        choices=('drain', 'callbacks'),
    ),
    ParameterSpec(
        'drain_period_ms',
        10.0,
        'Pause between two rounds of the drain loop, milliseconds. Stamps come from the '
        'middleware, so this does not blur them; the queues hold 0.2 s of any usual topic.',
        low=1.0,
        high=200.0,
    ),
    ParameterSpec(
        'buffer_max_mb',
        256.0,
        'Memory for messages that were taken and not yet passed on, MB. From 75 % on every second '
        'message is dropped of topics that hold more than an equal share; from 90 % on all of '
        'those, and of the topics of the lowest priority; at 100 % everything. All is counted.',
        low=1.0,
        high=65536.0,
    ),
    ParameterSpec(
        'topic_priority',
        (),
        'Which topics are shed later when memory is tight, as "/imu=10": the higher the later. '
        'Names or globs, the first that matches counts; others have 0.',
    ),
    ParameterSpec(
        'topic_max_hz',
        (),
        'Most messages a second to keep of some topics, as "/camera/*=5", by their receive '
        'stamps: the first is kept, and a jump back in time begins anew. Names or globs, the '
        'first that matches counts.',
    ),
)
