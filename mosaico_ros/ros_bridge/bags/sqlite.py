"""rosbag2's SQLite files (``.db3``)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.bags.metadata import parse_metadata
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

MAGIC = b'SQLite format 3\0'
_UNFINISHED = (
    'its recording was not finished: copy it and the journal beside it into a folder that can be '
    'written'
)


class SqliteBag(Bag):
    """One ``.db3`` file.

    Raises
    ------
    InvalidArgumentError
        If it is not a database, or not one of rosbag2's.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._keys: dict[int, str] = {}
        # Unless a journal beside it says that it was not finished, nothing has to be written, not
        # even the locks of a database in write-ahead mode: its folder may be read-only.
        journals = [path.with_name(f'{path.name}-{kind}') for kind in ('wal', 'journal')]
        unfinished = any(journal.is_file() and journal.stat().st_size for journal in journals)
        mode = 'mode=ro' if unfinished else 'mode=ro&immutable=1'
        uri = f'file:{quote(str(path.absolute()))}?{mode}'
        # The injector opens in one thread and reads in another; never two at a time.
        self._database = sqlite3.connect(uri, uri=True, check_same_thread=False)
        try:
            self._read_topics()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._database.close()
            raise InvalidArgumentError(
                f'{path} is not a rosbag2 database ({error})',
                remedy=_UNFINISHED if unfinished else '',
            ) from error

    def groups(self, wanted: Callable[[BagTopic], bool]) -> Iterator[MessageGroup]:
        keys = [number for number, key in self._keys.items() if wanted(self.topics[key])]
        collector = Collector()
        batch: dict[int, tuple[list[int], list[bytes]]] = {key: ([], []) for key in keys}
        count = nbytes = 0
        for key, time, data in self._messages(keys):
            times, payloads = batch[key]
            times.append(time)
            payloads.append(data)
            count += 1
            nbytes += len(data)
            if count >= GROUP_MESSAGES or nbytes >= GROUP_BYTES:
                yield from self._collected(batch, collector)
                batch = {key: ([], []) for key in keys}
                count = nbytes = 0
        yield from self._collected(batch, collector)
        yield from collector.rest()

    def _messages(self, keys: list[int]) -> Iterator[tuple[int, int, bytes]]:
        marks = ','.join('?' * len(keys))
        # Row order is recording order, and the only one that reads the file front to back. The
        # columns of a damaged file may hold anything.
        query = (
            f'SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) '
            "AND typeof(timestamp) = 'integer' AND typeof(data) = 'blob' ORDER BY id"
        )
        try:
            yield from self._database.execute(query, keys)
        except sqlite3.DatabaseError as error:
            self.problems.append(f'the database is damaged ({error}); what was read is kept')

    def close(self) -> None:
        self._database.close()

    def _collected(
        self, batch: dict[int, tuple[list[int], list[bytes]]], collector: Collector
    ) -> Iterator[MessageGroup]:
        for key, (times, payloads) in batch.items():
            if payloads:
                stamps, topic = np.array(times, np.int64), self.topics[self._keys[key]]
                yield from self._collect(collector, topic, stamps, Payloads.join(payloads))

    def _read_topics(self) -> None:
        database = self._database
        tables = {name for (name,) in database.execute('SELECT name FROM sqlite_master')}
        columns = {row[1] for row in database.execute('PRAGMA table_info(topics)')}
        definitions = {}
        if 'message_definitions' in tables:
            definitions = dict(
                database.execute(
                    'SELECT topic_type, encoded_message_definition FROM message_definitions'
                )
            )
        counts = dict(
            database.execute('SELECT topic_id, COUNT(*) FROM messages GROUP BY topic_id')
        )
        qos = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
        for key, name, msgtype, encoding, profiles in database.execute(
            f'SELECT id, name, type, serialization_format, {qos} FROM topics'
        ):
            if encoding != 'cdr':
                self.problems.append(f'{name}: skipped, messages are encoded as {encoding!r}')
                continue
            try:
                topic = BagTopic(
                    name,
                    full_name(msgtype),
                    definitions.get(msgtype) or None,
                    count=counts.get(key, 0),
                    qos=profiles or None,
                )
            except InvalidArgumentError as error:
                self.problems.append(f'{name}: skipped, {error}')
                continue
            self._keys[key] = self._add(topic).key
        if 'metadata' in tables:
            for (text,) in database.execute('SELECT metadata FROM metadata ORDER BY id DESC'):
                described = parse_metadata(text)
                if described is not None:
                    self.distro = described.distro
                    self.extras.custom_data = described.custom_data
                break
