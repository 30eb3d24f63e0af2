"""Lidars, as columns of points."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import (
    Float32List,
    Float64List,
    MosaicoField,
    Uint8List,
    Uint16List,
)
from mosaico_ros.models.data.mixins import HeaderMixin


class Lidar(Serializable, HeaderMixin):
    """Points of one revolution or frame; all lists are parallel.

    Source: sensor_msgs/msg/PointCloud2.
    """

    x: Float32List = MosaicoField(description='X of the points, in m.')
    y: Float32List = MosaicoField(description='Y of the points, in m.')
    z: Float32List = MosaicoField(description='Z of the points, in m.')
    intensity: Float32List | None = MosaicoField(default=None, description='Signal strength.')
    reflectivity: Uint16List | None = MosaicoField(
        default=None, description='Reflectivity of the surface, corrected for distance.'
    )
    beam_id: Uint16List | None = MosaicoField(
        default=None, description='Number of the laser (its ring).'
    )
    range: Float32List | None = MosaicoField(default=None, description='Distance, in m.')
    near_ir: Float32List | None = MosaicoField(
        default=None, description='Ambient near-infrared light.'
    )
    azimuth: Float32List | None = MosaicoField(default=None, description='Azimuth, in rad.')
    elevation: Float32List | None = MosaicoField(default=None, description='Elevation, in rad.')
    confidence: Uint8List | None = MosaicoField(
        default=None, description="Confidence, on the device's scale."
    )
    return_type: Uint8List | None = MosaicoField(
        default=None, description="Which return it is, in the device's numbering."
    )
    point_timestamp: Float64List | None = MosaicoField(
        default=None, description='Time of the point, in s.'
    )
