"""What the daemon answers: translates requests, delegates to the archive, translates back."""

from __future__ import annotations

from mosaico_ros.daemon.endpoints.service import Endpoints

__all__ = ['Endpoints']
