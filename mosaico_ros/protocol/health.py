"""The standard health service of gRPC, ``grpc.health.v1``, as far as it is served here.

Its two messages have one small field each, which are written and read as bytes.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ['CHECK', 'SERVICE', 'WATCH', 'Health', 'check_request', 'check_response', 'health_of']

SERVICE = 'grpc.health.v1.Health'
CHECK = f'/{SERVICE}/Check'
WATCH = f'/{SERVICE}/Watch'


class Health(IntEnum):
    """``HealthCheckResponse.ServingStatus``."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def check_request(service: str = '') -> bytes:
    """Return the request for the health of one service, or of the server as a whole."""
    name = service.encode()
    return bytes([0x0A, len(name)]) + name if name else b''


def check_response(health: Health) -> bytes:
    """Return the response."""
    return bytes([0x08, health])


def health_of(response: bytes) -> Health:
    """Read a response."""
    known = {check_response(health): health for health in Health}
    return known.get(response, Health.UNKNOWN)
