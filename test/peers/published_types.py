"""Every type of the ontology, written, read and asked for by the published client.

The tests run the same source with the name of the package replaced by ours, too.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import mosaicolabs
import pyarrow as pa
from mosaicolabs import Message, MosaicoClient, Query, QueryOntologyCatalog, QuerySequence
from mosaicolabs.bridges import ros
from mosaicolabs.enum import SerializationFormat
from mosaicolabs.models import futures
from mosaicolabs.models.core import Unmodeled, make_unmodeled_ontology_class

#: Layout of a type that neither side has a class for.
FOREIGN = pa.struct(
    [
        pa.field('id', pa.uint16(), nullable=False),
        pa.field('pose', pa.struct([('x', pa.float32()), ('label', pa.string())])),
        pa.field('trace', pa.list_(pa.struct([('t', pa.int64()), ('ok', pa.bool_())]))),
        pa.field('blob', pa.binary()),
    ]
)


@functools.cache
def type_of(tag: str) -> Any:
    if tag == 'Foreign':
        return make_unmodeled_ontology_class('Foreign', tag, SerializationFormat.Default, FOREIGN)
    return next(getattr(m, tag) for m in (mosaicolabs, futures, ros) if hasattr(m, tag))


def as_json(value: Any) -> str:
    return json.dumps(value, default=lambda blob: {'bytes': blob.hex()})


def from_json(path: str) -> Any:
    text = Path(path).read_text()
    return json.loads(text, object_hook=lambda d: bytes.fromhex(d['bytes']) if 'bytes' in d else d)


def plain(data: Any) -> Any:
    return data.raw_data if isinstance(data, Unmodeled) else data.model_dump()


def act(client: MosaicoClient, path: str) -> list[Any]:
    """Do what a file lists, pairs of a function of this script and its arguments, one by one."""
    verbs = {'write': write, 'read': read, 'ask': ask}
    return [verbs[verb](client, *arguments) for verb, arguments in from_json(path)]


def write(client: MosaicoClient, name: str, path: str) -> dict[str, Any]:
    """Write the rows of a file, a topic per type; return what was refused, by type."""
    refused: dict[str, Any] = {}
    with client.sequence_create(name, {}) as sequence:
        for tag, rows in from_json(path).items():
            cls = type_of(tag)
            topic = sequence.topic_create(tag, {}, cls)
            for stamp, fields in rows:
                try:
                    data = cls(raw_data=fields) if tag == 'Foreign' else cls(**fields)
                    topic.push(Message(timestamp_ns=stamp, data=data))
                except Exception as error:
                    refused.setdefault(tag, {})[stamp] = str(error)
    return refused


def read(client: MosaicoClient, name: str, path: str) -> dict[str, Any]:
    """Read all topics of a sequence into a file; return the classes and what cannot be read."""
    rows: dict[str, Any] = {}
    classes: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for topic_name in client.sequence_handler(name).topics:
        topic = client.topic_handler(name, topic_name)
        rows[topic.ontology_tag] = found = []
        try:
            for message in topic.get_data_streamer():
                found.append([message.timestamp_ns, plain(message.data)])
                classes.setdefault(topic.ontology_tag, []).append(type(message.data).__name__)
        except Exception as error:
            failed[topic.ontology_tag] = f'{type(error).__name__}: {error}'
    Path(path).write_text(as_json(rows))
    return {'classes': {t: sorted(set(c)) for t, c in classes.items()}, 'failed': failed}


def ask(client: MosaicoClient, path: str) -> list[list[int]]:
    """Return the times of the rows that each question of a file finds."""
    return [times(client, *question) for question in from_json(path)]


def times(
    client: MosaicoClient, name: str, tag: str, field: str, operator: str, operands: list[Any]
) -> list[int]:
    asked = type_of(tag).Q
    for step in field.split('.'):
        if step in ('any', 'all'):
            asked = getattr(asked, step)()
        else:
            asked = asked[int(step)] if step.isdigit() else getattr(asked, step)
    condition = getattr(asked, operator)(*operands)
    sequence = QuerySequence().with_name(name)
    answer = client.query(query=Query(sequence, QueryOntologyCatalog(condition)))
    topics = [topic for item in answer for topic in item.topics]
    # Rows are further apart than 1 ns: every one is a cluster.
    clusters = [cluster for topic in topics for cluster in topic.clusterize(clustering_dt_ns=1)]
    return [cluster.timerange.start for cluster in clusters]
