"""Clients and data for the tests of the client."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from mosaico_ros import GPS, IMU, GPSStatus, Message, MosaicoClient, Point3d, Vector3d

_numbers = itertools.count()


@pytest.fixture
def client(shared_daemon) -> Iterator[MosaicoClient]:
    with MosaicoClient.connect(shared_daemon.host, shared_daemon.port) as connected:
        yield connected


@pytest.fixture
def name(request) -> str:
    """A sequence name that no other test uses."""
    return f't{os.getpid()}-{next(_numbers)}'


def imu(time: int, x: float = 0.0, y: float = 0.0) -> Message:
    return Message(
        timestamp_ns=time,
        data=IMU(acceleration=Vector3d(x=x, y=y, z=9.8), angular_velocity=Vector3d(x=0, y=0, z=0)),
    )


def gps(time: int, status: int = 1) -> Message:
    return Message(
        timestamp_ns=time,
        data=GPS(position=Point3d(x=1, y=2, z=3), status=GPSStatus(status=status, service=1)),
    )


@pytest.fixture
def make_imu():
    return imu


@pytest.fixture
def make_gps():
    return gps
