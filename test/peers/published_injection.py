"""The published client's injector, and its reader over what two injectors stored of one bag.

``published_injection.py BAG HOST PORT OURS THEIRS CLOUDS``: injects BAG as the sequence THEIRS,
the topics in the JSON object CLOUDS by the adapters that it names; reads it and OURS as typed
objects; prints one JSON object: by topic the tags and classes of both, how many messages they
have, how many are in both, those that only OURS has, and the first few that differ. Runs in the
published client's environment.
"""

from __future__ import annotations

import enum
import json
import math
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from mosaicolabs import MosaicoClient
from mosaicolabs.bridges.ros import RosbagInjector, ROSInjectionConfig, adapters
from mosaicolabs.enum import TopicLevelErrorPolicy
from mosaicolabs.models.sensors import Image


def plain(value: Any) -> Any:
    """A typed object as JSON values; what is NaN on both sides is equal."""
    if isinstance(value, Image):
        # The published injector packs pixels into PNG, ours leaves them as they are.
        names = ('width', 'height', 'stride', 'encoding', 'is_bigendian', 'header')
        members = {name: plain(getattr(value, name)) for name in names}
        return {**members, 'pixels': list(value.to_linear_pixels())}
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, bytes):
        return list(value)
    if isinstance(value, float) and math.isnan(value):
        return 'NaN'
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, 'model_dump') or hasattr(value, '__dict__'):
        names = type(value).model_fields
        return {name: plain(getattr(value, name)) for name in names}
    return value


def read(client: MosaicoClient, sequence: str) -> dict[str, dict[str, Any]]:
    """By topic its tag and class, and its objects by time."""
    handler = client.sequence_handler(sequence)
    found: dict[str, dict[str, Any]] = {}
    for name in handler.topics:
        topic = handler.get_topic_handler(name)
        found[name] = {'tag': topic.ontology_tag, 'kind': '', 'rows': {}}
        for message in topic.get_data_streamer():
            found[name]['kind'] = type(message.data).__name__
            found[name]['rows'][message.timestamp_ns] = plain(message.data)
    return found


def main() -> None:
    bag, host, port, ours, theirs, clouds = sys.argv[1:]
    config = ROSInjectionConfig(
        file_path=Path(bag),
        sequence_name=theirs,
        host=host,
        port=int(port),
        topics_on_error=TopicLevelErrorPolicy.Ignore,
        adapter_overrides={
            topic: getattr(adapters, name) for topic, name in json.loads(clouds).items()
        },
        log_level='ERROR',
    )
    with redirect_stdout(sys.stderr):
        RosbagInjector(config).run()
    with MosaicoClient.connect(host, int(port)) as client:
        left, right = read(client, ours), read(client, theirs)
    told = {}
    for topic in left.keys() | right.keys():
        one, two = left.get(topic, {}), right.get(topic, {})
        rows, others = one.get('rows', {}), two.get('rows', {})
        both = sorted(rows.keys() & others.keys())
        different = [at for at in both if rows[at] != others[at]]
        told[topic] = {
            'tags': [one.get('tag'), two.get('tag')],
            'kinds': [one.get('kind'), two.get('kind')],
            'messages': [len(rows), len(others)],
            'both': len(both),
            'missing': [rows[at] for at in sorted(rows.keys() - others.keys())],
            'different': len(different),
            'examples': [[rows[at], others[at]] for at in different[:2]],
        }
    json.dump(told, sys.stdout)


if __name__ == '__main__':
    main()
