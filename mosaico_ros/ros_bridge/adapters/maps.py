"""Registry of column maps: ROS message type to ontology class and the words that fill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.adapters.vocabulary import Nest, Word
from mosaico_ros.ros_bridge.cdr.columns import Group

if TYPE_CHECKING:
    from mosaico_ros.models import Serializable

#: Modules that declare maps, by the message package whose types they map.
_PACKAGES = {
    'builtin_interfaces': '.std_msgs',
    'std_msgs': '.std_msgs',
    'geometry_msgs': '.geometry_msgs',
    'nav_msgs': '.nav_msgs',
    'nmea_msgs': '.sensor_msgs',
    'sensor_msgs': '.sensor_msgs',
    'tf2_msgs': '.geometry_msgs',
}


@dataclass(frozen=True)
class ColumnMap:
    """How one message type becomes one ontology class.

    Attributes
    ----------
    msgtype : str
        Full name of the ROS type.
    ontology : str
        Name of the class in `mosaico_ros.models`.
    words : Mapping
        Words by member of the ontology; members not named are matched by name.
    path : str
        Member of the message in which names are matched (``pose`` of a ``PoseStamped``).
    outer : Mapping
        Words for members that come from the message itself although ``path`` is set.
    """

    msgtype: str
    ontology: str
    words: Mapping[str, Word] = field(default_factory=dict)
    path: str = ''
    outer: Mapping[str, Word] = field(default_factory=dict)

    @property
    def ontology_type(self) -> type[Serializable]:
        return getattr(import_module('mosaico_ros.models'), self.ontology)

    def refused(self, scope: Group) -> dict[str, np.ndarray]:
        """Messages that cannot become the ontology class, shape (n,), bool, by reason."""
        return {}

    @property
    def word(self) -> Word:
        return Nest(self.path, self.words, self.outer)


@cache
def _declared(package: str) -> dict[str, ColumnMap]:
    module = _PACKAGES.get(package)
    if module is None:
        return {}
    return {m.msgtype: m for m in import_module(module, __package__).MAPS}


def column_map(msgtype: str) -> ColumnMap | None:
    """Map of a message type, or None if it has none (then its model is derived)."""
    package = msgtype.split('/')[0]
    return _declared(package).get(msgtype)


def column_maps(msgtype: str) -> list[ColumnMap]:
    """All maps of a message type: that which is used unasked first, then those to choose."""
    found = column_map(msgtype)
    return [*([] if found is None else [found]), *_to_choose().get(msgtype, [])]


@cache
def _to_choose() -> dict[str, list[ColumnMap]]:
    from mosaico_ros.ros_bridge.adapters.point_clouds import MAPS

    found: dict[str, list[ColumnMap]] = {}
    for one in MAPS:
        found.setdefault(one.msgtype, []).append(one)
    return found


def ontology_maps(tag: str) -> list[ColumnMap]:
    """All maps to an ontology class, those to choose included."""
    declared = [column_map(name) for name in mapped_types()]
    chosen = [one for maps in _to_choose().values() for one in maps]
    return [m for m in (*declared, *chosen) if m is not None and same_tag(m.ontology, tag)]


def default_map(tag: str) -> ColumnMap | None:
    """Map by which rows that no ROS message made become messages; None if there is none.

    Of several for one ontology class the stamped one: rows of the archive have headers.
    """
    fitting = ontology_maps(tag)
    stamped = [found for found in fitting if found.msgtype.endswith('Stamped')]
    plain = [found for found in stamped if 'WithCovariance' not in found.msgtype]
    return next(iter(plain or stamped or fitting), None)


def mapped_types() -> list[str]:
    """Message types with a column map, sorted."""
    return sorted({name for package in _PACKAGES for name in _declared(package)})
