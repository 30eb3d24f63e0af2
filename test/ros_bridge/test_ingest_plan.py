"""What is found behind the paths that a user gives, and what it will be called."""

from __future__ import annotations

from pathlib import Path

import pytest

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.ingest_plan import plan


@pytest.fixture
def tree(tmp_path: Path):
    """``tree(*files)`` makes empty files and returns the folder."""

    def make(*files: str) -> Path:
        for name in files:
            path = tmp_path / 'tree' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            text = 'rosbag2_bagfile_information: {}' if path.name == 'metadata.yaml' else ''
            path.write_text(text)
        return tmp_path / 'tree'

    return make


def names(folder: Path) -> dict[str, str]:
    """Sequence name by path below the folder."""
    found = plan([folder])
    return {str(one.path.relative_to(folder)): one.sequence_name for one in found}


def test_a_tree_is_searched_and_named_by_its_paths(tree):
    folder = tree(
        *('day1/run.mcap', 'day1/old run.bag', 'day2/arm/run.db3', 'day2/arm/run.db3-wal'),
        *('day2/notes.txt', 'day2/packed.mcap.zstd', '_raw/run.mcap'),
    )
    assert names(folder) == {
        '_raw/run.mcap': 'raw-run',
        'day1/old run.bag': 'day1-old_run',
        'day1/run.mcap': 'day1-run',
        'day2/arm/run.db3': 'day2-arm-run',
        'day2/packed.mcap.zstd': 'day2-packed',
    }


@pytest.mark.parametrize(
    'files',
    [
        ['run/metadata.yaml', 'run/a.mcap', 'run/b.mcap'],
        ['run/rosbag_0.db3', 'run/rosbag_1.db3', 'run/rosbag_2.db3'],
        [f'run/rosbag_{i}.mcap' for i in range(12)],
        ['run/run_0.mcap'],
        ['run/run_7.mcap.zstd', 'run/run_8.mcap.zstd'],
    ],
)
def test_a_folder_of_one_recording_counts_as_one(tree, files):
    folder = tree(*files)
    assert names(folder) == {'run': 'run'}
    assert names(folder / 'run') == {'.': 'run'}


@pytest.mark.parametrize(
    'files',
    [
        ['run/a.mcap', 'run/b.mcap'],
        ['run/drive_1.mcap', 'run/drive_2.mcap'],
        ['run/drive_0.mcap', 'run/drive_2.mcap'],
        ['run/drive_0.mcap', 'run/drive_1.bag'],
        ['run/drive_0.mcap', 'run/drive_1.mcap', 'run/other.mcap'],
        ['run/drive_0.mcap'],
    ],
)
def test_bags_that_only_lie_together_stay_apart(tree, files):
    assert list(names(tree(*files))) == files


def test_hidden_files_and_links_to_folders_are_left_out(tree):
    folder = tree('run.mcap', '.trash/old.mcap', '._run.mcap', 'a/b.mcap')
    (folder / 'again').symlink_to(folder)
    assert sorted(names(folder)) == ['a/b.mcap', 'run.mcap']


def test_a_recording_given_twice_is_loaded_once(tree):
    folder = tree('day/run.mcap')
    assert len(plan([folder, folder / 'day' / 'run.mcap'])) == 1


def test_the_current_folder_has_a_name(tree, monkeypatch):
    monkeypatch.chdir(tree('metadata.yaml'))
    assert [one.sequence_name for one in plan([Path('.')])] == ['tree']


def test_what_is_no_bag_stays_in_the_plan(tree):
    """So that loading it fails, and only it."""
    paths = [tree('notes.txt'), Path('missing.mcap')]
    assert [one.path for one in plan(paths)] == paths


def test_names_that_clash_are_refused_with_their_paths(tree):
    folder = tree('a/run.mcap', 'a-run.bag', 'fine.mcap')
    with pytest.raises(InvalidArgumentError, match=r"'a-run'.*a/run.mcap and .*a-run.bag"):
        plan([folder])


def test_a_name_is_for_one_recording(tree):
    folder = tree('a.mcap', 'b.mcap')
    assert [one.sequence_name for one in plan([folder / 'a.mcap'], 'mine')] == ['mine']
    with pytest.raises(InvalidArgumentError, match='2 recordings'):
        plan([folder], 'mine')
