"""Verbs that the published client performs against a daemon; each prints one JSON object.

Runs in the published client's own environment and knows nothing of mosaico_ros.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Optional

import published_policies
import published_queries
import published_types
from mosaicolabs import (
    IMU,
    Message,
    MosaicoClient,
    MosaicoField,
    MosaicoType,
    Query,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    Serializable,
    Vector3d,
)
from mosaicolabs.enum.grpc_compression import GRPCCompressionAlgorithm


class DriveState(Serializable):
    """A type of the peer's own, unknown to the daemon and to mosaico_ros."""

    gear: MosaicoType.int8 = MosaicoField(description='Gear engaged; -1 is reverse.')
    torque: MosaicoType.float32 = MosaicoField(description='Motor torque in N m.')
    faults: MosaicoType.list_(MosaicoType.string) = MosaicoField(description='Active faults.')
    # The published client refuses PEP 604 unions.
    note: Optional[MosaicoType.string] = MosaicoField(default=None)  # noqa: UP045


def describe(client: MosaicoClient, name: str) -> dict[str, Any]:
    """Every property of the sequence's handler and of its topics' handlers."""
    sequence = client.sequence_handler(name)
    assert sequence is not None
    topics = {}
    for topic_name in sequence.topics:
        topic = sequence.get_topic_handler(topic_name)
        topics[topic_name] = {
            'name': topic.name,
            'sequence_name': topic.sequence_name,
            'user_metadata': topic.user_metadata,
            'created_timestamp': topic.created_timestamp,
            'locked': topic.locked,
            'chunks_number': topic.chunks_number,
            'ontology_tag': topic.ontology_tag,
            'serialization_format': str(topic.serialization_format),
            'total_size_bytes': topic.total_size_bytes,
            'timestamp_ns_min': topic.timestamp_ns_min,
            'timestamp_ns_max': topic.timestamp_ns_max,
        }
    return {
        'name': sequence.name,
        'user_metadata': sequence.user_metadata,
        'created_timestamp': sequence.created_timestamp,
        'updated_timestamps': sequence.updated_timestamps,
        'total_size_bytes': sequence.total_size_bytes,
        'timestamp_ns_min': sequence.timestamp_ns_min,
        'timestamp_ns_max': sequence.timestamp_ns_max,
        'sessions': [
            {'locator': session.locator, 'locked': session.locked, 'topics': session.topics}
            for session in sequence.sessions
        ],
        'topics': topics,
    }


def show(client: MosaicoClient, name: str) -> dict[str, Any]:
    return {'sequences': client.list_sequences(), **describe(client, name)}


def messages(client: MosaicoClient, name: str, *wanted: str) -> dict[str, Any]:
    """Typed messages of the wanted topics; a type the peer does not know is an error."""
    read: dict[str, Any] = {}
    for topic_name in wanted:
        topic = client.topic_handler(name, topic_name)
        read[topic_name] = [
            {
                'timestamp_ns': message.timestamp_ns,
                'class': type(message.data).__name__,
                'data': message.data.model_dump(mode='json'),
            }
            for message in topic.get_data_streamer()
        ]
    merged = client.sequence_handler(name).get_data_streamer(topics=list(wanted))
    read['merged'] = [[topic, message.timestamp_ns] for topic, message in merged]
    return read


def write_read_query_delete(client: MosaicoClient, name: str) -> dict[str, Any]:
    start = 1_700_000_000_000_000_000
    sent_imu = [
        IMU(
            acceleration=Vector3d(x=0.1 * i, y=-0.1 * i, z=9.81),
            angular_velocity=Vector3d(x=0.0, y=0.01 * i, z=1.0),
        )
        for i in range(300)
    ]
    sent_drive = [
        DriveState(
            gear=i % 3 - 1, torque=0.5 * i, faults=['hot'] * (i % 3), note=None if i % 2 else 'ok'
        )
        for i in range(50)
    ]
    with client.sequence_create(name, {'site': {'hall': 'B'}, 'trial': 4}) as sequence:
        imu = sequence.topic_create('imu', {'mount': 'wrist'}, IMU)
        drive = sequence.topic_create('/base/drive', {}, DriveState)
        for i, data in enumerate(sent_imu):
            imu.push(Message(timestamp_ns=start + i * 5_000_000, data=data))
        for i, data in enumerate(sent_drive):
            drive.push(Message(timestamp_ns=start + i * 20_000_000, data=data))

    def read(topic: str) -> list[Any]:
        return list(client.topic_handler(name, topic).get_data_streamer())

    got_imu, got_drive = read('imu'), read('base/drive')
    window = client.topic_handler(name, 'imu').get_data_streamer(
        start_timestamp_ns=start + 100 * 5_000_000, end_timestamp_ns=start + 110 * 5_000_000
    )
    by_value = client.query(
        query=Query(
            QuerySequence().with_name(name),
            QueryOntologyCatalog(
                IMU.Q.acceleration.x.gt(24.95), DriveState.Q.torque.between(5.0, 6.0)
            ),
        )
    )
    clusters = [
        [topic.ontology_tag, cluster.timerange.start, cluster.timerange.end]
        for item in by_value
        for topic in item.topics
        for cluster in topic.clusterize(0)
    ]
    nothing = client.query(QueryOntologyCatalog(IMU.Q.acceleration.x.gt(1e9)))
    by_name = client.query(
        QuerySequence().with_user_metadata('site.hall', eq='B'), QueryTopic().with_name('/imu')
    )
    described = describe(client, name)
    client.sequence_delete(name)
    return {
        'equal_imu': [message.data for message in got_imu] == sent_imu,
        'equal_drive': [message.data for message in got_drive] == sent_drive,
        'stamps_imu': [message.timestamp_ns for message in got_imu],
        'window': [message.timestamp_ns for message in window],
        'by_value': [[i.sequence.name, [t.name for t in i.topics]] for i in by_value],
        'clusters': clusters,
        'nothing': len(nothing),
        'by_name': [[i.sequence.name, [t.name for t in i.topics]] for i in by_name],
        'described': described,
        'left': client.list_sequences(),
        'gone': client.sequence_handler(name) is None,
    }


if __name__ == '__main__':
    verb, port, *rest = sys.argv[1:]
    verbs = {
        'show': show,
        'messages': messages,
        'write': write_read_query_delete,
        'query': published_queries.query,
        'policies': published_policies.policies,
        'updates': published_policies.updates,
        'types': published_types.act,
    }
    with MosaicoClient.connect(
        '127.0.0.1',
        int(port),
        api_key=os.environ.get('MOSAICO_API_KEY'),
        tls_cert_path=os.environ.get('MOSAICO_CERT_PATH'),
        compression=GRPCCompressionAlgorithm[os.environ.get('MOSAICO_COMPRESSION', 'Null')],
    ) as connected:
        json.dump(verbs[verb](connected, *rest), sys.stdout)
