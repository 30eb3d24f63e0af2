"""Ask for recording, topic and measured values in one query, and get the time window of the event.

The conditions are joined with AND and evaluated by the daemon in one round trip.
"""

from __future__ import annotations

from mosaico_ros import IMU, MosaicoClient, QueryOntologyCatalog, QuerySequence, QueryTopic
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        results = client.query(
            QuerySequence().with_user_metadata('project.name', eq='Apollo'),
            QueryTopic().with_name('/front/camera/imu'),
            QueryOntologyCatalog(include_timestamp_range=True).with_expression(
                IMU.Q.acceleration.x.gt(5.0)
            ),
        )
        for item in results:
            print(f'Sequence: {item.sequence.name}')
            for topic in item.topics:
                print(f'  Match in Topic: {topic.name}')
                if event := topic.timestamp_range:
                    print(f'  Event Window: {event.start} to {event.end} ns')


if __name__ == '__main__':
    main()
