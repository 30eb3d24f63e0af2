"""Images to and from bytes, numpy and Pillow."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from mosaico_ros.models import CompressedImage, Image, ImageFormat, Message
from mosaico_ros.models.core.columns import decode, encode
from mosaico_ros.protocol.errors import InvalidArgumentError

RNG = np.random.default_rng(7)


def pixels(dtype, *shape):
    if np.dtype(dtype).kind == 'f':
        return RNG.normal(size=shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


@pytest.mark.parametrize('format', [ImageFormat.RAW, ImageFormat.PNG])
@pytest.mark.parametrize(
    ('encoding', 'array'),
    [
        ('rgb8', pixels('u1', 4, 6, 3)),
        ('bgr8', pixels('u1', 4, 6, 3)),
        ('bgra8', pixels('u1', 4, 6, 4)),
        ('mono8', pixels('u1', 4, 6)),
        ('bayer_rggb8', pixels('u1', 4, 6)),
        ('mono16', pixels('u2', 4, 6)),
        ('16UC1', pixels('u2', 4, 6)),
        ('rgb16', pixels('u2', 4, 6, 3)),
        ('16SC1', pixels('i2', 4, 6)),
        ('32SC1', pixels('i4', 4, 6)),
        ('32FC1', pixels('f4', 4, 6)),
        ('32FC3', pixels('f4', 4, 6, 3)),
        ('64FC1', pixels('f8', 4, 6)),
        ('yuv422', pixels('u1', 4, 6, 2)),
    ],
)
def test_arrays_survive(encoding, array, format):
    image = Image.from_numpy(array, encoding, format)
    message = Message(data=image, timestamp_ns=0)
    back = decode(Image, encode(Image, [message]))[0].data
    assert (back.width, back.height, back.format) == (6, 4, format)
    np.testing.assert_array_equal(back.to_numpy(), array)
    assert back.to_numpy().dtype == array.dtype
    assert bytes(back.to_linear_pixels()) == array.tobytes()


def test_encoding_follows_from_the_array():
    assert Image.from_numpy(pixels('u1', 2, 2)).encoding == 'mono8'
    assert Image.from_numpy(pixels('u2', 2, 2, 4)).encoding == 'rgba16'
    assert Image.from_numpy(pixels('f4', 2, 2)).encoding == '32FC1'
    assert Image.from_numpy(pixels('i2', 2, 2, 2)).encoding == '16SC2'


@pytest.mark.parametrize('format', [ImageFormat.RAW, ImageFormat.PNG])
def test_padding_between_rows_is_left_out(format):
    array = pixels('u1', 3, 5, 3)
    padded = np.zeros((3, 20), np.uint8)
    padded[:, :15] = array.reshape(3, 15)
    padded[:, 15:] = 99
    image = Image.from_linear_pixels(
        padded.tobytes(), stride=20, height=3, width=5, encoding='rgb8', format=format
    )
    np.testing.assert_array_equal(image.to_numpy(), array)
    np.testing.assert_array_equal(np.asarray(image.to_pillow()), array)
    assert image.to_bytes() == padded.tobytes()


def test_big_endian_pixels():
    array = pixels('u2', 2, 3).astype('>u2')
    image = Image.from_numpy(array, 'mono16')
    assert image.is_bigendian is True
    np.testing.assert_array_equal(image.to_numpy(), array)
    np.testing.assert_array_equal(np.asarray(image.to_pillow()), array)


def test_raw_pixels_are_not_copied():
    image = Image.from_numpy(pixels('u1', 4, 4))
    view = image.to_numpy()
    assert np.shares_memory(view, np.frombuffer(image.data, np.uint8))
    with pytest.raises(ValueError, match='read-only'):
        view[0, 0] = 1


def test_pillow_sees_the_right_colours():
    array = pixels('u1', 2, 3, 3)
    assert Image.from_numpy(array, 'bgr8').to_pillow().getpixel((1, 0)) == tuple(
        int(v) for v in array[0, 1, ::-1]
    )
    wide = Image.from_numpy(pixels('u2', 2, 3, 3), 'bgr16')
    np.testing.assert_array_equal(
        np.asarray(wide.to_pillow()), (wide.to_numpy()[..., ::-1] >> 8).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ('mode', 'encoding'),
    [('L', 'mono8'), ('RGB', 'rgb8'), ('RGBA', 'rgba8'), ('F', '32FC1'), ('I;16', 'mono16')],
)
def test_pillow_modes(mode, encoding):
    colour = (1, 2, 3, 4)[: len(mode)] if mode.startswith('RGB') else 7
    source = PillowImage.new(mode, (4, 3), colour)
    image = Image.from_pillow(source)
    assert image.encoding == encoding
    assert image.format is ImageFormat.PNG
    assert image.to_pillow().tobytes() == source.tobytes()


def test_pillow_converts_to_an_encoding():
    source = PillowImage.new('RGB', (2, 2), (10, 20, 30))
    swapped = Image.from_pillow(source, 'bgr8', ImageFormat.RAW)
    assert swapped.data[:3] == bytes([30, 20, 10])
    assert Image.from_pillow(source, 'mono8').to_numpy().shape == (2, 2)
    with pytest.raises(InvalidArgumentError, match='mono16'):
        Image.from_pillow(source, 'mono16')


@pytest.mark.parametrize(
    ('attempt', 'told'),
    [
        (lambda: Image.from_numpy(pixels('u1', 2, 2, 3), 'mono8'), 'mono8 has 1 channels'),
        (lambda: Image.from_numpy(pixels('u1', 2, 2), 'mono16'), 'uint16'),
        (lambda: Image.from_numpy(pixels('u8', 2, 2)), 'uint64'),
        (lambda: Image.from_numpy(pixels('u1', 2)), r'\(2,\)'),
        (lambda: Image.from_linear_pixels(b'abc', 2, 2, 2, 'mono8'), 'got 3'),
        (
            lambda: Image.from_linear_pixels(b'ab', 1, 2, 1, '8UC1', None, ImageFormat.TIFF),
            'tiff',
        ),
        (lambda: raw(encoding='odd').to_numpy(), 'odd'),
        (lambda: raw(width=9).to_numpy(), '9 x 2'),
        (lambda: raw(height=9).to_numpy(), '2 x 9'),
        (lambda: raw(format=ImageFormat.PNG).to_numpy(), 'no format that Pillow reads'),
        (lambda: Image.from_numpy(pixels('f4', 2, 2, 3)).to_pillow(), 'to_numpy'),
    ],
)
def test_what_is_no_image_is_told(attempt, told):
    with pytest.raises(InvalidArgumentError, match=told):
        attempt()


def raw(**fields):
    given = {'width': 2, 'height': 2, 'stride': 2, 'encoding': 'mono8', 'format': 'raw'}
    return Image(data=b'abcd', **{**given, **fields})


@pytest.mark.parametrize(
    ('format', 'written'),
    [('png', 'PNG'), ('jpeg', 'JPEG'), ('jpg', 'JPEG'), ('tiff', 'TIFF')],
)
def test_compressed_formats(format, written):
    array = np.full((8, 8, 3), 128, np.uint8)
    compressed = CompressedImage.from_numpy(array, ImageFormat(format))
    assert compressed.format.value == format
    assert PillowImage.open(io.BytesIO(compressed.data)).format == written
    assert np.abs(compressed.to_numpy().astype(int) - 128).max() <= 2


def test_compressed_refusals():
    assert CompressedImage(data=b'', format='png').to_image() is None
    assert CompressedImage(data=b'junk', format='png').to_image() is None
    with pytest.raises(InvalidArgumentError, match='4 bytes'):
        CompressedImage(data=b'junk', format='png').to_numpy()
    with pytest.raises(InvalidArgumentError, match='h264'):
        CompressedImage(data=b'junk', format='h264').to_image()
    with pytest.raises(InvalidArgumentError, match='RGBA'):
        CompressedImage.from_image(PillowImage.new('RGBA', (2, 2)), ImageFormat.JPEG)


def test_own_codec():
    class Codec:
        def decode(self, *, img_bytes, format, scale):
            return img_bytes, format, scale

    decoded = CompressedImage(data=b'x', format='h264').to_image(Codec(), scale=2)
    assert decoded == (b'x', ImageFormat.H264, 2)
