"""Addresses to listen on: trying them, reserving them for several processes, refusing them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['as_address', 'cannot_listen', 'reserved', 'try_to_listen']


def as_address(host: str, port: int) -> str:
    """Return host and port as one text."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def cannot_listen(host: str, port: int, why: str) -> FailedPreconditionError:
    """Return the error for an address that cannot be opened."""
    return FailedPreconditionError(
        f'Cannot listen on {as_address(host, port)}: {why}',
        remedy='Choose another address with --host and --port.',
    )


def try_to_listen(host: str, port: int) -> int:
    """Listen for a moment; return the port, which the system chooses for 0.

    Raises
    ------
    OSError
        Why it is not possible.

    """
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()
        return int(probe.getsockname()[1])


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Keep a port for processes of this user that share it, whether or not one of them lives.

    Parameters
    ----------
    host, port
        The address; port 0 lets the system choose.

    Yields
    ------
    int
        The port. Until the block ends nobody can listen on it but sockets with SO_REUSEPORT.

    Raises
    ------
    FailedPreconditionError
        The address cannot be opened, or the system cannot share ports; says why.

    """
    if not hasattr(socket, 'SO_REUSEPORT'):
        raise cannot_listen(host, port, 'this system cannot share a port between processes')
    with ExitStack() as stack:
        try:
            # Sockets that share a port do not refuse each other: find out who is there first.
            port = try_to_listen(host, port)
            for family, kind, _, _, address in socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            ):
                holder = stack.enter_context(socket.socket(family, kind))
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                holder.bind(address)
                # It passed over what closed connections leave; now it must stand in the way.
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        except OSError as error:
            raise cannot_listen(host, port, (error.strerror or str(error)).lower()) from error
        yield port
