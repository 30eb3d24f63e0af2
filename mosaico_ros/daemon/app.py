"""The daemon as a whole: an archive, its endpoints, and a server in front of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.endpoints import Endpoints
from mosaico_ros.daemon.keys import KeyGate
from mosaico_ros.daemon.process.metrics_endpoint import MetricsEndpoint
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.transport.server import FlightServer, ServerOptions
from mosaico_ros.protocol.server_info import ServerConfig, ServerIdentity, ServerInfo
from mosaico_ros.protocol.version import package_version

__all__ = ['Daemon']

_log = logging.getLogger(__name__)

_LOCAL_HOSTS = ('127.0.0.1', '::1', 'localhost')
# What follows the grace. Together below five seconds with the default, see the setting.
_SEAL_SECONDS = 2.0
_CLOSE_SECONDS = 1.0


class Daemon:
    """A serving daemon.

    Parameters
    ----------
    settings
        What to serve, and where.
    shares_port
        Whether other processes of this user may listen on the same port, too; the kernel then
        hands each connection to one of them.

    Raises
    ------
    MosaicoError
        The archive or a port cannot be opened; says which and why.

    """

    def __init__(self, settings: Settings, *, shares_port: bool = False) -> None:
        tls = None
        if settings.tls:
            from mosaico_ros.daemon.tls import load_identity

            tls = load_identity(settings)
        self._metrics: MetricsEndpoint | None = None
        self._begun_ns = time.time_ns()
        self._archive = Archive(settings)
        try:
            if settings.metrics_port:
                self._metrics = MetricsEndpoint(settings.host, settings.metrics_port)
            info = ServerInfo.of(
                ServerConfig(
                    settings.max_grpc_message_size,
                    settings.max_grpc_message_size,
                    settings.target_message_size,
                ),
                ServerIdentity('mosaico_ros', package_version()),
            )
            self._server = FlightServer(
                Endpoints(self._archive, info, settings.legacy_clients),
                ServerOptions(
                    settings.host,
                    settings.port,
                    settings.max_grpc_message_size,
                    settings.max_concurrent_rpcs,
                    settings.target_message_size,
                    settings.max_batch_size,
                    settings.ipc_compression,
                    settings.idle_timeout,
                    tls,
                    shares_port,
                ),
                KeyGate(self._archive.keys) if settings.require_api_keys else None,
            )
            # Before the archive changes anything: a port in use ends it here.
            self.settings = replace(settings, port=self._server.bind())
            self._archive.start()
            self._server.start()
        except BaseException:
            self._archive.close()
            if self._metrics is not None:
                self._metrics.close()
            raise
        for line in self._warnings():
            _log.warning(line)
        _log.info('Serving %s on %s', settings.location, self.url)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return self.settings.url

    def _warnings(self) -> Iterator[str]:
        settings = self.settings
        if settings.tls_cert_file and not settings.tls:
            yield 'TLS files are named, but TLS is off; --tls turns it on'
        if settings.require_api_keys:
            if not self._archive.keys.find_all():
                yield (
                    'No API key exists, so every call is refused; '
                    'make one with: mosaicod api-key create --permissions manage'
                )
        elif settings.host not in _LOCAL_HOSTS:
            yield (
                f'Whoever reaches {self.url} may read, change and delete everything; '
                '--api-key demands API keys'
            )

    def check(self) -> None:
        """Make sure that catalog and store answer; see :meth:`Archive.check`."""
        self._archive.check()

    def open_sessions(self) -> int:
        """Return how many sessions created since this daemon began are not finalized."""
        return self._archive.open_sessions(self._begun_ns)

    def stop(self) -> None:
        """Refuse new calls, let running ones end within the grace, close the archive.

        Takes at most three seconds more than the grace.
        What has not ended by then is left to the end of the process: nothing that was
        acknowledged depends on it.
        """
        self._server.stop(self.settings.shutdown_grace, _SEAL_SECONDS)
        closer = threading.Thread(target=self._archive.close, name='close', daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)
        if self._metrics is not None:  # to the last: how the end went can be watched
            self._metrics.close()
