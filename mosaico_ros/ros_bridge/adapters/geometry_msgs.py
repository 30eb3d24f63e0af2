"""Maps of ``geometry_msgs`` and ``tf2_msgs``.

Most types come plain, stamped, with covariance, and both; the plain type's members lie one or two
levels deeper in the others.
"""

from __future__ import annotations

from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.adapters.scope import filled
from mosaico_ros.ros_bridge.adapters.vocabulary import (
    Copy,
    Covariance,
    Each,
    Header,
    Nest,
    Pack,
    Word,
)

_HEADER: dict[str, Word] = {'header': Header()}


def _plain_and_stamped(
    name: str, ontology: str, member: str, words: dict[str, Word] | None = None
) -> list[ColumnMap]:
    msgtype = f'geometry_msgs/msg/{name}'
    return [
        ColumnMap(msgtype, ontology, words or {}),
        ColumnMap(f'{msgtype}Stamped', ontology, words or {}, member, _HEADER),
    ]


def _with_covariance(name: str, ontology: str, member: str) -> list[ColumnMap]:
    msgtype = f'geometry_msgs/msg/{name}'
    inner, outer = Covariance('covariance'), Covariance(f'{member}.covariance')
    return [
        *_plain_and_stamped(name, ontology, member),
        ColumnMap(f'{msgtype}WithCovariance', ontology, {}, member, {'covariance': inner}),
        ColumnMap(
            f'{msgtype}WithCovarianceStamped',
            ontology,
            {},
            f'{member}.{member}',
            {**_HEADER, 'covariance': outer},
        ),
    ]


#: `TransformStamped`, alone and inside a `TFMessage`.
STAMPED_TRANSFORM = Nest(
    'transform',
    outer={
        **_HEADER,
        'target_frame_id': Copy('child_frame_id', when=filled('child_frame_id')),
    },
)

MAPS = [
    *_with_covariance('Pose', 'Pose', 'pose'),
    *_with_covariance('Twist', 'Velocity', 'twist'),
    *_with_covariance('Accel', 'Acceleration', 'accel'),
    *_plain_and_stamped('Vector3', 'Vector3d', 'vector'),
    *_plain_and_stamped('Point', 'Point3d', 'point'),
    *_plain_and_stamped('Quaternion', 'Quaternion', 'quaternion'),
    *_plain_and_stamped('Wrench', 'ForceTorque', 'wrench'),
    *_plain_and_stamped('Polygon', 'Polygon', 'polygon'),
    *_plain_and_stamped(
        'Inertia',
        'Inertia',
        'inertia',
        {
            'mass': Copy('m'),
            'center_of_mass': Copy('com'),
            'inertia': Pack(('ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz')),
        },
    ),
    ColumnMap('geometry_msgs/msg/Transform', 'Transform'),
    ColumnMap(
        'geometry_msgs/msg/TransformStamped', 'Transform', {}, 'transform', STAMPED_TRANSFORM.outer
    ),
    ColumnMap(
        'tf2_msgs/msg/TFMessage',
        'FrameTransform',
        {'transforms': Each('transforms', STAMPED_TRANSFORM)},
    ),
]
