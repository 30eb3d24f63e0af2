"""How a node reaches the archive daemon: the parameters, and connecting by them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.parameters import ParameterSpec
from mosaico_ros.nodes.stop_signals import StopSignals
from mosaico_ros.protocol.errors import CancelledError, UnavailableError

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

# Seconds of one attempt: a signal must not wait longer for the node's end.
_ATTEMPT = 1.0

CONNECTION = (
    ParameterSpec('host', '127.0.0.1', 'Host of the archive daemon.'),
    ParameterSpec('port', 6726, 'Port of the archive daemon.', low=1, high=65535),
    ParameterSpec(
        'enable_tls',
        False,
        'Speak TLS to the daemon. An API key is read from the environment variable '
        'MOSAICO_API_KEY, never from a parameter: everybody in the graph can read parameters.',
    ),
    ParameterSpec(
        'tls_cert_path',
        '',
        "File with the certificate authority that signed the daemon; empty means the system's. "
        'Given, it turns TLS on.',
    ),
    ParameterSpec(
        'connect_timeout_sec',
        10.0,
        'How long to try to reach the daemon at the start, seconds: enough for a daemon that '
        'the same launch file starts.',
        low=0.1,
        high=3600.0,
    ),
)


def connect(settings: Mapping[str, Any], stop: StopSignals) -> MosaicoClient:
    """Connect as the parameters say.

    Raises
    ------
    CancelledError
        The node was told to stop meanwhile.
    UnavailableError
        Nobody has answered in time.
    MosaicoError
        The daemon refuses, or the certificate cannot be used.
    """
    # gRPC's own lines about a failed handshake say less than our error.
    os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

    patience = settings['connect_timeout_sec']
    deadline = time.monotonic() + patience
    while not stop:
        try:
            return MosaicoClient.connect(
                settings['host'],
                settings['port'],
                timeout=min(_ATTEMPT, patience),
                enable_tls=settings['enable_tls'],
                tls_cert_path=settings['tls_cert_path'] or None,
                api_key=os.environ.get('MOSAICO_API_KEY'),
            )
        except UnavailableError as error:
            if time.monotonic() >= deadline:
                raise UnavailableError(
                    f'{error.message}; tried for {patience:g} s', remedy=error.remedy
                ) from error
    raise CancelledError(f'stopped ({stop.received}) before the daemon was reached')
