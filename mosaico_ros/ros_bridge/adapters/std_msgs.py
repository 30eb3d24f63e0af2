"""Maps of ``std_msgs`` and ``builtin_interfaces``."""

from __future__ import annotations

from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.adapters.vocabulary import Copy, time

_VALUES = {
    'Bool': 'Boolean',
    'Float32': 'Floating32',
    'Float64': 'Floating64',
    'Int8': 'Integer8',
    'Int16': 'Integer16',
    'Int32': 'Integer32',
    'Int64': 'Integer64',
    'String': 'String',
    'UInt8': 'Unsigned8',
    'UInt16': 'Unsigned16',
    'UInt32': 'Unsigned32',
    'UInt64': 'Unsigned64',
}

_TIME = {'seconds': Copy('sec'), 'nanoseconds': Copy('nanosec')}

MAPS = [
    *(ColumnMap(f'std_msgs/msg/{name}', ontology) for name, ontology in _VALUES.items()),
    # `seq` exists in ROS 1 only; without it the counter stays null.
    ColumnMap(
        'std_msgs/msg/Header',
        'Header',
        {'timestamp': time('stamp'), 'sample_counter': Copy('seq', optional=True)},
    ),
    ColumnMap('builtin_interfaces/msg/Time', 'Time', _TIME),
    ColumnMap('builtin_interfaces/msg/Duration', 'Duration', _TIME),
]
