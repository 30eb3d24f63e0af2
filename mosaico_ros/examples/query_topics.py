"""Find every topic of one type, across all recordings, by how its sensor was attached."""

from __future__ import annotations

from mosaico_ros import IMU, MosaicoClient, QueryTopic
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        results = client.query(
            QueryTopic()
            .with_ontology_tag(IMU.ontology_tag())
            .with_user_metadata('interface', eq='serial')
        )
        for item in results:
            print(f'Matched Sequence: {item.sequence.name}')
            print(f'  Topics: {[topic.name for topic in item.topics]}')


if __name__ == '__main__':
    main()
