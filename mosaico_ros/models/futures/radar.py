"""Radars, as columns of detections."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float32List, MosaicoField
from mosaico_ros.models.data.mixins import HeaderMixin


class Radar(Serializable, HeaderMixin):
    """Detections of one scan; all lists are parallel.

    Source: sensor_msgs/msg/PointCloud2.
    """

    x: Float32List = MosaicoField(description='X of the detections, in m.')
    y: Float32List = MosaicoField(description='Y of the detections, in m.')
    z: Float32List = MosaicoField(description='Z of the detections, in m.')
    range: Float32List | None = MosaicoField(default=None, description='Distance, in m.')
    azimuth: Float32List | None = MosaicoField(default=None, description='Azimuth, in rad.')
    elevation: Float32List | None = MosaicoField(default=None, description='Elevation, in rad.')
    rcs: Float32List | None = MosaicoField(
        default=None, description='Radar cross-section, in dBm^2.'
    )
    snr: Float32List | None = MosaicoField(
        default=None, description='Signal-to-noise ratio, in dB.'
    )
    doppler_velocity: Float32List | None = MosaicoField(
        default=None, description='Radial velocity by Doppler shift, in m/s.'
    )
    vx: Float32List | None = MosaicoField(default=None, description='Velocity along X, in m/s.')
    vy: Float32List | None = MosaicoField(default=None, description='Velocity along Y, in m/s.')
    vx_comp: Float32List | None = MosaicoField(
        default=None, description='As vx, the own motion taken out, in m/s.'
    )
    vy_comp: Float32List | None = MosaicoField(
        default=None, description='As vy, the own motion taken out, in m/s.'
    )
    ax: Float32List | None = MosaicoField(default=None, description='Acceleration along X, m/s^2.')
    ay: Float32List | None = MosaicoField(default=None, description='Acceleration along Y, m/s^2.')
    radial_speed: Float32List | None = MosaicoField(
        default=None, description='Radial speed, in m/s.'
    )
