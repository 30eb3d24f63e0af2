"""The metrics over HTTP, for Prometheus to fetch."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mosaico_ros.daemon.process.metrics import exposition
from mosaico_ros.protocol.errors import FailedPreconditionError

__all__ = ['MetricsEndpoint']


class MetricsEndpoint:
    """Serves ``GET /metrics`` until it is closed.

    Parameters
    ----------
    host, port
        Where.

    Raises
    ------
    FailedPreconditionError
        The port cannot be opened; says why.

    """

    def __init__(self, host: str, port: int) -> None:
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise FailedPreconditionError(
                f'Metrics cannot be served on {host}:{port}: {(error.strerror or "").lower()}',
                remedy='Choose another port with MOSAICOD_METRICS_PORT.',
            ) from error
        threading.Thread(target=self._server.serve_forever, name='metrics', daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ':' in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        """Answer with the metrics; there is nothing else here."""
        if self.path.partition('?')[0] != '/metrics':
            self.send_error(404)
            return
        body = exposition().encode()
        self.send_response(200)
        self.send_header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: these lines are not of the daemon's style."""
