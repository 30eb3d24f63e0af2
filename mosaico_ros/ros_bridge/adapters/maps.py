"""Registry of column maps: ROS message type to ontology class and the words that fill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from mosaico_ros.protocol.tags import same_tag
from mosaico_ros.ros_bridge.adapters.vocabulary import Nest, Word

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


def default_map(tag: str) -> ColumnMap | None:
    """Map by which rows that no ROS message made become messages; None if there is none.

    Of several for one ontology class the stamped one: rows of the archive have headers.
    """
    fitting = [
        found
        for name in mapped_types()
        if (found := column_map(name)) is not None and same_tag(found.ontology, tag)
    ]
    stamped = [found for found in fitting if found.msgtype.endswith('Stamped')]
    plain = [found for found in stamped if 'WithCovariance' not in found.msgtype]
    return next(iter(plain or stamped or fitting), None)


def mapped_types() -> list[str]:
    """Message types with a column map, sorted."""
    return sorted({name for package in _PACKAGES for name in _declared(package)})
