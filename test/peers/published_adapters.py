"""What the published client's own adapters make of serialized ROS messages.

Reads JSON lines ``{"msgtype": ..., "payload": hex}`` from a file and prints a JSON list: the
adapter's object as nested members, ``{"error": text}`` where it refuses the message, or null where
it has no adapter. Runs in the published client's environment.
"""

from __future__ import annotations

import enum
import json
import sys
from typing import Any

from mosaicolabs.bridges.ros import ROSBridge
from mosaicolabs.bridges.ros.helpers import _to_dict
from rosbags.typesys import Stores, get_typestore


def plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def main() -> None:
    store = get_typestore(Stores.ROS2_JAZZY)
    results: list[Any] = []
    with open(sys.argv[1], encoding='utf-8') as file:
        for line in file:
            case = json.loads(line)
            adapter = ROSBridge.get_default_adapter(case['msgtype'])
            if adapter is None:
                results.append(None)
                continue
            message = store.deserialize_cdr(bytes.fromhex(case['payload']), case['msgtype'])
            try:
                model = adapter.from_dict(_to_dict(message)[0])
                results.append(plain(model.model_dump()))
            except Exception as error:
                results.append({'error': f'{type(error).__name__}: {error}'})
    json.dump(results, sys.stdout)


if __name__ == '__main__':
    main()
