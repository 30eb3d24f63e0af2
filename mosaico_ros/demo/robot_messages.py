"""The topics of the synthetic robot and the messages on them."""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import (
    Point,
    Pose as PoseMessage,
    PoseWithCovariance,
    Quaternion,
    Transform,
    TransformStamped,
    Twist,
    TwistWithCovariance,
    Vector3,
)
from nav_msgs.msg import Odometry
from sensor_msgs.msg import (
    CompressedImage,
    Imu,
    JointState,
    NavSatFix,
    NavSatStatus,
    PointCloud2,
    PointField,
)
from std_msgs.msg import Header

from mosaico_ros.demo import motion, scene

# (elapsed ns, length of the run in ns, stamp) -> message
Build = Callable[[int, int, Time], Any]


@dataclass(frozen=True)
class RobotTopic:
    """One topic of the robot: its rate in Hz and how a message of it is made."""

    name: str
    message_type: type[Any]
    rate_hz: int
    build: Build


def _diagonal(size: int, value: float) -> list[float]:
    matrix = [0.0] * (size * size)
    matrix[:: size + 1] = [value] * size
    return matrix


def _header(stamp: Time, frame_id: str) -> Header:
    return Header(stamp=stamp, frame_id=frame_id)


def _quaternion(pose: motion.Pose) -> Quaternion:
    x, y, z, w = pose.quaternion
    return Quaternion(x=x, y=y, z=z, w=w)


def imu(elapsed_ns: int, duration_ns: int, stamp: Time) -> Imu:
    """Acceleration, turn rate and attitude at 200 Hz; holds the two spikes."""
    ax, ay, az = motion.acceleration(elapsed_ns, duration_ns)
    gx, gy, gz = motion.angular_velocity(elapsed_ns * 1e-9)
    return Imu(
        header=_header(stamp, 'imu_link'),
        orientation=_quaternion(motion.pose(elapsed_ns * 1e-9)),
        orientation_covariance=_diagonal(3, 1e-4),
        angular_velocity=Vector3(x=gx, y=gy, z=gz),
        angular_velocity_covariance=_diagonal(3, 4e-6),
        linear_acceleration=Vector3(x=ax, y=ay, z=az),
        linear_acceleration_covariance=_diagonal(3, 9e-4),
    )


def joint_states(elapsed_ns: int, _duration_ns: int, stamp: Time) -> JointState:
    """Four wheels and an arm."""
    positions, velocities, efforts = motion.joints(elapsed_ns * 1e-9)
    return JointState(
        header=_header(stamp, ''),
        name=list(motion.JOINTS),
        position=positions,
        velocity=velocities,
        effort=efforts,
    )


def odometry(elapsed_ns: int, _duration_ns: int, stamp: Time) -> Odometry:
    """Where the wheels say the rover is."""
    here = motion.pose(elapsed_ns * 1e-9)
    return Odometry(
        header=_header(stamp, 'odom'),
        child_frame_id='base_link',
        pose=PoseWithCovariance(
            pose=PoseMessage(
                position=Point(x=here.x, y=here.y, z=0.0), orientation=_quaternion(here)
            ),
            covariance=_diagonal(6, 1e-3),
        ),
        twist=TwistWithCovariance(
            twist=Twist(
                linear=Vector3(x=motion.SPEED_MPS, y=0.0, z=0.0),
                angular=Vector3(x=0.0, y=0.0, z=motion.TURN_RATE),
            ),
            covariance=_diagonal(6, 2e-3),
        ),
    )


def transform(elapsed_ns: int, _duration_ns: int, stamp: Time) -> TransformStamped:
    """The rover in the ``odom`` frame."""
    here = motion.pose(elapsed_ns * 1e-9)
    return TransformStamped(
        header=_header(stamp, 'odom'),
        child_frame_id='base_link',
        transform=Transform(
            translation=Vector3(x=here.x, y=here.y, z=0.0), rotation=_quaternion(here)
        ),
    )


