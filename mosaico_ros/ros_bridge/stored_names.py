"""Names of columns for members of a message, of which the envelope and its sidecars own some."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN
from mosaico_ros.ros_bridge.provenance import PROVENANCE
from mosaico_ros.ros_bridge.residual import RESIDUAL

_RESERVED = (TIMESTAMP_COLUMN, RESIDUAL.name, *(field.name for field in PROVENANCE))


def stored_names(members: Collection[str], more: Iterable[str] = ()) -> dict[str, str]:
    """The column of each member: its own name, with underscores behind it where that is taken.

    ``more`` are further names that are taken.
    """
    reserved = {*_RESERVED, *more}
    names = {name: name for name in members}
    for name in filter(names.__contains__, sorted(reserved)):
        while names[name] in reserved or (names[name] != name and names[name] in members):
            names[name] += '_'
    return names
