"""One bag, two injectors: what the published client reads of either is the same typed objects."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaico_ros.ros_bridge import RosbagInjector, ROSInjectionConfig, adapters
from mosaico_ros.ros_bridge.adapters.maps import mapped_types
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE
from mosaico_ros.ros_bridge.definitions import find_definition

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from ros_samples import sample  # noqa: E402


def _loaded(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wire = _loaded('wire', HERE.parent / 'ros_bridge' / 'wire.py')
ros = _loaded('messages', HERE.parent / 'ros_bridge' / 'messages.py')
environment = _loaded('peer_conftest', HERE / 'conftest.py').peer_environment

MESSAGES = 12
#: Types without an adapter on either side: derived, and read as such.
DERIVED = (
    'diagnostic_msgs/msg/DiagnosticArray',
    'geometry_msgs/msg/PoseArray',
    'std_msgs/msg/ColorRGBA',
    'trajectory_msgs/msg/JointTrajectory',
)
#: Typed here; the published client has no adapter for the first, and forgot to register that of
#: the second, so that its injector derives both.
TYPED_HERE = {'sensor_msgs/msg/Range': 'Range', 'sensor_msgs/msg/NavSatStatus': 'GPSStatus'}
#: Not in the type set of the distribution.
ELSEWHERE = {'nmea_msgs/msg/Sentence'}
#: What the published client can neither inject nor read, whoever stored it: a camera without
#: distortion parameters, a range outside its limits. Its models refuse them.
UNREADABLE = {
    'sensor_msgs/msg/CameraInfo': lambda value: not value['d'],
    'sensor_msgs/msg/Range': lambda value: (
        not value['min_range'] <= value['range'] <= value['max_range']
    ),
}
#: Where the published injector loses messages, and which: it refuses a ``byte`` above 127, as
#: levels of diagnostics may be.
LOST_THERE = {
    'diagnostic_msgs/msg/DiagnosticArray': lambda value: any(
        status['level'] > 127 for status in value['raw_data']['status']
    ),
}
CLOUDS = {
    'LidarAdapter': ('x', 'y', 'z', 'intensity', 'beam_id', 'point_timestamp', 'ring'),
    'RadarAdapter': ('x', 'y', 'z', 'rcs', 'doppler_velocity'),
    'RGBDCameraAdapter': ('x', 'y', 'z', 'rgb'),
    'ToFCameraAdapter': ('x', 'y', 'z', 'noise', 'grayscale'),
    'StereoCameraAdapter': ('x', 'y', 'z', 'luma', 'cost'),
}
_FORMATS = {'beam_id': '<u2', 'point_timestamp': '<f8', 'ring': '<u2', 'luma': 'u1', 'cost': 'u1'}


def topic_of(msgtype: str) -> str:
    return '/' + msgtype.replace('/msg/', '/').lower()


def pictures() -> list[bytes]:
    """Images whose bytes are what width, height and encoding say."""
    found = []
    store = ros.typestore('jazzy')
    for i in range(MESSAGES):
        encoding, width = ('mono8', 1) if i % 2 else ('rgb8', 3)
        made = ros.message(
            store,
            'sensor_msgs/msg/Image',
            header=ros.header(store),
            height=3,
            width=4,
            step=4 * width,
            encoding=encoding,
            data=np.arange(12 * width, dtype=np.uint8),
        )
        found.append(bytes(store.serialize_cdr(made, 'sensor_msgs/msg/Image')))
    return found


def clouds(fields: tuple[str, ...]) -> list[bytes]:
    dtype = np.dtype([(name, _FORMATS.get(name, '<f4')) for name in fields])
    found = []
    for i in range(MESSAGES):
        points = np.zeros(i, dtype)
        for k, name in enumerate(fields):
            points[name] = np.arange(i) + k
        found.append(ros.cloud(points))
    return found


def payloads(msgtype: str) -> list[bytes]:
    if msgtype == 'sensor_msgs/msg/Image':
        return pictures()
    tree = find_definition(msgtype, distro='jazzy').tree
    dice = random.Random(msgtype)
    unreadable = UNREADABLE.get(msgtype, lambda value: False)
    values = (sample(tree, '', dice) for _ in itertools.count())
    readable = itertools.islice(itertools.filterfalse(unreadable, values), MESSAGES)
    return [wire.serialize(tree, value, CDR_LE) for value in readable]


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mcap.writer import Writer

    types = [*(set(mapped_types()) - ELSEWHERE), *DERIVED]
    topics = {topic_of(msgtype): (msgtype, payloads(msgtype)) for msgtype in sorted(types)}
    for name, fields in CLOUDS.items():
        topics[f'/clouds/{name.lower()}'] = ros.CLOUD, clouds(fields)
    path = tmp_path_factory.mktemp('both') / 'both.mcap'
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        for topic, (msgtype, found) in topics.items():
            text = find_definition(msgtype, distro='jazzy').text
            schema = writer.register_schema(msgtype, 'ros2msg', text.encode())
            channel = writer.register_channel(topic, 'cdr', schema)
            for i, payload in enumerate(found):
                writer.add_message(channel, 1_000_000 + i, payload, 1_000_000 + i)
        writer.finish()
    return path


@pytest.mark.peer
def test_both_injectors_store_the_same_objects(
    make_daemon: Callable[..., Any], peer_python: Path, bag: Path
) -> None:
    daemon = make_daemon()
    overrides = {f'/clouds/{name.lower()}': name for name in CLOUDS}
    config = ROSInjectionConfig(
        bag,
        'ours',
        host=daemon.host,
        port=daemon.port,
        adapter_overrides={topic: getattr(adapters, name) for topic, name in overrides.items()},
        log_level='ERROR',
    )
    RosbagInjector(config).run()
    done = subprocess.run(
        [
            *(peer_python, HERE / 'published_injection.py', bag, daemon.host, str(daemon.port)),
            *('ours', 'theirs', json.dumps(overrides)),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == len(mapped_types()) - len(ELSEWHERE) + len(DERIVED) + len(CLOUDS)
    for msgtype, ontology in TYPED_HERE.items():
        found = told.pop(topic_of(msgtype))
        assert found['tags'] == [ontology, msgtype.rsplit('/', 1)[1]]
        assert found['kinds'][0] == ontology
    lost = {topic_of(msgtype): reason for msgtype, reason in LOST_THERE.items()}
    for topic, found in told.items():
        assert found['tags'][0] == found['tags'][1], topic
        # Its derived classes differ in their names alone: it counts how the items of lists are
        # called in the layout, and calls them after the list.
        kinds = {kind.split('__')[0] for kind in found['kinds']}
        assert len(kinds) == 1, (topic, kinds)
        assert not found['different'], (topic, found['examples'])
        assert found['messages'][0] == MESSAGES, topic
        assert found['both'] == found['messages'][1], topic
        assert all(map(lost.get(topic, lambda value: False), found['missing'])), (topic, found)
        assert found['both'] >= MESSAGES // 2, topic
