"""Choices that the client API takes and states that it reports."""

from __future__ import annotations

from enum import Enum

from mosaico_ros.protocol.serialization import SerializationFormat

__all__ = [
    'GRPCCompressionAlgorithm',
    'GRPCCompressionLevel',
    'SequenceStatus',
    'SerializationFormat',
    'SessionLevelErrorPolicy',
    'SessionStatus',
    'TopicLevelErrorPolicy',
    'TopicWriterStatus',
]


class SessionLevelErrorPolicy(Enum):
    """What happens to a session whose ``with`` block fails."""

    #: Keep what was written, finalize the session, leave a notification on the sequence.
    Report = 'report'
    #: Delete the session, and the sequence too if the block created it.
    Delete = 'delete'


class TopicLevelErrorPolicy(Enum):
    """What happens when the ``with`` block of a topic writer fails."""

    #: Notify, close the topic with the rows accepted so far, swallow the error.
    Finalize = 'finalize'
    #: Notify, keep the topic open, swallow the error.
    Ignore = 'ignore'
    #: Let the error reach the session's block.
    Raise = 'raise'


class SessionStatus(Enum):
    """Where a session writer stands."""

    Null = 'null'
    Pending = 'pending'
    Finalized = 'finalized'
    Error = 'error'


#: Published name of the same states.
SequenceStatus = SessionStatus


class TopicWriterStatus(Enum):
    """Where a topic writer stands."""

    Active = 'active'
    Finalized = 'finalized'
    FinalizedWithError = 'finalized_with_error'
    IgnoredLastError = 'ignored_last_error'
    RaisedException = 'raised_exception'
    RecordTooLarge = 'record_too_large'


class GRPCCompressionAlgorithm(Enum):
    """Compression of gRPC messages to the daemon; the values are gRPC's own numbers.

    Worth its processor time on slow links only: what is stored is compressed anyway.
    """

    Null = 0
    Gzip = 2
    #: Current gRPC libraries send these messages uncompressed.
    StreamGzip = 3
    _Deflate = 1


class GRPCCompressionLevel(Enum):
    """How hard gRPC tries."""

    Low = 1
    Medium = 2
    High = 3
