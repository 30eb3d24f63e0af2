"""The connection to the daemon, and the client object that stands on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaico_ros._lazy import attach

if TYPE_CHECKING:
    from mosaico_ros.client.comm.connection import GRPCCompression as GRPCCompression
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient as MosaicoClient
    from mosaico_ros.client.comm.notifications import (
        Notification as Notification,
        NotificationType as NotificationType,
    )
    from mosaico_ros.protocol.server_info import ServerInfo as ServerInfo

# The client stands on the handlers, and these on the connection: loading it here would close that
# circle for whoever imports a handler first.
_MODULES = {
    'GRPCCompression': '.connection',
    'MosaicoClient': '.mosaico_client',
    'Notification': '.notifications',
    'NotificationType': '.notifications',
    'ServerInfo': 'mosaico_ros.protocol.server_info',
}

__getattr__, __dir__, __all__ = attach(__name__, _MODULES)
