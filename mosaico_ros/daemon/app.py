"""The daemon as a whole: an archive, its endpoints, and a server in front of them."""

from __future__ import annotations

import importlib.metadata
import logging
import threading
from collections.abc import Iterator

from mosaico_ros.daemon.archive import Archive
from mosaico_ros.daemon.endpoints import Endpoints
from mosaico_ros.daemon.keys import KeyGate
from mosaico_ros.daemon.settings import Settings
from mosaico_ros.daemon.transport.server import FlightServer, ServerOptions
from mosaico_ros.protocol.server_info import ServerConfig, ServerIdentity, ServerInfo

__all__ = ['Daemon', 'package_version']

_log = logging.getLogger(__name__)

_LOCAL_HOSTS = ('127.0.0.1', '::1', 'localhost')
# Together below five seconds, what supervisors and impatient users wait for.
_GRACE_SECONDS = 0.5
_SEAL_SECONDS = 2.0
_CLOSE_SECONDS = 1.0


class Daemon:
    """A serving daemon.

    Parameters
    ----------
    settings
        What to serve, and where.

    Raises
    ------
    MosaicoError
        The archive or the port cannot be opened; says which and why.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        tls = None
        if settings.tls:
            from mosaico_ros.daemon.tls import load_identity

            tls = load_identity(settings)
        self._archive = Archive(settings)
        try:
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
                    settings.ipc_compression,
                    tls,
                ),
                KeyGate(self._archive.keys) if settings.require_api_keys else None,
            )
            # Before the archive changes anything: a port in use ends it here.
            self.port = self._server.bind()
            self._archive.start()
            self._server.start()
        except BaseException:
            self._archive.close()
            raise
        for line in self._warnings():
            _log.warning(line)
        _log.info('Serving %s on %s', settings.location, self.url)

    @property
    def url(self) -> str:
        """Where clients connect."""
        scheme = 'grpc+tls' if self._settings.tls else 'grpc'
        host = self._settings.host
        return f'{scheme}://{f"[{host}]" if ":" in host else host}:{self.port}'

    def _warnings(self) -> Iterator[str]:
        settings = self._settings
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

    def stop(self) -> None:
        """Stop serving and close the archive, within five seconds.

        What has not ended by then is left to the end of the process: nothing that was
        acknowledged depends on it.
        """
        self._server.stop(_GRACE_SECONDS, _SEAL_SECONDS)
        closer = threading.Thread(target=self._archive.close, name='close', daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)


def package_version() -> str:
    """Return the version of this package; sources that were never installed have none."""
    try:
        return importlib.metadata.version('mosaico_ros')
    except importlib.metadata.PackageNotFoundError:
        return '0+source'
