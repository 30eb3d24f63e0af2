"""Make the files that the writing examples read: three CSV files and an MCAP file."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mcap.writer import Writer

START_NS = 1_738_508_778_000_000_000
SECOND_NS = 1_000_000_000


def write_csv(path: Path, columns: list[str], rows: Iterable[list[object]]) -> None:
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def imu_rows() -> Iterator[list[object]]:
    """Yield 2500 rows at 100 Hz; the sensor failed to report one acceleration."""
    for i in range(2500):
        swing = math.sin(i / 50)
        acceleration = [round(0.5 * swing, 4), 0.02, 9.81]
        if i == 1200:
            acceleration[0] = 'n/a?'  # type: ignore[call-overload]
        yield [START_NS + i * SECOND_NS // 100, *acceleration, 0.0, 0.0, round(0.1 * swing, 4)]


def gps_rows() -> Iterator[list[object]]:
    for i in range(25):
        yield [START_NS + i * SECOND_NS, 45.07 + i * 1e-5, 7.68 + i * 2e-5, 240.5, 2, 1]


def pressure_rows() -> Iterator[list[object]]:
    for i in range(250):
        yield [START_NS + i * SECOND_NS // 10, 98_600.0 - 0.5 * i]


def write_mission(path: Path, samples: int = 10) -> None:
    """Write an MCAP file in which the messages of three sensors alternate, as JSON."""
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start()

        def channel(topic: str, schema: str) -> int:
            schema_id = writer.register_schema(name=schema, encoding='jsonschema', data=b'{}')
            return writer.register_channel(
                topic=topic, message_encoding='json', schema_id=schema_id
            )

        imu = channel('/sensors/imu', 'sensor_msgs/msg/Imu')
        gps = channel('/sensors/gps', 'sensor_msgs/msg/NavSatFix')
        baro = channel('/sensors/baro', 'sensor_msgs/msg/FluidPressure')
        note = channel('/operator/note', 'example_msgs/msg/Note')
        for i in range(samples):
            time_ns = START_NS + i * SECOND_NS // 10
            second, nanosecond = divmod(time_ns, SECOND_NS)
            header = {'stamp': {'sec': second, 'nanosec': nanosecond}}
            payloads: list[tuple[int, dict[str, Any]]] = [
                (
                    imu,
                    {
                        'header': header,
                        'linear_acceleration': {'x': 0.01 * i, 'y': 0.02, 'z': 9.81},
                        'angular_velocity': {'x': 0.0, 'y': 0.0, 'z': 0.01},
                    },
                ),
                (
                    gps,
                    {
                        'header': header,
                        'latitude': 45.07,
                        'longitude': 7.68,
                        'altitude': 240.5,
                        'status': {'status': 1, 'service': 1},
                    },
                ),
                (baro, {'header': header, 'fluid_pressure': 98_600.0 - 10 * i}),
                (note, {'text': 'all well'}),
            ]
            for channel_id, payload in payloads:
                writer.add_message(
                    channel_id,
                    log_time=time_ns,
                    publish_time=time_ns,
                    data=json.dumps(payload).encode(),
                )
        writer.finish()


def main(folder: Path = Path()) -> None:
    axes = ['acc_x', 'acc_y', 'acc_z', 'gyro_x', 'gyro_y', 'gyro_z']
    write_csv(folder / 'imu.csv', ['timestamp', *axes], imu_rows())
    write_csv(
        folder / 'gps.csv',
        ['timestamp', 'latitude', 'longitude', 'altitude', 'status', 'service'],
        gps_rows(),
    )
    write_csv(folder / 'pressure.csv', ['timestamp', 'pressure'], pressure_rows())
    write_mission(folder / 'mission_data.mcap')
    print('Wrote imu.csv, gps.csv, pressure.csv and mission_data.mcap.')


if __name__ == '__main__':
    main()
