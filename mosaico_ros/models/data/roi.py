"""Parts of images."""

from __future__ import annotations

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.geometry import Vector2d


class ROI(Serializable):
    """A rectangle within an image.

    Source: sensor_msgs/msg/RegionOfInterest.
    """

    offset: Vector2d = MosaicoField(description='Left (x) and top (y) pixel.')
    height: MosaicoType.uint32 = MosaicoField(description='Height, in px.')
    width: MosaicoType.uint32 = MosaicoField(description='Width, in px.')
    do_rectify: MosaicoType.bool | None = MosaicoField(
        default=None, description='Whether the rectangle refers to the rectified image.'
    )
