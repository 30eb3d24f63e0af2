"""From the pixels of any encoding to RGB with eight bits a channel."""

from __future__ import annotations

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError

_SLOTS = {'rgb': (0, 1, 2), 'bgr': (2, 1, 0)}
# Where luma, U and V stand among the four bytes of two neighbouring pixels.
_YUV422_SLOTS = {
    'uyvy': ((1, 3), 0, 2),
    'yuv422': ((1, 3), 0, 2),
    'yuyv': ((0, 2), 1, 3),
    'yuv422_yuy2': ((0, 2), 1, 3),
}


def is_indirect(encoding: str) -> bool:
    """Whether colours have to be computed from more than one stored pixel."""
    return encoding.startswith(('bayer_', 'nv')) or encoding in _YUV422_SLOTS


def to_rgb(array: np.ndarray, encoding: str) -> np.ndarray:
    """Convert stored pixels to colours.

    Bayer mosaics are interpolated bilinearly; YUV is taken as BT.601 in video range (16 to 235),
    as OpenCV does; of 16 bits the upper eight are kept; greys are repeated, alpha is dropped.

    Parameters
    ----------
    array
        Pixels as :meth:`Image.to_numpy` returns them.
    encoding
        Their encoding.

    Returns
    -------
    numpy.ndarray
        uint8 of shape (height, width, 3); a view where nothing had to be computed.

    Raises
    ------
    InvalidArgumentError
        The pixels are no colours or greys, or too odd in size for the encoding.
    """
    if encoding.startswith('bayer_'):
        return _eight_bits(_demosaic(array, encoding[len('bayer_') : len('bayer_') + 4]))
    if encoding in _YUV422_SLOTS:
        return _from_yuv(*_yuv422_planes(array, encoding))
    if encoding.startswith('nv'):
        return _from_yuv(*_semi_planar_planes(array, encoding))
    if array.dtype.kind != 'u':
        raise _no_colours(encoding)
    if array.ndim == 2:
        return np.repeat(_eight_bits(array)[..., np.newaxis], 3, axis=2)
    if array.shape[2] not in (3, 4):
        raise _no_colours(encoding)
    slots = _SLOTS.get(encoding[:3], _SLOTS['rgb'])
    colours = array[..., :3] if slots == (0, 1, 2) else array[..., slots]
    return _eight_bits(colours)


def _no_colours(encoding: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'Pixels of the encoding {encoding!r} are no colours',
        remedy='Use to_numpy() and choose how to show them.',
    )


def _eight_bits(array: np.ndarray) -> np.ndarray:
    return array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)


def _demosaic(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Interpolate each colour from the nearest pixels that have it.

    The pattern names the colours of the first two pixels of the first two rows.
    """
    height, width = mosaic.shape
    if height < 2 or width < 2:
        raise InvalidArgumentError(
            f'A Bayer mosaic has at least 2 x 2 pixels, got {width} x {height}',
            remedy='Check width and height.',
        )
    # Mirrored about the pixels at the edge, the pattern goes on beyond it.
    wide = np.uint16 if mosaic.itemsize == 1 else np.uint32  # for sums of 16 pixels
    padded = np.pad(mosaic.astype(wide), 1, mode='reflect')
    rgb = np.empty((height, width, 3), mosaic.dtype.newbyteorder('='))
    for channel, colour in enumerate('rgb'):
        plane = np.zeros_like(padded)
        for site in (i for i, letter in enumerate(pattern) if letter == colour):
            rows, columns = slice(site // 2 ^ 1, None, 2), slice(site % 2 ^ 1, None, 2)
            plane[rows, columns] = padded[rows, columns]
        # Weights are chosen so that they add up to 4 wherever the pixel stands in the pattern.
        if colour == 'g':
            sums = 4 * plane[1:-1, 1:-1]
            sums += plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
        else:
            across = plane[:, :-2] + 2 * plane[:, 1:-1] + plane[:, 2:]
            sums = across[:-2] + 2 * across[1:-1] + across[2:]
        rgb[..., channel] = sums + 2 >> 2
    return rgb


def _yuv422_planes(array: np.ndarray, encoding: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width = array.shape[:2]
    _check_even(width, encoding)
    quads = np.ascontiguousarray(array).reshape(height, width // 2, 4)
    luma, u, v = _YUV422_SLOTS[encoding]
    return quads[..., luma].reshape(height, width), quads[..., u], quads[..., v]


def _semi_planar_planes(
    array: np.ndarray, encoding: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take apart a plane of luma and, below it, a plane of chromas that take turns."""
    rows, width = array.shape
    full = encoding == 'nv24'  # chroma for every pixel, not for every square of four
    if not full:
        _check_even(width, encoding)
    height = rows // 3 if full else rows * 2 // 3
    pairs = array[height:].reshape(-1, width if full else width // 2, 2)
    u, v = (1, 0) if encoding == 'nv21' else (0, 1)
    return array[:height], pairs[..., u], pairs[..., v]


def _check_even(width: int, encoding: str) -> None:
    if width % 2:
        raise InvalidArgumentError(
            f'The width of an image in {encoding} is even, got {width}',
            remedy='Check width, stride and encoding.',
        )


def _from_yuv(luma: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Mix planes; chroma may have fewer rows and columns than luma."""
    # BT.601 in fixed point with 8 binary places.
    u, v = u.astype(np.int32) - 128, v.astype(np.int32) - 128
    grey = 298 * np.maximum(luma.astype(np.int32) - 16, 0) + 128
    rgb = np.empty((*luma.shape, 3), np.uint8)
    for channel, tint in enumerate((409 * v, -100 * u - 208 * v, 516 * u)):
        for axis, size in enumerate(luma.shape):
            tint = tint.repeat(-(-size // max(tint.shape[axis], 1)), axis)
        rgb[..., channel] = (grey + tint[: len(luma)] >> 8).clip(0, 255)
    return rgb
