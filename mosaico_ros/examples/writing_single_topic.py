"""Write one topic from a CSV file, whatever single rows of it hold."""

from __future__ import annotations

from mosaico_ros import (
    IMU,
    MosaicoClient,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
    TopicWriterStatus,
    setup_sdk_logging,
)
from mosaico_ros.examples import HOST, PORT
from mosaico_ros.examples.csv_sources import imu_message, rows


def main() -> None:
    setup_sdk_logging(level='INFO', pretty=True)
    with (
        MosaicoClient.from_env(HOST, PORT) as client,
        client.sequence_create(
            sequence_name='csv_ingestion_test',
            metadata={'source': 'manual_upload', 'format': 'csv'},
            on_error=SessionLevelErrorPolicy.Delete,  # all of the file, or nothing of it
        ) as swriter,
    ):
        imu_twriter = swriter.topic_create(
            topic_name='sensors/imu',
            metadata={'sensor_id': 'accel_01'},
            ontology_type=IMU,
            on_error=TopicLevelErrorPolicy.Ignore,  # but a bad row is only reported
        )
        for row in rows('imu.csv'):
            with imu_twriter:  # whatever fails in here falls under the topic's policy
                imu_twriter.push(message=imu_message(row))
            if imu_twriter.status == TopicWriterStatus.IgnoredLastError:
                print(f'IMU message skipped with error: {imu_twriter.last_error}')
    print('Successfully injected data from CSV into Mosaico!')


if __name__ == '__main__':
    main()
