"""Vectors, points, rotations, transforms, poses, paths and polygons.

Units and axes follow REP 103: metres, right-handed frames.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Self

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import CovarianceMixin, HeaderMixin
from mosaico_ros.protocol.errors import InvalidArgumentError


class _Components(BaseModel):
    @classmethod
    def from_list(cls, data: Sequence[float]) -> Self:
        """Make one from its components in order, given as a list, tuple or array.

        Raises
        ------
        InvalidArgumentError
            The number of components is not that of the type.
        """
        names = [name for name in 'xyzw' if name in cls.model_fields]
        if len(data) != len(names):
            raise InvalidArgumentError(
                f'{cls.__name__} has {len(names)} components, got {len(data)}',
                remedy=f'Give {", ".join(names)}.',
            )
        return cls(**dict(zip(names, data, strict=True)))


class _XY(_Components):
    x: MosaicoType.float64 | None = MosaicoField(nullable=True, description='Component along X.')
    y: MosaicoType.float64 | None = MosaicoField(nullable=True, description='Component along Y.')


class _XYZ(_XY):
    z: MosaicoType.float64 | None = MosaicoField(nullable=True, description='Component along Z.')


class _XYZW(_XYZ):
    w: MosaicoType.float64 | None = MosaicoField(
        nullable=True, description='Fourth component; the scalar part of a quaternion.'
    )


class Vector2d(_XY, Serializable, CovarianceMixin, HeaderMixin):
    """A free vector in the plane, in the unit of the field that holds it."""


class Vector3d(_XYZ, Serializable, CovarianceMixin, HeaderMixin):
    """A free vector in space, in the unit of the field that holds it.

    Source: geometry_msgs/msg/Vector3, Vector3Stamped.
    """


class Vector4d(_XYZW, Serializable, CovarianceMixin, HeaderMixin):
    """A vector of four components, in the unit of the field that holds it."""


class Point2d(_XY, Serializable, CovarianceMixin, HeaderMixin):
    """A position in the plane, in m or px as the field that holds it says."""


class Point3d(_XYZ, Serializable, CovarianceMixin, HeaderMixin):
    """A position in space, in m unless the field that holds it says otherwise.

    Source: geometry_msgs/msg/Point, PointStamped.
    """


class Quaternion(_XYZW, Serializable, CovarianceMixin, HeaderMixin):
    """A rotation as a unit quaternion, the scalar part `w` last.

    Source: geometry_msgs/msg/Quaternion, QuaternionStamped.
    """


class Transform(Serializable, CovarianceMixin, HeaderMixin):
    """A rigid transform from the header's frame to the target frame.

    Source: geometry_msgs/msg/Transform, TransformStamped (`child_frame_id` is the target).
    """

    translation: Vector3d = MosaicoField(description='Translation, in m.')
    rotation: Quaternion = MosaicoField(description='Rotation.')
    target_frame_id: MosaicoType.string | None = MosaicoField(
        default=None, description='Frame that the transform leads to.'
    )


class Pose(Serializable, CovarianceMixin, HeaderMixin):
    """Position and orientation in the header's frame.

    The covariance, 6 x 6, is over x, y, z, and rotations about X, Y and Z (m, rad).

    Source: geometry_msgs/msg/Pose and its Stamped and WithCovariance forms.
    """

    position: Point3d = MosaicoField(description='Position, in m.')
    orientation: Quaternion = MosaicoField(description='Orientation.')


class RobotPath(Serializable, HeaderMixin):
    """Poses to follow, in order.

    Source: nav_msgs/msg/Path.
    """

    poses: list[Pose] = MosaicoField(description='Poses from start to goal.')


class Polygon(Serializable, HeaderMixin):
    """An area in space, closed from the last point to the first.

    Source: geometry_msgs/msg/Polygon, PolygonStamped.
    """

    points: list[Point3d] = MosaicoField(description='Corners in order, in m.')
