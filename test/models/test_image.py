"""Images to and from bytes, numpy and Pillow."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image as PillowImage

from mosaico_ros.models import CompressedImage, Image, ImageFormat, Message
from mosaico_ros.models.core.columns import decode, encode
from mosaico_ros.models.sensors.pixels import pixel_layout
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


ENCODINGS = [
    *('rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'rgb16', 'bgr16', 'rgba16', 'bgra16', 'mono16'),
    *(f'bayer_{p}{b}' for p in ('rggb', 'bggr', 'gbrg', 'grbg') for b in (8, 16)),
    *('yuv422', 'yuv422_yuy2', 'uyvy', 'yuyv', 'nv12', 'nv21', 'nv24'),
    *(f'{t}C{n}' for t in ('8U', '8S', '16U', '16S', '32S', '32F', '64F') for n in (1, 2, 3, 4)),
]


@given(
    encoding=st.sampled_from(ENCODINGS),
    width=st.integers(0, 5),
    height=st.integers(0, 5),
    padding=st.integers(0, 9),
    is_bigendian=st.sampled_from([None, False, True]),
    format=st.sampled_from([ImageFormat.RAW, ImageFormat.PNG]),
    data=st.data(),
)
def test_any_rows_survive(encoding, width, height, padding, is_bigendian, format, data):
    """Every encoding of sensor_msgs, of any size and padding, as bytes and as an array."""
    layout = pixel_layout(encoding, is_bigendian)
    stride, count = layout.row_bytes(width) + padding, layout.rows(height)
    rows = data.draw(st.binary(min_size=stride * count, max_size=stride * count))
    image = Image.from_linear_pixels(rows, stride, height, width, encoding, is_bigendian, format)
    stored = decode(Image, encode(Image, [Message(data=image, timestamp_ns=0)]))[0].data
    assert stored == image
    assert stored.to_bytes() == rows
    array = stored.to_numpy()
    assert array.dtype == layout.dtype
    assert array.shape[:2] == (count, width)
    kept = b''.join(rows[i * stride : (i + 1) * stride - padding] for i in range(count))
    assert array.tobytes() == kept
    again = Image.from_numpy(array, encoding, format)
    assert again.to_numpy().tobytes() == kept
    if encoding not in ('nv12', 'nv21') or height % 2 == 0:
        assert (again.width, again.height) == (width, height)


@given(
    dtype=st.sampled_from(['u1', '<u2', '>u2', 'i2', 'i4', 'f4', '>f4', 'f8']),
    shape=st.sampled_from([(3, 4), (3, 4, 1), (3, 4, 2), (3, 4, 3), (3, 4, 4)]),
    format=st.sampled_from([ImageFormat.PNG, ImageFormat.TIFF]),
)
def test_lossless_formats_keep_every_bit_or_refuse(dtype, shape, format):
    array = pixels(dtype.lstrip('<>'), *shape).astype(dtype)
    try:
        compressed = CompressedImage.from_numpy(array, format)
    except InvalidArgumentError:
        # 8 bits in any number of usual channels, 16 bits and floats alone are what they can hold.
        assert dtype != 'u1' or shape[2:] in ((1,), (2,))
        assert shape != (3, 4) or dtype in ('i2', 'i4', 'f8', 'f4', '>f4')
        return
    np.testing.assert_array_equal(compressed.to_numpy(), array)


def test_floats_travel_in_a_tiff():
    array = pixels('f4', 3, 4)
    np.testing.assert_array_equal(
        CompressedImage.from_numpy(array, ImageFormat.TIFF).to_numpy(), array
    )


def test_images_without_pixels_stay_raw():
    for shape in ((0, 4), (4, 0), (0, 0)):
        image = Image.from_numpy(np.zeros(shape, np.uint8), format=ImageFormat.PNG)
        assert (image.format, image.data, image.to_numpy().shape) == (ImageFormat.RAW, b'', shape)


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
    for encoding in ('mono16', 'bayer_rggb8', 'yuyv', 'nv12', '32FC3'):
        with pytest.raises(InvalidArgumentError, match=encoding):
            Image.from_pillow(source, encoding)


def test_pillow_in_either_byte_order():
    array = pixels('u2', 3, 4)
    for order in '<>':
        source = PillowImage.fromarray(array.astype(f'{order}u2'))
        np.testing.assert_array_equal(Image.from_pillow(source).to_numpy(), array)


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


@pytest.mark.filterwarnings('ignore::UserWarning')  # of Pillow, about the same
@given(
    data=st.data(), format=st.sampled_from([ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.TIFF])
)
def test_broken_files_are_no_images(data, format):
    intact = bytearray(CompressedImage.from_numpy(np.zeros((3, 4, 3), np.uint8), format).data)
    places = st.tuples(st.integers(0, len(intact) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=4)):
        intact[place] = value
    broken = CompressedImage(data=intact[: data.draw(st.integers(0, len(intact)))], format=format)
    with contextlib.suppress(InvalidArgumentError):  # the broken size may be too large
        assert broken.to_image() is None or broken.to_numpy().ndim >= 2


def test_too_many_pixels_are_told(monkeypatch):
    picture = CompressedImage.from_numpy(np.zeros((30, 40), np.uint8))
    monkeypatch.setattr(PillowImage, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(InvalidArgumentError, match='MAX_IMAGE_PIXELS'):
        picture.to_image()


def test_own_codec():
    class Codec:
        def decode(self, *, img_bytes, format, scale):
            return img_bytes, format, scale

    decoded = CompressedImage(data=b'x', format='h264').to_image(Codec(), scale=2)
    assert decoded == (b'x', ImageFormat.H264, 2)