def gps_fix(elapsed_ns: int, _duration_ns: int, stamp: Time) -> NavSatFix:
    """Position on the Earth."""
    latitude, longitude, altitude = motion.geodetic(elapsed_ns * 1e-9)
    return NavSatFix(
        header=_header(stamp, 'gps_link'),
        status=NavSatStatus(status=NavSatStatus.STATUS_FIX, service=NavSatStatus.SERVICE_GPS),
        latitude=latitude,
        longitude=longitude,
        altitude=altitude,
        position_covariance=_diagonal(3, 0.25),
        position_covariance_type=NavSatFix.COVARIANCE_TYPE_DIAGONAL_KNOWN,
    )


def camera(elapsed_ns: int, _duration_ns: int, stamp: Time) -> CompressedImage:
    """A PNG of about 50 KB."""
    return CompressedImage(
        header=_header(stamp, 'camera_optical_frame'),
        format='png',
        data=array('B', scene.camera_png(elapsed_ns * 1e-9)),
    )


def lidar(elapsed_ns: int, _duration_ns: int, stamp: Time) -> PointCloud2:
    """A cloud of 32 768 points, 0.5 MB."""
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(('x', 'y', 'z', 'intensity'))
    ]
    return PointCloud2(
        header=_header(stamp, 'lidar_link'),
        height=scene.CLOUD_RINGS,
        width=scene.CLOUD_COLUMNS,
        fields=fields,
        is_bigendian=False,
        point_step=scene.POINT_STEP,
        row_step=scene.POINT_STEP * scene.CLOUD_COLUMNS,
        data=array('B', scene.cloud_points(elapsed_ns * 1e-9)),
        is_dense=True,
    )


def diagnostics(elapsed_ns: int, _duration_ns: int, stamp: Time) -> DiagnosticArray:
    """Battery and motor temperature."""
    seconds = elapsed_ns * 1e-9
    return DiagnosticArray(
        header=_header(stamp, ''),
        status=[
            DiagnosticStatus(
                level=DiagnosticStatus.OK,
                name='battery',
                message='discharging',
                hardware_id='rover-7',
                values=[
                    KeyValue(key='voltage', value=f'{25.2 - 0.01 * seconds:.2f}'),
                    KeyValue(key='current', value='3.1'),
                ],
            ),
            DiagnosticStatus(
                level=DiagnosticStatus.WARN,
                name='motor_rear_left',
                message='warm',
                hardware_id='rover-7',
                values=[KeyValue(key='temperature', value=f'{61.0 + 0.2 * seconds:.1f}')],
            ),
        ],
    )


def _transform_topic() -> RobotTopic:
    # tf2_msgs comes with a ROS installation; there are no wheels of it.
    if importlib.util.find_spec('tf2_msgs') is None:
        return RobotTopic('/tf_stamped', TransformStamped, 100, transform)
    from tf2_msgs.msg import TFMessage

    def tf(elapsed_ns: int, duration_ns: int, stamp: Time) -> Any:
        return TFMessage(transforms=[transform(elapsed_ns, duration_ns, stamp)])

    return RobotTopic('/tf', TFMessage, 100, tf)


def robot_topics() -> tuple[RobotTopic, ...]:
    """Return the topics of the robot, fastest first."""
    return (
        RobotTopic('/imu', Imu, 200, imu),
        RobotTopic('/joint_states', JointState, 100, joint_states),
        _transform_topic(),
        RobotTopic('/odom', Odometry, 50, odometry),
        RobotTopic('/camera/image/compressed', CompressedImage, 15, camera),
        RobotTopic('/gps/fix', NavSatFix, 10, gps_fix),
        RobotTopic('/lidar/points', PointCloud2, 5, lidar),
        RobotTopic('/diagnostics', DiagnosticArray, 1, diagnostics),
    )
