"""The gRPC server around the Flight service: addresses, limits, TLS, start and stop."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from mosaico_ros.daemon.calls import Calls, Gate, OpenGate
from mosaico_ros.daemon.process.ports import as_address, cannot_listen, try_to_listen
from mosaico_ros.daemon.transport.health import HealthService
from mosaico_ros.daemon.transport.outgoing import Outgoing, SendLimits
from mosaico_ros.daemon.transport.service import FlightService

if TYPE_CHECKING:
    from mosaico_ros.daemon.tls import TlsIdentity

__all__ = ['FlightServer', 'ServerOptions']

_log = logging.getLogger(__name__)

# A stored row arrived in a message below the limit; read back it may be a little longer.
_SEND_MARGIN = 1024 * 1024


@dataclass(frozen=True)
class ServerOptions:
    """How to serve.

    Parameters
    ----------
    host, port
        Address; port 0 lets the system choose.
    max_message_bytes
        Largest message accepted.
    max_concurrent_rpcs
        Calls served at once; the next is refused as RESOURCE_EXHAUSTED.
    target_message_bytes
        Size at which read streams cut their batches.
    max_batch_rows
        Most rows of a batch that is read.
    compression
        Compression of record batches on the way out.
    idle_seconds
        How long a client may send nothing of its upload, or take nothing of its answer; 0 for
        ever.
    tls
        Key and certificates; `None` serves plain text.
    shares_port
        Whether other processes may listen on the same port.

    """

    host: str
    port: int
    max_message_bytes: int
    max_concurrent_rpcs: int
    target_message_bytes: int = 2 << 20
    max_batch_rows: int = 8192
    compression: str = 'none'
    idle_seconds: float = 0
    tls: TlsIdentity | None = None
    shares_port: bool = False


class FlightServer:
    """Serves :class:`Calls` as Arrow Flight, to whom the gate admits."""

    def __init__(self, calls: Calls, options: ServerOptions, gate: Gate | None = None) -> None:
        self._options = options
        # As many threads as calls: a call never waits for a thread behind an idle upload.
        self._pool = ThreadPoolExecutor(
            max_workers=options.max_concurrent_rpcs, thread_name_prefix='rpc'
        )
        outgoing = Outgoing(
            SendLimits(
                options.max_message_bytes + _SEND_MARGIN,
                options.target_message_bytes,
                options.max_batch_rows,
                options.compression,
            )
        )
        self._service = FlightService(
            calls, gate or OpenGate(), outgoing, options.max_message_bytes, options.idle_seconds
        )
        self._health = HealthService(calls.check)
        self._server = grpc.server(
            self._pool,
            handlers=[self._service.handler(), self._health.handler()],
            maximum_concurrent_rpcs=options.max_concurrent_rpcs,
            options=[
                ('grpc.max_receive_message_length', options.max_message_bytes),
                ('grpc.max_send_message_length', -1),
                # With it a second daemon would share the port and take half of the calls.
                ('grpc.so_reuseport', int(options.shares_port)),
                # A host that lost power sends no FIN; without pings its uploads stay open.
                ('grpc.keepalive_time_ms', 30_000),
                ('grpc.keepalive_timeout_ms', 20_000),
                # Else gRPC, on a quick network, receives megabytes of each upload ahead of the
                # message that is asked for. That message is received whole either way.
                ('grpc.http2.bdp_probe', 0),
                # Clients ask in the same way whether the daemon is alive; gRPC takes that for an
                # attack if it happens more than once in five minutes.
                ('grpc.http2.min_ping_interval_without_data_ms', 500),
            ],
        )
        self.port = 0

    def bind(self) -> int:
        """Open the port; calls are answered after :meth:`start`.

        Returns
        -------
        int
            The port.

        Raises
        ------
        FailedPreconditionError
            The address cannot be opened; says why.

        """
        host, port = self._options.host, self._options.port
        address = as_address(host, port)
        try:
            if self._options.tls is None:
                self.port = self._server.add_insecure_port(address)
            else:
                tls = self._options.tls
                credentials = grpc.ssl_server_credentials(
                    [(tls.private_key, tls.certificates)],
                    root_certificates=tls.client_authorities,
                    require_client_auth=tls.client_authorities is not None,
                )
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            self.port = 0  # grpcio before 1.60 returned that
        if not self.port:
            raise cannot_listen(host, port, _why(host, port))
        return self.port

    def start(self) -> None:
        """Answer calls."""
        self._server.start()

    def stop(self, grace_seconds: float, seal_seconds: float) -> None:
        """Refuse new calls, let running ones end, cancel the rest.

        Parameters
        ----------
        grace_seconds
            How long running calls may go on.
        seal_seconds
            How long cancelled calls may take to clean up after themselves.

        """
        self._service.stopping = True
        self._health.stop()
        self._server.stop(grace_seconds).wait(grace_seconds + 1.0)
        cleaner = threading.Thread(target=self._pool.shutdown, daemon=True)
        cleaner.start()
        cleaner.join(seal_seconds)


def _why(host: str, port: int) -> str:
    """Ask the system why an address cannot be opened; gRPC tells only its log."""
    try:
        try_to_listen(host, port)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return 'gRPC refused it'
