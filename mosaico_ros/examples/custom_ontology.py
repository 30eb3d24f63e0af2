"""Store a type of your own, find it by its fields, and read it back as the class it is."""

from __future__ import annotations

from mosaico_ros import Message, MosaicoClient, QueryOntologyCatalog
from mosaico_ros.examples import HOST, PORT, encoder_ticks


def main() -> None:
    if encoder_ticks.EncoderTicks.is_registered():
        print('Registration successful.')
    with MosaicoClient.from_env(HOST, PORT) as client:
        with client.sequence_create(name='encoder_run') as sw:
            tw = sw.topic_create('ticks', ontology_type=encoder_ticks.EncoderTicks)
            for i in range(100):
                ticks = encoder_ticks.EncoderTicks(
                    left_ticks=10 * i, right_ticks=11 * i, encoder_timestamp=1_000_000 * i
                )
                tw.push(Message(timestamp_ns=1_000_000 * i, data=ticks))
        results = client.query(
            QueryOntologyCatalog(encoder_ticks.EncoderTicks.Q.right_ticks.geq(1078))
        )
        for item in results:
            for topic in item.topics:
                thandler = client.topic_handler(item.sequence.name, topic.name)
                if thandler is None:
                    continue
                for msg in thandler.get_data_streamer(start_timestamp_ns=98_000_000):
                    data = msg.get_data(encoder_ticks.EncoderTicks)
                    print(f'{item.sequence.name}{topic.name} at {msg.timestamp_ns}: {data!r}')


if __name__ == '__main__':
    main()
