"""From the spool into the archive over a line that fails: each message once, in order."""

from __future__ import annotations

import importlib.util
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaico_ros import MosaicoClient
from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.delivery import Delivery
from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.nodes.spool import Recording, Spool, SpooledTopic
from mosaico_ros.nodes.spool_log import Share
from mosaico_ros.protocol.errors import UnavailableError
from mosaico_ros.protocol.server_info import EXTENSION_ANNOTATE, EXTENSION_SEAL

FAULTS = Path(__file__).parents[1] / 'client' / 'faults' / 'conftest.py'
STRING, UNKNOWN = 'std_msgs/msg/String', 'nobody_msgs/msg/Knows'


@pytest.fixture
def line(daemon: Any) -> Iterator[Any]:
    """A line to the daemon that can be cut, or lose what the daemon answers."""
    spec = importlib.util.spec_from_file_location('faults', FAULTS)
    assert spec is not None
    assert spec.loader is not None
    faults = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(faults)
    made = faults.Line(daemon.port)
    yield made
    made.close()


def cdr(text: str) -> bytes:
    data = text.encode() + b'\0'
    return b'\0\1\0\0' + len(data).to_bytes(4, 'little') + data


def batch(first: int, payloads: list[bytes], *, latched: bool | None = None) -> pa.RecordBatch:
    count = len(payloads)
    stamps = pa.array(np.arange(first + 1, first + count + 1))
    columns = {each.name: pa.nulls(count, each.type) for each in CAPTURED}
    columns |= {
        'timestamp_ns': stamps,
        'payload': pa.array(payloads, CAPTURED.field('payload').type),
        'ros_latched': pa.array([latched] * count, pa.bool_()),
    }
    if latched is not None:
        columns['ros_publisher'] = pa.array([b'the one'] * count)
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=CAPTURED)


@dataclass
class Robot:
    """Messages into a spool and from there, by a delivery, into the archive."""

    spool: Spool
    connect: Callable[[], MosaicoClient]
    options: dict[str, Any] = field(default_factory=dict)
    accounts: dict[int, TopicAccount] = field(default_factory=dict)
    expected: dict[int, list[str]] = field(default_factory=dict)
    bad: dict[int, int] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    released: int = 0
    maps: TopicAccount = field(default_factory=lambda: TopicAccount('/map', STRING))
    drawn: int = 0

    def draw_map(self) -> None:
        """Append a message that is latched, topic 9."""
        self.drawn += 1
        if self.maps.spooled == 0:
            self.spool.add_topic(SpooledTopic(9, '/map', STRING, {}))
        rows = batch(self.drawn, [cdr(f'map {self.drawn}')], latched=False)
        self.spool.log.append(rows, [Share(9, self.maps.spooled, 1, 20)])
        self.maps.spooled += 1

    def check_maps(self, client: MosaicoClient, delivery: Delivery) -> None:
        """Each map is there once, and each part begins with the last one before it."""
        client.clear_sequence_handlers_cache()
        client.clear_topic_handlers_cache()
        recording = client.recording_handler(delivery.recording_name)
        topic = recording.get_topic_handler('/map')
        texts = [message.data.data for message in topic.get_data_streamer()]
        assert texts == [f'map {number}' for number in range(1, self.drawn + 1)]
        last, stored = '', 0
        for part in delivery.parts:
            handler = client.topic_handler(part, '/map')
            if handler is None:
                assert not last, f'{part} lacks the map'
                continue
            with handler.get_data_streamer(sidecars=True) as streamer:
                table = streamer.to_arrow()
            stored += table.num_rows
            texts = [text.removesuffix('.') for text in table.column('data').to_pylist()]
            if last:
                assert texts[0] == last
                assert table.column('ros_latched')[0].as_py()
            assert len(set(texts)) == len(texts)
            last = texts[-1]
        report = self.maps.report()
        assert (report.stored, report.waiting) == (stored, 0)
        assert stored == self.drawn + report.repeated

    def add(self, number: int, name: str, kind: str = STRING) -> None:
        self.accounts[number] = TopicAccount(name, kind)
        self.expected[number], self.bad[number] = [], 0
        self.spool.add_topic(SpooledTopic(number, name, kind, {}))

    def say(self, number: int, count: int = 1, *, malformed: int = 0, size: int = 0) -> None:
        """Append so many messages; some more do not fit their type."""
        rows, share = self._said(number, count, malformed, size)
        self.spool.log.append(rows, [share])

    def say_together(self, count: int, *, malformed: int = 0) -> None:
        """Append so many messages of every topic as one record."""
        batches, shares = zip(
            *(self._said(number, count, malformed, 0) for number in self.expected), strict=True
        )
        self.spool.log.append(pa.concat_batches(batches), shares)

    def _said(
        self, number: int, count: int, malformed: int, size: int
    ) -> tuple[pa.RecordBatch, Share]:
        account = self.accounts[number]
        payloads = []
        for index in range(count + malformed):
            if index < malformed:
                payloads.append(b'\0\1\0\0\xff\xff\xff\x7f')
                self.bad[number] += 1
            else:
                text = f'{number} {len(self.expected[number])}'.ljust(size)
                payloads.append(cdr(text))
                self.expected[number].append(text)
        weight = sum(map(len, payloads))
        share = Share(number, account.spooled, len(payloads), weight)
        rows = batch(account.spooled, payloads)
        account.spooled += len(payloads)
        return rows, share

    def start(self, *, growing: bool = True, patience: float | None = None) -> Delivery:
        delivery = Delivery(
            self.spool,
            self.connect,
            account=lambda topic: (
                self.maps if topic.name == '/map' else self.accounts[topic.number]
            ),
            released=self._release,
            event=lambda text, warning=False: self.events.append(text),
            growing=growing,
            **{'batch_rows': 50, 'batch_size': 100_000, 'commit_period': 0.02, **self.options},
        )
        if patience is not None:
            delivery.finish(patience)
        delivery.start()
        return delivery

    def _release(self, size: int) -> None:
        self.released += size

    def check(self, client: MosaicoClient, delivery: Delivery) -> None:
        """Everything is in the archive once, in order, and in the account."""
        assert delivery.failure is None
        assert delivery.delivered
        for number, account in self.accounts.items():
            found: list[str] = []
            for part in delivery.parts:
                topic = client.topic_handler(part, account.name)
                if topic is not None:
                    streamer = topic.get_data_streamer()
                    found += [message.data.data for message in streamer]
            assert len(found) == len(self.expected[number])
            assert found == self.expected[number]
            report = account.report()
            assert report.stored == len(self.expected[number])
            assert (report.malformed, report.waiting) == (self.bad[number], 0)


