"""Images: pixels as bytes, and the way to numpy and Pillow."""

from __future__ import annotations

import io
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import Self

from mosaico_ros.models.core.serializable import Serializable
from mosaico_ros.models.core.types import MosaicoField, MosaicoType
from mosaico_ros.models.data.header import Header
from mosaico_ros.models.data.mixins import HeaderMixin
from mosaico_ros.models.sensors import colours, depth, pixels
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.serialization import SerializationFormat

if TYPE_CHECKING:
    from PIL import Image as PillowImage


class ImageFormat(str, Enum):
    """How the bytes of an image are encoded."""

    RAW = 'raw'
    PNG = 'png'
    JPEG = 'jpeg'
    JPG = 'jpg'
    TIFF = 'tiff'
    H264 = 'h264'
    HEVC = 'hevc'
    AV1 = 'av1'
    VP9 = 'vp9'

    @property
    def is_video(self) -> bool:
        """Whether frames depend on earlier ones."""
        return self in (ImageFormat.H264, ImageFormat.HEVC, ImageFormat.AV1, ImageFormat.VP9)


class Image(Serializable, HeaderMixin):
    """An image whose pixel layout is known.

    The data is either the rows themselves (``raw``) or the rows packed losslessly into a PNG of
    one grey value per byte (``png``), whatever the encoding of the pixels.

    Source: sensor_msgs/msg/Image.
    """

    __serialization_format__ = SerializationFormat.Image

    data: MosaicoType.binary = MosaicoField(
        description='Rows of pixels, or a lossless container of them, as the format says.'
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

    @classmethod
    def from_linear_pixels(
        cls,
        data: bytes | bytearray | memoryview | np.ndarray | list[int],
        stride: int,
        height: int,
        width: int,
        encoding: str,
        is_bigendian: bool | None = None,
        format: ImageFormat = ImageFormat.PNG,
        header: Header | None = None,
    ) -> Self:
        """Make an image from rows of bytes.

        Parameters
        ----------
        data
            The rows, `stride` times `height` bytes; more where planes of chroma follow (nv12).
        stride
            Length of a row in bytes, padding included; the padding is kept.
        height, width
            Size in pixels.
        encoding
            Name of the pixel encoding, such as ``rgb8``.
        is_bigendian
            Byte order of channels wider than a byte.
        format
            ``RAW`` keeps the rows, ``PNG`` packs them losslessly, to about half their size for
            tens of times the effort. Images without pixels stay raw.
        header
            Time and frame.

        Raises
        ------
        InvalidArgumentError
            The sizes do not fit together, or the format is another one.
        """
        if not isinstance(data, bytes):
            data = bytes(data)
        rows = pixels.row_count(encoding, height)
        if len(data) != stride * rows:
            raise InvalidArgumentError(
                f'{rows} rows of {stride} bytes are {stride * rows} bytes, got {len(data)}',
                remedy='Check stride, height and encoding.',
            )
        if not data:
            format = ImageFormat.RAW
        elif format is ImageFormat.PNG:
            data = pixels.rows_to_png(data, stride)
        elif format is not ImageFormat.RAW:
            raise InvalidArgumentError(
                f'An Image is stored as raw or png, not as {format.value}',
                remedy='Use CompressedImage for other formats.',
            )
        return cls(
            data=data,
            format=format,
            width=width,
            height=height,
            stride=stride,
            encoding=encoding,
            is_bigendian=is_bigendian,
            header=header,
        )

    @classmethod
    def from_numpy(
        cls,
        array: np.ndarray,
        encoding: str | None = None,
        format: ImageFormat = ImageFormat.RAW,
        header: Header | None = None,
    ) -> Self:
        """Make an image from an array.

        Parameters
        ----------
        array
            Shape (height, width) or (height, width, channels), channels in the order that the
            encoding names; its byte order is kept. Encodings with planes of chroma (nv12) have
            those below the luma, as :meth:`to_numpy` returns them.
        encoding
            Name of the pixel encoding; by default what shape and dtype suggest, with three and
            four channels as RGB and RGBA.
        format
            ``RAW`` keeps the pixels, ``PNG`` packs them losslessly.
        header
            Time and frame.

        Raises
        ------
        InvalidArgumentError
            The array does not fit the encoding.
        """
        encoding = encoding or pixels.encoding_of_array(array)
        big = array.dtype.str.startswith('>')
        layout = pixels.pixel_layout(encoding, big)
        channels = 1 if array.ndim == 2 else array.shape[-1]
        if array.ndim not in (2, 3) or channels != layout.channels or array.dtype != layout.dtype:
            raise InvalidArgumentError(
                f'{encoding} has {layout.channels} channels of {layout.dtype.name}, got an array '
                f'of shape {array.shape} and type {array.dtype.name}',
                remedy='Convert the array or name another encoding.',
            )
        rows, width = array.shape[:2]
        return cls.from_linear_pixels(
            array.tobytes(),
            layout.row_bytes(width),
            layout.height(rows),
            width,
            encoding,
            big or None,
            format,
            header,
        )

    @classmethod
    def from_pillow(
        cls,
        pil_image: PillowImage.Image,
        target_encoding: str | None = None,
        output_format: ImageFormat | None = None,
    ) -> Self:
        """Make an image from a Pillow image.

        Parameters
        ----------
        pil_image
            The image.
        target_encoding
            Encoding to convert to; by default the one closest to the image's mode, else rgb8.
        output_format
            ``PNG`` (the default) or ``RAW``.

        Raises
        ------
        InvalidArgumentError
            The image does not convert to the encoding.
        """
        array, encoding = pixels.pillow_to_array(pil_image, target_encoding)
        return cls.from_numpy(array, encoding, output_format or ImageFormat.PNG)

    def to_bytes(self) -> bytes:
        """Return the rows, `stride` times `height` bytes, unpacked if they were packed.

        Raises
        ------
        InvalidArgumentError
            The data is not in the format that the image claims.
        """
        return self.data if self.format is ImageFormat.RAW else pixels.unpack_rows(self.data)[0]

    def to_linear_pixels(self) -> list[int]:
        """Return the rows as a list of byte values; :meth:`to_numpy` is far cheaper."""
        return list(self.to_bytes())

    def to_numpy(self) -> np.ndarray:
        """Return the pixels as a read-only array, without a copy where rows have no padding.

        Returns
        -------
        numpy.ndarray
            Shape (height, width), or (height, width, channels) for more than one channel in the
            order of the encoding; dtype and byte order of the encoding. Bayer mosaics come as
            they are; nv12, nv21 and nv24 have their chroma in more rows below the luma.

        Raises
        ------
        InvalidArgumentError
            The encoding is unknown, or the bytes do not fill the image.
        """
        layout = pixels.pixel_layout(self.encoding, self.is_bigendian)
        rows, stride = self.data, self.stride
        if self.format is not ImageFormat.RAW:
            rows, stride = pixels.unpack_rows(self.data)
        array = pixels.rows_to_array(rows, layout, self.width, self.height, stride)
        array.flags.writeable = False
        return array

    def to_rgb(self) -> np.ndarray:
        """Return the colours as an array, whatever the encoding.

        Bayer mosaics are interpolated bilinearly; YUV is taken as BT.601 in video range (16 to
        235), as OpenCV does; of 16 bits the upper eight are kept; greys are repeated and alpha
        is dropped.

        Returns
        -------
        numpy.ndarray
            uint8 of shape (height, width, 3); read-only where nothing had to be computed.

        Raises
        ------
        InvalidArgumentError
            The encoding is unknown or holds no colours, or the bytes do not fill the image.
        """
        return colours.to_rgb(self.to_numpy(), self.encoding)

    def to_depth(self) -> np.ndarray:
        """Return the distances of a depth image (``16UC1`` in mm, ``32FC1`` in m).

        Returns
        -------
        numpy.ndarray
            float32 of shape (height, width), in m; NaN where nothing was measured.

        Raises
        ------
        InvalidArgumentError
            The encoding is another one, or the bytes do not fill the image.
        """
        return depth.metres(self.to_numpy(), self.encoding)

    def to_pillow(self) -> PillowImage.Image:
        """Return a Pillow image: colours in RGB(A) with 8 bits, single channels at full depth.

        Bayer mosaics and YUV become RGB as in :meth:`to_rgb`.

        Raises
        ------
        InvalidArgumentError
            The encoding is unknown or Pillow has no mode for it, or the bytes do not fill the
            image.
        """
        return pixels.array_to_pillow(self.to_numpy(), self.encoding)


class CompressedImage(Serializable, HeaderMixin):
    """An image, or a piece of a video stream, as a codec wrote it.

    Source: sensor_msgs/msg/CompressedImage.
    """

    __serialization_format__ = SerializationFormat.Image

    data: MosaicoType.binary = MosaicoField(description='The encoded bytes.')
    format: ImageFormat = MosaicoField(description='The codec.')

    @classmethod
    def from_image(
        cls, image: PillowImage.Image, format: ImageFormat = ImageFormat.PNG, **kwargs: Any
    ) -> Self:
        """Encode a Pillow image.

        Parameters
        ----------
        image
            The image.
        format
            ``PNG``, ``JPEG`` (or its alias ``JPG``) or ``TIFF``.
        **kwargs
            Options of Pillow's encoder, such as ``quality=90``.

        Raises
        ------
        InvalidArgumentError
            Pillow cannot write the image in that format.
        """
        format = ImageFormat(format)
        codec = 'JPEG' if format is ImageFormat.JPG else format.value.upper()
        out = io.BytesIO()
        try:
            image.save(out, codec, **kwargs)
        except (OSError, KeyError, ValueError) as error:
            raise InvalidArgumentError(
                f'Pillow cannot write an image of mode {image.mode!r} as {format.value}: {error}',
                remedy="Convert the image, e.g. convert('RGB'), or choose another format.",
            ) from error
        return cls(data=out.getvalue(), format=format)

    @classmethod
    def from_numpy(
        cls, array: np.ndarray, format: ImageFormat = ImageFormat.PNG, **kwargs: Any
    ) -> Self:
        """Encode an array of shape (height, width[, channels]), colours in RGB(A).

        Raises
        ------
        InvalidArgumentError
            The array is no image, or Pillow cannot write it in that format without a loss of
            depth.
        """
        encoding = pixels.encoding_of_array(array)
        lossy = array.dtype.kind == 'i' or array.dtype == np.float64
        if (array.ndim == 3 and array.dtype != np.uint8) or lossy:
            raise InvalidArgumentError(
                f'Pillow cannot write pixels of {encoding} at their full depth',
                remedy='Use Image.from_numpy, or convert them to 8 bits, mono16 or 32FC1.',
            )
        return cls.from_image(pixels.array_to_pillow(array, encoding), format, **kwargs)

    def to_image(self, codec: Any = None, **kwargs: Any) -> PillowImage.Image | None:
        """Decode to a Pillow image.

        Parameters
        ----------
        codec
            Object with ``decode(img_bytes=..., format=...)`` to use in place of Pillow; video
            needs one that remembers earlier frames, a :class:`StatefulDecodingSession`.
        **kwargs
            Passed on to the codec.

        Returns
        -------
        PIL.Image.Image or None
            None if there are no bytes or they cannot be decoded, or, with a codec, if no picture
            is complete yet.

        Raises
        ------
        InvalidArgumentError
            The data is video and no codec is given, or has more pixels than Pillow is allowed to
            decode.
        """
        if not self.data:
            return None
        if codec is not None:
            return codec.decode(img_bytes=self.data, format=self.format, **kwargs)
        if self.format.is_video:
            raise InvalidArgumentError(
                f'A piece of a {self.format.value} stream cannot be decoded alone',
                remedy='Pass a StatefulDecodingSession as codec, or use decode_frames(streamer).',
            )
        return pixels.decode_image(self.data)

    def to_numpy(self) -> np.ndarray:
        """Decode to an array of shape (height, width[, channels]), colours in RGB(A).

        Raises
        ------
        InvalidArgumentError
            The bytes cannot be decoded.
        """
        image = self.to_image()
        if image is None:
            raise InvalidArgumentError(
                f'The {len(self.data)} bytes of the image cannot be decoded as '
                f'{self.format.value}',
                remedy='Check the format field.',
            )
        return np.asarray(image)

    def to_depth(self, encoding: str = '16UC1') -> np.ndarray:
        """Decode a depth image, as a PNG of 16 bits or a ``compressedDepth`` of ROS holds it.

        Parameters
        ----------
        encoding
            What was compressed, the first word of the ROS message's format: ``16UC1`` in mm, or
            ``32FC1``, which ``compressedDepth`` quantises. The stored data does not tell.

        Returns
        -------
        numpy.ndarray
            float32 of shape (height, width), in m; NaN where nothing was measured.

        Raises
        ------
        InvalidArgumentError
            The bytes cannot be decoded, are no depths, or lack the parameters of 32FC1. The RVL
            form of ``compressedDepth`` is not decoded.
        """
        array = self.to_numpy()
        if encoding != '32FC1' or array.dtype == np.float32:
            return depth.metres(array, encoding)
        parameters = depth.split_parameters(self.data)[1]
        if parameters is None:
            raise InvalidArgumentError(
                'The image has no compressedDepth parameters, without which 32FC1 is not known',
                remedy="Use to_depth('16UC1') if its pixels are millimetres.",
            )
        return depth.from_inverse(array, parameters)
