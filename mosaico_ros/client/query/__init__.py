"""Query builders and their responses."""

from mosaico_ros.client.query.builders import (
    Query,
    QueryBuilder,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
)
from mosaico_ros.client.query.plan import QueryPlan
from mosaico_ros.client.query.queryable_fields import (
    QueryableBool,
    QueryableNumeric,
    QueryableString,
)
from mosaico_ros.client.query.response import (
    QueryResponse,
    QueryResponseItem,
    QueryResponseItemSequence,
    QueryResponseItemTopic,
)
from mosaico_ros.client.query.topic_cluster import TimestampRange, TopicCluster

__all__ = [
    'Query',
    'QueryBuilder',
    'QueryOntologyCatalog',
    'QueryPlan',
    'QueryResponse',
    'QueryResponseItem',
    'QueryResponseItemSequence',
    'QueryResponseItemTopic',
    'QuerySequence',
    'QueryTopic',
    'QueryableBool',
    'QueryableNumeric',
    'QueryableString',
    'TimestampRange',
    'TopicCluster',
]
