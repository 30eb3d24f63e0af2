"""How the synthetic robot moves: a small rover on a circle, as a function of time alone.

Everything is deterministic, so that two runs publish the same values under other stamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Circle of 6 m radius at 1.5 m/s, somewhere in Milan.
RADIUS_M = 6.0
SPEED_MPS = 1.5
TURN_RATE = SPEED_MPS / RADIUS_M
GRAVITY = 9.80665
LATITUDE_DEG = 45.4780
LONGITUDE_DEG = 9.2270
ALTITUDE_M = 122.0
_METRES_PER_DEGREE = 111_320.0

JOINTS = (
    'wheel_front_left',
    'wheel_front_right',
    'wheel_rear_left',
    'wheel_rear_right',
    'arm_shoulder',
    'arm_elbow',
    'arm_wrist',
)

# The bumps the rover hits: (fraction of the run at which it begins, how long it lasts in ns).
BUMPS = ((0.3, 150_000_000), (0.7, 200_000_000))
SPIKE_THRESHOLD = 8.0


@dataclass(frozen=True)
class Pose:
    """Position in metres and heading in radians in the ``odom`` frame."""

    x: float
    y: float
    heading: float

    @property
    def quaternion(self) -> tuple[float, float, float, float]:
        """Heading as a quaternion (x, y, z, w)."""
        return 0.0, 0.0, math.sin(self.heading / 2), math.cos(self.heading / 2)


def pose(seconds: float) -> Pose:
    """Return where the rover is."""
    angle = TURN_RATE * seconds
    return Pose(
        RADIUS_M * math.sin(angle),
        RADIUS_M * (1 - math.cos(angle)),
        math.remainder(angle, math.tau),
    )


def spike_windows(duration_ns: int) -> list[tuple[int, int]]:
    """Return begin and end of each bump, ns since the start of the run, end exclusive."""
    return [(begin := int(part * duration_ns), begin + length) for part, length in BUMPS]


def acceleration(elapsed_ns: int, duration_ns: int) -> tuple[float, float, float]:
    """Return the specific force that the IMU feels, m/s^2.

    Away from the bumps the sideways part stays below 2 m/s^2; inside one it is a plateau
    between 9.5 and 10.5 m/s^2.
    """
    seconds = elapsed_ns * 1e-9
    x = 0.15 * math.sin(2.1 * seconds)
    y = SPEED_MPS**2 / RADIUS_M + 0.4 * math.sin(7.3 * seconds)
    z = GRAVITY + 0.25 * math.sin(11.0 * seconds)
    for begin, end in spike_windows(duration_ns):
        if begin <= elapsed_ns < end:
            y = 9.5 + math.sin(math.pi * (elapsed_ns - begin) / (end - begin))
    return x, y, z


def angular_velocity(seconds: float) -> tuple[float, float, float]:
    """Return what the gyroscope reads, rad/s."""
    return 0.02 * math.sin(5.0 * seconds), 0.015 * math.cos(4.0 * seconds), TURN_RATE


def joints(seconds: float) -> tuple[list[float], list[float], list[float]]:
    """Return positions (rad), velocities (rad/s) and efforts (N m) of `JOINTS`."""
    wheel = SPEED_MPS / 0.12
    positions, velocities, efforts = [], [], []
    for index in range(len(JOINTS)):
        if index < 4:
            positions.append(math.fmod(wheel * seconds, math.tau))
            velocities.append(wheel)
            efforts.append(0.8 + 0.05 * math.sin(3.0 * seconds + index))
        else:
            rate = 0.5 + 0.2 * index
            positions.append(0.6 * math.sin(rate * seconds))
            velocities.append(0.6 * rate * math.cos(rate * seconds))
            efforts.append(2.0 - 0.3 * index)
    return positions, velocities, efforts


def geodetic(seconds: float) -> tuple[float, float, float]:
    """Return latitude and longitude in degrees and altitude in metres (WGS 84)."""
    here = pose(seconds)
    return (
        LATITUDE_DEG + here.y / _METRES_PER_DEGREE,
        LONGITUDE_DEG + here.x / (_METRES_PER_DEGREE * math.cos(math.radians(LATITUDE_DEG))),
        ALTITUDE_M + 0.05 * math.sin(0.5 * seconds),
    )
