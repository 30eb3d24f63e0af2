"""Recordings over the death of the daemon and of the recorder: each message once, in order."""

from __future__ import annotations

import importlib.util
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSDurabilityPolicy, QoSProfile
from sensor_msgs.msg import Imu
from std_msgs.msg import String

FAULTS = Path(__file__).parents[1] / 'client' / 'faults' / 'conftest.py'
FLUSH = 0.1
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
NODE = '/mosaico_recorder'


class Talker(threading.Thread):
    """Publishes numbers on a topic until stopped; counts them."""

    def __init__(self, robot: Any, topic: str, period: float = 0.002) -> None:
        super().__init__(daemon=True)
        self.publisher = robot.publisher(Imu, topic, 2000)
        self.count = 0
        self._period = period
        self._stopping = threading.Event()
        robot.wait_matched(self.publisher)

    def run(self) -> None:
        message = Imu()
        while not self._stopping.is_set():
            message.linear_acceleration.y = float(self.count)
            self.publisher.publish(message)
            self.count += 1
            time.sleep(self._period)

    def quit(self) -> None:
        """Stop at once."""
        self._stopping.set()
        self.join()

    def stop(self) -> int:
        """Stop, wait until every reader has everything; return how many there were."""
        from rclpy.duration import Duration

        self.quit()
        assert self.publisher.wait_for_all_acked(Duration(seconds=10))
        return self.count


def parts(client: Any, name: str) -> list[Any]:
    """The sequences of a recording, in order; their metadata says which they are."""
    client.clear_sequence_handlers_cache()
    client.clear_topic_handlers_cache()
    found = [client.sequence_handler(each) for each in client.list_sequences()]
    mine = [each for each in found if each.name == name or each.name.startswith(f'{name}_')]
    assert len({each.user_metadata['recording_id'] for each in mine}) <= 1
    return sorted(mine, key=lambda each: each.user_metadata['part'])


def numbers(client: Any, name: str, topic: str = '/imu') -> list[float]:
    """What was published, as all parts of a recording have it, in their order."""
    values: list[float] = []
    for part in parts(client, name):
        if topic in part.topics:
            streamer = client.topic_handler(part.name, topic).get_data_streamer()
            values += [message.data.acceleration.y for message in streamer]
    return values


def kept(recorder: Any, topic: str) -> int:
    """How many messages outlive the recorder, as it says itself."""
    account = recorder.topic(topic)
    return int(account['stored'] + account['waiting'])


def once_and_in_order(values: list[float]) -> bool:
    return values == [float(number) for number in range(len(values))]


@pytest.fixture
def record(mortal_daemon: Any, start_recorder: Callable[..., Any]) -> Callable[..., Any]:
    def start(**parameters: Any) -> Any:
        return start_recorder(
            **{
                'port': mortal_daemon.port,
                'topics': ['/imu'],
                'flush_period_sec': FLUSH,
                'commit_period_sec': 0.2,
                **parameters,
            }
        )

    return start


@pytest.fixture
def slow_line(mortal_daemon: Any) -> Iterator[Any]:
    """A line to the daemon over which an answer takes a third of a second, as over the air."""
    spec = importlib.util.spec_from_file_location('faults', FAULTS)
    assert spec is not None
    assert spec.loader is not None
    faults = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(faults)
    made = faults.Line(mortal_daemon.port)
    made.delay = 0.15
    yield made
    made.close()


@pytest.fixture
def talk(robot: Any) -> Iterator[Callable[..., Talker]]:
    talkers: list[Talker] = []

    def start(topic: str = '/imu', **options: Any) -> Talker:
        talkers.append(Talker(robot, topic, **options))
        talkers[-1].start()
        return talkers[-1]

    yield start
    for talker in talkers:
        talker.quit()


