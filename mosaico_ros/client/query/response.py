"""What a query found, and the time windows in which it holds."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, overload

from mosaico_ros.client.query.builders import QuerySequence, QueryTopic
from mosaico_ros.client.query.topic_cluster import TimestampRange, TopicCluster
from mosaico_ros.protocol.errors import FailedPreconditionError, InvalidArgumentError
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.tags import same_tag

if TYPE_CHECKING:
    import pandas as pd

    from mosaico_ros.client.comm.connection import Connection

__all__ = [
    'QueryResponse',
    'QueryResponseItem',
    'QueryResponseItemSequence',
    'QueryResponseItemTopic',
]


# Sequences that a printed response lists.
_SHOWN = 10


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
    #: What of the query chooses rows of this topic, as ``topic_filter_*`` take it.
    _conditions: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    #: Distance in nanoseconds used where none is given: everything is one cluster.
    DEFAULT_CLUSTERING_DT: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.name = TopicLocator.parse(self.locator).topic_name

    @property
    def has_conditions(self) -> bool:
        """Whether the query had conditions on this topic's values, which clusters need."""
        return bool(self._conditions)

    def clusterize(
        self,
        clustering_dt_ns: int | None = None,
        timestamp_range: TimestampRange | None = None,
    ) -> list[TopicCluster]:
        """Group the messages that satisfy the query's conditions into windows.

        :meth:`iter_clusters` yields them while the daemon finds them.

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
        return list(self.iter_clusters(clustering_dt_ns, timestamp_range))

    def iter_clusters(
        self,
        clustering_dt_ns: int | None = None,
        timestamp_range: TimestampRange | None = None,
    ) -> Iterator[TopicCluster]:
        """Yield what :meth:`clusterize` returns as it is found; closing it stops the daemon."""
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
        if not self._conditions:
            raise FailedPreconditionError(
                f'The query had no condition on values of {self.locator} ({self.ontology_tag})',
                remedy='Clusters need a QueryOntologyCatalog with an expression on that type.',
            )
        distance = self.DEFAULT_CLUSTERING_DT if clustering_dt_ns is None else clustering_dt_ns
        return {
            'locator': self.locator,
            'clustering_dt_ns': distance,
            'ontology': {},
        } | self._conditions

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

        Topics that were found by no condition on their values have none and are left out.

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
            for topic in _with_conditions(self.topics)
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
        topics = _with_conditions([topic for item in (self, *items) for topic in item.topics])
        return _intersect(topics, intersect_dt_ns, clustering_map, override_clustering_dt_ns)


@dataclass(repr=False)
class QueryResponse:
    """Hits of a query, one item per sequence.

    Parameters
    ----------
    items
        The sequences.
    next_cursor
        Where the next page begins, if the query had a limit and more follows.

    """

    items: list[QueryResponseItem] = field(default_factory=list)
    next_cursor: str | None = None

    @classmethod
    def from_answer(
        cls, answer: dict[str, Any], connection: Connection, body: dict[str, Any]
    ) -> QueryResponse:
        """Read the answer to a query; what chose its rows is what clustering asks again."""
        items = []
        for entry in answer.get('items', ()):
            topics = []
            for found in entry['topics']:
                span = found.get('timestamp_range')
                topics.append(
                    QueryResponseItemTopic(
                        locator=found['locator'],
                        ontology_tag=found.get('ontology_tag', ''),
                        timestamp_range=TimestampRange(*span) if span else None,
                        _connection=connection,
                        _conditions=_row_conditions(found, body),
                    )
                )
            items.append(QueryResponseItem(QueryResponseItemSequence(entry['sequence']), topics))
        return cls(items, answer.get('next_cursor'))

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

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per topic found; needs pandas.

        Returns
        -------
        pandas.DataFrame
            Columns ``sequence``, ``topic``, ``ontology_tag``, and, if the query asked for them,
            ``start_ns`` and ``end_ns`` (both included).

        """
        import pandas as pd

        found = [(item.sequence.name, topic) for item in self.items for topic in item.topics]
        columns: dict[str, Any] = {
            'sequence': [sequence for sequence, _ in found],
            'topic': [topic.name for _, topic in found],
            'ontology_tag': [topic.ontology_tag for _, topic in found],
        }
        spans = [topic.timestamp_range for _, topic in found]
        if any(spans):
            columns['start_ns'] = pd.array([s and s.start for s in spans], 'Int64')
            columns['end_ns'] = pd.array([s and s.end for s in spans], 'Int64')
        return pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        sequences, topics = len(self.items), sum(len(item.topics) for item in self.items)
        more = sequences - _SHOWN
        lines = [
            f'<QueryResponse: {sequences} sequence{"s" * (sequences != 1)}, '
            f'{topics} topic{"s" * (topics != 1)}>'
        ]
        for item in self.items[:_SHOWN]:
            names = ', '.join(f'{topic.name} ({topic.ontology_tag})' for topic in item.topics)
            lines.append('  ' + textwrap.shorten(f'{item.sequence.name}: {names}', 96))
        return '\n'.join([*lines, f'  and {more} more'] if more > 0 else lines)

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


def _row_conditions(found: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Return what chose the rows of a topic, as ``topic_filter_*`` take it."""
    if 'where' in body:
        return {'where': found['rows']} if found.get('rows') else {}
    tag = found.get('ontology_tag', '')
    mine = {
        key: spelled
        for key, spelled in body.get('ontology', {}).items()
        if same_tag(key.partition('.')[0], tag)
    }
    return {'ontology': mine} if mine else {}


def _with_conditions(topics: list[QueryResponseItemTopic]) -> list[QueryResponseItemTopic]:
    """Leave out topics without conditions; if none has any, asking for clusters tells."""
    return [topic for topic in topics if topic.has_conditions] or topics


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
    return list(_clusters(topics[0]._live_connection(), 'topic_filter_intersect', body))


def _clusters(connection: Connection, action: str, body: dict[str, Any]) -> Iterator[TopicCluster]:
    for page in connection.pages(action, body):
        span = TimestampRange(page['ts']['start_ns'], page['ts']['end_ns'])
        yield TopicCluster(page['id'], span)
