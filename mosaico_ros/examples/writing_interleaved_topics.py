"""Write an MCAP file in one pass, making each topic when its first message comes by."""

from __future__ import annotations

import json
from typing import Any

from mcap.reader import make_reader

from mosaico_ros import (
    Message,
    MosaicoClient,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
    setup_sdk_logging,
)
from mosaico_ros.examples import HOST, PORT
from mosaico_ros.models import (
    GPS,
    IMU,
    GPSStatus,
    Point3d,
    Pressure,
    Serializable,
    Time,
    Vector3d,
)


def determine_mosaico_type(schema_name: str) -> type[Serializable] | None:
    types: dict[str, type[Serializable]] = {
        'sensor_msgs/msg/Imu': IMU,
        'sensor_msgs/msg/NavSatFix': GPS,
        'sensor_msgs/msg/FluidPressure': Pressure,
    }
    return types.get(schema_name)


def stamp_ns(payload: dict[str, Any]) -> int:
    stamp = payload['header']['stamp']
    return Time(seconds=stamp['sec'], nanoseconds=stamp['nanosec']).to_nanoseconds()


def custom_translator(schema_name: str, payload: dict[str, Any]) -> Message | None:
    """Put a payload of the outer world into the words of the ontology."""
    if schema_name == 'sensor_msgs/msg/Imu':
        return Message(
            timestamp_ns=stamp_ns(payload),
            data=IMU(
                acceleration=Vector3d(**payload['linear_acceleration']),
                angular_velocity=Vector3d(**payload['angular_velocity']),
            ),
        )
    if schema_name == 'sensor_msgs/msg/NavSatFix':
        return Message(
            timestamp_ns=stamp_ns(payload),
            data=GPS(
                position=Point3d(
                    x=payload['latitude'], y=payload['longitude'], z=payload['altitude']
                ),
                status=GPSStatus(
                    status=payload['status']['status'], service=payload['status']['service']
                ),
            ),
        )
    if schema_name == 'sensor_msgs/msg/FluidPressure':
        return Message(
            timestamp_ns=stamp_ns(payload), data=Pressure(value=payload['fluid_pressure'])
        )
    return None


def main() -> None:
    setup_sdk_logging(level='INFO', pretty=True)
    with (
        open('mission_data.mcap', 'rb') as file,
        MosaicoClient.from_env(HOST, PORT) as client,
        client.sequence_create(
            sequence_name='mcap_ingestion',
            metadata={'mission': 'alpha_test'},
            on_error=SessionLevelErrorPolicy.Delete,
        ) as swriter,
    ):
        for schema, channel, message in make_reader(file).iter_messages():
            schema_name = schema.name if schema else ''
            twriter = swriter.get_topic_writer(channel.topic)
            if twriter is None:
                ontology_type = determine_mosaico_type(schema_name)
                if ontology_type is None:
                    continue
                twriter = swriter.topic_create(
                    topic_name=channel.topic,
                    metadata={},
                    ontology_type=ontology_type,
                    # A topic that fails ends; the others go on.
                    on_error=TopicLevelErrorPolicy.Finalize,
                )
            if twriter.is_active:
                with twriter:
                    msg = custom_translator(schema_name, json.loads(message.data))
                    if msg is not None:
                        twriter.push(message=msg)
    print('MCAP ingestion complete!')


if __name__ == '__main__':
    main()
