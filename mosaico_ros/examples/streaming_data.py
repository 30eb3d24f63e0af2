"""Read messages back: several sensors as one timeline, then one sensor alone."""

from __future__ import annotations

from mosaico_ros import IMU, MosaicoClient
from mosaico_ros.examples import HOST, PORT

START_NS = 1_738_508_778_000_000_000


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        seq_handler = client.sequence_handler('mission_alpha')
        if seq_handler:
            streamer = seq_handler.get_data_streamer(
                topics=['/gps', '/imu'],
                start_timestamp_ns=START_NS,
                end_timestamp_ns=START_NS + 3_000_000_000,
            )
            print(f'Streaming starts at: {streamer.next_timestamp()}')
            for topic, msg in streamer:
                print(f'[{topic}] at {msg.timestamp_ns}: {type(msg.data).__name__}')
            seq_handler.close()

        top_handler = client.topic_handler('mission_alpha', '/front/imu')
        if top_handler:
            imu_stream = top_handler.get_data_streamer(end_timestamp_ns=START_NS + 500_000_000)
            print(f'First sample at: {imu_stream.next_timestamp()}')
            for imu_msg in imu_stream:
                imu = imu_msg.get_data(IMU)
                if imu is not None:
                    print(f'{imu_msg.timestamp_ns}: {imu.acceleration.z} m/s^2 upwards')
            top_handler.close()


if __name__ == '__main__':
    main()