def test_an_outage_of_twenty_flush_periods_costs_nothing(
    mortal_daemon: Any, record: Any, robot: Any, talk: Any, wait_for: Any
) -> None:
    recorder = record(sequence_name='long', topics=['/imu', '/map'])
    latched = robot.publisher(String, '/map', LATCHED)
    latched.publish(String(data='the map'))
    talker = talk()
    wait_for(lambda: recorder.topic('/imu').get('stored', 0) > 100, 'the first rows')
    wait_for(lambda: recorder.topic('/map').get('stored', 0) == 1, 'the map')
    mortal_daemon.kill()
    wait_for(lambda: not recorder.state()['connected'], 'notice of the outage')
    time.sleep(25 * FLUSH)
    assert recorder.topic('/imu')['waiting'] > 100
    before = recorder.topic('/imu')['stored']
    mortal_daemon.start()
    wait_for(lambda: recorder.topic('/imu')['stored'] > before + 1000, 'delivery')
    published = talker.stop()
    assert recorder.finish(signal.SIGINT) == 0
    topic = recorder.topic('/imu')
    assert (topic['received'], topic['stored'], topic['waiting']) == (published, published, 0)
    assert (topic['lost'], topic['dropped']) == (0, 0)
    assert recorder.state()['parts'] == ['long', 'long_0002']
    assert recorder.state()['spool_bytes'] == 0
    with mortal_daemon.client() as client:
        values = numbers(client, 'long')
        assert len(values) == published
        assert once_and_in_order(values)
        metadata = [part.user_metadata for part in parts(client, 'long')]
        assert [each['part'] for each in metadata] == [1, 2]
        assert metadata[0]['recording'] == metadata[1]['recording']
        # What broke off is sealed for good, what ended in order is complete.
        assert client.topic_handler('long_0002', '/imu').locked
        for part in ('long', 'long_0002'):  # each can be used without the other
            maps = client.topic_handler(part, '/map').get_data_streamer()
            assert [message.data.data for message in maps] == ['the map']
    board = recorder.topic('/map')
    assert (board['received'], board['stored'], board['repeated']) == (1, 2, 1)


def test_a_daemon_that_dies_again_and_again_costs_nothing(
    mortal_daemon: Any, record: Any, talk: Any, wait_for: Any
) -> None:
    dice = random.Random(6)
    recorder = record(sequence_name='again', topics=['/imu', '/imu2'], spool_segment_mb=0.05)
    talkers = {'/imu': talk(), '/imu2': talk('/imu2', period=0.004)}
    for _ in range(4):
        before = recorder.topic('/imu').get('stored', 0)
        wait_for(lambda before=before: recorder.topic('/imu').get('stored', 0) > before, 'rows')
        time.sleep(dice.uniform(0, 0.5))
        mortal_daemon.kill()
        time.sleep(dice.uniform(0, 0.5))
        mortal_daemon.start()
    published = {topic: talker.stop() for topic, talker in talkers.items()}
    wait_for(lambda: recorder.state()['connected'], 'the way to the daemon')
    assert recorder.finish(signal.SIGINT) == 0
    with mortal_daemon.client() as client:
        for name, count in published.items():
            topic = recorder.topic(name)
            assert (topic['received'], topic['stored'], topic['lost']) == (count, count, 0)
            values = numbers(client, 'again', name)
            assert len(values) == count
            assert once_and_in_order(values)
        assert len(parts(client, 'again')) > 2