def connector(
    end: Any, *without: str, away: threading.Event | None = None
) -> Callable[[], MosaicoClient]:
    def connect() -> MosaicoClient:
        if away is not None and away.is_set():
            raise UnavailableError('nobody is there')
        client = MosaicoClient.connect(
            '127.0.0.1', end.port, 0.2, call_timeout=5, silence_timeout=2
        )
        server = client._connection.server
        assert server is not None
        offered = [each for each in server.extensions if each not in without]
        client._connection.server = replace(server, extensions=offered)
        return client

    return connect


@pytest.fixture
def make_robot(tmp_path: Path) -> Callable[..., Robot]:
    def make(name: str, connect: Callable[[], MosaicoClient], **limits: int) -> Robot:
        # Names are unique among the tests that share a daemon.
        name = f'{name}_{tmp_path.name.replace("[", "").replace("]", "")}'
        spool = Spool.create(tmp_path, Recording.new(name, {}, 'here'), **limits)
        robot = Robot(spool, connect)
        robot.add(0, '/talk')
        return robot

    return make


def durable(client: MosaicoClient, sequence: str, topic: str) -> int:
    client.clear_topic_handlers_cache()
    handler = client.topic_handler(sequence, topic)
    return (handler.message_count or 0) if handler is not None else 0


