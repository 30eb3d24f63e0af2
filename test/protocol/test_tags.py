"""Tags in both spellings."""

from __future__ import annotations

import pytest

from mosaico_ros.protocol.tags import IRREGULAR_TAGS, same_tag, tag_spellings

REGULAR = {
    'RobotJoint': 'robot_joint',
    'MotionState': 'motion_state',
    'PointCloud2': 'point_cloud2',
    'Integer8': 'integer8',
    'Floating64': 'floating64',
    'Pressure': 'pressure',
    'CompressedImage': 'compressed_image',
}


@pytest.mark.parametrize(('name', 'snake'), [*IRREGULAR_TAGS.items(), *REGULAR.items()])
def test_both_spellings_find_each_other(name, snake):
    assert tag_spellings(name) == (name, snake)
    assert tag_spellings(snake) == (snake, name)
    assert same_tag(name, snake)
    assert not same_tag(name, 'other')


@pytest.mark.parametrize('tag', ['MY_TAG', 'ABCThing', 'pkg/msg/Type', '__x', ''])
def test_tags_without_another_spelling_stand_alone(tag):
    assert tag_spellings(tag) == (tag,)
