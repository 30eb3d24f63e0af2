"""Asking the health service of a daemon."""

from __future__ import annotations

import grpc

from mosaico_ros.protocol.errors import UnavailableError
from mosaico_ros.protocol.health import CHECK, Health, check_request, health_of

__all__ = ['check_health']


def check_health(
    host: str,
    port: int,
    timeout: float,
    *,
    tls: bool = False,
    authorities: bytes | None = None,
) -> None:
    """Make sure that a daemon reaches its archive, as far as it can tell.

    Parameters
    ----------
    host, port
        Address of the daemon.
    timeout
        Seconds to wait for the answer.
    tls
        Whether the connection is encrypted.
    authorities
        PEM text of the authorities to trust; those of the system by default.

    Raises
    ------
    UnavailableError
        It does not, or nobody answers.

    """
    address = f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
    channel = (
        grpc.secure_channel(address, grpc.ssl_channel_credentials(authorities))
        if tls
        else grpc.insecure_channel(address)
    )
    with channel:
        try:
            response = channel.unary_unary(CHECK)(check_request(), timeout=timeout)
        except grpc.RpcError as error:
            # A daemon that does not know the service has answered, which is all it can tell.
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return
            raise UnavailableError(
                f'The daemon at {address} does not tell its health: {error.details()}'
            ) from error
    if health_of(response) is not Health.SERVING:
        raise UnavailableError(
            f'The daemon at {address} cannot serve: its catalog or its store does not answer',
            remedy="The daemon's log tells more.",
        )