def test_a_killed_recorder_loses_a_flush_period_at_most_and_the_next_one_delivers(
    mortal_daemon: Any, record: Any, talk: Any, wait_for: Any, tmp_path: Path
) -> None:
    dice = random.Random(7)
    for round_number in range(3):
        # The subscription of a killed recorder still looks like one for a while.
        name, topic = f'killed{round_number}', f'/imu{round_number}'
        recorder = record(sequence_name=name, topics=[topic])
        talker = talk(topic)
        recorder.wait_received(topic, 50)
        if round_number == 2:  # what is in the spool alone
            mortal_daemon.kill()
        time.sleep(dice.uniform(0, 0.5))
        # What it had taken by now; what it calls kept a flush period later outlives it. A machine
        # that does not let it run, or a busy disk, is not its doing.
        old = recorder.topic(topic)['received']
        wait_for(lambda r=recorder, t=topic, o=old: kept(r, t) >= o, 'it to be kept')
        recorder.process.kill()
        recorder.process.wait()
        talker.quit()
        if round_number == 2:
            mortal_daemon.start()
        heir = record(sequence_name='heir', topics=['/nothing'])
        wait_for(
            lambda h=heir, n=name: any(f'{n}, which a recorder left' in e for e in h.events()),
            'the recovery',
        )
        assert heir.finish(signal.SIGINT) == 0
        with mortal_daemon.client() as client:
            values = numbers(client, name, topic)
        assert once_and_in_order(values)
        assert old <= len(values) <= talker.count
        assert not list((tmp_path / 'spool').iterdir())


def test_what_was_recorded_without_a_daemon_is_delivered_by_the_next_recorder(
    mortal_daemon: Any, record: Any, talk: Any, wait_for: Any
) -> None:
    mortal_daemon.kill()
    recorder = record(sequence_name='alone', metadata='{"site": "mine"}')
    talker = talk()
    wait_for(lambda: recorder.topic('/imu').get('waiting', 0) > 100, 'messages')
    published = talker.stop()
    assert recorder.finish(signal.SIGINT) == 4
    topic = recorder.topic('/imu')
    assert (topic['received'], topic['stored'], topic['waiting']) == (published, 0, published)
    assert recorder.state()['state'] == 'kept'
    assert (
        f'{published} messages of alone are not in the archive yet'
        in (recorder.state()['failure'])
    )
    assert f'127.0.0.1:{mortal_daemon.port}' in recorder.errors.read_text()

    mortal_daemon.start()
    heir = record(sequence_name='heir')
    wait_for(lambda: any('alone, which a' in event for event in heir.events()), 'the recovery')
    assert heir.finish(signal.SIGINT) == 0
    with mortal_daemon.client() as client:
        assert numbers(client, 'alone') == [float(number) for number in range(published)]
        (part,) = parts(client, 'alone')
        assert part.user_metadata['site'] == 'mine'


def test_a_recording_that_was_kept_is_delivered_by_the_next_one_of_the_same_process(
    mortal_daemon: Any, record: Any, robot: Any, operator: Any, wait_for: Any
) -> None:
    mortal_daemon.kill()
    recorder = record(sequence_name='twice', topics=['/text'])
    publisher = robot.publisher(String, '/text')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 10)
    recorder.wait_received('/text', 10)
    assert operator.change(NODE, Transition.TRANSITION_DEACTIVATE)
    wait_for(lambda: recorder.state()['state'] == 'kept', 'the end of the recording')
    assert operator.change(NODE, Transition.TRANSITION_ACTIVATE)
    mortal_daemon.start()
    wait_for(
        lambda: any('left unfinished, is complete' in event for event in recorder.events()),
        'the recovery',
    )
    assert recorder.finish(signal.SIGINT) == 0  # nothing is left in the spool


@pytest.mark.parametrize('away', [True, False])
def test_the_exit_code_is_that_of_the_worst_recording(
    mortal_daemon: Any, record: Any, robot: Any, operator: Any, wait_for: Any, away: bool
) -> None:
    if away:
        mortal_daemon.kill()
    recorder = record(sequence_name='worst', topics=['/text'])
    publisher = robot.publisher(String, '/text')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 10)
    recorder.wait_received('/text', 10)
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        assert operator.change(NODE, transition)
    # The second recording is empty.
    assert recorder.finish(signal.SIGINT) == (4 if away else 0)


def test_a_recorder_is_heard_over_a_slow_line(
    mortal_daemon: Any, record: Any, robot: Any, slow_line: Any, wait_for: Any
) -> None:
    recorder = record(port=slow_line.port, sequence_name='slow', topics=['/text'])
    publisher = robot.publisher(String, '/text')
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 10)
    wait_for(lambda: recorder.topic('/text').get('stored') == 10, 'delivery', 60.0)
    assert recorder.finish(signal.SIGINT) == 0


