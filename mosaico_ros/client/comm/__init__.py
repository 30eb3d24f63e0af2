"""The connection to the daemon, and the client object that stands on it."""

from typing import TYPE_CHECKING, Any

from mosaico_ros.client.comm.connection import GRPCCompression
from mosaico_ros.client.comm.notifications import Notification, NotificationType
from mosaico_ros.protocol.server_info import ServerInfo

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

__all__ = [
    'GRPCCompression',
    'MosaicoClient',
    'Notification',
    'NotificationType',
    'ServerInfo',
]


def __getattr__(name: str) -> Any:
    # The client stands on the handlers, and these on the connection: loading it here would close
    # that circle for whoever imports a handler first.
    if name == 'MosaicoClient':
        from mosaico_ros.client.comm.mosaico_client import MosaicoClient

        return MosaicoClient
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
