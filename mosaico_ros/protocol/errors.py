"""Errors that both ends of the wire share.

Every error the library raises on purpose descends from :class:`MosaicoError` and carries a
stable ``code``. The codes are the gRPC status names in lower snake case, so that an error
raised in the daemon arrives as the same class in the client.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

__all__ = [
    'AbortedError',
    'AlreadyExistsError',
    'CancelledError',
    'DataLossError',
    'DeadlineExceededError',
    'ErrorCode',
    'FailedPreconditionError',
    'InternalError',
    'InvalidArgumentError',
    'MosaicoError',
    'NotFoundError',
    'PermissionDeniedError',
    'ResourceExhaustedError',
    'UnauthenticatedError',
    'UnavailableError',
    'UnimplementedError',
    'error_for_code',
]


class ErrorCode(str, Enum):
    """Stable error codes; each is the lower snake case name of a gRPC status."""

    CANCELLED = 'cancelled'
    INVALID_ARGUMENT = 'invalid_argument'
    DEADLINE_EXCEEDED = 'deadline_exceeded'
    NOT_FOUND = 'not_found'
    ALREADY_EXISTS = 'already_exists'
    PERMISSION_DENIED = 'permission_denied'
    RESOURCE_EXHAUSTED = 'resource_exhausted'
    FAILED_PRECONDITION = 'failed_precondition'
    ABORTED = 'aborted'
    UNIMPLEMENTED = 'unimplemented'
    INTERNAL = 'internal'
    UNAVAILABLE = 'unavailable'
    DATA_LOSS = 'data_loss'
    UNAUTHENTICATED = 'unauthenticated'


class MosaicoError(Exception):
    """Root of all errors raised on purpose.

    Parameters
    ----------
    message
        What happened, and to which resource.
    remedy
        What the reader can do about it; appended to the text of the error.

    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        if self.remedy is None:
            return self.message
        return f'{self.message.rstrip(".")}. {self.remedy}'


class CancelledError(MosaicoError):
    """The caller went away, or the call was cancelled."""

    code = ErrorCode.CANCELLED


class InvalidArgumentError(MosaicoError, ValueError):
    """The request is malformed, whatever the state of the archive."""

    code = ErrorCode.INVALID_ARGUMENT


class DeadlineExceededError(MosaicoError, TimeoutError):
    """The time allowed for the call has passed."""

    code = ErrorCode.DEADLINE_EXCEEDED


class NotFoundError(MosaicoError, LookupError):
    """The named sequence, session, topic or key does not exist."""

    code = ErrorCode.NOT_FOUND


class AlreadyExistsError(MosaicoError):
    """The name is taken."""

    code = ErrorCode.ALREADY_EXISTS


class PermissionDeniedError(MosaicoError):
    """The caller may not do this, or the uuid does not belong to the resource."""

    code = ErrorCode.PERMISSION_DENIED


class ResourceExhaustedError(MosaicoError):
    """A limit of size or of concurrency is reached."""

    code = ErrorCode.RESOURCE_EXHAUSTED


class FailedPreconditionError(MosaicoError):
    """The resource exists, but is not in the state that the call needs."""

    code = ErrorCode.FAILED_PRECONDITION


class AbortedError(MosaicoError):
    """The operation lost a race, for example its upload lease."""

    code = ErrorCode.ABORTED


class UnimplementedError(MosaicoError):
    """The peer does not offer this operation."""

    code = ErrorCode.UNIMPLEMENTED


class InternalError(MosaicoError):
    """A fault inside the daemon."""

    code = ErrorCode.INTERNAL


class UnavailableError(MosaicoError, ConnectionError):
    """The daemon cannot be reached, or is shutting down."""

    code = ErrorCode.UNAVAILABLE


class DataLossError(MosaicoError):
    """Stored data is damaged or missing."""

    code = ErrorCode.DATA_LOSS


class UnauthenticatedError(MosaicoError):
    """The caller did not say who it is."""

    code = ErrorCode.UNAUTHENTICATED


_BY_CODE: dict[ErrorCode, type[MosaicoError]] = {
    cls.code: cls for cls in MosaicoError.__subclasses__()
}


def error_for_code(code: ErrorCode | str) -> type[MosaicoError]:
    """Return the error class of a code.

    Raises
    ------
    ValueError
        If `code` is not one of :class:`ErrorCode`.

    """
    return _BY_CODE[ErrorCode(code)]
