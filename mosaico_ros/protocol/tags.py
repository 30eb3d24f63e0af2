"""Ontology tags and their two spellings.

Clients since 0.6 write the class name (``IMU``, ``RobotJoint``), older ones its snake case
form (``imu``, ``robot_joint``). Stored tags are never rewritten; a query for one spelling
finds topics stored under either.
"""

from __future__ import annotations

import re

__all__ = ['IRREGULAR_TAGS', 'same_tag', 'tag_spellings']

#: Class name -> snake case, where splitting before capitals gives something else.
IRREGULAR_TAGS: dict[str, str] = {
    'IMU': 'imu',
    'GPS': 'gps',
    'GPSStatus': 'gps_status',
    'NMEASentence': 'nmea_sentence',
    'ROI': 'roi',
    'RGBDCamera': 'rgbd_camera',
    'ToFCamera': 'tof_camera',
    'MultiEchoLaserScan': 'multi_echolaser_scan',
    'Vector2d': 'vector_2_d',
    'Vector3d': 'vector_3_d',
    'Vector4d': 'vector_4_d',
    'Point2d': 'point_2_d',
    'Point3d': 'point_3_d',
}
_CLASS_NAMES = {snake: name for name, snake in IRREGULAR_TAGS.items()}

_CLASS_NAME = re.compile(r'[A-Z][A-Za-z0-9]*')
_SNAKE_CASE = re.compile(r'[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*')


def _other_spelling(tag: str) -> str | None:
    if tag in IRREGULAR_TAGS:
        return IRREGULAR_TAGS[tag]
    if tag in _CLASS_NAMES:
        return _CLASS_NAMES[tag]
    if _SNAKE_CASE.fullmatch(tag):
        return ''.join(word.capitalize() for word in tag.split('_'))
    # A run of capitals has no certain snake case form; only the table above settles those.
    if _CLASS_NAME.fullmatch(tag) and not re.search(r'[A-Z]{2}', tag):
        return re.sub(r'(?<=[a-z0-9])([A-Z])', r'_\1', tag).lower()
    return None


def tag_spellings(tag: str) -> tuple[str, ...]:
    """Return the spellings under which a topic of this tag may be stored.

    Parameters
    ----------
    tag
        Either spelling, for example ``IMU`` or ``imu``.

    Returns
    -------
    tuple of str
        `tag` itself first, then the other spelling if there is one.

    """
    other = _other_spelling(tag)
    return (tag,) if other is None or other == tag else (tag, other)


def same_tag(left: str, right: str) -> bool:
    """Whether two tags are spellings of one ontology type."""
    return right in tag_spellings(left)
