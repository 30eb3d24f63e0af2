"""The sample CSV files, row by row, and what a row of each holds in the words of the ontology."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from mosaico_ros import GPS, IMU, GPSStatus, Message, Point3d, Pressure, Vector3d


def rows(file_path: str, chunk_size: int = 1000) -> Iterator[Any]:
    """Yield the rows of a file, however long it is: a chunk of them in memory at a time."""
    for chunk in pd.read_csv(file_path, chunksize=chunk_size, skipinitialspace=True):
        yield from chunk.itertuples(index=False)


def imu_message(row: Any) -> Message:
    return Message(
        timestamp_ns=int(row.timestamp),
        data=IMU(
            acceleration=Vector3d(x=float(row.acc_x), y=float(row.acc_y), z=float(row.acc_z)),
            angular_velocity=Vector3d(
                x=float(row.gyro_x), y=float(row.gyro_y), z=float(row.gyro_z)
            ),
        ),
    )


def gps_message(row: Any) -> Message:
    return Message(
        timestamp_ns=int(row.timestamp),
        data=GPS(
            position=Point3d(x=float(row.latitude), y=float(row.longitude), z=float(row.altitude)),
            status=GPSStatus(status=int(row.status), service=int(row.service)),
        ),
    )


def pressure_message(row: Any) -> Message:
    return Message(timestamp_ns=int(row.timestamp), data=Pressure(value=float(row.pressure)))
