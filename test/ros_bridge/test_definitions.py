"""Finding message definitions: texts, installed packages, distributions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mosaico_ros.protocol.errors import InvalidArgumentError, NotFoundError
from mosaico_ros.ros_bridge.definitions import find_definition, full_name

SHARE = Path(sys.prefix) / 'share'


def test_text_of_a_bag_wins_over_everything():
    text = 'float32 level\nmy_pkg/Unit[] units\n' + '=' * 80 + '\nMSG: my_pkg/Unit\nstring name\n'
    definition = find_definition('sensor_msgs/msg/BatteryState', text)
    assert [name for name, _ in definition.tree.members] == ['level', 'units']
    assert 'my_pkg/msg/Unit' in definition.types


def test_text_without_its_nested_types_is_completed():
    definition = find_definition('my_pkg/msg/Stamped', 'std_msgs/Header header\nint8 code\n')
    assert set(definition.types) == {
        'my_pkg/msg/Stamped',
        'std_msgs/msg/Header',
        'builtin_interfaces/msg/Time',
    }


def test_idl_text():
    text = """
    module my_pkg { module msg {
      module Level_Constants { const uint8 HIGH = 2; };
      struct Level { float value; sequence<double, 4> history; string name; };
    }; };
    """
    definition = find_definition('my_pkg/msg/Level', text)
    assert definition.constants == {'HIGH': 2}
    assert [name for name, _ in definition.tree.members] == ['value', 'history', 'name']
    # Several IDL files in one text, as rosbag2 stores them.
    whole = '=' * 80 + '\nIDL: my_pkg/msg/Level\n' + text
    assert find_definition('my_pkg/msg/Level', whole).tree == definition.tree


def test_idl_files_include_each_other():
    text = """// generated from my_pkg/msg/Spot.msg

#include "geometry_msgs/msg/Point.idl"
  #include "my_pkg/msg/Other.idl"

module my_pkg { module msg {
  struct Spot { geometry_msgs::msg::Point place; };
}; };
"""
    definition = find_definition('my_pkg/msg/Spot', text)
    assert set(definition.types) == {'my_pkg/msg/Spot', 'geometry_msgs/msg/Point'}


@pytest.mark.parametrize('ros1', [False, True])
def test_constants_of_any_spelling_survive_the_canonical_text(ros1):
    text = (
        'uint8 mode_idle=0\nuint8 MODE__ON=1\nstring NONE=""\nstring EMPTY=\n'
        'string QUOTED=say "hi" # aloud\nuint8 mode\nMyPkg/Unit unit\n'
        + ('=' * 80 + '\nMSG: MyPkg/Unit\nint8 x\n')
    )
    definition = find_definition('MyPkg/msg/State', text, ros1=ros1)
    assert definition.constants['mode_idle'] == 0
    assert definition.constants['MODE__ON'] == 1
    assert definition.constants['NONE'] == definition.constants['EMPTY'] == ''
    again = find_definition('MyPkg/msg/State', definition.text, ros1=ros1)
    assert (again.types, again.text) == (definition.types, definition.text)


def test_ros1_text_uses_time_without_defining_it():
    definition = find_definition(
        'my_pkg/Event',
        'Header header\ntime at\nduration took\n'
        + ('=' * 80 + '\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n'),
        ros1=True,
    )
    header = dict(definition.tree.members)['header']
    assert [name for name, _ in header.members] == ['seq', 'stamp', 'frame_id']


def test_distribution_is_the_last_resort():
    # TFMessage is not among the wheels; IMU covariances have been there since the first release.
    assert (
        find_definition('tf2_msgs/TFMessage', distro='humble').msgtype == 'tf2_msgs/msg/TFMessage'
    )


def test_installed_packages_hash_as_ros_says():
    described = sorted(SHARE.glob('*_msgs/msg/*.json'))
    if not described:
        pytest.skip(f'no ROS message packages under {SHARE}')
    for path in described:
        name = f'{path.parts[-3]}/msg/{path.stem}'
        hashes = {
            entry['type_name']: entry['hash_string']
            for entry in json.loads(path.read_text())['type_hashes']
        }
        if 'rmw_dds' not in name:
            assert find_definition(name).type_hash == hashes[name], name


def test_unknown_types_and_broken_texts_are_named():
    with pytest.raises(NotFoundError, match='nobody_msgs/msg/Nothing'):
        find_definition('nobody_msgs/msg/Nothing')
    with pytest.raises(NotFoundError, match=r'nobody_msgs/msg/Part.*my_pkg/msg/Whole'):
        find_definition('my_pkg/msg/Whole', 'nobody_msgs/Part part\n')
    with pytest.raises(InvalidArgumentError, match='my_pkg/msg/Broken'):
        find_definition('my_pkg/msg/Broken', 'int32[ x\n')
    with pytest.raises(InvalidArgumentError, match='package/msg/Name'):
        full_name('NoSlash')
    with pytest.raises(InvalidArgumentError, match='unknown ROS distribution'):
        find_definition('tf2_msgs/msg/TFMessage', distro='melodious')


@pytest.mark.parametrize('name', ['a/b/c/d', '../x/Y', 'a b/C'])
def test_a_reference_that_is_no_type_is_not_found(name):
    with pytest.raises((NotFoundError, InvalidArgumentError)):
        find_definition('demo_msgs/msg/Odd', f'{name} member')
