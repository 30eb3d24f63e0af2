"""What the synthetic robot sees: a camera picture and a point cloud, both real data.

The picture is a PNG that any viewer opens, made by zlib alone: about 50 KB without asking for an
image library.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from mosaico_ros.demo import motion

CAMERA_WIDTH, CAMERA_HEIGHT = 320, 240
CLOUD_RINGS, CLOUD_COLUMNS = 32, 1024
POINT_STEP = 16  # x, y, z, intensity as float32

_NOISE = np.random.default_rng(7).integers(0, 24, (CAMERA_HEIGHT, CAMERA_WIDTH), np.uint8)
_COLUMNS = np.arange(CAMERA_WIDTH, dtype=np.float32)
_ROWS = np.arange(CAMERA_HEIGHT, dtype=np.float32)[:, None]
_AZIMUTH = np.linspace(-np.pi, np.pi, CLOUD_COLUMNS, endpoint=False, dtype=np.float32)
_ELEVATION = np.linspace(-0.43, 0.08, CLOUD_RINGS, dtype=np.float32)[:, None]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def camera_png(seconds: float) -> bytes:
    """Return a grey PNG of 320 x 240: a horizon with a landmark that passes as the rover turns."""
    heading = motion.pose(seconds).heading
    horizon = 110.0 + 6.0 * np.sin(_COLUMNS / 40.0 + heading * 8.0)
    landmark = (CAMERA_WIDTH / 2 - heading * 200.0) % CAMERA_WIDTH
    picture = np.where(horizon < _ROWS, 70.0 + _ROWS / 3, 190.0 - _ROWS / 4)
    picture += 50.0 * np.exp(-(((_COLUMNS - landmark) / 12.0) ** 2)) * (_ROWS > 60)
    pixels = picture.astype(np.uint8) + np.roll(_NOISE, int(seconds * 60) % CAMERA_WIDTH, axis=1)
    rows = np.zeros((CAMERA_HEIGHT, CAMERA_WIDTH + 1), np.uint8)  # filter byte 0 before each row
    rows[:, 1:] = pixels
    header = struct.pack('>IIBBBBB', CAMERA_WIDTH, CAMERA_HEIGHT, 8, 0, 0, 0, 0)
    return (
        b'\x89PNG\r\n\x1a\n'
        + _chunk(b'IHDR', header)
        + _chunk(b'IDAT', zlib.compress(rows.tobytes(), 1))
        + _chunk(b'IEND', b'')
    )


def cloud_points(seconds: float) -> bytes:
    """Return 32 768 points (0.5 MB) of a spinning lidar in a room, `POINT_STEP` bytes each."""
    heading = np.float32(motion.pose(seconds).heading)
    wall = 9.0 + 2.5 * np.cos(4 * (_AZIMUTH + heading)) + 0.3 * np.sin(17 * _AZIMUTH)
    ground = 0.9 / np.maximum(np.sin(-_ELEVATION), 1e-3)
    distance = np.minimum(wall, ground).astype(np.float32)
    points = np.empty((CLOUD_RINGS, CLOUD_COLUMNS, 4), '<f4')
    points[..., 0] = distance * np.cos(_ELEVATION) * np.cos(_AZIMUTH)
    points[..., 1] = distance * np.cos(_ELEVATION) * np.sin(_AZIMUTH)
    points[..., 2] = distance * np.sin(_ELEVATION)
    points[..., 3] = 100.0 / (1.0 + distance)
    return points.tobytes()
