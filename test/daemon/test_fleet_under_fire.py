"""Three daemons that are killed while eight writers fill, and delete from, one archive.

``MOSAICO_FIRE_SEED`` says which random choices are made, ``MOSAICO_THOROUGH`` makes it long.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import flight
from thoroughness import THOROUGH

from mosaico_ros import MosaicoClient
from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.catalog.tables import events
from mosaico_ros.daemon.routines import cleanup
from mosaico_ros.daemon.routines.by_hand import opened
from mosaico_ros.daemon.routines.check import check
from mosaico_ros.daemon.routines.rebuild import rebuild
from mosaico_ros.daemon.settings import Settings, variable
from mosaico_ros.models.data.base_types import Integer64
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.protocol.locators import SequenceLocator, TopicLocator
from mosaico_ros.protocol.ticket import Ticket

SECONDS = 600 if THOROUGH else 8
SEED = os.environ.get('MOSAICO_FIRE_SEED') or str(time.time_ns())
WRITERS, SHARED = 8, 'shared'
SCHEMA = pa.schema([pa.field('timestamp_ns', pa.int64(), nullable=False), ('data', pa.int64())])
FIRE = {
    'lease_seconds': '2',
    'max_chunk_age_seconds': '1',
    'max_chunk_size_in_bytes': '8192',
    'cleanup_time_interval': '1s',
    'cleanup_retention_duration': '2s',
    'optimizer_time_interval': '1s',
    'optimizer_max_chunk_size': '32768',
}
BROKEN = (pa.ArrowException, MosaicoError)
# Nothing of this kind may be the answer, whatever is killed.
ALARMING = ('deadlock', 'Internal error;')


@dataclass
class Written:
    """A topic, the number of its first row, and what its writer was told."""

    locator: TopicLocator
    first: int
    acknowledged: int = 0
    durable: int = 0


@dataclass
class Fleet:
    """The daemons, and what all writers know of each other."""

    daemons: list[Any]
    connect: Callable[[Any], Any]
    ends_at: float
    deleted: list[str] = field(default_factory=list)
    doomed: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    @property
    def on(self) -> bool:
        return time.monotonic() < self.ends_at

    def insist(self, rng: random.Random, call: Callable[[Any], Any]) -> Any:
        """Return what a call of any daemon returns; one of them answers in the end."""
        deadline = time.monotonic() + 60
        while True:
            try:
                with closing(self.connect(rng.choice(self.daemons))) as remote:
                    return call(remote)
            except pa.ArrowKeyError:  # does not exist
                raise
            except pa.ArrowException as error:
                if time.monotonic() > deadline:
                    raise
                self.refusals.append(str(error))
                time.sleep(0.1)


class Writer:
    """Writes numbered rows, each exactly once: it goes on behind the last durable one."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self.fleet = fleet
        self.rng = random.Random(f'{SEED} {number}')
        self.number = number
        self.topics: list[Written] = []
        self.next_row = 0

    def run(self) -> None:
        tries = 0
        while self.fleet.on:
            tries += 1
            own = f'w{self.number}_{tries // 5}'
            # In turn: each kind occurs, however slow the machine is.
            kinds = [own, SHARED, own, f'doomed_{own}_{tries}']
            sequence = kinds[(self.number + tries) % len(kinds)]
            doomed = sequence.startswith('doomed')
            written = Written(
                TopicLocator(sequence, f'w{self.number}/t{tries}'), 0 if doomed else self.next_row
            )
            self.fleet.insist(self.rng, partial(self._sequence, name=sequence))
            write = self._by_flight if self.number % 4 else self._by_sdk
            try:
                write(written)
            except BROKEN as error:
                self.fleet.refusals.append(str(error))
            if doomed:
                continue
            written.durable = self._settled(written)
            assert written.durable >= written.acknowledged
            if not written.durable:
                continue
            self.next_row += written.durable
            self.topics.append(written)
            again = self.rng.choice(self.topics)
            read = partial(get, locator=again.locator)
            assert_whole(self.fleet.insist(self.rng, read), again)

    def _batches(self, first: int) -> Any:
        """Yield rows whose times overlap those of the batches beside them."""
        for _ in range(self.rng.randrange(1, 20)):
            count = self.rng.randrange(1, 400)
            numbers = np.arange(first, first + count)
            yield pa.record_batch([numbers ^ 128, numbers], schema=SCHEMA)
            first += count
            time.sleep(self.rng.uniform(0, 0.1))

    def _sequence(self, remote: Any, name: str) -> None:
        try:
            remote.act('sequence_create', locator=name, user_metadata={})
        except pa.ArrowException as error:
            if 'already exists' not in str(error):
                raise
        if name.startswith('doomed'):
            self.fleet.doomed.append(name)

    def _by_flight(self, written: Written) -> None:
        with closing(self.fleet.connect(self.rng.choice(self.fleet.daemons))) as remote:
            self._upload(remote, written)

    def _upload(self, remote: Any, written: Written) -> None:
        session = remote.act('session_create', locator=written.locator.sequence)
        remote.sequence = written.locator.sequence
        command = json.loads(remote.topic(written.locator.path, session).command)
        descriptor = flight.FlightDescriptor.for_command(json.dumps(command | {'acks': True}))
        writer, acks = remote.client.do_put(descriptor, SCHEMA)
        listener = threading.Thread(target=listen, args=(acks, written), daemon=True)
        listener.start()
        try:
            sent = 0
            for batch in self._batches(written.first):
                mark = b'{"commit": true}' if self.rng.random() < 0.5 else b'{}'
                writer.write_with_metadata(batch, mark)
                sent += batch.num_rows
            writer.write_metadata(json.dumps({'end': True, 'rows': sent}).encode())
            writer.done_writing()
            listener.join()
        finally:
            writer.close()
            listener.join()
        written.acknowledged = sent
        self.fleet.insist(
            self.rng, lambda other: other.act('session_finalize', session_uuid=session['uuid'])
        )

    def _by_sdk(self, written: Written) -> None:
        daemon = self.rng.choice(self.fleet.daemons)
        with MosaicoClient.connect(daemon.host, daemon.port) as client:
            topic = None
            try:
                with client.sequence_update(written.locator.sequence) as session:
                    topic = session.topic_create(written.locator.path, {}, Integer64)
                    for batch in self._batches(written.first):
                        topic.push_batch(pa.table(batch.columns, schema=topic.schema))
                        if self.rng.random() < 0.3:
                            topic.commit(wait=True, timeout=60)
                            written.acknowledged = topic.rows_pushed
                written.acknowledged = topic.rows_pushed
            finally:
                if topic is not None:
                    written.acknowledged = max(written.acknowledged, topic.durable_rows)

    def _settled(self, written: Written) -> int:
        """Return how many rows are durable once that cannot change any more."""

        def settle(remote: Any) -> int | None:
            try:
                (endpoint,) = info(remote, written.locator).endpoints
            except pa.ArrowKeyError:
                return 0  # its creation failed
            said = json.loads(endpoint.app_metadata)
            notes = remote.act('topic_notification_list', locator=str(written.locator))
            sealed = said['locked'] or 'rows are durable' in str(notes)
            try:
                rows = get(remote, written.locator).num_rows
            except pa.ArrowInvalid as error:  # its upload never began, or has not ended
                if 'its state is created' not in str(error):
                    return None
                # It may still be on its way inside a slow daemon: now it has nowhere to go.
                remote.act('topic_delete', locator=str(written.locator))
                return 0
            return rows if sealed else None

        deadline = time.monotonic() + 60
        while (rows := self.fleet.insist(self.rng, settle)) is None:
            assert time.monotonic() < deadline, f'{written} is not sealed'
            time.sleep(0.1)
        return rows


