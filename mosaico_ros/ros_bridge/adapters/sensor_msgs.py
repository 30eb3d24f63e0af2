"""Maps of ``sensor_msgs`` (and of ``nmea_msgs``, whose one type is a sensor's)."""

from __future__ import annotations

import numpy as np

from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.adapters.scope import Marked, filled, group, lookup, positive
from mosaico_ros.ros_bridge.adapters.vocabulary import (
    Compute,
    Constant,
    Copy,
    Covariance,
    Each,
    Header,
    Nest,
    Nothing,
    NotNan,
    Relabel,
    Word,
)
from mosaico_ros.ros_bridge.cdr.columns import Group

_HEADER: dict[str, Word] = {'header': Header()}
_KELVIN_AT_ZERO_CELSIUS = 273.15
#: Containers that the ontology knows, by the word that names them in `CompressedImage.format`.
_CONTAINERS = {
    'png': 'png',
    'jpeg': 'jpeg',
    'jpg': 'jpeg',
    'tiff': 'tiff',
    'h264': 'h264',
    'hevc': 'hevc',
    'h265': 'hevc',
    'av1': 'av1',
    'vp9': 'vp9',
}


def _container(text: str) -> str:
    """Container of a compressed image.

    ``image_transport`` writes ``jpeg``, ``rgb8; jpeg compressed bgr8`` or
    ``16UC1; compressedDepth png``; older writers nothing at all, meaning png. What names no known
    container is ``raw``.
    """
    if not text:
        return 'png'
    words = text.lower().replace(';', ' ').split()
    known = [_CONTAINERS[word] for word in words if word in _CONTAINERS]
    if known:
        return known[0]
    return 'png' if 'compresseddepth' in words and 'rvl' not in words else 'raw'


def _binned(scope: Group) -> np.ndarray:
    return _number(scope, 'binning_x', 1) & _number(scope, 'binning_y', 1)


def _roi_is_set(scope: Group) -> np.ndarray:
    roi = group(scope, 'roi')
    numbers = [_number(roi, name) for name in ('x_offset', 'y_offset', 'height', 'width')]
    return np.logical_or.reduce([*numbers, _number(roi, 'do_rectify')])


def _number(scope: Group, path: str, above: float = 0) -> np.ndarray:
    return lookup(scope, path).values > above  # type: ignore[union-attr]


_ROI: dict[str, Word] = {'offset': Nest(words={'x': Copy('x_offset'), 'y': Copy('y_offset')})}
_SCAN_INTENSITIES = Copy('intensities', when=filled('intensities'))


def _vector(path: str) -> Nest:
    """Vector with its covariance in the member beside it."""
    return Nest(path, outer={'covariance': Covariance(f'{path}_covariance')})


MAPS = [
    ColumnMap(
        'sensor_msgs/msg/Imu',
        'IMU',
        {
            **_HEADER,
            'acceleration': _vector('linear_acceleration'),
            'angular_velocity': _vector('angular_velocity'),
            # A covariance that begins with -1 says that there is no estimate of orientation.
            'orientation': Nest(
                'orientation',
                outer={'covariance': Covariance('orientation_covariance')},
                when=Marked('orientation_covariance', lambda first: first != -1, -1),
            ),
        },
    ),
    ColumnMap(
        'sensor_msgs/msg/NavSatFix',
        'GPS',
        {
            **_HEADER,
            'position': Nest(
                words={
                    'x': Copy('latitude'),
                    'y': Copy('longitude'),
                    'z': Copy('altitude'),
                    'covariance': Covariance('position_covariance'),
                    'covariance_type': Copy(
                        'position_covariance_type', when=positive('position_covariance')
                    ),
                    'header': Nothing(),
                }
            ),
            # Below STATUS_NO_FIX (-1) the receiver has not said anything yet.
            'status': Nest('status', when=Marked('status.status', lambda s: s >= -1, -2)),
        },
    ),
    ColumnMap('sensor_msgs/msg/NavSatStatus', 'GPSStatus'),
    ColumnMap('nmea_msgs/msg/Sentence', 'NMEASentence', _HEADER),
    ColumnMap(
        'sensor_msgs/msg/MagneticField',
        'Magnetometer',
        {**_HEADER, 'magnetic_field': _vector('magnetic_field')},
    ),
    ColumnMap(
        'sensor_msgs/msg/Temperature',
        'Temperature',
        {
            **_HEADER,
            'value': Compute(
                'temperature',
                lambda celsius: celsius + _KELVIN_AT_ZERO_CELSIUS,
                lambda kelvin: kelvin - _KELVIN_AT_ZERO_CELSIUS,
            ),
            'variance': Copy('variance', when=positive('variance')),
        },
    ),
    ColumnMap(
        'sensor_msgs/msg/FluidPressure',
        'Pressure',
        {
            **_HEADER,
            'value': Copy('fluid_pressure'),
            'variance': Copy('variance', when=positive('variance')),
        },
    ),
    ColumnMap(
        'sensor_msgs/msg/Range',
        'Range',
        {**_HEADER, 'variance': Nothing()},
    ),
    ColumnMap(
        'sensor_msgs/msg/JointState',
        'RobotJoint',
        {
            **_HEADER,
            'names': Copy('name'),
            'positions': Copy('position'),
            'velocities': Copy('velocity'),
            'efforts': Copy('effort'),
        },
    ),
    ColumnMap('sensor_msgs/msg/Joy', 'Joy', _HEADER),
    ColumnMap(
        'sensor_msgs/msg/BatteryState',
        'BatteryState',
        {
            **_HEADER,
            **{
                name: NotNan(name)
                for name in ('temperature', 'current', 'charge', 'capacity', 'design_capacity')
            },
            'cell_voltage': Copy('cell_voltage', when=filled('cell_voltage')),
            'cell_temperature': Copy(
                'cell_temperature', optional=True, when=filled('cell_temperature')
            ),
        },
    ),
    # Pixels stay as they were sent; `raw` says that no container is around them.
    ColumnMap(
        'sensor_msgs/msg/Image',
        'Image',
        {**_HEADER, 'format': Constant('raw'), 'stride': Copy('step')},
    ),
    ColumnMap(
        'sensor_msgs/msg/CompressedImage',
        'CompressedImage',
        {**_HEADER, 'format': Relabel('format', _container)},
    ),
    ColumnMap('sensor_msgs/msg/RegionOfInterest', 'ROI', _ROI),
    ColumnMap(
        'sensor_msgs/msg/CameraInfo',
        'CameraInfo',
        {
            **_HEADER,
            # ROS 1 spells the matrices in capitals.
            'distortion_parameters': Copy('d', ('D',)),
            'intrinsic_parameters': Copy('k', ('K',)),
            'rectification_parameters': Copy('r', ('R',)),
            'projection_parameters': Copy('p', ('P',)),
            'binning': Nest(
                words={'x': Copy('binning_x'), 'y': Copy('binning_y'), 'header': Nothing()},
                when=_binned,
            ),
            'roi': Nest('roi', _ROI, when=_roi_is_set),
        },
    ),
    ColumnMap('sensor_msgs/msg/PointCloud2', 'PointCloud2', _HEADER),
    ColumnMap(
        'sensor_msgs/msg/LaserScan', 'LaserScan', {**_HEADER, 'intensities': _SCAN_INTENSITIES}
    ),
    ColumnMap(
        'sensor_msgs/msg/MultiEchoLaserScan',
        'MultiEchoLaserScan',
        {
            **_HEADER,
            'ranges': Each('ranges', Copy('echoes')),
            'intensities': Each('intensities', Copy('echoes'), when=filled('intensities')),
        },
    ),
]
