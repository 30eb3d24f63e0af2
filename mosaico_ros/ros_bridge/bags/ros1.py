"""ROS 1 bags, read by rosbags; the payloads are decoded as they are, without a detour over CDR."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.bags.metadata import latched_qos
from mosaico_ros.ros_bridge.bags.records import (
    GROUP_BYTES,
    GROUP_MESSAGES,
    Bag,
    BagTopic,
    Collector,
    MessageGroup,
)
from mosaico_ros.ros_bridge.cdr.decoder import Payloads
from mosaico_ros.ros_bridge.definitions import full_name

MAGIC = b'#ROSBAG V'
_VERSION = MAGIC + b'2.0\n'


class Ros1Bag(Bag):
    """One ``.bag`` file.

    Raises
    ------
    InvalidArgumentError
        If rosbags cannot open it (an unfinished bag needs ``rosbag reindex`` first).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from rosbags.rosbag1 import Reader

        with path.open('rb') as file:
            head = file.read(len(_VERSION))
        if head != _VERSION:
            version = head[len(MAGIC) :].decode(errors='replace').strip()
            raise InvalidArgumentError(
                f'{path} is a ROS 1 bag of version {version}, and only 2.0 can be read',
                remedy='convert it with `rosbag fix` of a ROS 1 installation',
            )
        self.distro = 'noetic'
        self._reader = Reader(path)
        try:
            self._reader.open()
        except Exception as error:  # whatever rosbags stumbles over in a damaged file
            raise InvalidArgumentError(
                f'{path} cannot be read as a ROS 1 bag ({error})',
                remedy='if it was not closed properly, run `rosbag reindex` on it',
            ) from error
        self._keys: dict[int, str] = {}
        connections = self._reader.connections
        latched = {one.topic for one in connections if getattr(one.ext, 'latching', None)}
        for connection in connections:
            topic = BagTopic(
                connection.topic,
                full_name(connection.msgtype),
                connection.msgdef.data,
                ros1=True,
                count=connection.msgcount,
                qos=latched_qos() if connection.topic in latched else None,
            )
            self._keys[connection.id] = self._add(topic).key

    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        connections = [
            connection
            for connection in self._reader.connections
            if wanted(self.topics[self._keys[connection.id]])
        ]
        if not connections:
            return
        collector = Collector()
        batch: dict[str, tuple[list[int], list[bytes]]] = {}
        count = nbytes = 0
        for connection, time, data in self._messages(connections):
            times, payloads = batch.setdefault(self._keys[connection.id], ([], []))
            times.append(time)
            payloads.append(data)
            count += 1
            nbytes += len(data)
            if count >= GROUP_MESSAGES or nbytes >= GROUP_BYTES:
                yield from _collected(batch, collector)
                batch = {}
                count = nbytes = 0
        yield from _collected(batch, collector)
        yield from collector.rest()

    def _messages(self, connections: list[Any]) -> Iterator[tuple[Any, int, bytes]]:
        try:
            yield from self._reader.messages(connections)
        except Exception as error:  # rosbags reads on in no damaged file
            self.problems.append(f'the bag is damaged ({error}); what was read is kept')

    def close(self) -> None:
        self._reader.close()


def _collected(
    batch: dict[str, tuple[list[int], list[bytes]]], collector: Collector
) -> Iterator[MessageGroup]:
    for key, (times, payloads) in batch.items():
        yield from collector.add(key, np.array(times, np.int64), Payloads.join(payloads))
