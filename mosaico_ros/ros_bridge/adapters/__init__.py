"""What messages become: column maps, and the adapters that stand for them."""

from __future__ import annotations

from typing import Any

#: Names of the published SDK's adapters, and the ontology classes that they make.
ADAPTERS = {
    'AccelAdapter': 'Acceleration',
    'BatteryStateAdapter': 'BatteryState',
    'CameraInfoAdapter': 'CameraInfo',
    'CompressedImageAdapter': 'CompressedImage',
    'FrameTransformAdapter': 'FrameTransform',
    'GPSAdapter': 'GPS',
    'GridCellsAdapter': 'GridCells',
    'HeaderAdapter': 'Header',
    'IMUAdapter': 'IMU',
    'ImageAdapter': 'Image',
    'InertiaAdapter': 'Inertia',
    'JoyAdapter': 'Joy',
    'LaserScanAdapter': 'LaserScan',
    'LidarAdapter': 'Lidar',
    'MagneticFieldAdapter': 'Magnetometer',
    'MapMetadataAdapter': 'MapMetadata',
    'MultiEchoLaserScanAdapter': 'MultiEchoLaserScan',
    'NMEASentenceAdapter': 'NMEASentence',
    'NavSatStatusAdapter': 'GPSStatus',
    'OccupancyGridAdapter': 'OccupancyGrid',
    'OdometryAdapter': 'MotionState',
    'PointAdapter': 'Point3d',
    'PointCloudAdapter': 'PointCloud2',
    'PolygonAdapter': 'Polygon',
    'PoseAdapter': 'Pose',
    'PressureAdapter': 'Pressure',
    'QuaternionAdapter': 'Quaternion',
    'RGBDCameraAdapter': 'RGBDCamera',
    'ROIAdapter': 'ROI',
    'RadarAdapter': 'Radar',
    'RobotJointAdapter': 'RobotJoint',
    'RobotPathAdapter': 'RobotPath',
    'StereoCameraAdapter': 'StereoCamera',
    'TemperatureAdapter': 'Temperature',
    'ToFCameraAdapter': 'ToFCamera',
    'TransformAdapter': 'Transform',
    'TwistAdapter': 'Velocity',
    'Vector3Adapter': 'Vector3d',
    'WrenchAdapter': 'ForceTorque',
}

__all__ = list(ADAPTERS)


def __getattr__(name: str) -> Any:
    if name not in ADAPTERS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from mosaico_ros.ros_bridge.adapters.column_adapter import mapped_adapter

    return mapped_adapter(ADAPTERS[name])


def __dir__() -> list[str]:
    return sorted(__all__)
