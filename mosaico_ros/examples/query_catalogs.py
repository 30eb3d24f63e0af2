"""From a part of a topic's name to the very seconds in which something happened."""

from __future__ import annotations

from mosaico_ros import IMU, MosaicoClient, QueryOntologyCatalog, QueryTopic
from mosaico_ros.examples import HOST, PORT

PADDING_NS = 1_000_000_000


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        for item in client.query(QueryTopic().with_name_match('image_raw')):
            print(f'Sequence: {item.sequence.name}')
            for topic in item.topics:
                print(f'  {topic.name}')

        every_imu = client.query(QueryTopic().with_ontology_tag(IMU.ontology_tag()))
        print(f'IMU topics: {sum(len(item.topics) for item in every_imu)}')

        results = client.query(
            QueryOntologyCatalog(IMU.Q.acceleration.y.geq(1.0), include_timestamp_range=True),
            QueryTopic().with_name('/front_stereo_imu/imu'),
        )
        for item in results:
            for topic in item.topics:
                shandler = client.sequence_handler(item.sequence.name)
                event = topic.timestamp_range
                if shandler is None or event is None:
                    continue
                streamer = shandler.get_data_streamer(
                    topics=[topic.name],
                    start_timestamp_ns=event.start - PADDING_NS,
                    end_timestamp_ns=event.end + PADDING_NS,
                )
                messages = sum(1 for _ in streamer)
                print(f'{messages} messages around the event in {item.sequence.name}')


if __name__ == '__main__':
    main()
