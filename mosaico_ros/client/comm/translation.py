"""From the exceptions of ``pyarrow.flight`` to the errors of the library.

pyarrow maps several gRPC statuses onto one exception type (ALREADY_EXISTS, for one, onto the
bare ``ArrowException``), but names each status in its text:
``gRPC returned precondition failed error, with message: ...``. So the text decides, and the
type only where the text is of another origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from pyarrow import flight

from mosaico_ros.protocol.errors import ErrorCode, MosaicoError, error_for_code

__all__ = ['translate', 'translated']

_NAMED = re.compile(
    r'(?:(?:Flight|gRPC) returned (?P<kind>[a-z -]+?) error|Flight (?P<other>cancelled call'
    r'|RPC failed)),? with message: '
)
# Arrow appends this to the status of a stream; it only repeats what precedes it.
_DEBUG_TAIL = re.compile(r'\. gRPC client debug context: .*', re.DOTALL)
# gRPC's way of saying that there is one address and that it has just been tried.
_ADDRESSES = re.compile(r'failed to connect to all addresses; last error: \w+: \S+ ')
# What it says when the other end answers no ping, takes no byte or does not even greet.
_SILENCE = re.compile(
    r'\(ping timeout\)|keepalive watchdog|(sendmsg|recvmsg): ?Connection timed out'
    r'|connection attempt timed out'
)

_CODES = {
    'invalid argument': ErrorCode.INVALID_ARGUMENT,
    'timeout': ErrorCode.DEADLINE_EXCEEDED,
    'not found': ErrorCode.NOT_FOUND,
    'already exists': ErrorCode.ALREADY_EXISTS,
    'unauthorized': ErrorCode.PERMISSION_DENIED,
    'resource exhausted': ErrorCode.RESOURCE_EXHAUSTED,
    'precondition failed': ErrorCode.FAILED_PRECONDITION,
    'aborted': ErrorCode.ABORTED,
    'out-of-range': ErrorCode.INVALID_ARGUMENT,
    'unimplemented': ErrorCode.UNIMPLEMENTED,
    'internal': ErrorCode.INTERNAL,
    'unavailable': ErrorCode.UNAVAILABLE,
    'data loss': ErrorCode.DATA_LOSS,
    'unauthenticated': ErrorCode.UNAUTHENTICATED,
    'cancelled call': ErrorCode.CANCELLED,
    'RPC failed': ErrorCode.INTERNAL,
}
_TYPES: tuple[tuple[type[BaseException], ErrorCode], ...] = (
    (flight.FlightUnavailableError, ErrorCode.UNAVAILABLE),
    (flight.FlightTimedOutError, ErrorCode.DEADLINE_EXCEEDED),
    (flight.FlightUnauthorizedError, ErrorCode.PERMISSION_DENIED),
    (flight.FlightUnauthenticatedError, ErrorCode.UNAUTHENTICATED),
    (flight.FlightCancelledError, ErrorCode.CANCELLED),
    (pa.ArrowKeyError, ErrorCode.NOT_FOUND),
    (pa.ArrowNotImplementedError, ErrorCode.UNIMPLEMENTED),
    (pa.ArrowInvalid, ErrorCode.INVALID_ARGUMENT),
)


def translate(error: BaseException, place: str = '', peer: str = '') -> MosaicoError:
    """Return the library's error for one of pyarrow, with the daemon's own text.

    Parameters
    ----------
    error
        What pyarrow raised.
    place
        Put before the text where the daemon cannot know it, for example the topic of an upload.
    peer
        Address of the daemon, told where it cannot be reached.

    """
    text = str(error)
    named = _NAMED.search(text)
    if named:
        code = _CODES.get(named['kind'] or named['other'], ErrorCode.INTERNAL)
        text = text[named.end() :]
    else:
        code = next((code for kind, code in _TYPES if isinstance(error, kind)), ErrorCode.INTERNAL)
    text = _ADDRESSES.sub('', _DEBUG_TAIL.sub('', text))
    if peer and code is ErrorCode.UNAVAILABLE:
        silent = _SILENCE.search(text)
        text = f'The daemon at {peer} ' + (
            'gives no sign of life' if silent else f'cannot be reached: {text}'
        )
    return error_for_code(code)(f'{place}: {text}' if place else text)


@contextmanager
def translated(place: str = '', peer: str = '') -> Iterator[None]:
    """Raise what pyarrow raises inside the block as errors of the library."""
    try:
        yield
    except MosaicoError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise translate(error, place, peer) from error
