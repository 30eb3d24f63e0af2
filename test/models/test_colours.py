"""Colours of every encoding, against independent ways to compute them."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from mosaico_ros.models import Image
from mosaico_ros.protocol.errors import InvalidArgumentError

RNG = np.random.default_rng(3)
PATTERNS = ('rggb', 'bggr', 'gbrg', 'grbg')


def random_pixels(dtype, *shape):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def colours_at(pattern, height, width):
    return [[pattern[y % 2 * 2 + x % 2] for x in range(width)] for y in range(height)]


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_bayer_takes_the_mean_of_the_nearest_pixels(pattern, dtype):
    mosaic = random_pixels(dtype, 6, 8)
    sites = colours_at(pattern, 6, 8)
    rgb = Image.from_numpy(mosaic, f'bayer_{pattern}{mosaic.itemsize * 8}').to_rgb()
    for y in range(1, 5):
        for x in range(1, 7):
            for channel, colour in enumerate('rgb'):
                # Itself, else the neighbours beside it, else those across its corners.
                rings = (
                    [(0, 0)],
                    [(0, 1), (0, -1), (1, 0), (-1, 0)],
                    [(1, 1), (1, -1), (-1, 1), (-1, -1)],
                )
                near = next(
                    found
                    for ring in rings
                    if (
                        found := [
                            int(mosaic[y + dy, x + dx])
                            for dy, dx in ring
                            if sites[y + dy][x + dx] == colour
                        ]
                    )
                )
                mean = int(sum(near) / len(near) + 0.5)
                assert rgb[y, x, channel] == (mean if dtype is np.uint8 else mean >> 8)


@pytest.mark.parametrize('pattern', PATTERNS)
def test_an_even_colour_stays_even_to_the_edge(pattern):
    colour = {'r': 200, 'g': 30, 'b': 90}
    mosaic = np.array([[colour[c] for c in row] for row in colours_at(pattern, 5, 7)], np.uint8)
    rgb = Image.from_numpy(mosaic, f'bayer_{pattern}8').to_rgb()
    np.testing.assert_array_equal(rgb, np.full((5, 7, 3), list(colour.values())))


@pytest.mark.parametrize(
    ('encoding', 'of_ffmpeg', 'shape'),
    [
        ('uyvy', 'uyvy422', (6, 8, 2)),
        ('yuv422', 'uyvy422', (6, 8, 2)),
        ('yuyv', 'yuyv422', (6, 8, 2)),
        ('yuv422_yuy2', 'yuyv422', (6, 8, 2)),
        ('nv12', 'nv12', (9, 8)),
        ('nv21', 'nv21', (9, 8)),
        ('nv24', 'nv24', (18, 8)),
    ],
)
def test_yuv_agrees_with_ffmpeg(encoding, of_ffmpeg, shape):
    av = pytest.importorskip('av', reason='PyAV is not installed')
    # One colour per image: how to interpolate chroma is a matter of taste.
    for luma, u, v in [
        (81, 90, 240),
        (145, 54, 34),
        (41, 240, 110),
        (235, 128, 128),
        (16, 128, 128),
    ]:
        stored = np.empty(shape, np.uint8)
        if len(shape) == 3:
            first = 1 if of_ffmpeg.startswith('u') else 0
            stored[..., first] = luma
            stored[:, 0::2, 1 - first], stored[:, 1::2, 1 - first] = u, v
        else:
            stored[:6] = luma
            pairs = stored[6:].reshape(-1, 2)
            pairs[:] = (v, u) if encoding == 'nv21' else (u, v)
        frame = av.VideoFrame(8, 6, of_ffmpeg)
        for plane, rows in zip(frame.planes, np.split(stored, [6]), strict=False):
            lines = np.zeros((plane.height, plane.line_size), np.uint8)
            lines[:, : rows.size // plane.height] = rows.reshape(plane.height, -1)
            plane.update(lines.tobytes())
        expected = frame.to_ndarray(format='rgb24').astype(int)
        image = Image.from_numpy(stored, encoding)
        assert (image.height, image.width) == (6, 8)
        assert np.abs(image.to_rgb() - expected).max() <= 3  # FFmpeg computes with fewer bits
        np.testing.assert_array_equal(np.asarray(image.to_pillow()), image.to_rgb())


def test_chroma_belongs_to_its_pixels():
    stored = np.full((4, 4, 2), 128, np.uint8)
    stored[2:, 2:, 0] = 240  # U (even columns) and V (odd ones) of the last pair of the last rows
    rgb = Image.from_numpy(stored, 'uyvy').to_rgb()
    assert len(np.unique(rgb[:2].reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(rgb[2:, 2:].reshape(-1, 3), axis=0)) == 1
    assert (rgb[2, 2] != rgb[0, 0]).any()
    planar = np.full((6, 4), 128, np.uint8)
    planar[5, 2:] = 240
    np.testing.assert_array_equal(Image.from_numpy(planar, 'nv12').to_rgb(), rgb)


@pytest.mark.parametrize('order', '<>')
def test_direct_colours(order):
    wide = random_pixels(np.uint16, 3, 4, 4).astype(f'{order}u2')
    upper = (wide >> 8).astype(np.uint8)
    cases = {
        'rgb16': (wide[..., :3], upper[..., :3]),
        'bgr16': (wide[..., :3], upper[..., 2::-1]),
        'rgba16': (wide, upper[..., :3]),
        'bgra16': (wide, upper[..., 2::-1]),
        'bgr8': (upper[..., :3], upper[..., 2::-1]),
        '8UC3': (upper[..., :3], upper[..., :3]),
        'mono16': (wide[..., 0], np.repeat(upper[..., :1], 3, axis=2)),
        'mono8': (upper[..., 0], np.repeat(upper[..., :1], 3, axis=2)),
    }
    for encoding, (stored, expected) in cases.items():
        image = Image.from_numpy(np.ascontiguousarray(stored), encoding)
        np.testing.assert_array_equal(image.to_rgb(), expected)
        assert image.to_rgb().dtype == np.uint8


def test_alpha_stays_in_pillow():
    picture = Image.from_numpy(random_pixels(np.uint8, 2, 3, 4), 'bgra8').to_pillow()
    assert picture.mode == 'RGBA'
    stored = Image.from_pillow(picture, 'bgra8')
    np.testing.assert_array_equal(np.asarray(stored.to_pillow()), np.asarray(picture))
    assert isinstance(picture, PillowImage.Image)


@pytest.mark.parametrize(
    ('encoding', 'shape', 'dtype', 'told'),
    [
        ('32FC1', (2, 2), np.float32, "'32FC1' are no colours"),
        ('16SC1', (2, 2), np.int16, 'to_numpy'),
        ('8UC2', (2, 2, 2), np.uint8, 'no colours'),
        ('uyvy', (2, 3, 2), np.uint8, 'width .* even, got 3'),
        ('nv12', (3, 3), np.uint8, 'width .* even, got 3'),
        ('bayer_rggb8', (1, 4), np.uint8, 'at least 2 x 2 pixels, got 4 x 1'),
    ],
)
def test_what_has_no_colours_is_told(encoding, shape, dtype, told):
    with pytest.raises(InvalidArgumentError, match=told):
        Image.from_numpy(np.zeros(shape, dtype), encoding).to_rgb()
