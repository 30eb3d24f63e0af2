import os

from mosaicolabs import IMU, MosaicoClient

with MosaicoClient.from_env(os.environ['MOSAICO_HOST'], int(os.environ['MOSAICO_PORT'])) as client:
    names = client.list_sequences()
    print(f'Discovered {len(names)} sequences on the server.')
    for name in names:
        shandler = client.sequence_handler(name)
        if shandler:
            print(f'Sequence: {shandler.name} {shandler.total_size_bytes / 1024:.2f} KB')
            print(f'Created At: {shandler.created_datetime}')
            print(f'Time Span: {shandler.timestamp_ns_min} to {shandler.timestamp_ns_max} ns')
            for topic_name in shandler.topics:
                thandler = shandler.get_topic_handler(topic_name)
                duration = 0
                if thandler.timestamp_ns_min and thandler.timestamp_ns_max:
                    duration = (thandler.timestamp_ns_max - thandler.timestamp_ns_min) / 1e9
                print(f' [{thandler.ontology_tag}] {topic_name}: {duration:.2f}s')

    seq_handler = client.sequence_handler('test_drive_7')
    streamer = seq_handler.get_data_streamer(
        topics=['/gps', 'sensors/imu'], start_timestamp_ns=40, end_timestamp_ns=50
    )
    assert streamer.next_timestamp() == 40
    seen = [(topic, msg.timestamp_ns, type(msg.data).__name__) for topic, msg in streamer]
    assert len(seen) == 11, seen
    assert ('/gps', 42, 'GPS') in seen
    seq_handler.close()

    top_handler = client.topic_handler('test_drive_7', '/sensors/imu')
    stream = top_handler.get_data_streamer(start_timestamp_ns=10, end_timestamp_ns=20)
    assert stream.next_timestamp() == 10
    assert [msg.get_data(IMU).acceleration.x for msg in stream] == [n % 7 for n in range(10, 20)]
    top_handler.close()
    assert client.sequence_handler('nothing') is None
    # A type that this process never defined is still readable.
    (tick,) = client.topic_handler('wheels', 'ticks').get_data_streamer()
    assert tick.data.raw_data == {'left_ticks': 1, 'right_ticks': 2, 'encoder_timestamp': 3}
