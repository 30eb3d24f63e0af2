"""Forces, torques and mass."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Vector3d
from mosaico_ros.models.data.mixins import CovarianceMixin, HeaderMixin


class ForceTorque(Serializable, CovarianceMixin, HeaderMixin):
    """A wrench: force and torque at the origin of the header's frame.

    Source: geometry_msgs/msg/Wrench, WrenchStamped.
    """

    force: Vector3d = MosaicoField(description='Force, in N.')
    torque: Vector3d = MosaicoField(description='Torque, in N m.')


class Inertia(Serializable, HeaderMixin):
    """Mass properties of a rigid body, in the header's frame.

    Source: geometry_msgs/msg/Inertia, InertiaStamped.
    """

    mass: MosaicoType.float64 = MosaicoField(description='Mass, in kg.')
    center_of_mass: Vector3d = MosaicoField(description='Centre of mass, in m.')
    inertia: Annotated[list[float], pa.list_(pa.float64(), 6)] = MosaicoField(
        description='Inertia tensor: ixx, ixy, ixz, iyy, iyz, izz, in kg m^2.'
    )
