"""Pictures of distances, as ROS sends them."""

from __future__ import annotations

import struct

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError

_PNG = b'\x89PNG\r\n\x1a\n'
# Ahead of the PNG, `compressedDepth` puts an unused number and two parameters of quantisation.
_PARAMETERS = struct.Struct('<iff')


def metres(array: np.ndarray, encoding: str) -> np.ndarray:
    """Convert depths to metres by REP 118.

    Parameters
    ----------
    array
        Shape (height, width).
    encoding
        ``16UC1`` or ``mono16`` (millimetres, 0 where nothing was measured) or ``32FC1`` (metres).

    Returns
    -------
    numpy.ndarray
        float32 of the same shape, in m; NaN where nothing was measured.

    Raises
    ------
    InvalidArgumentError
        The encoding is another one.
    """
    if encoding == '32FC1':
        return array.astype(np.float32)
    if encoding not in ('16UC1', 'mono16'):
        raise InvalidArgumentError(
            f'Pixels of the encoding {encoding!r} are no depths',
            remedy='Depths are 16UC1 (mm) or 32FC1 (m).',
        )
    depths = array.astype(np.float32) / np.float32(1000)
    depths[array == 0] = np.nan
    return depths


def split_parameters(data: bytes) -> tuple[bytes, tuple[float, float] | None]:
    """Take the PNG out of a ``compressedDepth`` message.

    Returns
    -------
    tuple
        The encoded image, and the two parameters if there were any; other data comes back as is.
    """
    if not data.startswith(_PNG, _PARAMETERS.size):
        return data, None
    _, a, b = _PARAMETERS.unpack_from(data)
    return data[_PARAMETERS.size :], (a, b)


def from_inverse(array: np.ndarray, parameters: tuple[float, float]) -> np.ndarray:
    """Undo the quantisation of ``compressedDepth`` for 32FC1, which keeps inverse depths.

    Returns
    -------
    numpy.ndarray
        float32 of the same shape, in m; NaN where nothing was measured.
    """
    a, b = parameters
    measured = array != 0
    depths = np.full(array.shape, np.nan, np.float32)
    depths[measured] = a / (array[measured] - np.float64(b))
    return depths
