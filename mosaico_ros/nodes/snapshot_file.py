"""A snapshot as one ``.mcap`` file that rosbag2 and Foxglove read as any recording.

Messages lie in the order of their time on the axis, latched state first: its log time is the
start of the window, so that who plays the file has it at once, its publish time the real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.durable import sync
from mosaico_ros.nodes.parcel import CAPTURED, payloads
from mosaico_ros.protocol.errors import NotFoundError
from mosaico_ros.ros_bridge.bags.mcap_writer import McapWriter
from mosaico_ros.ros_bridge.bags.metadata import rosbag2_information, yaml_text
from mosaico_ros.ros_bridge.cdr.decoder import Buffer
from mosaico_ros.ros_bridge.definitions import find_definition
from mosaico_ros.ros_bridge.provenance import SOURCE_NS

_SOURCE = CAPTURED.get_field_index(SOURCE_NS.name)
#: Messages handed to the file at once; the views of them are what costs memory.
_GROUP = 2000


@dataclass(frozen=True)
class SnapshotTopic:
    """One topic of a snapshot.

    Attributes
    ----------
    name, msgtype
        As in the graph.
    rows
        Captured rows inside the window, in order.
    latched
        Captured rows from before the window that were still in force when it began.
    details
        What the graph said of the publishers: `Capture.topic_details`.
    """

    name: str
    msgtype: str
    rows: Sequence[pa.RecordBatch] = ()
    latched: Sequence[pa.RecordBatch] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Messages in all."""
        return sum(rows.num_rows for rows in (*self.latched, *self.rows))


def write_snapshot(
    path: Path,
    name: str,
    topics: Sequence[SnapshotTopic],
    start_ns: int,
    records: Mapping[str, Mapping[str, str]],
    attachments: Mapping[str, bytes],
    distro: str | None = None,
) -> int:
    """Write a complete file and have it on the disk; return its size in bytes.

    Parameters
    ----------
    path
        File to write; one that exists is replaced.
    name
        What the file will be called in the end.
    topics
        What to write.
    start_ns
        Where latched messages go on the axis.
    records
        Metadata records by name.
    attachments
        JSON documents by file name.
    distro
        ROS distribution that made the messages, if known.

    Raises
    ------
    OSError
        The disk is full or gone; what is at the path is of no use then.
    """
    times, published, channels, messages = _gathered(topics, start_ns)
    order = np.argsort(times, kind='stable')
    with McapWriter(path) as file:
        definition_of = cache(_definition)
        ids = np.array(
            [
                file.add_ros_channel(
                    topic.name,
                    topic.msgtype,
                    definition_of(topic.msgtype),
                    offered_profiles(topic.details),
                    topic.details.get('type_hash', ''),
                )
                for topic in topics
            ],
            np.int64,
        )
        for start in range(0, len(order), _GROUP):
            chosen = order[start : start + _GROUP]
            file.write(
                ids[channels[chosen]],
                times[chosen],
                [messages[i] for i in chosen.tolist()],
                published[chosen],
            )
        for title, content in attachments.items():
            file.add_attachment(title, 'application/json', len(content), [content], start_ns)
        for title, values in records.items():
            file.add_metadata(title, dict(values))
        file.add_metadata(
            'rosbag2', {'serialized_metadata': _rosbag2(name, topics, times, distro)}
        )
    sync(path)
    return path.stat().st_size


def offered_profiles(details: Mapping[str, Any]) -> str:
    """Return the QoS profiles of a topic's publishers as the YAML that rosbag2 notes."""
    profiles = [
        {
            # Discovery tells neither, and rosbag2 says so in these words.
            'history': 'unknown',
            'depth': 0,
            'reliability': offer['reliability'],
            'durability': offer['durability'],
            'deadline': _duration(offer['deadline_ns']),
            'lifespan': _duration(offer['lifespan_ns']),
            'liveliness': offer['liveliness'],
            'liveliness_lease_duration': _duration(2**63 - 1),
            'avoid_ros_namespace_conventions': False,
        }
        for offer in details.get('offered_qos', ())
    ]
    return yaml_text(profiles) if profiles else ''


def _gathered(
    topics: Sequence[SnapshotTopic], start_ns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Buffer]]:
    times: list[np.ndarray] = [np.empty(0, np.int64)]
    published = list(times)
    channels = list(times)
    messages: list[Buffer] = []

    def gather(number: int, rows: pa.RecordBatch, stamps: np.ndarray) -> None:
        source = pc.coalesce(rows.column(_SOURCE), rows.column(0))
        published.append(source.to_numpy(zero_copy_only=False))
        times.append(stamps)
        channels.append(np.full(len(stamps), number))
        messages.extend(payloads(rows))

    for number, topic in enumerate(topics):
        # One nanosecond apart: rows of a topic keep their order wherever they are sorted.
        latched_at = start_ns
        for rows in topic.latched:
            gather(number, rows, latched_at + np.arange(len(rows)))
            latched_at += len(rows)
    for number, topic in enumerate(topics):
        for rows in topic.rows:
            gather(number, rows, rows.column(0).to_numpy())
    return np.concatenate(times), np.concatenate(published), np.concatenate(channels), messages


def _definition(msgtype: str) -> str | None:
    try:
        return find_definition(msgtype).text
    except NotFoundError:  # a package that leaves its .msg files behind
        return None


def _rosbag2(
    name: str, topics: Sequence[SnapshotTopic], times: np.ndarray, distro: str | None
) -> str:
    return yaml_text(
        rosbag2_information(
            'mcap',
            name,
            [
                (
                    topic.name,
                    topic.msgtype,
                    'cdr',
                    offered_profiles(topic.details),
                    topic.details.get('type_hash', ''),
                )
                for topic in topics
            ],
            [topic.count for topic in topics],
            int(times.min()) if len(times) else 0,
            int(times.max()) if len(times) else 0,
            distro,
        )
    )


def _duration(nanoseconds: int) -> dict[str, int]:
    return {'sec': nanoseconds // 10**9, 'nsec': nanoseconds % 10**9}
