import csv
import io
import os

from mosaicolabs import (
    GPS,
    IMU,
    GPSStatus,
    Message,
    MosaicoClient,
    MosaicoField,
    MosaicoType,
    Point3d,
    Serializable,
    SessionLevelErrorPolicy,
    String,
    TopicLevelErrorPolicy,
    TopicWriterStatus,
    Vector3d,
    setup_sdk_logging,
)
from mosaicolabs.models import Pressure, Time

TABLE = 'time,ax,ay,az\n' + ''.join(f'{n},{n % 7},{n % 5},9.8\n' for n in range(300)) + 'x,1,2,3\n'


class EncoderTicks(Serializable):
    left_ticks: MosaicoType.uint32 = MosaicoField(description='Counts of the left wheel.')
    right_ticks: MosaicoType.uint32 = MosaicoField(description='Counts of the right wheel.')
    encoder_timestamp: MosaicoType.uint64 = MosaicoField(description='When they were counted.')


def readings():
    for row in csv.DictReader(io.StringIO(TABLE)):
        try:
            yield Message(
                timestamp_ns=int(row['time']),
                data=IMU(
                    acceleration=Vector3d(x=float(row['ax']), y=float(row['ay']), z=9.8),
                    angular_velocity=Vector3d(x=0, y=0, z=0),
                ),
            )
        except ValueError:
            yield None


setup_sdk_logging(level='INFO', pretty=True)
assert EncoderTicks.is_registered()
skipped = 0
with MosaicoClient.connect(
    host=os.environ['MOSAICO_HOST'],
    port=int(os.environ.get('MOSAICO_PORT', '6726')),
    api_key=os.environ.get('MOSAICO_API_KEY'),
    tls_cert_path=os.environ.get('MOSAICO_CERT_PATH'),
) as client:
    with client.sequence_create(
        sequence_name='test_drive_7',
        metadata={'project': {'name': 'Apollo'}, 'environment': {'visibility': 40}},
        on_error=SessionLevelErrorPolicy.Delete,
    ) as swriter:
        imu = swriter.topic_create(
            topic_name='sensors/imu',
            metadata={'sensor_id': 'accel_01'},
            ontology_type=IMU,
            on_error=TopicLevelErrorPolicy.Ignore,
        )
        for message in readings():
            with imu:
                imu.push(message=message)
            if imu.status == TopicWriterStatus.IgnoredLastError:
                skipped += 1
                print(f'skipped: {imu.last_error}')
        for topic, kind in (('/gps', GPS), ('/baro', Pressure), ('/log', String)):
            if swriter.get_topic_writer(topic) is None:
                swriter.topic_create(
                    topic_name=topic,
                    metadata={},
                    ontology_type=kind,
                    on_error=TopicLevelErrorPolicy.Finalize,
                )
        stamp = Time(seconds=0, nanoseconds=42).to_nanoseconds()
        payloads = {
            '/gps': GPS(
                position=Point3d(x=25.04, y=121.53, z=10.5), status=GPSStatus(status=2, service=1)
            ),
            '/baro': Pressure(value=101325.0),
            '/log': String(data='localization [ERR] lost'),
        }
        for topic, data in payloads.items():
            writer = swriter.get_topic_writer(topic)
            if writer.is_active:
                with writer:
                    writer.push(Message(timestamp_ns=stamp, data=data))
    assert skipped == 1
    with client.sequence_create(name='wheels') as swriter:
        ticks = swriter.topic_create('ticks', ontology_type=EncoderTicks)
        ticks.push(
            Message(
                timestamp_ns=1,
                data=EncoderTicks(left_ticks=1, right_ticks=2, encoder_timestamp=3),
            )
        )
    print(f'Connected to version: {client.version()}')
