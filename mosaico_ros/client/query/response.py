"""What a query found, and the time windows in which it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, overload

from mosaico_ros.client.query.builders import QuerySequence, QueryTopic
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.tags import same_tag

if TYPE_CHECKING:
    from mosaico_ros.client.comm.connection import Connection
    from mosaico_ros.models.core.expressions import QueryExpression

__all__ = [
    'QueryResponse',
    'QueryResponseItem',
    'QueryResponseItemSequence',
    'QueryResponseItemTopic',
    'TimestampRange',
    'TopicCluster',
]


@dataclass(frozen=True)
class TimestampRange:
    """A span of time in nanoseconds since 1970; in answers both ends are included."""

    start: int
    end: int

    def to_dict(self) -> dict[str, int]:
        """Return the span as requests carry it."""
        return {'start_ns': self.start, 'end_ns': self.end}


@dataclass(frozen=True)
class TopicCluster:
    """One window in which conditions hold.

    Parameters
    ----------
    id
        Counts from 0 in time order.
    timerange
        First and last time, both included.

    """

    id: int
    timerange: TimestampRange


@dataclass
class QueryResponseItemSequence:
    """The sequence of a hit."""

    name: str


@dataclass
class QueryResponseItemTopic:
    """A topic of a hit.

    Parameters
    ----------
    locator
        ``<sequence>/<topic path>``.
    ontology_tag
        Its type.
    timestamp_range
        First and last time at which the conditions hold, both included; `None` unless the query
        asked with ``include_timestamp_range``.
    name
        Name of the topic with a leading slash, as handlers take it.

    """

    locator: str
    ontology_tag: str
    timestamp_range: TimestampRange | None = None
    name: str = field(init=False)
    _connection: Connection | None = field(default=None, repr=False, compare=False)
    _conditions: Sequence[QueryExpression] = field(default=(), repr=False, compare=False)

    #: Distance in nanoseconds used where none is given: everything is one cluster.
    DEFAULT_CLUSTERING_DT: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.name = TopicLocator.parse(self.locator).topic_name

    def clusterize(
        self,
        clustering_dt_ns: int | None = None,
        timestamp_range: TimestampRange | None = None,
    ) -> list[TopicCluster]:
        """Group the messages that satisfy the query's conditions into windows.

        Parameters
        ----------
        clustering_dt_ns
            Messages at most this far apart share a window; 0 (the default) makes one window of
            everything.
        timestamp_range
            Look only at times from its start to before its end.

        Raises
        ------
        FailedPreconditionError
            The query had no condition on this topic's values.

        """
        body = self._request(clustering_dt_ns)
        body['timestamp_range'] = timestamp_range.to_dict() if timestamp_range else None
        return _clusters(self._live_connection(), 'topic_filter_clusterize', body)

    def intersect(
        self,
        *topics: QueryResponseItemTopic,
        intersect_dt_ns: int = 0,
        clustering_map: dict[str, int] | None = None,
        override_clustering_dt_ns: int | None = None,
    ) -> list[TopicCluster]:
        """Find the windows in which the conditions of several topics hold together.

        Parameters
        ----------
        *topics
            At least one more topic of the same sequence.
        intersect_dt_ns
            Windows this far apart still count as overlapping.
        clustering_map
            Clustering distance by ontology tag.
        override_clustering_dt_ns
            Clustering distance of tags that are not in the map.

        Raises
        ------
        FailedPreconditionError
            The query had no condition on one of the topics' values.
        InvalidArgumentError
            No other topic, or one of another sequence.

        """
        return _intersect(
            [self, *topics], intersect_dt_ns, clustering_map, override_clustering_dt_ns
        )

    def _request(self, clustering_dt_ns: int | None) -> dict[str, Any]:
        conditions: dict[str, Any] = {}
        for condition in self._conditions:
            if same_tag(condition.tag, self.ontology_tag):
                conditions.update(condition.to_dict())
        if not conditions:
            raise FailedPreconditionError(
                f'The query had no condition on values of {self.locator} ({self.ontology_tag})',
                remedy='Clusters need a QueryOntologyCatalog with an expression on that type.',
            )
        distance = self.DEFAULT_CLUSTERING_DT if clustering_dt_ns is None else clustering_dt_ns
        return {
            'locator': self.locator,
            'clustering_dt_ns': distance,
            'ontology': conditions,
        }

    def _live_connection(self) -> Connection:
        if self._connection is None:
            raise FailedPreconditionError(
                f'{self.locator} does not come from a query', remedy='Use client.query().'
            )
        return self._connection


@dataclass
class QueryResponseItem:
    """One sequence that was found, with the topics that were found in it."""

    sequence: QueryResponseItemSequence
    topics: list[QueryResponseItemTopic]

    def clusterize_all(
        self,
        clustering_map: dict[str, int] | None = None,
        override_clustering_dt_ns: int | None = None,
    ) -> dict[str, list[TopicCluster]]:
        """Return the windows of every topic, by topic name; see `clusterize`.

        Parameters
        ----------
        clustering_map
            Clustering distance by ontology tag.
        override_clustering_dt_ns
            Clustering distance of tags that are not in the map.

        """
        return {
            topic.name: topic.clusterize(
                _distance(topic, clustering_map, override_clustering_dt_ns)
            )
            for topic in self.topics
        }

    def intersect(
        self,
        *items: QueryResponseItem,
        intersect_dt_ns: int = 0,
        clustering_map: dict[str, int] | None = None,
        override_clustering_dt_ns: int | None = None,
    ) -> list[TopicCluster]:
        """Find the windows in which the conditions of all topics hold together.

        Parameters
        ----------
        *items
            Further items, whose topics join in; of the same sequence.
        intersect_dt_ns, clustering_map, override_clustering_dt_ns
            As in :meth:`QueryResponseItemTopic.intersect`.

        """
        topics = [topic for item in (self, *items) for topic in item.topics]
        return _intersect(topics, intersect_dt_ns, clustering_map, override_clustering_dt_ns)


@dataclass
class QueryResponse:
    """All hits of a query, one item per sequence."""

    items: list[QueryResponseItem] = field(default_factory=list)

    @classmethod
    def from_dict(
        cls,
        data: dict[str, Any],
        connection: Connection | None = None,
        conditions: Sequence[QueryExpression] = (),
    ) -> QueryResponse:
        """Read the answer to ``query``; `conditions` are what clustering asks again."""
        items = []
        for entry in data.get('items', ()):
            topics = []
            for found in entry['topics']:
                span = found.get('timestamp_range')
                topics.append(
                    QueryResponseItemTopic(
                        locator=found['locator'],
                        ontology_tag=found.get('ontology_tag', ''),
                        timestamp_range=TimestampRange(*span) if span else None,
                        _connection=connection,
                        _conditions=conditions,
                    )
                )
            items.append(QueryResponseItem(QueryResponseItemSequence(entry['sequence']), topics))
        return cls(items)

    def is_empty(self) -> bool:
        """Whether nothing was found."""
        return not self.items

    def to_query_sequence(self) -> QuerySequence:
        """Return a builder restricted to the sequences found, for a further query.

        Raises
        ------
        InvalidArgumentError
            Nothing was found.

        """
        self._check_not_empty()
        names = [item.sequence.name for item in self.items]
        return QuerySequence()._restrict_names(names)

    def to_query_topic(self) -> QueryTopic:
        """Return a builder restricted to the topic names found, for a further query.

        Raises
        ------
        InvalidArgumentError
            Nothing was found.

        """
        self._check_not_empty()
        # A dictionary drops repetitions and keeps the order.
        names = dict.fromkeys(topic.name for item in self.items for topic in item.topics)
        return QueryTopic()._restrict_names(list(names))

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[QueryResponseItem]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> QueryResponseItem: ...

    @overload
    def __getitem__(self, index: slice) -> list[QueryResponseItem]: ...

    def __getitem__(self, index: int | slice) -> QueryResponseItem | list[QueryResponseItem]:
        return self.items[index]

    def _check_not_empty(self) -> None:
        if not self.items:
            raise InvalidArgumentError(
                'Nothing was found, so there is nothing to restrict a query to',
                remedy='Test the response first: "if response:".',
            )


def _distance(
    topic: QueryResponseItemTopic, by_tag: dict[str, int] | None, default: int | None
) -> int | None:
    return (by_tag or {}).get(topic.ontology_tag, default)


def _intersect(
    topics: list[QueryResponseItemTopic],
    dt_ns: int,
    by_tag: dict[str, int] | None,
    default: int | None,
) -> list[TopicCluster]:
    body = {
        'topics': [topic._request(_distance(topic, by_tag, default)) for topic in topics],
        'intersect_dt_ns': dt_ns,
    }
    return _clusters(topics[0]._live_connection(), 'topic_filter_intersect', body)


def _clusters(connection: Connection, action: str, body: dict[str, Any]) -> list[TopicCluster]:
    return [
        TopicCluster(page['id'], TimestampRange(page['ts']['start_ns'], page['ts']['end_ns']))
        for page in connection.pages(action, body)
    ]
