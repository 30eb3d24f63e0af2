"""Recordings written: rosbag2 folders with MCAP or SQLite storage, ROS 1 ``.bag`` files.

What is under way has another name: a recording is there whole or not at all.
"""

from __future__ import annotations

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from typing_extensions import Self

from mosaico_ros.protocol.errors import AlreadyExistsError, InvalidArgumentError
from mosaico_ros.ros_bridge.bags.extras import Extras
from mosaico_ros.ros_bridge.bags.mcap_writer import McapWriter
from mosaico_ros.ros_bridge.bags.metadata import (
    is_latched,
    parse_qos,
    rosbag2_information,
    yaml_text,
)
from mosaico_ros.ros_bridge.cdr.decoder import Buffer
from mosaico_ros.ros_bridge.channels.codec import Channel
from mosaico_ros.ros_bridge.definitions import Definition

#: ROS 1 has 32 bits for the seconds of a time, without a sign.
_ROS1_END_NS = 2**32 * 10**9


class BagFormat(str, Enum):
    """Kinds of recordings that can be written."""

    MCAP = 'mcap'
    SQLITE3 = 'sqlite3'
    ROS1 = 'ros1'


@dataclass(frozen=True)
class WrittenTopic:
    """A topic of a recording.

    Attributes
    ----------
    name : str
        As the recording has it.
    kind : Definition or Channel
        Its message type; or what its messages are, if they are not ROS messages.
    qos : str
        Offered QoS profiles as YAML; empty if unknown.
    """

    name: str
    kind: Definition | Channel
    qos: str = ''

    @property
    def msgtype(self) -> str:
        """Name of the message type."""
        return self.kind.schema_name if isinstance(self.kind, Channel) else self.kind.msgtype

    @property
    def definition(self) -> Definition:
        """The message type; channels that are not ROS only go into MCAP files."""
        assert isinstance(self.kind, Definition)
        return self.kind

    @property
    def type_hash(self) -> str:
        """REP-2016 hash; none for types with a ``char``, which readers hash in different ways."""
        if isinstance(self.kind, Channel):
            return ''
        descriptions = (fields for _, fields in self.definition.types.values())
        if any("'char'" in repr(fields) for fields in descriptions):
            return ''
        return self.definition.type_hash or ''