def listen(acks: Any, written: Written) -> None:
    """Note what is acknowledged until the stream ends; its status is the writer's business."""
    try:
        while (ack := acks.read()) is not None:
            written.acknowledged = json.loads(ack.to_pybytes())['durable_rows']
    except (pa.ArrowException, OSError):
        pass


def info(remote: Any, locator: TopicLocator) -> flight.FlightInfo:
    command = json.dumps({'resource_locator': str(locator)})
    return remote.client.get_flight_info(flight.FlightDescriptor.for_command(command))


def delete(remote: Any, name: str) -> None:
    remote.act('sequence_delete', locator=name)


def get(remote: Any, locator: TopicLocator) -> pa.Table:
    (endpoint,) = info(remote, locator).endpoints
    return remote.client.do_get(endpoint.ticket).read_all()


def assert_whole(table: pa.Table, written: Written) -> None:
    """Every row of a topic is there, once, and in the order of time."""
    assert table.num_rows == written.durable, written
    if written.durable:
        numbers = np.arange(written.first, written.first + written.durable)
        times = np.sort(numbers ^ 128)
        assert np.array_equal(table['timestamp_ns'].to_numpy(), times), written
        assert np.array_equal(table['data'].to_numpy(), times ^ 128), written


def delete_some(fleet: Fleet) -> None:
    rng = random.Random(f'{SEED} deletions')
    while fleet.on or fleet.doomed:
        time.sleep(rng.uniform(0, 0.3))
        if fleet.doomed:
            name = fleet.doomed.pop(rng.randrange(len(fleet.doomed)))
            with suppress(pa.ArrowKeyError):  # deleted by an attempt whose answer was lost
                fleet.insist(rng, partial(delete, name=name))
            fleet.deleted.append(name)


