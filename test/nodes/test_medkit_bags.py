"""Recordings of medkit on their way into the outbox; the fault manager's answers are made up."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from mosaico_ros.nodes.medkit_bags import MedkitBag, MedkitBags
from mosaico_ros.nodes.outbox import Entry, Outbox, Retention
from mosaico_ros.nodes.snapshot_writer import SnapshotNames

METADATA = {
    'robot_id': 'r1',
    'fault_code': 'HOT',
    'fault_severity': 'ERROR',
    'reporting_sources': '/motor,/driver',
    'captured_at_seconds': 12.5,
    'snapshot_id': 'aa',
    'incident_id': 'aa',
    'source_pipeline': 'mosaico_ros',
    'pre_sec': 1.0,
    'post_sec': 1.0,
    'window_start_ns': 1,
    'window_end_ns': 2,
    'window_complete': True,
    'lost_messages': 0,
    'topics_missing': '',
}


class Bench:
    def __init__(self, folder: Path) -> None:
        self.answers: list[MedkitBag | None] = []
        self.asked: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.stored: list[Entry] = []
        self.outbox = Outbox(folder / 'outbox', Retention())
        self.bags = MedkitBags(
            self.ask,
            self.outbox,
            SnapshotNames('{source}_{fault_code}_{snapshot_id}'),
            self.stored.append,
            lambda text, warning=False: self.said.append(text),
            pause=0.01,
        )
        self.bags.start()

    def ask(self, code: str, source: str) -> MedkitBag | None:
        self.asked.append((code, source))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def want(self, *answers: MedkitBag | None, stored: int) -> None:
        self.answers = list(answers)
        self.bags.want(Entry('aa', 'x', 'x.mcap', METADATA, 12_500_000_000, 2))
        deadline = time.monotonic() + 20
        while len(self.stored) < stored:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.bags.finish()
    made.bags.join(5)
    assert not made.bags.is_alive()


def test_a_recording_is_waited_for_and_kept_whatever_medkit_deletes(
    bench: Bench, tmp_path: Path
) -> None:
    bag = tmp_path / 'fault_HOT_12500'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text('rosbag2_bagfile_information: {}')
    (bag / 'fault_HOT_12500_0.mcap').write_bytes(b'data')
    answer = MedkitBag('fault_HOT_12500', bag)
    bench.want(None, None, answer, stored=1)
    assert bench.asked == [('HOT', '/motor')] * 3
    shutil.rmtree(bag)
    (entry,) = bench.stored
    assert entry.kind == 'medkit'
    assert entry.metadata['source_pipeline'] == 'ros2_medkit'
    assert entry.metadata['incident_id'] == 'aa' != entry.snapshot_id
    assert entry.metadata['recording_id'] == 'fault_HOT_12500'
    assert entry.sequence_name == f'ros2_medkit_HOT_{entry.snapshot_id}'
    kept = bench.outbox.folder / entry.file
    assert (kept / 'fault_HOT_12500_0.mcap').read_bytes() == b'data'


def test_a_recording_is_taken_once_and_its_successor_waited_for(
    bench: Bench, tmp_path: Path
) -> None:
    files = [tmp_path / f'fault_HOT_{number}.mcap' for number in (1, 2)]
    for file in files:
        file.write_bytes(file.name.encode())
    first, second = (MedkitBag(file.stem, file) for file in files)
    bench.want(first, stored=1)
    bench.want(first, first, second, stored=2)
    assert [entry.metadata['recording_id'] for entry in bench.stored] == [
        'fault_HOT_1',
        'fault_HOT_2',
    ]
    for entry, file in zip(bench.stored, files, strict=True):
        assert (bench.outbox.folder / entry.file).read_bytes() == file.name.encode()
