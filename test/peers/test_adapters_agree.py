"""Our column maps against the published client's adapters: same message, same members."""

from __future__ import annotations

import importlib.util
import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaico_ros.ros_bridge.adapters.maps import mapped_types
from mosaico_ros.ros_bridge.cdr.layout import CDR_LE
from mosaico_ros.ros_bridge.definitions import find_definition
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from ros_samples import sample  # noqa: E402

_spec = importlib.util.spec_from_file_location('wire', HERE.parent / 'ros_bridge' / 'wire.py')
assert _spec is not None
assert _spec.loader is not None
wire = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(wire)

#: Deliberately different: pixels are kept raw instead of being packed into a grey PNG.
DIFFERENT = {'sensor_msgs/msg/Image'}
#: Mapped here, without adapter there.
OURS_ALONE = {'sensor_msgs/msg/Range', 'sensor_msgs/msg/NavSatStatus'}
MESSAGES = 40


def environment() -> dict[str, str]:
    conftest = importlib.util.spec_from_file_location('peer_conftest', HERE / 'conftest.py')
    assert conftest is not None
    assert conftest.loader is not None
    module = importlib.util.module_from_spec(conftest)
    conftest.loader.exec_module(module)
    return module.peer_environment()


def canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return 'nan' if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.peer
def test_every_mapped_type_agrees(peer_python: Path, tmp_path: Path) -> None:
    cases: list[tuple[str, list[dict[str, Any]]]] = []
    lines = []
    for msgtype in mapped_types():
        if msgtype.startswith('nmea_msgs') or msgtype in DIFFERENT:
            continue  # not in the type set of the distribution; see DIFFERENT
        dice = random.Random(msgtype)
        tree = find_definition(msgtype, distro='jazzy').tree
        payloads = [wire.serialize(tree, sample(tree, '', dice), CDR_LE) for _ in range(MESSAGES)]
        batch = TopicDecoder(msgtype, distro='jazzy').decode(np.arange(MESSAGES), payloads)
        assert batch.num_rows == MESSAGES, msgtype
        cases.append((msgtype, batch.drop_columns(['timestamp_ns']).to_pylist()))
        lines += [{'msgtype': msgtype, 'payload': payload.hex()} for payload in payloads]
    (tmp_path / 'cases').write_text('\n'.join(map(json.dumps, lines)))
    done = subprocess.run(
        [peer_python, HERE / 'published_adapters.py', tmp_path / 'cases'],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = iter(json.loads(done.stdout))
    compared = set()
    for msgtype, rows in cases:
        theirs = [next(answers) for _ in rows]
        if msgtype in OURS_ALONE:
            assert theirs == [None] * len(rows)
            continue
        for ours, other in zip(rows, theirs, strict=True):
            if 'error' in other:
                # A camera without distortion parameters is the one message that only we accept.
                assert msgtype == 'sensor_msgs/msg/CameraInfo', (msgtype, other)
                assert ours['distortion_parameters'] == []
                continue
            assert canonical(ours) == canonical(other), msgtype
            compared.add(msgtype)
    assert len(compared) == len(cases) - len(OURS_ALONE)