def kill_some(fleet: Fleet) -> list[int]:
    """Kill one daemon again and again, and once all; return how many died each time."""
    rng = random.Random(f'{SEED} kills')
    kills: list[int] = []
    while fleet.on or len(kills) < 3:
        time.sleep(rng.uniform(0.5, 3))
        victims = fleet.daemons if len(kills) % 10 == 2 else [rng.choice(fleet.daemons)]
        for daemon in victims:
            daemon.kill()
        kills.append(len(victims))
        time.sleep(rng.uniform(0, 1))
        for daemon in victims:
            daemon.start()
    return kills


def assert_archive(settings: Settings, writers: list[Writer], deleted: list[str]) -> None:
    archive = Archive(settings)
    archive.start()
    try:
        kept = {sequence.name for sequence in archive.list_sequences()}
        assert kept.isdisjoint(deleted)
        assert {t.locator.sequence for w in writers for t in w.topics if t.durable} <= kept
        for writer in writers:
            row = 0
            for written in writer.topics:
                assert written.first == row
                row += written.durable
                if written.durable:
                    topic_id = archive.describe_topic(written.locator).topic_id
                    topic, batches = archive.read(Ticket(written.locator, topic_id))
                    assert_whole(pa.Table.from_batches(list(batches), topic.schema), written)
            described = [archive.describe_sequence(SequenceLocator(name)) for name in kept]
            mine = f'w{writer.number}/'
            stored = sum(
                t.rows for d in described for t in d.topics if t.locator.path.startswith(mine)
            )
            assert stored == row
    finally:
        archive.close()


def test_nothing_is_lost_or_doubled(
    make_daemon, remote_storage, connect, postgres, monkeypatch, tmp_path: Path
):
    environment = {variable(name): value for name, value in (remote_storage | FIRE).items()}
    daemons = [make_daemon(**environment) for _ in range(3)]
    fleet = Fleet(daemons, connect, time.monotonic() + SECONDS)
    writers = [Writer(fleet, number) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS + 2) as pool:
        jobs = [pool.submit(writer.run) for writer in writers]
        deleting, killing = pool.submit(delete_some, fleet), pool.submit(kill_some, fleet)
        for job in [*jobs, deleting, killing]:
            job.result()
    for daemon in daemons:
        assert daemon.stop() == 0
    rows = sum(writer.next_row for writer in writers)
    topics = [written for writer in writers for written in writer.topics]
    acknowledged = sum(written.acknowledged for written in topics)
    print(f'seed {SEED}: killed {killing.result()}, {rows} rows, {acknowledged} acknowledged')
    unexpected = [text for text in fleet.refusals if any(word in text for word in ALARMING)]
    assert not unexpected
    assert len(killing.result()) >= 3
    assert fleet.deleted

    settings = Settings(data_dir=tmp_path / 'after', optimizer_time_interval=0, **remote_storage)
    monkeypatch.setattr(cleanup, '_YOUNG_NS', 0)
    assert_archive(settings, writers, fleet.deleted)
    with opened(settings) as archive:
        with archive.database.write() as connection:
            connection.execute(events.delete())  # nobody reads replaced chunks any more
        for _ in range(2):  # marks, removes
            cleanup.Cleanup(
                archive.database, archive.store, archive.instance_id, 0, 1, threading.Event()
            ).run()
    report = check(settings, lambda done, total: None, deep=True)
    assert not report.differences
    assert not report.waiting
    lost = replace(settings, db_url=postgres())
    restored = rebuild(lost, lambda done, total: None)
    assert not restored.faults
    assert_archive(lost, writers, fleet.deleted)
