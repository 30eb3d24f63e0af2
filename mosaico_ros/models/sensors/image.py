"""Images: pixels as bytes, and the way to numpy and Pillow."""

from __future__ import annotations

from enum import Enum

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.mixins import HeaderMixin
from mosaico_ros.protocol.serialization import SerializationFormat


class ImageFormat(str, Enum):
    """How the bytes of an image are encoded."""

    RAW = 'raw'
    PNG = 'png'
    JPEG = 'jpeg'
    JPG = 'jpg'
    TIFF = 'tiff'
    H264 = 'h264'
    HEVC = 'hevc'


class Image(Serializable, HeaderMixin):
    """An image whose pixel layout is known.

    Source: sensor_msgs/msg/Image.
    """

    __serialization_format__ = SerializationFormat.Image

    data: MosaicoType.binary = MosaicoField(
        description='Pixels, row by row, or a lossless container of them, as the format says.'
    )
    format: ImageFormat = MosaicoField(description='raw, or the container of the data.')
    width: MosaicoType.int32 = MosaicoField(description='Width, in px.')
    height: MosaicoType.int32 = MosaicoField(description='Height, in px.')
    stride: MosaicoType.int32 = MosaicoField(
        description='Length of a row, padding included, in bytes.'
    )
    encoding: MosaicoType.string = MosaicoField(
        description='Channels and their width, such as rgb8 or 16UC1.'
    )
    is_bigendian: MosaicoType.bool | None = MosaicoField(
        default=None, description='Byte order of wider channels; null means little-endian.'
    )


class CompressedImage(Serializable, HeaderMixin):
    """An image, or a piece of a video stream, as a codec wrote it.

    Source: sensor_msgs/msg/CompressedImage.
    """

    __serialization_format__ = SerializationFormat.Image

    data: MosaicoType.binary = MosaicoField(description='The encoded bytes.')
    format: ImageFormat = MosaicoField(description='The codec.')
