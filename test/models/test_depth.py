"""Depth images, plain and in the container of compressedDepth."""

import io
import struct

import numpy as np
import pytest
from PIL import Image as PillowImage

from mosaico_ros.models import CompressedImage, Image, ImageFormat
from mosaico_ros.protocol.errors import InvalidArgumentError

MILLIMETRES = np.array([[0, 1, 1000], [2500, 65535, 0]], np.uint16)
METRES = np.array([[np.nan, 0.001, 1.0], [2.5, 65.535, np.nan]], np.float32)


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('format', [ImageFormat.RAW, ImageFormat.PNG])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_millimetres_become_metres(order, format, encoding):
    image = Image.from_numpy(MILLIMETRES.astype(f'{order}u2'), encoding, format)
    np.testing.assert_array_equal(image.to_depth(), METRES)
    assert image.to_depth().dtype == np.float32


def test_metres_stay_metres():
    depths = np.array([[np.nan, np.inf, -np.inf, 1.25]], np.float32)
    for stored in (depths, depths.astype('>f4')):
        found = Image.from_numpy(stored, '32FC1').to_depth()
        np.testing.assert_array_equal(found, depths)
        assert found.dtype == np.float32


def png(array):
    out = io.BytesIO()
    PillowImage.fromarray(array).save(out, 'PNG')
    return out.getvalue()


def test_a_png_of_sixteen_bits():
    image = CompressedImage(data=png(MILLIMETRES), format='png')
    np.testing.assert_array_equal(image.to_numpy(), MILLIMETRES)
    np.testing.assert_array_equal(image.to_depth(), METRES)


def test_compressed_depth_of_millimetres():
    """The twelve bytes ahead of the PNG mean nothing then."""
    image = CompressedImage(data=b'\xff' * 12 + png(MILLIMETRES), format='png')
    np.testing.assert_array_equal(np.asarray(image.to_image()), MILLIMETRES)
    np.testing.assert_array_equal(image.to_depth(), METRES)


def test_compressed_depth_of_metres():
    """Quantised as image_transport does by default, for depths up to 10 m."""
    a = 100.0 * 101.0
    b = 1.0 - a / 10.0
    depths = np.linspace(0.5, 9.9, 40, dtype=np.float32).reshape(5, 8)
    inverse = (a / depths + b).astype(np.uint16)
    inverse[0, 0] = 0
    data = struct.pack('<iff', 0, a, b) + png(inverse)
    found = CompressedImage(data=data, format='png').to_depth('32FC1')
    assert found.dtype == np.float32
    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[0, 1:], depths[0, 1:], rtol=2e-3)
    np.testing.assert_allclose(found[1:], depths[1:], rtol=2e-3)


def test_floats_in_a_tiff_are_metres():
    depths = np.array([[0.5, 2.0]], np.float32)
    image = CompressedImage.from_numpy(depths, ImageFormat.TIFF)
    np.testing.assert_array_equal(image.to_depth('32FC1'), depths)


@pytest.mark.parametrize(
    ('attempt', 'told'),
    [
        (lambda: Image.from_numpy(np.zeros((2, 2), np.uint8)).to_depth(), "'mono8' are no depths"),
        (
            lambda: CompressedImage(data=png(MILLIMETRES), format='png').to_depth('32FC1'),
            'no compressedDepth parameters',
        ),
        (lambda: CompressedImage(data=b'x' * 40, format='raw').to_depth(), 'cannot be decoded'),
        (
            lambda: CompressedImage(data=png(MILLIMETRES), format='png').to_depth('rgb8'),
            "'rgb8' are no depths",
        ),
    ],
)
def test_what_is_no_depth_is_told(attempt, told):
    with pytest.raises(InvalidArgumentError, match=told):
        attempt()
