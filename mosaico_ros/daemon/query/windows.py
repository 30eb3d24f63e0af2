"""Windows in time in which conditions hold: clusters of a topic's rows, and their overlaps."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mosaico_ros.daemon.query.budget import Alive
from mosaico_ros.daemon.query.engine import QueryEngine, forever
from mosaico_ros.daemon.query.topic_rows import TopicRows, tag_of
from mosaico_ros.daemon.time_order import Window
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.query import OntologyCondition, Where, row_alternatives
from mosaico_ros.protocol.tags import same_tag

__all__ = ['Cluster', 'ClusterRequest', 'clusterize', 'intersect']


@dataclass(frozen=True)
class Cluster:
    """A stretch of time, both ends inclusive, counted from 0."""

    start_ns: int
    end_ns: int
    id: int


@dataclass(frozen=True)
class ClusterRequest:
    """Which rows of a topic to cluster, as the body of the action says once it is checked.

    Parameters
    ----------
    locator
        The topic.
    conditions, where
        What its rows must satisfy; of this topic's tag, at least one condition.
    clustering_dt_ns
        Longest pause inside a cluster; 0 makes one cluster of everything.
    start_ns, end_ns
        Rows in [start_ns, end_ns) only.

    """

    locator: TopicLocator
    conditions: tuple[OntologyCondition, ...]
    clustering_dt_ns: int = 0
    start_ns: int | None = None
    end_ns: int | None = None
    where: Where | None = None

    @property
    def ways(self) -> list[tuple[OntologyCondition, ...]]:
        """Alternatives; rows satisfy all conditions of one."""
        return row_alternatives(self.conditions, self.where)


def clusterize(
    engine: QueryEngine, request: ClusterRequest, alive: Alive = forever
) -> Iterator[Cluster]:
    """Yield the clusters of a topic's matching rows in time order.

    The request is checked at once, rows are read while the result is.

    Raises
    ------
    NotFoundError
        If there is no such topic.
    InvalidArgumentError
        If a condition is of another tag.

    """
    _check_tags(engine, request)
    return _clusters(engine, request, alive)


def _check_tags(engine: QueryEngine, request: ClusterRequest) -> None:
    tag = tag_of(engine, request.locator)
    for condition in (condition for way in request.ways for condition in way):
        if not same_tag(tag, condition.tag):
            raise InvalidArgumentError(
                f'The condition on {condition.key} is not for {request.locator}, whose tag is '
                f'{tag}'
            )


def _clusters(engine: QueryEngine, request: ClusterRequest, alive: Alive) -> Iterator[Cluster]:
    window = Window(request.start_ns, request.end_ns)
    pause = request.clustering_dt_ns
    ways = [
        TopicRows(engine, request.locator, conditions, window, alive)
        for conditions in request.ways
    ]
    if not pause:
        found = [times for rows in ways if (times := rows.matching_range()) is not None]
        if found:
            yield Cluster(min(t[0] for t in found), max(t[1] for t in found), 0)
        return
    # The clusters of all ways: those of each, joined where the pause between them allows it.
    spans = heapq.merge(*(_spans(rows, pause) for rows in ways))
    count = 0
    cluster: tuple[int, int] | None = None
    for start, end in spans:
        if cluster is not None and start - cluster[1] <= pause:
            cluster = cluster[0], max(cluster[1], end)
            continue
        if cluster is not None:
            yield Cluster(*cluster, count)
            count += 1
        cluster = start, end
    if cluster is not None:
        yield Cluster(*cluster, count)


def _spans(rows: TopicRows, pause: int) -> Iterator[tuple[int, int]]:
    """Yield first and last time of each stretch of rows without a longer pause."""
    start: int | None = None
    end = 0
    for times in rows.matching_times():
        if start is None:
            start = end = int(times[0])
        # Differences of int64 can exceed it, which unsigned arithmetic holds.
        unsigned = times.astype(np.uint64)
        gaps = np.diff(unsigned, prepend=np.int64(end).astype(np.uint64))
        for at in np.flatnonzero(gaps > pause):
            yield start, int(times[at - 1]) if at else end
            start = int(times[at])
        end = int(times[-1])
    if start is not None:
        yield start, end


def intersect(
    engine: QueryEngine,
    requests: list[ClusterRequest],
    tolerance_ns: int = 0,
    alive: Alive = forever,
) -> Iterator[Cluster]:
    """Yield the stretches in which clusters of all topics overlap, up to a tolerance.

    A topic without any cluster leaves nothing.

    Raises
    ------
    NotFoundError
        If there is no such topic.
    InvalidArgumentError
        If a condition is of another tag.

    """
    for request in requests:
        _check_tags(engine, request)
    return _overlaps([_clusters(engine, request, alive) for request in requests], tolerance_ns)


def _overlaps(lists: list[Iterator[Cluster]], tolerance_ns: int) -> Iterator[Cluster]:
    count = 0
    current: list[Cluster] = []
    for clusters in lists:
        head = next(clusters, None)
        if head is None:
            return
        current.append(head)
    while True:
        start = max(cluster.start_ns for cluster in current)
        end = min(cluster.end_ns for cluster in current)
        if start <= end:
            yield Cluster(start, end, count)
            count += 1
        elif start <= end + tolerance_ns:
            half = tolerance_ns // 2
            yield Cluster(start - half, end + tolerance_ns - half, count)
            count += 1
        first = min(range(len(current)), key=lambda index: current[index].end_ns)
        following = next(lists[first], None)
        if following is None:
            return
        current[first] = following