@pytest.mark.parametrize(
    'without', [(), (EXTENSION_SEAL, EXTENSION_ANNOTATE)], ids=['seal', 'wait']
)
def test_rows_whose_acknowledgement_was_lost_are_not_sent_again(
    daemon: Any, line: Any, make_robot: Any, wait_for: Any, without: tuple[str, ...]
) -> None:
    robot = make_robot('acks', connector(line, *without))
    robot.options['commit_period'] = 0.7
    delivery = robot.start()
    robot.say(0, 20, malformed=3)
    account = robot.accounts[0]
    wait_for(lambda: account.stored == 20, 'the first acknowledgement')
    # Enough to be sent at once; the daemon is asked to make them durable a little later.
    robot.say(0, 30, malformed=2)
    robot.say(0, 30)
    wait_for(lambda: account.sent == 80, 'rows on their way')
    line.lose_answers()
    robot.say(0, 9)
    name = delivery.recording_name
    with daemon.client() as client:
        wait_for(lambda: durable(client, name, '/talk') >= 80, 'rows nobody heard of')
        line.cut()
        line.revive()
        robot.say(0, 5, malformed=1)
        wait_for(lambda: account.stored == 94, 'everything')
        delivery.finish(20)
        delivery.join(30)
        robot.check(client, delivery)
        assert delivery.parts == [name, f'{name}_0002']
        first, second = (durable(client, part, '/talk') for part in delivery.parts)
        assert first >= 80
        assert first + second == 94


@pytest.mark.parametrize('seed', range(3))
def test_a_line_that_breaks_all_the_time(
    daemon: Any, line: Any, make_robot: Any, wait_for: Any, seed: int
) -> None:
    dice = random.Random(seed)
    robot = make_robot(
        f'breaks{seed}',
        connector(line),
        segment_bytes=4000,
        memory_bytes=dice.choice([0, 3000, 1 << 30]),
    )
    robot.add(1, '/other')
    delivery = robot.start()
    for _ in range(6):
        for _ in range(dice.randrange(1, 15)):
            if dice.random() < 0.2:
                robot.draw_map()
            count, malformed = dice.randrange(1, 20), dice.choice([0, 0, 0, 2])
            if dice.random() < 0.5:
                robot.say_together(count, malformed=malformed)
            else:
                robot.say(dice.randrange(2), count, malformed=malformed)
            time.sleep(dice.uniform(0, 0.02))
        if dice.random() < 0.3:
            line.lose_answers()
            time.sleep(dice.uniform(0, 0.1))
        line.cut()
        line.revive()
        if dice.random() < 0.3:
            robot.spool.log.mark_split(delivery._next_split + 1)
    wait_for(
        lambda: all(
            account.report().waiting == 0 for account in (*robot.accounts.values(), robot.maps)
        ),
        'everything',
    )
    delivery.finish(20)
    delivery.join(30)
    with daemon.client() as client:
        robot.check(client, delivery)
        if robot.drawn:
            robot.check_maps(client, delivery)
    assert robot.spool.log._retained == 0


def test_a_part_after_an_outage_begins_with_what_is_latched(
    daemon: Any, line: Any, make_robot: Any, wait_for: Any
) -> None:
    away = threading.Event()
    robot = make_robot('latched', connector(line, away=away), segment_bytes=2000)
    talk = robot.accounts[0]
    delivery = robot.start()
    robot.draw_map()
    for outage in range(4):
        said = len(robot.expected[0])
        for _ in range(10):  # the file that holds the map is gone by the time of the outage
            robot.say(0, 10)
        wait_for(lambda said=said: talk.stored == said + 100, 'rows before the outage')
        wait_for(lambda: robot.maps.report().waiting == 0, 'the map')
        away.set()
        line.cut()
        if outage == 1:
            robot.draw_map()
        robot.say(0, 10)
        wait_for(lambda: not delivery.connected, 'notice of the outage')
        away.clear()
        wait_for(lambda said=said: talk.stored == said + 110, 'rows after the outage')
        wait_for(lambda: robot.maps.report().waiting == 0, 'the map')
    delivery.finish(20)
    delivery.join(30)
    with daemon.client() as client:
        robot.check(client, delivery)
        robot.check_maps(client, delivery)
        assert len(delivery.parts) == 5
    assert robot.maps.report().repeated == 4


