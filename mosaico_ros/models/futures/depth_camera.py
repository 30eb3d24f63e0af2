"""Cameras that measure depth, as points with values."""

from __future__ import annotations

import struct

from mosaico_ros.models.core.base_model import BaseModel
from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float32List, MosaicoField, Uint8List
from mosaico_ros.models.data.mixins import HeaderMixin
from mosaico_ros.protocol.errors import InvalidArgumentError


def pack_rgb(r: int, g: int, b: int) -> float:
    """Put a colour into the bits of a 32-bit float, as point clouds carry it.

    Parameters
    ----------
    r, g, b
        Channels, 0 to 255.

    Raises
    ------
    InvalidArgumentError
        A channel is out of range.
    """
    if not all(0 <= channel <= 255 for channel in (r, g, b)):
        raise InvalidArgumentError(
            f'The colour ({r}, {g}, {b}) has a channel out of range', remedy='Use 0 to 255.'
        )
    return struct.unpack('<f', struct.pack('<I', r << 16 | g << 8 | b))[0]


def unpack_rgb(packed_rgb: float) -> tuple[int, int, int]:
    """Take the colour out of a packed float: red, green, blue, 0 to 255 each."""
    bits = struct.unpack('<I', struct.pack('<f', packed_rgb))[0]
    return bits >> 16 & 0xFF, bits >> 8 & 0xFF, bits & 0xFF


class _DepthCameraBase(BaseModel):
    x: Float32List = MosaicoField(description='X of the points, in m.')
    y: Float32List = MosaicoField(description='Y of the points, in m.')
    z: Float32List = MosaicoField(description='Z of the points, in m.')
    rgb: Float32List | None = MosaicoField(
        default=None, description='Colours, each packed into the bits of a float.'
    )
    intensity: Float32List | None = MosaicoField(default=None, description='Signal strengths.')


class RGBDCamera(_DepthCameraBase, Serializable, HeaderMixin):
    """Points of a camera that measures colour and depth; all lists are parallel.

    Source: sensor_msgs/msg/PointCloud2.
    """


class ToFCamera(_DepthCameraBase, Serializable, HeaderMixin):
    """Points of a time-of-flight camera; all lists are parallel.

    Source: sensor_msgs/msg/PointCloud2.
    """

    noise: Float32List | None = MosaicoField(default=None, description='Noise of the points.')
    grayscale: Float32List | None = MosaicoField(
        default=None, description='Brightness of the points.'
    )


class StereoCamera(_DepthCameraBase, Serializable, HeaderMixin):
    """Points of a stereo camera; all lists are parallel.

    Source: sensor_msgs/msg/PointCloud2.
    """

    luma: Uint8List | None = MosaicoField(
        default=None, description='Brightness in the reference image, 0 to 255.'
    )
    cost: Uint8List | None = MosaicoField(
        default=None, description='Cost of the stereo match, 0 for the best.'
    )