def test_a_living_recorder_is_left_alone(record: Any, wait_for: Any, tmp_path: Path) -> None:
    first = record(sequence_name='first')
    second = record(sequence_name='second')
    assert second.finish(signal.SIGINT) == 0
    assert len(list((tmp_path / 'spool').iterdir())) == 1
    assert first.finish(signal.SIGINT) == 0
    assert not list((tmp_path / 'spool').iterdir())


@pytest.mark.parametrize('full', ['spool', 'disk'])
def test_a_full_spool_or_disk_ends_the_recording_with_what_it_has(
    mortal_daemon: Any, record: Any, robot: Any, wait_for: Any, full: str
) -> None:
    mortal_daemon.kill()
    bounds = {'spool_max_mb': 3.0} if full == 'spool' else {}
    recorder = record(sequence_name='full', topics=['/text'], **bounds)
    if full == 'disk':  # its files may not grow any more, in the middle of a record
        pid = recorder.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
    publisher = robot.publisher(String, '/text')
    robot.wait_matched(publisher)
    noise = random.Random(1)
    count = 0
    while recorder.process.poll() is None and count < 1000:
        text = ''.join(noise.choices('0123456789abcdefghijklmnopqrstuvwxyz', k=20_000))
        publisher.publish(String(data=f'{count} {text}'))
        count += 1
        time.sleep(0.01)
    assert recorder.finish() == 1
    topic = recorder.topic('/text')
    assert topic['received'] == topic['waiting'] + topic['dropped']
    assert topic['waiting'] > 30
    words = 'reached its bound of 3 MB' if full == 'spool' else 'is full'
    assert words in recorder.state()['failure']

    mortal_daemon.start()
    heir = record(sequence_name='heir')
    wait_for(lambda: any('full, which a' in event for event in heir.events()), 'the recovery')
    assert heir.finish(signal.SIGINT) == 0
    with mortal_daemon.client() as client:
        streamer = client.topic_handler('full', '/text').get_data_streamer()
        texts = [message.data.data for message in streamer]
    assert [int(text.split()[0]) for text in texts] == list(range(topic['waiting']))


def test_a_spool_that_fills_up_sheds_what_fills_it_and_recovers(
    mortal_daemon: Any, record: Any, robot: Any, talk: Any, wait_for: Any
) -> None:
    mortal_daemon.kill()
    recorder = record(
        sequence_name='shed',
        topics=['/imu', '/camera'],
        when_spool_full='shed',
        spool_max_mb=16.0,  # filled in some seconds: a busy machine reviews it now and then
        spool_segment_mb=0.5,
    )
    talker = talk(period=0.02)
    camera = robot.publisher(String, '/camera')
    robot.wait_matched(camera)
    noise = random.Random(1)

    def look() -> None:
        text = ''.join(noise.choices('0123456789abcdefghijklmnopqrstuvwxyz', k=50_000))
        camera.publish(String(data=text))
        time.sleep(0.02)

    def dropped() -> int:
        look()
        return int(recorder.topic('/camera').get('dropped', 0))

    wait_for(lambda: dropped() > 20, 'the camera to be shed')
    wait_for(lambda: any('% full: ' in event for event in recorder.events()), 'to be told')
    received = recorder.topic('/imu')['received']
    recorder.wait_received('/imu', received + 50)
    assert recorder.topic('/imu')['dropped'] == 0
    assert recorder.process.poll() is None

    mortal_daemon.start()
    wait_for(lambda: any('there is room again' in event for event in recorder.events()), 'room')
    before = recorder.topic('/camera')['stored']
    wait_for(lambda: look() or recorder.topic('/camera')['stored'] > before + 5, 'pictures')
    published = talker.stop()
    assert recorder.finish(signal.SIGINT) == 0
    imu, pictures = recorder.topic('/imu'), recorder.topic('/camera')
    assert (imu['received'], imu['stored']) == (published, published)
    assert pictures['received'] == pictures['stored'] + pictures['dropped']
    with mortal_daemon.client() as client:
        assert once_and_in_order(numbers(client, 'shed'))


