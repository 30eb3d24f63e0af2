"""The connection to the daemon, and the client object that stands on it."""

from mosaico_ros.client.comm.connection import GRPCCompression
from mosaico_ros.client.comm.mosaico_client import MosaicoClient
from mosaico_ros.client.comm.notifications import Notification, NotificationType
from mosaico_ros.protocol.server_info import ServerInfo

__all__ = [
    'GRPCCompression',
    'MosaicoClient',
    'Notification',
    'NotificationType',
    'ServerInfo',
]
