"""Write three sensors of one mission, each from a file of its own, into one sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mosaico_ros import (
    GPS,
    IMU,
    Message,
    MosaicoClient,
    Pressure,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
    TopicWriter,
    TopicWriterStatus,
    setup_sdk_logging,
)
from mosaico_ros.examples import HOST, PORT
from mosaico_ros.examples.csv_sources import gps_message, imu_message, pressure_message, rows


def push_file(file_path: str, twriter: TopicWriter, to_message: Callable[[Any], Message]) -> None:
    for row in rows(file_path):
        with twriter:
            twriter.push(message=to_message(row))
        if twriter.status == TopicWriterStatus.IgnoredLastError:
            print(f'{twriter.name}: message skipped with error: {twriter.last_error}')


def main() -> None:
    setup_sdk_logging(level='INFO', pretty=True)
    with (
        MosaicoClient.from_env(HOST, PORT) as client,
        client.sequence_create(
            sequence_name='multi_sensor_ingestion',
            metadata={'mission': 'alpha_test', 'environment': 'laboratory'},
            on_error=SessionLevelErrorPolicy.Delete,
        ) as swriter,
    ):
        # All topics first: whoever looks at the sequence meanwhile sees what it will hold.
        imu_twriter = swriter.topic_create(
            topic_name='sensors/imu',
            metadata={'sensor_id': 'accel_01'},
            ontology_type=IMU,
            on_error=TopicLevelErrorPolicy.Ignore,
        )
        gps_twriter = swriter.topic_create(
            topic_name='sensors/gps',
            metadata={'sensor_id': 'gps_01'},
            ontology_type=GPS,
            on_error=TopicLevelErrorPolicy.Ignore,
        )
        pressure_twriter = swriter.topic_create(
            topic_name='sensors/pressure',
            metadata={'sensor_id': 'pressure_01'},
            ontology_type=Pressure,
            on_error=TopicLevelErrorPolicy.Ignore,
        )
        push_file('imu.csv', imu_twriter, imu_message)
        push_file('gps.csv', gps_twriter, gps_message)
        push_file('pressure.csv', pressure_twriter, pressure_message)
    print('Successfully injected multi-sensor data from CSV into Mosaico!')


if __name__ == '__main__':
    main()