def test_a_disk_full_of_what_was_not_delivered_makes_room_for_a_recording(
    mortal_daemon: Any, record: Any, robot: Any, wait_for: Any, tmp_path: Path
) -> None:
    """The next recorder neither gives up nor leaves what would make the room."""
    mortal_daemon.kill()
    publisher = robot.publisher(String, '/text')
    first = record(sequence_name='first', topics=['/text'])
    robot.wait_matched(publisher)
    robot.publish(publisher, [String(data='x')] * 10)
    first.wait_received('/text', 10)
    assert first.finish(signal.SIGINT) == 4

    free = os.statvfs(tmp_path)
    everything = free.f_blocks * free.f_frsize / 1e6 + 1
    second = record(sequence_name='second', topics=['/text'], min_free_space_mb=everything)
    assert any('Recording begins when there is room' in event for event in second.events())
    assert second.process.poll() is None
    mortal_daemon.start()
    # There is none, as no disk is that large; but all that can be done for it was done.
    assert second.process.wait(30) == 1
    assert any('first, which a recorder left' in event for event in second.events())
    assert 'MB are free on the disk' in second.errors.read_text()


def test_parts_follow_each_other_without_gap(
    mortal_daemon: Any, record: Any, talk: Any, wait_for: Any
) -> None:
    recorder = record(sequence_name='parted', rotate_sec=0.5)
    talker = talk()
    wait_for(lambda: len(recorder.state().get('parts', ())) >= 2, 'two complete parts')
    with mortal_daemon.client() as client:  # readable while the recording goes on
        assert client.topic_handler('parted', '/imu').locked
        assert once_and_in_order(numbers(client, 'parted'))
    published = talker.stop()
    assert recorder.finish(signal.SIGINT) == 0
    names = recorder.state()['parts']
    assert names[:3] == ['parted', 'parted_0002', 'parted_0003']
    with mortal_daemon.client() as client:
        values = numbers(client, 'parted')
        assert len(values) == published
        assert once_and_in_order(values)


def test_the_recording_ends_at_its_bound(record: Any, talk: Any) -> None:
    recorder = record(sequence_name='bounded', stop_after_messages=200)
    talk()
    assert recorder.process.wait(30) == 0
    assert any('messages are recorded' in event for event in recorder.events())


def test_a_spool_that_cannot_be_made_is_refused_by_name(record: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    recorder = record(spool_dir=str(tmp_path / 'file' / 'below'))
    assert recorder.process.wait(30) == 2
    assert f'no spool can be made in {tmp_path / "file" / "below"}' in recorder.errors.read_text()
    assert 'Traceback' not in recorder.errors.read_text()


def test_a_disk_without_space_is_refused_and_nothing_left_on_it(
    record: Any, tmp_path: Path
) -> None:
    recorder = record(min_free_space_mb=1e9)
    assert recorder.process.wait(30) == 1
    errors = recorder.errors.read_text()
    assert 'MB are free on the disk of' in errors
    assert 'Traceback' not in errors
    assert not list((tmp_path / 'spool').iterdir())


def test_a_daemon_that_refuses_the_recorder_is_told_in_a_sentence(
    make_daemon: Any, start_recorder: Any, wait_for: Any
) -> None:
    recorder = start_recorder(port=make_daemon(MOSAICOD_REQUIRE_API_KEYS='true').port)
    # At the start that is the end; later, what is captured is kept until the key is right.
    wait_for(
        lambda: (
            'demands an API key' in recorder.errors.read_text()
            or any('demands an API key' in event for event in recorder.events())
        ),
        'the refusal',
    )
    assert 'Traceback' not in recorder.errors.read_text()
