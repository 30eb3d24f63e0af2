"""Parameters of every node that captures topics: what to take and how.

Names follow ``ros2 bag record`` where the meaning is the same.
"""

from __future__ import annotations

from mosaico_ros.nodes.parameters import ParameterSpec

CAPTURE = (
    ParameterSpec(
        'topics',
        (),
        'Topics to take: names or globs ("/camera/*"). With no topics, regex or topic_types, '
        'every visible topic is taken.',
    ),
    ParameterSpec('regex', '', 'Take topics in whose name this expression is found.'),
    ParameterSpec(
        'topic_types', (), 'Take topics of these types ("sensor_msgs/msg/Imu") or globs.'
    ),
    ParameterSpec('exclude_topics', (), 'Names or globs never taken.'),
    ParameterSpec(
        'exclude_regex', '', 'Topics in whose name this expression is found are not taken.'
    ),
    ParameterSpec('exclude_topic_types', (), 'Types or globs over types never taken.'),
    ParameterSpec(
        'include_hidden_topics',
        False,
        'Also take topics with a name token that starts with an underscore.',
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
        'Memory for messages that were taken and not yet passed on, MB. When it is full, new '
        'messages are dropped and counted, rather than slowing down the robot.',
        low=1.0,
        high=65536.0,
    ),
)
