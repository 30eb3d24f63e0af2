"""The latched messages in force, for snapshots taken long after they were published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mosaico_ros.nodes.parcel import Parcel


class Latches:
    """The last message of each publisher of the latched topics."""

    def __init__(self, topic_details: Callable[[str], Mapping[str, Any]]) -> None:
        self._details = topic_details
        self._kept: dict[str, dict[bytes | None, Parcel]] = {}
        self._lock = threading.Lock()

    def keep(self, parcel: Parcel) -> None:
        offers = self._details(parcel.account.name).get('offered_qos', ())
        if not any(offer['durability'] == 'transient_local' for offer in offers):
            return
        with self._lock:
            kept = self._kept.setdefault(parcel.account.name, {})
            for i, info in enumerate(parcel.infos):
                gid = info.get('publisher_gid')
                kept[None if gid is None else bytes(gid['data'])] = replace(
                    parcel, stamps=[parcel.stamps[i]], infos=[info], payloads=[parcel.payloads[i]]
                )

    def settled(self, then: Callable[[list[Parcel]], None]) -> None:
        with self._lock:
            parcels = [parcel for kept in self._kept.values() for parcel in kept.values()]
        then(parcels)
