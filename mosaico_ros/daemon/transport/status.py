"""Errors as gRPC statuses."""

from __future__ import annotations

import logging
import uuid

import grpc

from mosaico_ros.protocol.api_keys import masked
from mosaico_ros.protocol.errors import ErrorCode, MosaicoError

_log = logging.getLogger(__name__)

_STATUS = {code: grpc.StatusCode[code.name] for code in ErrorCode}

# Statuses travel in HTTP/2 headers; clients drop answers whose headers exceed 8 KiB or so.
_MAX_DETAILS = 2000


def status_of(error: BaseException, call: str) -> tuple[grpc.StatusCode, str]:
    """Return status and details of an error, and log what the caller must not see.

    Parameters
    ----------
    error
        What a call raised.
    call
        Name of the RPC, for the log.

    """
    if isinstance(error, MosaicoError):
        _log.debug('%s: %s: %s', call, error.code.value, error)
        return _STATUS[error.code], _shortened(masked(str(error)))
    if isinstance(error, grpc.RpcError):
        return grpc.StatusCode.CANCELLED, 'The call was cancelled'
    if isinstance(error, MemoryError):
        _log.error('%s: out of memory: %s', call, error)
        return grpc.StatusCode.RESOURCE_EXHAUSTED, 'The daemon is out of memory'
    reference = uuid.uuid4().hex[:8]
    _log.error('%s failed (reference %s)', call, reference, exc_info=error)
    return (
        grpc.StatusCode.INTERNAL,
        f"Internal error; the daemon's log tells more under the reference {reference}",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_DETAILS else text[: _MAX_DETAILS - 3] + '...'
