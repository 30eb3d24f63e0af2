"""The tables of the catalog, for SQLite and PostgreSQL alike.

========== =============================================================================
table      one row is
========== =============================================================================
archive    the archive itself: the id that its store carries too
instances  a running daemon; a dead one's uploads are taken over
sequences  a named container
sessions   one upload layer of a sequence
schemas    an Arrow schema, shared by all topics that announced it
topics     a time series with its totals
chunks     one immutable object in the store, with its time bounds
fields     a leaf column of an ontology type, interned
stats      bounds of one leaf column in one chunk
notices    a notification on a sequence or topic
removals   a folder whose rows are gone and whose files are to be removed when it is time
api_keys   an API key: its name, its permission and a salted hash of its secret
runs       one run of a routine: the log by which daemons take turns
events     work that somebody has still to do: news to post, a topic to optimize
========== =============================================================================

Ids are never reused, so that a ticket of a deleted topic cannot read its successor. Times are
int64 nanoseconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    'api_keys',
    'archive',
    'chunks',
    'events',
    'fields',
    'instances',
    'metadata',
    'notices',
    'removals',
    'runs',
    'schemas',
    'sequences',
    'sessions',
    'stats',
    'topics',
]

metadata = MetaData()

# SQLite counts ids up without reuse only on a column spelled INTEGER.
_Id = BigInteger().with_variant(Integer, 'sqlite')
# Names and text bounds compare by code point: SQLite's default, collation "C" of PostgreSQL.
_CodePointText = Text().with_variant(Text(collation='C'), 'postgresql')


def _id() -> Column[int]:
    return Column('id', _Id, primary_key=True, autoincrement=True)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _token(table: str) -> tuple[Column[str], Index]:
    # The client's name of the request that made the row, see `creation`.
    return Column('token', Text, nullable=True), Index(f'{table}_by_token', 'token', unique=True)


archive = Table(
    'archive',
    metadata,
    Column('id', Integer, primary_key=True, autoincrement=False),
    Column('store_id', String(36), nullable=False),
    _time('created_at_ns'),
    # While it is being rebuilt from its store, and if that was broken off: not to be served.
    _time('rebuild_began_ns', nullable=True),
)

instances = Table(
    'instances',
    metadata,
    _id(),
    Column('host', Text, nullable=False),
    Column('pid', BigInteger, nullable=False),
    Column('started', Text, nullable=False),
    _time('heartbeat_ns'),
    sqlite_autoincrement=True,
)

sequences = Table(
    'sequences',
    metadata,
    _id(),
    Column('name', _CodePointText, nullable=False, unique=True),
    Column('folder', Text, nullable=False),
    _time('created_at_ns'),
    Column('user_metadata', Text, nullable=False),
    *_token('sequences'),
    Index('sequences_by_folder', 'folder'),
    sqlite_autoincrement=True,
)

sessions = Table(
    'sessions',
    metadata,
    _id(),
    Column('sequence_id', _Id, ForeignKey('sequences.id', ondelete='CASCADE'), nullable=False),
    Column('ulid', String(26), nullable=False, unique=True),
    Column('uuid', String(36), nullable=False, unique=True),
    _time('created_at_ns'),
    _time('completed_at_ns', nullable=True),
    *_token('sessions'),
    Index('sessions_of_sequence', 'sequence_id'),
    sqlite_autoincrement=True,
)

schemas = Table(
    'schemas',
    metadata,
    _id(),
    Column('digest', String(64), nullable=False, unique=True),
    Column('ipc', LargeBinary, nullable=False),
    # What clients tell types apart by; other than the digest it ignores metadata and sidecars.
    Column('fingerprint', String(10), nullable=False, server_default=''),
    sqlite_autoincrement=True,
)

topics = Table(
    'topics',
    metadata,
    _id(),
    Column('sequence_id', _Id, ForeignKey('sequences.id', ondelete='CASCADE'), nullable=False),
    Column('session_id', _Id, ForeignKey('sessions.id', ondelete='CASCADE'), nullable=False),
    Column('path', _CodePointText, nullable=False),
    Column('uuid', String(36), nullable=False, unique=True),
    Column('folder', Text, nullable=False),
    Column('ontology_tag', _CodePointText, nullable=False),
    Column('serialization_format', String(16), nullable=False),
    Column('user_metadata', Text, nullable=False),
    _time('created_at_ns'),
    _time('completed_at_ns', nullable=True),
    # created -> uploading -> locked | interrupted
    Column('state', String(16), nullable=False),
    # The upload lease: who holds it, and a counter that outdates every earlier holder.
    Column('instance_id', _Id, nullable=True),
    Column('fence', BigInteger, nullable=False),
    Column('schema_id', _Id, ForeignKey('schemas.id'), nullable=True),
    # Totals over the chunks, kept by the transaction that adds a chunk.
    Column('rows', BigInteger, nullable=False),
    Column('bytes', BigInteger, nullable=False),
    Column('chunks', BigInteger, nullable=False),
    _time('t_min', nullable=True),
    _time('t_max', nullable=True),
    # Longest t_max - t_min of a chunk: how far before a window its chunks can begin.
    Column('longest_chunk', BigInteger, nullable=False),
    # When the optimizer found nothing to do, or did it.
    _time('optimized_at_ns', nullable=True),
    *_token('topics'),
    UniqueConstraint('sequence_id', 'path'),
    Index('topics_of_session', 'session_id'),
    Index('topics_of_tag', 'ontology_tag', 'schema_id'),
    Index('topics_in_state', 'state', 'instance_id'),
    Index('topics_by_folder', 'folder'),
    sqlite_autoincrement=True,
)

chunks = Table(
    'chunks',
    metadata,
    _id(),
    Column('topic_id', _Id, ForeignKey('topics.id', ondelete='CASCADE'), nullable=False),
    # Position in the order of arrival; breaks ties between equal timestamps.
    Column('number', BigInteger, nullable=False),
    Column('encoding', String(16), nullable=False),
    Column('rows', BigInteger, nullable=False),
    Column('bytes', BigInteger, nullable=False),
    _time('t_min'),
    _time('t_max'),
    UniqueConstraint('topic_id', 'number'),
    Index('chunks_in_time', 'topic_id', 't_min', 'number', 't_max'),
    sqlite_autoincrement=True,
)

fields = Table(
    'fields',
    metadata,
    _id(),
    Column('ontology_tag', _CodePointText, nullable=False),
    Column('path', _CodePointText, nullable=False),
    UniqueConstraint('ontology_tag', 'path'),
    sqlite_autoincrement=True,
)

stats = Table(
    'stats',
    metadata,
    Column('chunk_id', _Id, ForeignKey('chunks.id', ondelete='CASCADE'), primary_key=True),
    Column('field_id', _Id, ForeignKey('fields.id'), primary_key=True),
    # Bounds of numbers, booleans (0, 1) and times (in their own unit), rounded outwards to
    # doubles; both null where every value is null or NaN.
    Column('min_num', Double, nullable=True),
    Column('max_num', Double, nullable=True),
    # Bounds of text: a prefix, the upper one rounded up.
    Column('min_text', _CodePointText, nullable=True),
    Column('max_text', _CodePointText, nullable=True),
    # Whether the bounds are values that occur, not merely limits.
    Column('exact', Boolean, nullable=False),
    Column('nulls', BigInteger, nullable=False),
    # Where few values occur, one bit for the hash of each; null where there are many.
    Column('marks', BigInteger, nullable=True),
    sqlite_with_rowid=False,
)

# One range scan over a field finds the chunks above (or below) a value across all topics.
Index('stats_above', stats.c.field_id, stats.c.max_num, stats.c.min_num)
Index('stats_below', stats.c.field_id, stats.c.min_num, stats.c.max_num)
Index(
    'stats_text',
    stats.c.field_id,
    stats.c.min_text,
    sqlite_where=stats.c.min_text.isnot(None),
    postgresql_where=stats.c.min_text.isnot(None),
)

notices = Table(
    'notices',
    metadata,
    _id(),
    Column('sequence_id', _Id, ForeignKey('sequences.id', ondelete='CASCADE'), nullable=False),
    Column('topic_id', _Id, ForeignKey('topics.id', ondelete='CASCADE'), nullable=True),
    # Names its object in the store; they are listed in this order.
    Column('ulid', String(26), nullable=False, server_default=''),
    Column('type', String(32), nullable=False),
    Column('message', Text, nullable=False),
    _time('created_at_ns'),
    *_token('notices'),
    Index('notices_of_sequence', 'sequence_id', 'topic_id'),
    Index('notices_of_topic', 'topic_id'),
    sqlite_autoincrement=True,
)

removals = Table(
    'removals',
    metadata,
    _id(),
    Column('folder', Text, nullable=False),
    # By the clock of the catalog; the files stay for the retention after it.
    Column('marked_at_ns', BigInteger, nullable=False, server_default='0'),
    # What the store has still to be told of the deletion.
    Column('tombstone', Text, nullable=True),
    Index('removals_by_folder', 'folder', unique=True),
    sqlite_autoincrement=True,
)

api_keys = Table(
    'api_keys',
    metadata,
    _id(),
    Column('fingerprint', String(8), nullable=False, unique=True),
    Column('permission', String(16), nullable=False),
    Column('description', Text, nullable=False),
    _time('created_at_ns'),
    _time('expires_at_ns', nullable=True),
    Column('salt', LargeBinary, nullable=False),
    Column('digest', LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    'runs',
    metadata,
    _id(),
    Column('routine', String(32), nullable=False),
    Column('instance_id', _Id, nullable=False),
    _time('started_at_ns'),
    # Null while it is going on, or if its daemon has died in it.
    _time('ended_at_ns', nullable=True),
    # running -> done | failed, and what it did or why it failed.
    Column('state', String(16), nullable=False),
    Column('outcome', Text, nullable=False),
    Index('runs_of_routine', 'routine', 'id'),
    sqlite_autoincrement=True,
)

events = Table(
    'events',
    metadata,
    _id(),
    Column('kind', String(32), nullable=False),
    # Of equal keys of one kind only one waits.
    Column('key', Text, nullable=False),
    Column('payload', Text, nullable=False),
    _time('created_at_ns'),
    _time('due_at_ns'),
    Column('attempts', Integer, nullable=False),
    # The daemon that is at it; its work is taken over when it is dead.
    Column('instance_id', _Id, nullable=True),
    UniqueConstraint('kind', 'key'),
    Index('events_due', 'kind', 'due_at_ns'),
    sqlite_autoincrement=True,
)
