"""Maps of ``nav_msgs``."""

from __future__ import annotations

from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.adapters.vocabulary import Copy, Covariance, Each, Header, Nest, time

_MAP_LOAD_TIME = {'map_load_time': time('map_load_time')}

MAPS = [
    ColumnMap(
        'nav_msgs/msg/Odometry',
        'MotionState',
        {
            'header': Header(),
            'pose': Nest('pose.pose', outer={'covariance': Covariance('pose.covariance')}),
            'velocity': Nest('twist.twist', outer={'covariance': Covariance('twist.covariance')}),
            'target_frame_id': Copy('child_frame_id'),
        },
    ),
    ColumnMap(
        'nav_msgs/msg/Path',
        'RobotPath',
        {'header': Header(), 'poses': Each('poses', Nest('pose', outer={'header': Header()}))},
    ),
    ColumnMap('nav_msgs/msg/GridCells', 'GridCells', {'header': Header()}),
    ColumnMap('nav_msgs/msg/MapMetaData', 'MapMetadata', _MAP_LOAD_TIME),
    ColumnMap(
        'nav_msgs/msg/OccupancyGrid',
        'OccupancyGrid',
        {'header': Header(), 'info': Nest('info', _MAP_LOAD_TIME)},
    ),
]
