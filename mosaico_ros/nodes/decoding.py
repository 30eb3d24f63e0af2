"""What was captured as rows of the archive; topics of one type are decoded together.

Decoding a few messages costs as much as decoding hundreds, and many topics of a robot have the
same type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.parcel import payloads
from mosaico_ros.nodes.spool import SpooledTopic
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError, NotFoundError
from mosaico_ros.ros_bridge.provenance import PROVENANCE
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder

if TYPE_CHECKING:
    from mosaico_ros.nodes.topic_delivery import TopicDelivery

# Bytes after which a group is decoded; a topic with more than a part of them is one of its own.
_TOGETHER = 4_000_000
_LITTLE = _TOGETHER // 16


class Decoded(NamedTuple):
    """Rows with the schema `CAPTURED`, and what became of them.

    Attributes
    ----------
    captured, rows
        Before and after; malformed ones are left out.
    malformed
        How many were.
    """

    captured: pa.RecordBatch
    rows: pa.RecordBatch
    malformed: int = 0


class Decoders:
    """The decoders of a recording's topics."""

    def __init__(self) -> None:
        self._shared: dict[tuple[str, str], TopicDecoder] = {}

    def of(self, topic: SpooledTopic) -> TopicDecoder:
        """Return the decoder of a topic, which others of its type have too.

        Raises
        ------
        InvalidArgumentError
            There is no definition of the type, or it cannot be parsed.
        """
        key = (topic.type, topic.definition)
        if key in self._shared:
            return self._shared[key]
        try:
            decoder = TopicDecoder(
                topic.type,
                topic.definition or None,
                topic=topic.name,
                fidelity=Fidelity.VALUES,
                sidecars=PROVENANCE,
            )
        except NotFoundError as error:
            raise InvalidArgumentError(str(error)) from error
        if not decoder.sees_topic:
            self._shared[key] = decoder
        return decoder


def decode(decoder: TopicDecoder, captured: pa.RecordBatch) -> Decoded:
    """Decode rows with the schema `CAPTURED`."""
    before = decoder.malformed
    stamps, *provenance = captured.columns[:-1]
    rows = decoder.decode(stamps.to_numpy(), payloads(captured), provenance)
    return Decoded(captured, rows, decoder.malformed - before)


def together(
    topics: Iterable[TopicDelivery],
) -> Iterator[tuple[TopicDelivery, Decoded | None]]:
    """Yield topics with what waits of each, decoded together with others where that pays.

    None stands for what a topic has to decode by itself, if it can be decoded at all.
    """
    groups: dict[int, list[TopicDelivery]] = {}
    sizes: Counter[int] = Counter()
    for topic in topics:
        key = _decoder_of(topic)
        if key is None:
            yield topic, None
            continue
        groups.setdefault(key, []).append(topic)
        sizes[key] += topic.waiting_size
        if sizes[key] > _TOGETHER:
            del sizes[key]
            yield from _group(groups.pop(key))
    for group in groups.values():
        yield from _group(group)


def _decoder_of(topic: TopicDelivery) -> int | None:
    """Identity of the decoder that a topic with little to decode has in common with others."""
    if topic.waiting_size > _LITTLE:
        return None
    try:
        return id(topic.decoder)
    except MosaicoError:
        return None


def _group(topics: list[TopicDelivery]) -> Iterator[tuple[TopicDelivery, Decoded | None]]:
    alone = [(topic, None) for topic in topics]
    if len(topics) == 1:
        return iter(alone)
    captured = pa.concat_batches([batch for topic in topics for batch in topic.waiting])
    try:
        whole = decode(topics[0].decoder, captured)
    except MosaicoError:
        return iter(alone)
    if whole.malformed:
        return iter(alone)  # to know whose they are
    ends = np.cumsum([topic.waiting_rows for topic in topics]).tolist()
    return (
        (topic, Decoded(captured.slice(start, end - start), whole.rows.slice(start, end - start)))
        for topic, start, end in zip(topics, [0, *ends[:-1]], ends, strict=True)
    )