class BagWriter(ABC):
    """A recording that is being written; complete with the exit of its ``with`` block.

    Parameters
    ----------
    path
        Folder, or file for ROS 1.
    topics
        All topics that it will hold, their definitions of the format's ROS version.
    distro
        ROS distribution that made the messages, if known.
    extras
        What else to write; only MCAP files take all of it, ROS 1 bags nothing.

    Raises
    ------
    AlreadyExistsError
        If something is at the path.
    """

    def __init__(
        self,
        path: Path,
        topics: Sequence[WrittenTopic],
        distro: str | None = None,
        extras: Extras | None = None,
    ) -> None:
        if path.exists():
            raise AlreadyExistsError(
                f'{path} is there already', remedy='Remove it, or overwrite it explicitly.'
            )
        self.path = path
        self.topics = list(topics)
        self.distro = distro
        self.extras = extras or Extras()
        self.partial = path.with_name(f'.{path.name}.partial')
        self._remove_partial()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.counts = np.zeros(len(self.topics), np.int64)
        self.first, self.last = 2**63 - 1, -(2**63)

    def write(
        self,
        topics: np.ndarray,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[Buffer],
    ) -> None:
        """Append messages in the order given.

        Parameters
        ----------
        topics
            Place of each message's topic in the list given, shape (n,).
        times, published
            Record times, and those of publication, for which only MCAP has a place; shape (n,),
            int64, in ns.
        payloads
            The messages, n of them.
        """
        if not len(times):
            return
        self._append(topics, times, published, payloads)
        self.counts += np.bincount(topics, minlength=len(self.topics))
        self.first = min(self.first, int(times.min()))
        self.last = max(self.last, int(times.max()))

    @abstractmethod
    def _append(
        self,
        topics: np.ndarray,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[Buffer],
    ) -> None: ...

    @abstractmethod
    def _finish(self) -> None:
        """Complete what is at `partial`."""

    @abstractmethod
    def _abandon(self) -> None:
        """Close what is at `partial`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
                self.partial.rename(self.path)
        finally:
            if self.partial.exists():
                with suppress(Exception):
                    self._abandon()
                self._remove_partial()

    def _remove_partial(self) -> None:
        if self.partial.is_dir():
            shutil.rmtree(self.partial)
        else:
            self.partial.unlink(missing_ok=True)

    def _information(self, storage: str, file: str) -> dict[str, Any]:
        return rosbag2_information(
            storage,
            file,
            [
                (
                    t.name,
                    t.msgtype,
                    t.kind.encoding if isinstance(t.kind, Channel) else 'cdr',
                    t.qos,
                    t.type_hash,
                )
                for t in self.topics
            ],
            self.counts.tolist(),
            self.first if self.counts.any() else 0,
            self.last if self.counts.any() else 0,
            self.distro,
            self.extras.custom_data,
        )

    def _write_metadata(self, information: dict[str, Any]) -> None:
        text = yaml_text({'rosbag2_bagfile_information': information})
        (self.partial / 'metadata.yaml').write_text(text, encoding='utf-8')


class McapBagWriter(BagWriter):
    """A rosbag2 folder with one ``.mcap`` file."""

    def __init__(self, path: Path, topics: Sequence[WrittenTopic], *about: Any) -> None:
        super().__init__(path, topics, *about)
        self.partial.mkdir()
        self._name = f'{path.name}_0.mcap'
        self._file = McapWriter(self.partial / self._name)
        self._channels = np.array([self._channel(topic) for topic in self.topics], np.int64)

    def _append(
        self,
        topics: np.ndarray,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[Buffer],
    ) -> None:
        self._file.write(self._channels[topics], times, payloads, published)

    def _finish(self) -> None:
        for name, values in self.extras.metadata:
            self._file.add_metadata(name, values)
        for file in self.extras.attachments:
            self._file.add_attachment(
                file.name,
                file.media_type,
                file.size,
                file.pieces,
                file.log_time,
                file.create_time,
            )
        information = self._information('mcap', self._name)
        self._file.add_metadata('rosbag2', {'serialized_metadata': yaml_text(information)})
        self._file.close()
        self._write_metadata(information)

    def _abandon(self) -> None:
        self._file.close()

    def _channel(self, topic: WrittenTopic) -> int:
        kind = topic.kind
        if isinstance(kind, Channel):
            schema = (kind.schema_name, kind.schema_encoding, kind.schema_def)
            return self._file.add_channel(
                topic.name, kind.encoding, schema if any(schema) else None, kind.metadata
            )
        return self._file.add_ros_channel(
            topic.name, kind.msgtype, kind.text, topic.qos, topic.type_hash
        )


class SqliteBagWriter(BagWriter):
    """A rosbag2 folder with one ``.db3`` file."""

    def __init__(self, path: Path, topics: Sequence[WrittenTopic], *about: Any) -> None:
        super().__init__(path, topics, *about)
        from rosbags.rosbag2 import StoragePlugin, Writer

        self._writer = Writer(self.partial, version=9, storage_plugin=StoragePlugin.SQLITE3)
        self._writer.open()
        self._connections = [
            self._writer.add_connection(
                topic.name,
                topic.definition.msgtype,
                msgdef=topic.definition.text,
                rihs01=topic.type_hash or 'unknown',
                offered_qos_profiles=parse_qos(topic.qos),
            )
            for topic in topics
        ]

    def _append(
        self,
        topics: np.ndarray,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[Buffer],
    ) -> None:
        with _as_file_errors():
            for topic, time, raw in zip(topics.tolist(), times.tolist(), payloads, strict=True):
                self._writer.write(self._connections[topic], time, raw)

    def _finish(self) -> None:
        with _as_file_errors():
            self._writer.close()
        name = f'{self.path.name}_0.db3'
        (file,) = self.partial.glob('*.db3')
        file.rename(self.partial / name)
        self._write_metadata(self._information('sqlite3', name))

    def _abandon(self) -> None:
        self._writer.close()


@contextmanager
def _as_file_errors() -> Iterator[None]:
    """What a database tells of its file, such as a full disk, told as files do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error


class Ros1BagWriter(BagWriter):
    """A ROS 1 ``.bag`` file."""

    def __init__(self, path: Path, topics: Sequence[WrittenTopic], *about: Any) -> None:
        super().__init__(path, topics, *about)
        from rosbags.rosbag1 import Writer

        self._writer = Writer(self.partial)
        self._writer.open()
        self._connections = [
            self._writer.add_connection(
                topic.name,
                topic.definition.msgtype,
                msgdef=topic.definition.text,
                md5sum=topic.definition.md5,
                latching=int(is_latched(topic.qos)) or None,
            )
            for topic in topics
        ]

    def _append(
        self,
        topics: np.ndarray,
        times: np.ndarray,
        published: np.ndarray,
        payloads: Sequence[Buffer],
    ) -> None:
        for topic, time, payload in zip(topics.tolist(), times.tolist(), payloads, strict=True):
            if not 0 <= time < _ROS1_END_NS:
                raise InvalidArgumentError(
                    f'{self.topics[topic].name} has a message of {time} ns, and a ROS 1 bag holds '
                    'times from 1970 to 2106',
                    remedy='export it as mcap, or a part of it by --start and --end',
                )
            self._writer.write(self._connections[topic], time, bytes(payload))

    def _finish(self) -> None:
        self._writer.close()

    def _abandon(self) -> None:
        self._writer.close()


_WRITERS: dict[BagFormat, type[BagWriter]] = {
    BagFormat.MCAP: McapBagWriter,
    BagFormat.SQLITE3: SqliteBagWriter,
    BagFormat.ROS1: Ros1BagWriter,
}


def bag_writer(
    form: BagFormat,
    path: Path,
    topics: Sequence[WrittenTopic],
    distro: str | None = None,
    extras: Extras | None = None,
) -> BagWriter:
    """Begin a recording; see `BagWriter`."""
    return _WRITERS[form](path, topics, distro, extras)
