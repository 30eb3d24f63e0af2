import os

from mosaicolabs import (
    GPS,
    IMU,
    MosaicoClient,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
    String,
)
from mosaicolabs.models.query import Query
from mosaicolabs.models.sensors.imu import IMU as SameIMU

assert SameIMU is IMU
host, port = os.environ['MOSAICO_HOST'], int(os.environ['MOSAICO_PORT'])
with MosaicoClient.connect(host, port) as client:
    results = client.query(QueryTopic().with_name_match('imu'))
    assert [t.name for item in results for t in item.topics] == ['/sensors/imu']

    results = client.query(
        QuerySequence()
        .with_name_match('test_drive')
        .with_user_metadata('project.name', eq='Apollo')
        .with_user_metadata('environment.visibility', lt=50)
    )
    assert [item.sequence.name for item in results] == ['test_drive_7']
    assert len(results[0].topics) == 4

    results = client.query(
        QueryOntologyCatalog(IMU.Q.acceleration.y.geq(4.0), include_timestamp_range=True),
        QueryTopic().with_name('/sensors/imu'),
    )
    for item in results:
        for topic in item.topics:
            assert (topic.timestamp_range.start, topic.timestamp_range.end) == (4, 299)
            streamer = client.sequence_handler(item.sequence.name).get_data_streamer(
                topics=[topic.name],
                start_timestamp_ns=topic.timestamp_range.start,
                end_timestamp_ns=topic.timestamp_range.end + 1,
            )
            assert sum(1 for _ in streamer) == 296

    first = client.query(QueryOntologyCatalog(GPS.Q.status.status.eq(2)))
    final = client.query(
        first.to_query_sequence(),
        QueryTopic().with_name('/log'),
        QueryOntologyCatalog(String.Q.data.match('[ERR]')),
    )
    assert [item.sequence.name for item in final] == ['test_drive_7']

    query = Query(
        QuerySequence().with_name_match('test_drive'),
        QueryOntologyCatalog()
        .with_expression(IMU.Q.acceleration.x.gt(5.0))
        .with_expression(IMU.Q.timestamp_ns.gt(100)),
    )
    for item in client.query(query=query):
        for topic in item.topics:
            assert topic.clusterize(clustering_dt_ns=1)[0].timerange.start == 104
    print('done')
