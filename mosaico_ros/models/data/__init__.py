"""Types that describe physical quantities and plain values rather than one kind of sensor."""

from mosaico_ros.models.data.base_types import (
    Boolean as Boolean,
    Floating16 as Floating16,
    Floating32 as Floating32,
    Floating64 as Floating64,
    Integer8 as Integer8,
    Integer16 as Integer16,
    Integer32 as Integer32,
    Integer64 as Integer64,
    String as String,
    Unsigned8 as Unsigned8,
    Unsigned16 as Unsigned16,
    Unsigned32 as Unsigned32,
    Unsigned64 as Unsigned64,
)
from mosaico_ros.models.data.dynamics import ForceTorque as ForceTorque, Inertia as Inertia
from mosaico_ros.models.data.geometry import (
    Point2d as Point2d,
    Point3d as Point3d,
    Polygon as Polygon,
    Pose as Pose,
    Quaternion as Quaternion,
    RobotPath as RobotPath,
    Transform as Transform,
    Vector2d as Vector2d,
    Vector3d as Vector3d,
    Vector4d as Vector4d,
)
from mosaico_ros.models.data.header import Header as Header
from mosaico_ros.models.data.kinematics import (
    Acceleration as Acceleration,
    MotionState as MotionState,
    Velocity as Velocity,
)
from mosaico_ros.models.data.mixins import (
    CovarianceMixin as CovarianceMixin,
    HeaderMixin as HeaderMixin,
    VarianceMixin as VarianceMixin,
)
from mosaico_ros.models.data.roi import ROI as ROI
from mosaico_ros.models.data.time import Duration as Duration, Time as Time
