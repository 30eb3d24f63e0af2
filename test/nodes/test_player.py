"""The player against real subscribers and a real daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter as NodeParameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Imu, Temperature
from std_msgs.msg import String
from std_srvs.srv import Trigger

from mosaico_ros import IMU, Message, Vector3d
from mosaico_ros.models import Integer32, String as Text

NAME = 'mosaico_player'
SIGINT = signal.SIGINT
LATCHED = QoSProfile(depth=10, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=500, reliability=QoSReliabilityPolicy.BEST_EFFORT)


@dataclass
class Player:
    """The player as its own process, reporting as JSON."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines += map(json.loads, self.process.stdout)

    def finish(self, *signals: signal.Signals) -> int:
        """Send signals; wait for the end; return the exit code."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.05)
        code = self.process.wait(30)
        self._reader.join(10)
        return code

    @property
    def state(self) -> dict[str, Any]:
        """Where it said last that it is."""
        return next((line for line in reversed(self.lines) if 'state' in line), {'topics': []})

    def wait_heard(self, subscriptions: int = 1) -> None:
        """Wait until it plays, and each of its topics has so many subscriptions."""

        def heard() -> bool:
            topics = self.state['topics']
            return bool(topics) and all(
                topic['subscriptions'] >= subscriptions for topic in topics
            )

        deadline = time.monotonic() + 30
        while not heard():
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)


@pytest.fixture
def play(
    daemon: Any, ros_environment: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Player]]:
    """Start players by parameters: ``play(sequences=['run'])``."""
    started: list[Player] = []

    errors = tmp_path / 'player.err'

    def start(*remaps: str, **parameters: Any) -> Player:
        values = {
            'port': daemon.port,
            'report': 'json',
            'report_period_sec': 0.1,
            'discovery_sec': 30.0,
            **parameters,
        }
        flags = [
            part for key, value in values.items() for part in ('-p', f'{key}:={json.dumps(value)}')
        ]
        player = Player(
            subprocess.Popen(
                [sys.executable, '-m', 'mosaico_ros.nodes.player', '--ros-args', *flags, *remaps],
                env=ros_environment,
                stdout=subprocess.PIPE,
                stderr=errors.open('w'),
                text=True,
            )
        )
        started.append(player)
        return player

    yield start
    for player in started:
        player.process.kill()
        player.process.wait()
    print(errors.read_text() if errors.exists() else '')


@dataclass
class Heard:
    """Messages and when they were published, ns."""

    messages: list[Any] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)


def listen(operator: Any, message_type: type[Any], topic: str, qos: Any = 500) -> Heard:
    heard = Heard()

    def take(message: Any, info: Any) -> None:
        heard.messages.append(message)
        heard.stamps.append(info['source_timestamp'])

    operator.node.create_subscription(message_type, topic, take, qos)
    return heard


def trigger(operator: Any, name: str) -> Any:
    return operator.call(Trigger, f'/{NAME}/{name}')


def set_parameter(operator: Any, name: str, value: float) -> Any:
    parameter = Parameter(
        name=name, value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
    )
    answer = operator.call(SetParameters, f'/{NAME}/set_parameters', parameters=[parameter])
    return answer.results[0]


def imu(index: int) -> Imu:
    message = Imu()
    message.header.frame_id = 'imu'
    message.header.stamp.sec = index
    message.linear_acceleration.y = float(index)
    message.orientation_covariance[8] = 0.1
    return message


@pytest.fixture
def recorded(robot: Any, start_recorder: Any) -> dict[str, list[Any]]:
    """What was published while the real recorder made the sequence `run`."""
    recorder = start_recorder(topics=['/imu', '/temp', '/map_name'], sequence_name='run')
    publishers = {
        '/imu': robot.publisher(Imu, '/imu'),
        '/temp': robot.publisher(Temperature, '/temp', BEST_EFFORT),
        '/map_name': robot.publisher(String, '/map_name', LATCHED),
    }
    recorder.wait_recording(*publishers)
    robot.wait_matched(*publishers.values())
    sent: dict[str, list[Any]] = {name: [] for name in publishers}

    def send(name: str, message: Any) -> None:
        publishers[name].publish(message)
        sent[name].append(message)

    send('/map_name', String(data='hall 3'))
    for index in range(100):
        send('/imu', imu(index))
        if index % 10 == 0:
            send('/temp', Temperature(temperature=float(index)))
        time.sleep(0.01)
    for name, messages in sent.items():
        recorder.wait_received(name, len(messages))
    assert recorder.finish(SIGINT) == 0
    for publisher in publishers.values():
        robot.node.destroy_publisher(publisher)
    return sent


def test_what_was_recorded_is_heard_again(
    daemon: Any, recorded: dict[str, list[Any]], operator: Any, play: Any
) -> None:
    with daemon.client() as client:
        name = client.list_sequences()[-1]
        stamps = [
            message.timestamp_ns
            for message in client.topic_handler(name, '/imu').get_data_streamer()
        ]
    heard = {
        '/imu': listen(operator, Imu, '/imu'),
        '/temp': listen(operator, Temperature, '/temp', BEST_EFFORT),
        # Whoever comes late hears what is latched, and only a latched offer matches.
        '/map_name': listen(operator, String, '/map_name', LATCHED),
    }
    player = play(sequences=[name])
    operator.wait(lambda: len(heard['/imu'].messages) == 100, 'all messages')
    operator.wait(lambda: len(heard['/temp'].messages) == 10, 'all messages')
    assert player.finish() == 0
    for topic, messages in recorded.items():
        assert heard[topic].messages == messages
    # Publish times keep the distances of the record times.
    distances = np.diff(np.array(heard['/imu'].stamps)) - np.diff(np.array(stamps))
    assert np.median(np.abs(distances)) < 2e6
    assert abs(int(distances.sum())) < 100e6
    state = player.state
    assert (state['state'], state['messages'], state['left_out']) == ('ended', 111, {})
    assert state['lateness']['count'] == 111
    assert 0 < state['lateness']['p50'] < 0.01
    types = {topic['name']: topic['type'] for topic in state['topics']}
    assert types['/imu'] == 'sensor_msgs/msg/Imu'
    offers = operator.node.get_publishers_info_by_topic('/temp')
    assert not offers  # the player took its topics back


@pytest.fixture
def stored(daemon: Any) -> tuple[str, int]:
    """A sequence of 100 messages on ``/imu``, 10 ms apart, and the time of the first."""
    name, begin = f'stored_{uuid4().hex}', 1_700_000_000 * 10**9
    with daemon.client() as client, client.sequence_create(name, {}) as sequence:
        writer = sequence.topic_create('/imu', {}, IMU)
        for index in range(100):
            vector = Vector3d(x=0.0, y=float(index), z=0.0)
            data = IMU(acceleration=vector, angular_velocity=Vector3d(x=0.0, y=0.0, z=0.0))
            writer.push(Message(timestamp_ns=begin + index * 10**7, data=data))
    return name, begin


def numbers(heard: Heard) -> list[float]:
    return [message.linear_acceleration.y for message in heard.messages]


def test_services_and_parameters_control_it(
    stored: tuple[str, int], operator: Any, play: Any
) -> None:
    name, begin = stored
    heard = listen(operator, Imu, '/imu')
    player = play(sequences=[name], start_paused=True, rate=0.001, discovery_sec=0.0)
    player.wait_heard()
    assert trigger(operator, 'is_paused').success
    for count in (1, 2, 3):
        assert trigger(operator, 'play_next').success
        operator.wait(lambda count=count: len(heard.messages) == count, 'a step')
    # By position, by recorded time, and back.
    for seconds in (0.9, begin / 1e9 + 0.5, 0.0):
        assert set_parameter(operator, 'seek_sec', seconds).successful
        assert trigger(operator, 'play_next').success
    operator.wait(lambda: len(heard.messages) == 6, 'the steps after seeking')
    assert numbers(heard) == [0, 1, 2, 90, 50, 0]
    beyond = set_parameter(operator, 'seek_sec', 50.0)
    assert not beyond.successful
    assert 's long' in beyond.reason
    assert not set_parameter(operator, 'rate', -1.0).successful
    # At a thousandth it does not get far; as fast as possible it is over at once.
    assert trigger(operator, 'resume').success
    assert trigger(operator, 'toggle_paused').success
    assert trigger(operator, 'std/is_paused').success
    assert trigger(operator, 'resume').success
    assert not trigger(operator, 'play_next').success
    assert set_parameter(operator, 'rate', 0.0).successful
    operator.wait(lambda: len(heard.messages) >= 105, 'the rest')
    assert player.finish() == 0
    assert numbers(heard)[6:] == list(range(1, 100))


def test_deactivated_it_stands_still_and_goes_on_from_there(
    stored: tuple[str, int], operator: Any, play: Any
) -> None:
    name, _ = stored
    heard = listen(operator, Imu, '/imu')
    player = play(sequences=[name], rate=0.5)

    operator.wait(lambda: len(heard.messages) > 20, 'the beginning')
    assert operator.change(f'/{NAME}', Transition.TRANSITION_DEACTIVATE)
    deadline = time.monotonic() + 0.3
    operator.wait(lambda: time.monotonic() > deadline, 'what is under way')
    count = len(heard.messages)
    assert count < 100
    assert operator.change(f'/{NAME}', Transition.TRANSITION_ACTIVATE)
    assert player.finish() == 0
    operator.wait(lambda: len(heard.messages) == 100, 'the rest')
    assert numbers(heard) == list(range(100))
    # The time in between is in no distance but one.
    long = [each for each in np.diff(np.array(heard.stamps)) if each > 0.25e9]
    assert len(long) <= 1


def test_nodes_with_sim_time_live_in_the_recording(
    stored: tuple[str, int], operator: Any, play: Any
) -> None:
    name, begin = stored
    end = begin + 10**9
    operator.node.set_parameters([NodeParameter('use_sim_time', value=True)])
    clock = operator.listen(Clock, '/clock')
    player = play(
        sequences=[name], clock_hz=200.0, start_paused=True, discovery_sec=0.0, loop=True
    )
    operator.wait(lambda: len(clock) > 5, 'the time')
    assert operator.node.get_clock().now().nanoseconds == begin
    trigger(operator, 'resume')

    def told() -> list[int]:
        return [each.clock.sec * 10**9 + each.clock.nanosec for each in clock]

    # It loops: the time goes back.
    operator.wait(lambda: told() != sorted(told()), 'the second round')
    assert trigger(operator, 'stop').success
    assert player.finish() == 0
    assert player.state['state'] == 'stopped'
    times = told()
    turn = times.index(max(times)) + 1
    assert times[:turn] == sorted(times[:turn])
    assert max(times) - begin > 0.9e9
    assert begin <= min(times)
    assert max(times) <= end
    assert begin <= operator.node.get_clock().now().nanoseconds <= end


def test_the_command_plays_under_other_names_and_says_what_it_leaves_out(
    daemon: Any, operator: Any, ros_environment: dict[str, str], tmp_path: Path
) -> None:
    with daemon.client() as client, client.sequence_create('odd', {}) as sequence:
        ros = {'msgtype': 'acme_msgs/msg/Text', 'msgdef': 'string data', 'topic': '/odd'}
        odd = sequence.topic_create('/odd', {'_ros_': ros}, Text)
        named = sequence.topic_create('/name', {}, Text)
        for writer in (odd, named):
            writer.push(Message(timestamp_ns=5, data=Text(data='hello')))
        # Serialized as recorded, it would be nonsense to whoever has the definition of today.
        ros = {'msgtype': 'std_msgs/msg/String', 'msgdef': 'int32 data', 'topic': '/changed'}
        changed = sequence.topic_create('/changed', {'_ros_': ros}, Integer32)
        changed.push(Message(timestamp_ns=6, data=Integer32(data=7)))
    qos = tmp_path / 'qos.yaml'
    qos.write_text('/name: {reliability: best_effort, depth: 3, history: keep_last}\n')
    heard = listen(operator, String, '/robot/other/name', BEST_EFFORT)
    refused = listen(operator, String, '/robot/other/name', 10)
    params = tmp_path / 'player.yaml'
    params.write_text('/**:\n  ros__parameters:\n    report: "json"\n    clock_hz: 7.0\n')
    process = subprocess.Popen(
        [
            sys.executable, '-m', 'mosaico_ros.cli.mosaico', 'play', 'odd',
            '--port', str(daemon.port), '--rate', '0', '--discovery', '30',
            '--params-file', str(params), '--remap', '/name:=other/name',
            '--ros-args', '-r', '__ns:=/robot', '-p', f'qos_overrides_path:={qos}',
        ],
        env=ros_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    operator.wait(lambda: heard.messages, 'the message')
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 3, errors
    assert heard.messages == [String(data='hello')]
    assert not refused.messages
    said = [json.loads(line) for line in output.splitlines()]
    assert 'acme_msgs' in said[-1]['left_out']['/odd']
    assert 'another definition' in said[-1]['left_out']['/changed']
    assert [(topic['name'], topic['messages']) for topic in said[-1]['topics']] == [('/name', 1)]
    assert any('/odd is left out' in line.get('event', '') for line in said)


@pytest.mark.parametrize('playing', [True, False])
def test_signals_end_it_at_once(stored: tuple[str, int], play: Any, playing: bool) -> None:
    if playing:
        player = play(sequences=[stored[0]], rate=0.001, discovery_sec=0.0)
        player.wait_heard(subscriptions=0)
    else:
        player = play(sequences=['x'], port=1, connect_timeout_sec=300.0)
        time.sleep(1.5)  # it says nothing while it tries
    begun = time.monotonic()
    assert player.finish(SIGINT, SIGINT) == 0
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ('parameters', 'code', 'words'),
    [
        ({}, 2, 'nothing says what to play'),
        ({'sequences': ['x'], 'port': 1, 'connect_timeout_sec': 0.1}, 1, 'port'),
        ({'sequences': ['no_such']}, 1, 'no_such'),
        ({'sequences': ['x'], 'rate': -2.0}, 2, 'rate'),
    ],
    ids=['nothing', 'no daemon', 'no sequence', 'rate'],
)
def test_what_cannot_be_played_is_said(
    play: Any, tmp_path: Path, parameters: dict[str, Any], code: int, words: str
) -> None:
    player = play(**parameters)
    assert player.finish() == code
    errors = (tmp_path / 'player.err').read_text()
    assert words in errors
    assert 'Traceback' not in errors
