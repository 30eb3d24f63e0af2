"""Calibration of cameras."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import Float64List, MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Vector2d
from mosaico_ros.models.data.mixins import HeaderMixin
from mosaico_ros.models.data.roi import ROI

Matrix3x3 = Annotated[list[float], pa.list_(pa.float64(), 9)]
Matrix3x4 = Annotated[list[float], pa.list_(pa.float64(), 12)]


class CameraInfo(Serializable, HeaderMixin):
    """Calibration of a camera; the header's frame is its optical frame (REP 103).

    Source: sensor_msgs/msg/CameraInfo.
    """

    height: MosaicoType.uint32 = MosaicoField(description='Height of the full image, in px.')
    width: MosaicoType.uint32 = MosaicoField(description='Width of the full image, in px.')
    distortion_model: MosaicoType.string = MosaicoField(
        description='Name of the distortion model, such as plumb_bob.'
    )
    distortion_parameters: Float64List = MosaicoField(
        description='Parameters of the distortion model; k1, k2, t1, t2, k3 for plumb_bob.'
    )
    intrinsic_parameters: Matrix3x3 = MosaicoField(
        description='Intrinsic matrix K of the raw image, 3 x 3, row by row, in px.'
    )
    rectification_parameters: Matrix3x3 = MosaicoField(
        description='Rectification rotation R, 3 x 3, row by row.'
    )
    projection_parameters: Matrix3x4 = MosaicoField(
        description='Projection matrix P of the rectified image, 3 x 4, row by row, in px.'
    )
    binning: Vector2d | None = MosaicoField(
        default=None, description='Pixels of the sensor per pixel of the image, along X and Y.'
    )
    roi: ROI | None = MosaicoField(default=None, description='Part of the sensor that is read.')