@pytest.mark.parametrize('connected', [True, False])
def test_what_a_dead_recorder_left_begins_with_what_is_latched(
    daemon: Any, line: Any, make_robot: Any, wait_for: Any, connected: bool
) -> None:
    """The map is gone from the log of the one, and its rows are acknowledged to the other."""
    away = threading.Event()
    segment_bytes = 2000 if connected else 64_000_000
    robot = make_robot('dead', connector(line, away=away), segment_bytes=segment_bytes)
    talk = robot.accounts[0]
    first = robot.start()
    robot.draw_map()
    for _ in range(10):
        robot.say(0, 10)
    wait_for(lambda: talk.stored == 100 and robot.maps.stored == 1, 'rows before the outage')
    if connected:
        wait_for(lambda: robot.spool.log.size < 4000, 'files to go')
    away.set()
    line.cut()
    robot.say(0, 10)
    wait_for(lambda: not first.connected, 'notice of the outage')
    first.finish(0)
    first.join(30)
    assert not first.delivered
    robot.spool.close(remove=False)
    away.clear()

    robot.spool = Spool.take_over(robot.spool.folder)
    talk.spooled, robot.maps.spooled = 110, 1
    heir = robot.start(growing=False)
    heir.join(30)
    with daemon.client() as client:
        assert heir.delivered
        robot.check_maps(client, heir)
        assert len(heir.parts) == 2


def test_a_daemon_that_hangs_is_left_and_found_again(
    make_daemon: Any, make_robot: Any, wait_for: Any
) -> None:
    import signal

    daemon = make_daemon()
    robot = make_robot('hangs', connector(daemon))
    delivery = robot.start()
    robot.say(0, 20)
    wait_for(lambda: robot.accounts[0].stored == 20, 'the first rows')
    daemon.process.send_signal(signal.SIGSTOP)
    robot.say(0, 30)
    wait_for(lambda: not delivery.connected, 'notice of the silence')
    daemon.process.send_signal(signal.SIGCONT)
    wait_for(lambda: robot.accounts[0].stored == 50, 'everything')
    delivery.finish(20)
    delivery.join(30)
    with daemon.client() as client:
        robot.check(client, delivery)


def test_a_refused_topic_ends_alone_and_its_messages_are_counted(
    daemon: Any, make_robot: Any, wait_for: Any
) -> None:
    robot = make_robot('refused', connector(daemon))
    robot.accounts[1] = TopicAccount('/strange', UNKNOWN)
    robot.spool.add_topic(SpooledTopic(1, '/strange', UNKNOWN, {}))
    delivery = robot.start()
    for _ in range(3):
        share = Share(1, robot.accounts[1].spooled, 4, 16)
        robot.spool.log.append(batch(0, [b'\0\1\0\0'] * 4), [share])
        robot.accounts[1].spooled += 4
        robot.say(0, 5)
        time.sleep(0.05)
    delivery.finish(20)
    delivery.join(30)
    strange = robot.accounts.pop(1).report()
    assert (strange.dropped, strange.stored, strange.waiting) == (12, 0, 0)
    assert UNKNOWN in strange.problem
    assert any('/strange is not recorded' in event for event in robot.events)
    with daemon.client() as client:
        robot.check(client, delivery)


def test_a_message_larger_than_the_daemon_takes_is_counted(
    make_daemon: Any, make_robot: Any, wait_for: Any
) -> None:
    daemon = make_daemon(MOSAICOD_MAX_GRPC_MESSAGE_SIZE=str(4 << 20))
    robot = make_robot('large', connector(daemon))
    delivery = robot.start()
    robot.say(0, 3)
    robot.say(0, 1, size=5_000_000)
    too_large = robot.expected[0].pop()
    robot.say(0, 1, size=len(too_large) // 10)
    delivery.finish(20)
    delivery.join(30)
    with daemon.client() as client:
        robot.check(client, delivery)
    assert robot.accounts[0].report().dropped == 1


def test_what_time_does_not_allow_is_left_for_later(daemon: Any, make_robot: Any) -> None:
    robot = make_robot('later', connector(daemon))
    robot.say(0, 10)
    first = robot.start(patience=0.0)
    first.join(30)
    assert first.failure is None
    assert not first.delivered
    second = robot.start(growing=False)
    second.join(30)
    with daemon.client() as client:
        robot.check(client, second)


def test_nothing_recorded_leaves_no_sequence(daemon: Any, make_robot: Any) -> None:
    robot = make_robot('nothing', connector(daemon))
    delivery = robot.start()
    assert delivery.ready.wait(20)
    with daemon.client() as client:
        assert delivery.recording_name in client.list_sequences()
        delivery.finish(20)
        delivery.join(30)
        assert delivery.delivered
        assert delivery.recording_name not in client.list_sequences()
