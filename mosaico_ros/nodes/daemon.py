"""The daemon node: the archive served from inside a ROS process.

It is ``mosaicod run`` with its settings as ROS parameters, so that launch files can start and
stop the archive with the robot, and ``/diagnostics`` shows how it is. Secrets and whatever else is
not given come from the environment as ever. ``python -m mosaico_ros.nodes.daemon``, ``ros2 run
mosaico_ros daemon`` and ``mosaico daemon`` are the same program.

Configured means that the settings are sound, active that clients are served; while the node is
inactive the archive is closed.

Exit codes: 0 stopped when asked, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mosaico_ros.nodes.daemon_parameters import DAEMON, given_settings
from mosaico_ros.nodes.diagnostics import Level, Status
from mosaico_ros.nodes.running import Work, program
from mosaico_ros.protocol.errors import MosaicoError

if TYPE_CHECKING:
    from mosaico_ros.daemon.app import Daemon
    from mosaico_ros.daemon.settings import Settings
    from mosaico_ros.nodes.daemon_health import DaemonHealth


# Seconds between two looks at open sessions.
_LOOK = 0.1


class Serving(Work):
    """An archive, served while the node is active."""

    _settings: Settings
    _daemon: Daemon | None = None
    _health: DaemonHealth | None = None

    def configure(self) -> None:
        """Read the settings.

        Raises
        ------
        InvalidArgumentError
            They are not usable.
        """
        from mosaico_ros.daemon import settings
        from mosaico_ros.daemon.process import logs

        self._settings = settings.load(os.environ, given_settings(self.settings))
        logs.configure(self._settings.log_level, self._settings.log_format)
        if self._settings.workers > 1:
            self.node.get_logger().warning(
                'the setting "workers" has no effect here: a node is one process'
            )

    def activate(self) -> None:
        """Open the archive and serve it.

        Raises
        ------
        MosaicoError
            The archive or the port cannot be opened.
        """
        # gRPC's own lines about a port in use say less than our error.
        os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
        from mosaico_ros.daemon.app import Daemon
        from mosaico_ros.nodes.daemon_health import DaemonHealth

        self._daemon = Daemon(self._settings)
        self._health = DaemonHealth(self._daemon)
        self.node.get_logger().info(
            f'serving on {self._daemon.url} (data: {self._settings.location})'
        )

    def deactivate(self) -> None:
        """Refuse new calls, let running ones end within the grace, close the archive."""
        health, self._health = self._health, None
        daemon, self._daemon = self._daemon, None
        if health is not None:
            health.close()
        if daemon is not None:
            self._linger(daemon)
            daemon.stop()

    def _linger(self, daemon: Daemon) -> None:
        """Let sessions end that their nodes are about to end."""
        deadline = time.monotonic() + self.settings['linger_sec']
        try:
            while daemon.open_sessions() and time.monotonic() < deadline:
                time.sleep(_LOOK)
        except MosaicoError as error:  # a catalog that is gone keeps nobody
            self.node.get_logger().warning(f'cannot tell whether uploads go on: {error}')

    def diagnose(self) -> Iterable[Status]:
        """Say what the daemon counts."""
        if self._health is None:
            return [Status('daemon', Level.WARN, 'not active: nothing is served')]
        return self._health.statuses()


main = program('mosaico_daemon', DAEMON, Serving)

if __name__ == '__main__':
    sys.exit(main())
