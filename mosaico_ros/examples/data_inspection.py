"""Walk through an archive: sequences, their topics, sizes and times. No data is read."""

from __future__ import annotations

from mosaico_ros import MosaicoClient
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        seq_list = client.list_sequences()
        print(f'Discovered {len(seq_list)} sequences on the server.')
        for sequence_name in seq_list:
            shandler = client.sequence_handler(sequence_name)
            if shandler is None:  # deleted in between
                continue
            size_mb = shandler.total_size_bytes / (1024 * 1024)
            print(f'Sequence: {shandler.name}')
            print(f'  Remote Size: {size_mb:.2f} MB')
            print(f'  Created At: {shandler.created_datetime}')
            print(f'  Time Span: {shandler.timestamp_ns_min} to {shandler.timestamp_ns_max} ns')
            for topic_name in shandler.topics:
                thandler = shandler.get_topic_handler(topic_name)
                duration_sec = 0.0
                if thandler.timestamp_ns_min is not None and thandler.timestamp_ns_max is not None:
                    duration_sec = (thandler.timestamp_ns_max - thandler.timestamp_ns_min) / 1e9
                print(f'  [{thandler.ontology_tag}] {topic_name}: {duration_sec:.2f}s')
            shandler.close()


if __name__ == '__main__':
    main()
