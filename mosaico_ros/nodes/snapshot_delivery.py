"""One snapshot into the archive, as any recording goes there."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from mosaico_ros.client.enums import SessionLevelErrorPolicy
from mosaico_ros.nodes.outbox import Entry, Outbox
from mosaico_ros.ros_bridge.injector import RosbagInjector, ROSInjectionConfig

_log = logging.getLogger(__name__)


def sender(settings: Mapping[str, Any], outbox: Outbox) -> Callable[[Entry], None]:
    """Return what brings a snapshot of the outbox to the daemon of the settings.

    It can be called again for the same snapshot whatever became of the call before.
    """

    def send(entry: Entry) -> None:
        injector = RosbagInjector(
            ROSInjectionConfig(
                file_path=outbox.folder / entry.file,
                sequence_name=entry.sequence_name,
                metadata=dict(entry.metadata),
                host=settings['host'],
                port=settings['port'],
                enable_tls=settings['enable_tls'],
                tls_cert_path=settings['tls_cert_path'] or None,
                mosaico_api_key=os.environ.get('MOSAICO_API_KEY'),
                log_level='WARNING',
                # What broke off must never look complete to the next attempt.
                on_error=SessionLevelErrorPolicy.Delete,
                resume=True,
            )
        )
        injector.run()
        report = injector.report
        skipped = {name: each.skipped for name, each in report.topics.items() if each.skipped}
        for problem in [*report.problems, *(f'{name}: {why}' for name, why in skipped.items())]:
            _log.warning('%s: %s', entry.sequence_name, problem)
        # Between snapshots the robot has better use for the memory.
        pa.default_memory_pool().release_unused()

    return send
