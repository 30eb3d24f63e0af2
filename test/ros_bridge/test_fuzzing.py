"""A few thousand damaged payloads and recordings; the benchmark of that name tries many more."""

from __future__ import annotations

import random
import sys
import tracemalloc
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzzing

from mosaico_ros.ros_bridge.bags import open_bag


@pytest.mark.parametrize('seed', range(2))
def test_damaged_payloads(seed, tmp_path):
    found = sum(fuzzing.runs(seed, 2000, 0, tmp_path), fuzzing.Counter())
    assert found['rows decoded'] > 200
    assert found['payloads refused'] > 200


@pytest.mark.parametrize('seed', range(2))
def test_damaged_recordings(seed, tmp_path):
    found = sum(fuzzing.runs(seed, 0, 300, tmp_path), fuzzing.Counter())
    assert found['recordings read'] > 50
    assert found['rows of recordings'] > 1000


def test_a_record_that_claims_gigabytes_takes_none(tmp_path):
    mcap = next(path for path in fuzzing.recordings(tmp_path, random.Random(1)))
    data = bytearray(mcap.read_bytes())
    at = data.index(b'\x06', 100)  # a chunk; its length follows
    data[at + 1 : at + 9] = (3 << 30).to_bytes(8, 'little')
    mcap.write_bytes(data)
    tracemalloc.start()
    with open_bag(mcap) as bag:
        list(bag.groups(lambda topic: True))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bag.problems
    assert peak < 50 << 20
