"""Motion: velocities, accelerations and the whole state of a moving body."""

from __future__ import annotations

from pydantic import model_validator
from typing_extensions import Self

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Pose, Vector3d
from mosaico_ros.models.data.mixins import CovarianceMixin, HeaderMixin


class _LinearOrAngular(BaseModel):
    linear: Vector3d | None = MosaicoField(default=None)
    angular: Vector3d | None = MosaicoField(default=None)

    @model_validator(mode='after')
    def _check_one_given(self) -> Self:
        if self.linear is None and self.angular is None:
            raise ValueError(f'{type(self).__name__} needs a linear or an angular part')
        return self


class Velocity(_LinearOrAngular, Serializable, CovarianceMixin, HeaderMixin):
    """Velocity of a body; at least one of its parts is given.

    The covariance, 6 x 6, is over the linear and then the angular components.

    Source: geometry_msgs/msg/Twist and its Stamped and WithCovariance forms.
    """

    linear: Vector3d | None = MosaicoField(default=None, description='Linear part, in m/s.')
    angular: Vector3d | None = MosaicoField(default=None, description='Angular part, in rad/s.')


class Acceleration(_LinearOrAngular, Serializable, CovarianceMixin, HeaderMixin):
    """Acceleration of a body; at least one of its parts is given.

    The covariance, 6 x 6, is over the linear and then the angular components.

    Source: geometry_msgs/msg/Accel and its Stamped and WithCovariance forms.
    """

    linear: Vector3d | None = MosaicoField(default=None, description='Linear part, in m/s^2.')
    angular: Vector3d | None = MosaicoField(default=None, description='Angular part, in rad/s^2.')


class MotionState(Serializable, CovarianceMixin, HeaderMixin):
    """Pose and motion of a body: the pose in the header's frame, the motion in the target frame.

    Source: nav_msgs/msg/Odometry (`child_frame_id` is the target frame).
    """

    pose: Pose = MosaicoField(description="Pose of the target frame in the header's frame.")
    velocity: Velocity = MosaicoField(description='Velocity, in the target frame.')
    target_frame_id: MosaicoType.string = MosaicoField(description='Frame fixed to the body.')
    acceleration: Acceleration | None = MosaicoField(
        default=None, description='Acceleration, in the target frame.'
    )
