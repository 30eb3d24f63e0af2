"""Find recordings by name and by the metadata that they were made with."""

from __future__ import annotations

from mosaico_ros import MosaicoClient, QuerySequence
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        results = client.query(
            QuerySequence()
            .with_name_match('test_drive')
            .with_user_metadata('project.name', eq='Apollo')
            .with_user_metadata('environment.visibility', lt=50)
        )
        for item in results:
            print(f'Matched Sequence: {item.sequence.name}')
            print(f'  Topics: {[topic.name for topic in item.topics]}')


if __name__ == '__main__':
    main()
