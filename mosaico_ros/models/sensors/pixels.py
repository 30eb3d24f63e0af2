"""Pixel layouts, and the way between rows of bytes, numpy arrays and Pillow images."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mosaico_ros.models.sensors import colours, depth
from mosaico_ros.protocol.errors import InvalidArgumentError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

_NAMED = re.compile(r'(rgb|bgr|rgba|bgra|mono|bayer_[rgb]{4})(8|16)')
_GENERIC = re.compile(r'(8|16|32|64)([USF])C([1-9]\d?)')
_NAMED_CHANNELS = {'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}
# Two bytes per pixel: luma in each, the two chromas taking turns.
_YUV422 = ('yuv422', 'yuv422_yuy2', 'uyvy', 'yuyv')
# A plane of luma, then one of both chromas: so many halves of the height in rows of the width.
_SEMI_PLANAR = {'nv12': 3, 'nv21': 3, 'nv24': 6}
_ENCODING_OF_MODE = {
    'L': 'mono8',
    'RGB': 'rgb8',
    'RGBA': 'rgba8',
    'F': '32FC1',
    'I': '32SC1',
    'I;16': 'mono16',
    'I;16B': 'mono16',
}


class PixelLayout(NamedTuple):
    """Type and number of the channels of a pixel, and how many rows an image has."""

    dtype: np.dtype
    channels: int
    half_rows: int = 2

    def row_bytes(self, width: int) -> int:
        """Return the length of a row without padding."""
        return width * self.channels * self.dtype.itemsize

    def rows(self, height: int) -> int:
        """Return the number of rows of bytes that an image of this height has."""
        return -(-height * self.half_rows // 2)

    def height(self, rows: int) -> int:
        """Return the height of an image with this number of rows."""
        return rows * 2 // self.half_rows


def pixel_layout(encoding: str, is_bigendian: bool | None = None) -> PixelLayout:
    """Look an encoding of sensor_msgs/image_encodings.hpp up.

    Raises
    ------
    InvalidArgumentError
        The encoding is unknown, or has no whole bytes per channel.
    """
    order = '>' if is_bigendian else '<'
    named = _NAMED.fullmatch(encoding)
    if named:
        dtype = np.dtype(f'{order}u{int(named[2]) // 8}')
        return PixelLayout(dtype, _NAMED_CHANNELS.get(named[1], 1))
    generic = _GENERIC.fullmatch(encoding)
    if generic and f'{generic[1]}{generic[2]}' not in ('8F', '64U', '64S', '32U'):
        kind = {'U': 'u', 'S': 'i', 'F': 'f'}[generic[2]]
        return PixelLayout(np.dtype(f'{order}{kind}{int(generic[1]) // 8}'), int(generic[3]))
    if encoding in _YUV422:
        return PixelLayout(np.dtype('u1'), 2)
    if encoding in _SEMI_PLANAR:
        return PixelLayout(np.dtype('u1'), 1, _SEMI_PLANAR[encoding])
    raise InvalidArgumentError(
        f'The pixel encoding {encoding!r} is unknown',
        remedy='Use one of sensor_msgs, such as rgb8, bgr8, mono8, mono16, 16UC1 or 32FC1.',
    )


def row_count(encoding: str, height: int) -> int:
    """Return the number of rows of bytes, for encodings that are not known here, too."""
    return PixelLayout(np.dtype('u1'), 1, _SEMI_PLANAR.get(encoding, 2)).rows(height)


def encoding_of_array(array: np.ndarray) -> str:
    """Name the encoding of an array of shape (height, width) or (height, width, channels).

    Three and four channels of 8 or 16 bits are taken as RGB and RGBA.

    Raises
    ------
    InvalidArgumentError
        No encoding has this shape and dtype.
    """
    channels = 1 if array.ndim == 2 else array.shape[-1]
    kind, bits = array.dtype.kind, array.dtype.itemsize * 8
    if array.ndim in (2, 3):
        if kind == 'u' and bits in (8, 16) and channels in (1, 3, 4):
            return {1: 'mono', 3: 'rgb', 4: 'rgba'}[channels] + str(bits)
        named = f'{bits}{ {"u": "U", "i": "S", "f": "F"}.get(kind, "?") }C{channels}'
        if named[:-1] not in ('64UC', '64SC', '32UC', '16FC') and '?' not in named:
            return named
    raise InvalidArgumentError(
        f'No pixel encoding fits an array of shape {array.shape} and type {array.dtype}',
        remedy='Give (height, width[, channels]) of uint8, uint16, int16, int32 or floats.',
    )


def rows_to_array(
    rows: bytes | memoryview, layout: PixelLayout, width: int, height: int, stride: int
) -> np.ndarray:
    """View rows of bytes as an array, the padding left out and nothing copied.

    Raises
    ------
    InvalidArgumentError
        There are fewer bytes than the rows need, or the stride is shorter than a row.
    """
    needed, count = layout.row_bytes(width), layout.rows(height)
    if min(width, height) < 0 or stride < needed or len(rows) < stride * count:
        raise InvalidArgumentError(
            f'An image of {width} x {height} pixels needs {count} rows of {needed} bytes, got '
            f'{len(rows)} bytes in rows of {stride}',
            remedy='Check width, height, stride and encoding.',
        )
    padded = np.frombuffer(rows, np.uint8)[: stride * count].reshape(count, stride)
    if stride != needed:
        padded = np.ascontiguousarray(padded[:, :needed])
    pixels = padded.reshape(-1).view(layout.dtype)
    shape = (count, width) if layout.channels == 1 else (count, width, layout.channels)
    return pixels.reshape(shape)


def rows_to_png(rows: bytes, stride: int) -> bytes:
    """Pack rows of bytes losslessly: a grey PNG, one of its pixels per byte."""
    from PIL import Image as PillowImage

    out = io.BytesIO()
    grey = PillowImage.frombytes('L', (stride, len(rows) // stride), rows)
    # Pixels filtered by PNG repeat in runs if at all: looking for runs alone gives smaller files
    # than looking for any repetition, in less time; higher levels cost far more than they save.
    grey.save(out, 'PNG', compress_level=1, compress_type=zlib.Z_RLE)
    return out.getvalue()


def unpack_rows(container: bytes) -> tuple[bytes, int]:
    """Take the rows of bytes out of a container; return them and their length.

    Raises
    ------
    InvalidArgumentError
        The bytes are no image that Pillow reads.
    """
    image = decode_image(container)
    if image is None:
        raise InvalidArgumentError(
            f'The {len(container)} bytes of the image are in no format that Pillow reads',
            remedy='Check the format field.',
        )
    if image.mode in ('L', '1', 'P'):
        return image.tobytes(), image.width
    rows = np.asarray(image)
    return rows.tobytes(), rows.nbytes // max(image.height, 1)


def decode_image(container: bytes) -> PillowImage.Image | None:
    """Decode an encoded image, `compressedDepth` included; None if Pillow cannot read it.

    Raises
    ------
    InvalidArgumentError
        The image has more pixels than Pillow is allowed to decode.
    """
    from PIL import Image as PillowImage

    try:
        image = PillowImage.open(io.BytesIO(depth.split_parameters(container)[0]))
        image.load()
    except PillowImage.DecompressionBombError as error:
        raise InvalidArgumentError(
            f'The image is larger than Pillow is allowed to decode: {error}',
            remedy='Raise PIL.Image.MAX_IMAGE_PIXELS if you trust the source.',
        ) from error
    except Exception:  # broken files make Pillow raise nearly anything
        return None
    return image


def array_to_pillow(array: np.ndarray, encoding: str) -> PillowImage.Image:
    """Convert pixels to a Pillow image: colours to 8 bits, one channel at its full depth.

    Raises
    ------
    InvalidArgumentError
        Pillow has no mode for the encoding.
    """
    from PIL import Image as PillowImage

    array = array.astype(array.dtype.newbyteorder('='), copy=False)
    if array.ndim == 2 and not colours.is_indirect(encoding):
        if array.dtype in (np.int16, np.int8):
            array = array.astype(np.int32)
        elif array.dtype == np.float64:
            array = array.astype(np.float32)
        return PillowImage.fromarray(array)
    shown = colours.to_rgb(array, encoding)
    if array.ndim == 3 and array.shape[2] == 4:
        alpha = array[..., 3] if array.dtype == np.uint8 else (array[..., 3] >> 8).astype(np.uint8)
        shown = np.dstack([shown, alpha])
    return PillowImage.fromarray(np.ascontiguousarray(shown))


def pillow_to_array(
    image: PillowImage.Image, encoding: str | None = None
) -> tuple[np.ndarray, str]:
    """Convert a Pillow image to pixels of an encoding, by default the one closest to its mode.

    Raises
    ------
    InvalidArgumentError
        The image does not convert to the encoding.
    """
    encoding = encoding or _ENCODING_OF_MODE.get(image.mode, 'rgb8')
    layout = pixel_layout(encoding)
    modes = [m for m, e in _ENCODING_OF_MODE.items() if pixel_layout(e) == layout]
    if not modes and layout.dtype.itemsize == 1:
        modes = {3: ['RGB'], 4: ['RGBA']}.get(layout.channels, [])
    # Pillow clips what it converts to 16 bits.
    if not modes or colours.is_indirect(encoding) or ('I;16' in modes and image.mode not in modes):
        raise InvalidArgumentError(
            f'An image of mode {image.mode!r} does not convert to the encoding {encoding!r}',
            remedy='Convert it to an array and use Image.from_numpy.',
        )
    array = np.asarray(image if image.mode in modes else image.convert(modes[0]))
    if encoding.startswith('bgr'):
        array = array[..., [2, 1, 0, 3][: layout.channels]]
    return np.ascontiguousarray(array, dtype=layout.dtype), encoding
