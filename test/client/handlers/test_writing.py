"""Messages and batches that are pushed come back; what cannot be pushed says why."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest

from mosaico_ros import (
    GPS,
    IMU,
    MosaicoClient,
    Serializable,
    SessionStatus,
    TopicLevelErrorPolicy,
    TopicWriterStatus,
    Unsigned8,
    Vector3d,
)
from mosaico_ros.models.core import Message, columns, make_unmodeled_ontology_class
from mosaico_ros.protocol import metadata
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from mosaico_ros.protocol.serialization import SerializationFormat


def read(client: MosaicoClient, sequence: str, topic: str) -> list[Message]:
    return list(client.topic_handler(sequence, topic).get_data_streamer())


def test_messages_come_back(client, name, make_imu, make_gps):
    with client.sequence_create(name, {'robot': 'r2'}) as sequence:
        assert sequence.status is SessionStatus.Pending
        imu_writer = sequence.topic_create('/arm/imu', {'mount': 'wrist'}, IMU)
        gps_writer = sequence.topic_create('gps', ontology_type=GPS)
        for time_ns in range(5000):
            imu_writer.push(make_imu(time_ns, x=time_ns / 10))
            if time_ns % 100 == 0:
                gps_writer.push(message=make_gps(time_ns))
        assert imu_writer.rows_pushed == 5000
        assert sequence.list_topic_writers() == ['/arm/imu', 'gps']
        assert sequence.get_topic_writer('/gps/') is gps_writer
        assert sequence.get_topic_writer('lidar') is None
        assert sequence.topic_writer_exists('arm/imu')
    assert sequence.status is SessionStatus.Finalized
    assert imu_writer.status is TopicWriterStatus.Finalized
    assert not imu_writer.is_active
    assert imu_writer.durable_rows == 5000
    assert read(client, name, 'arm/imu') == [make_imu(t, x=t / 10) for t in range(5000)]
    assert read(client, name, '/gps') == [make_gps(t) for t in range(0, 5000, 100)]


def test_the_name_can_be_given_as_name(client, name, make_imu):
    with client.sequence_create(name=name) as sequence:
        sequence.topic_create('imu', ontology_type=IMU).push(make_imu(1))
    assert client.sequence_exists(f'/{name}/')
    with pytest.raises(InvalidArgumentError):
        client.sequence_create()


def test_an_updater_adds_a_session(client, name, make_imu, make_gps):
    with client.sequence_create(name) as sequence:
        sequence.topic_create('imu', ontology_type=IMU).push(make_imu(1))
    handler = client.sequence_handler(name)
    with handler.update() as more:
        more.topic_create('gps', ontology_type=GPS).push(make_gps(2))
    with client.sequence_update(name) as more:
        more.topic_create('gps2', ontology_type=GPS).push(make_gps(3))
        locator = more.session_locator
    assert handler.topics == ['/imu']  # a snapshot
    assert handler.reload()
    assert handler.topics == ['/imu', '/gps', '/gps2']
    assert len(handler.updated_timestamps) == 3
    client.session_delete(locator)
    assert handler.reload()
    assert handler.topics == ['/imu', '/gps']
    with pytest.raises(NotFoundError), client.sequence_update(f'{name}-missing'):
        pass


def test_batches_and_messages_mix(client, name, make_imu):
    messages = [make_imu(time_ns) for time_ns in range(300)]
    batch = columns.encode(IMU, messages[100:200])
    table = pa.Table.from_batches(
        [columns.encode(IMU, messages[200:250]), columns.encode(IMU, messages[250:])]
    )
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        for message in messages[:100]:
            writer.push(message)
        writer.push_batch(batch)
        writer.push_batch(table)
        writer.push_batch(batch.slice(0, 0))
        assert writer.rows_pushed == 300
    assert read(client, name, 'imu') == messages


def test_batches_without_metadata_or_nullability_are_accepted(client, name, make_imu):
    schema = columns.writer_schema(IMU)
    batch = columns.encode(IMU, [make_imu(1)])
    loose = pa.RecordBatch.from_arrays(
        batch.columns, schema=pa.schema([pa.field(f.name, f.type) for f in schema])
    )
    with client.sequence_create(name) as sequence:
        sequence.topic_create('imu', ontology_type=IMU).push_batch(loose)
    assert read(client, name, 'imu') == [make_imu(1)]


def test_a_wrong_batch_is_refused_by_name(client, name, make_imu):
    batch = columns.encode(Unsigned8, [Message(timestamp_ns=1, data=Unsigned8(data=1))])
    renamed = batch.rename_columns(['timestamp_ns', 'value'])
    textual = batch.set_column(1, 'data', pa.array(['1']))
    hollow = batch.set_column(0, 'timestamp_ns', pa.nulls(1, pa.int64()))
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('small', ontology_type=Unsigned8)
        for wrong, part in ((renamed, 'value'), (textual, 'string'), (hollow, 'null')):
            with pytest.raises(InvalidArgumentError, match=part) as caught:
                writer.push_batch(wrong)
            assert f'{name}/small' in str(caught.value)
        assert writer.status is TopicWriterStatus.RaisedException
        assert writer.last_error
        writer.push_batch(batch)
    assert len(read(client, name, 'small')) == 1


def test_a_wrong_message_is_refused_at_push(client, name, make_imu, make_gps):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        for wrong in (make_gps(1), None, make_imu(1).data):
            with pytest.raises(InvalidArgumentError, match='holds IMU, not'):
                writer.push(wrong)
        writer.push(make_imu(1))
        assert writer.status is TopicWriterStatus.Active
    assert len(read(client, name, 'imu')) == 1


def test_one_bad_value_costs_only_its_own_message(client, name):
    messages = [Message(timestamp_ns=t, data=Unsigned8(data=t % 200)) for t in range(100)]
    messages[37].data.__dict__['data'] = 300  # past the model's own check
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('small', ontology_type=Unsigned8)
        for message in messages[:37]:
            writer.push(message)
        writer.flush()
        for message in messages[37:45]:  # fewer than make a batch
            writer.push(message)
        with pytest.raises(InvalidArgumentError, match='timestamp_ns=37'):
            writer.flush()
        for message in messages[writer.rows_pushed :]:
            writer.push(message)
    assert [m.timestamp_ns for m in read(client, name, 'small')] == [
        t for t in range(100) if t != 37
    ]


def test_generated_classes_are_written_and_read_alike(client, name):
    layout = pa.struct([pa.field('gain', pa.float64()), pa.field('marks', pa.list_(pa.int32()))])
    made = make_unmodeled_ontology_class('Tuning', 'Tuning', SerializationFormat.Ragged, layout)
    message = Message(timestamp_ns=5, data=made(raw_data={'gain': 0.5, 'marks': [1, 2]}))
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('tuning', ontology_type=made)
        writer.push(message)
        writer.push_batch(columns.encode(made, [message]))
    handler = client.topic_handler(name, 'tuning')
    assert handler.ontology_schema == layout
    assert handler.serialization_format is SerializationFormat.Ragged
    assert [m.data for m in handler.get_data_streamer()] == [message.data] * 2


def test_sidecar_columns_travel_beside_the_ontology(client, name, make_imu):
    mark = {metadata.SIDECAR: metadata.SIDECAR_TRUE}
    receive = pa.field('receive_ns', pa.int64(), metadata=mark)
    schema = columns.writer_schema(IMU).append(receive)
    batch = columns.encode(IMU, [make_imu(1)]).append_column(receive, pa.array([7]))
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU, schema=schema)
        assert writer.schema.names[-1] == 'receive_ns'
        writer.push_batch(batch)
        writer.push(make_imu(2))
        with pytest.raises(InvalidArgumentError, match='sidecar'):
            sequence.topic_create(
                'other',
                ontology_type=IMU,
                schema=schema.set(len(schema) - 1, receive.remove_metadata()),
            )
    handler = client.topic_handler(name, 'imu')
    assert handler.to_arrow().column_names == columns.writer_schema(IMU).names
    assert list(handler.get_data_streamer()) == [make_imu(1), make_imu(2)]


def test_a_large_batch_is_cut_to_what_the_daemon_accepts(make_daemon, name):
    daemon = make_daemon(MOSAICOD_MAX_GRPC_MESSAGE_SIZE=str(4 * 1024 * 1024))
    layout = pa.struct([pa.field('blob', pa.binary())])
    made = make_unmodeled_ontology_class('Blob', 'Blob', SerializationFormat.Default, layout)
    small, large = b'x' * 100_000, b'x' * 5_000_000
    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        with client.sequence_create(name) as sequence:
            writer = sequence.topic_create('blob', ontology_type=made)
            writer.push_batch(
                pa.record_batch(
                    [pa.array(range(200)), pa.array([small] * 100 + [large] + [small] * 99)],
                    schema=columns.writer_schema(made),
                )
            )
            assert writer.dropped_record_count == 1
            assert writer.status is TopicWriterStatus.RecordTooLarge
            for time_ns in range(200, 240):
                writer.push(Message(timestamp_ns=time_ns, data=made(raw_data={'blob': small})))
        (note,) = client.list_topic_notifications(name, 'blob')
        assert 'exceed' in note.message
        assert note.topic_name == '/blob'
        times = client.topic_handler(name, 'blob').to_arrow()['timestamp_ns'].to_pylist()
        assert times == [time_ns for time_ns in range(240) if time_ns != 100]


def test_names_and_metadata_are_checked_before_anything_is_sent(client, name):
    for bad in ('', 'a b', 'a/b', '_a', 'ä'):
        with pytest.raises(ValueError, match='sequence name'):
            client.sequence_create(bad)
    with pytest.raises(InvalidArgumentError, match='metadata'):
        client.sequence_create(name, {'rate': float('nan')})
    with pytest.raises(InvalidArgumentError, match='dictionary'):
        client.sequence_create(name, ['a'])
    assert not client.sequence_exists(name)
    with client.sequence_create(name) as sequence:
        sequence.topic_create('imu', ontology_type=IMU)
        with pytest.raises(ValueError, match='forbidden'):
            sequence.topic_create('imu raw', ontology_type=IMU)
        with pytest.raises(InvalidArgumentError, match='Serializable'):
            sequence.topic_create('other', ontology_type=dict)
        with pytest.raises(InvalidArgumentError, match='Serializable'):
            sequence.topic_create('other')


def test_writers_work_only_inside_their_block(client, name, make_imu):
    sequence = client.sequence_create(name)
    with pytest.raises(FailedPreconditionError, match='with block'):
        sequence.topic_create('imu', ontology_type=IMU)
    with sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        writer.push(make_imu(1))
    with pytest.raises(FailedPreconditionError, match='closed'):
        writer.push(make_imu(2))
    with pytest.raises(FailedPreconditionError, match='used before'), sequence:
        pass
    with pytest.raises(AlreadyExistsError), client.sequence_create(name):
        pass


def test_a_taken_topic_name(client, name):
    with client.sequence_create(name) as sequence:
        sequence.topic_create('imu', ontology_type=IMU)
        for spelling in ('imu', '/imu/'):
            for policy in TopicLevelErrorPolicy:  # that one is for data
                with pytest.raises(AlreadyExistsError, match='imu'):
                    sequence.topic_create(spelling, ontology_type=IMU, on_error=policy)
    with client.sequence_update(name) as more:
        with pytest.raises(AlreadyExistsError, match='imu'):
            more.topic_create('imu', ontology_type=IMU)
        more.topic_create('imu2', ontology_type=IMU)


def test_commit_makes_rows_durable_before_the_end(client, name, make_imu):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        for time_ns in range(10):
            writer.push(make_imu(time_ns))
        writer.commit(wait=True, timeout=20)
        assert writer.durable_rows == 10
        writer.commit(wait=True, timeout=20)  # nothing new
        writer.push(make_imu(10))
        writer.flush()
        writer.commit(wait=True, timeout=20)
        assert writer.durable_rows == 11


def test_a_slow_topic_is_sent_without_anybody_asking(client, name, make_imu):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        writer.push(make_imu(1))
        deadline = time.monotonic() + 10
        while writer._upload.rows_sent == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert writer._upload.rows_sent == 1


def test_threads_share_a_client_and_a_writer(client, name, make_imu, make_gps):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('imu', ontology_type=IMU)
        failures = []

        def work(number: int) -> None:
            try:
                own = sequence.topic_create(f'gps{number}', ontology_type=GPS)
                for step in range(500):
                    writer.push(make_imu(number * 500 + step))
                    own.push(make_gps(step))
                assert client.sequence_exists(name)
                assert client.topic_handler(name, f'gps{number}') is not None
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
    assert [m.timestamp_ns for m in read(client, name, 'imu')] == list(range(2000))
    for number in range(4):
        assert client.topic_handler(name, f'gps{number}').to_arrow().num_rows == 500


def await_daemon(client: MosaicoClient) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            client.info()
            return True
        except UnavailableError:
            time.sleep(0.1)
    return False


def test_a_daemon_that_dies_is_noticed_while_writing(daemon, name, make_imu):
    def record(client: MosaicoClient) -> None:
        with client.sequence_create(name) as sequence:
            writer = sequence.topic_create('imu', ontology_type=IMU)
            for time_ns in range(100):
                writer.push(make_imu(time_ns))
            writer.commit(wait=True, timeout=20)
            daemon.kill()
            for time_ns in range(100, 3000):
                writer.push(make_imu(time_ns))
                time.sleep(0.001)

    with MosaicoClient.connect(daemon.host, daemon.port) as client:
        with pytest.raises(UnavailableError) as caught:
            record(client)
        assert f'{name}/imu' in str(caught.value)
        assert '100 of' in str(caught.value)
        daemon.start()
        assert await_daemon(client)  # the same client finds it again
        assert client.topic_handler(name, 'imu').message_count >= 100


def test_waiting_for_a_commit_ends_when_the_daemon_dies(daemon, name, make_imu):
    def record(client: MosaicoClient) -> None:
        with client.sequence_create(name) as sequence:
            writer = sequence.topic_create('imu', ontology_type=IMU)
            writer.push(make_imu(1))
            daemon.kill()
            writer.commit(wait=True, timeout=30)

    with (
        MosaicoClient.connect(daemon.host, daemon.port) as client,
        pytest.raises(UnavailableError),
    ):
        record(client)


class Tick(Serializable):
    count: int


def test_a_type_of_the_users_own(client, name):
    with client.sequence_create(name) as sequence:
        writer = sequence.topic_create('ticks', ontology_type=Tick)
        for count in range(3):
            writer.push(Message(timestamp_ns=count, data=Tick(count=count)))
    assert [m.get_data(Tick).count for m in read(client, name, 'ticks')] == [0, 1, 2]
    assert read(client, name, 'ticks')[0].get_data(Vector3d) is None
