"""The fault snapshot node: the last seconds of all topics, kept when something goes wrong.

It holds the last seconds of the robot in memory and watches for faults; around each one that is
confirmed it writes an ``.mcap`` file and brings that into the archive, now or when the daemon is
back. ``python -m mosaico_ros.nodes.fault_snapshot``, ``ros2 run mosaico_ros fault_snapshot`` and
``mosaico snapshot`` are the same program.

Configured means that the settings are sound, active that messages are held and faults noticed.
Deactivating writes the snapshots that are under way, with as much of the time after the fault as
there is; those that are not delivered are delivered after the next activation.

Exit codes: 0 stopped when asked, 1 failed, 2 wrong use.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.nodes.diagnostics import Level, Status, hardware_id
from mosaico_ros.nodes.fault_snapshot_parameters import FAULT_SNAPSHOT
from mosaico_ros.nodes.fault_sources.medkit import MEDKIT
from mosaico_ros.nodes.running import Work, program
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError, NotFoundError

if TYPE_CHECKING:
    from mosaico_ros.nodes.black_box import BlackBox
    from mosaico_ros.nodes.capture import Capture
    from mosaico_ros.nodes.fault_notes import FaultNote
    from mosaico_ros.nodes.fault_sources import Watch
    from mosaico_ros.nodes.medkit_bags import MedkitBags
    from mosaico_ros.nodes.outbox import Entry
    from mosaico_ros.nodes.parcel import Bundle
    from mosaico_ros.nodes.snapshot_delivery import Delivery
    from mosaico_ros.nodes.snapshot_rules import SnapshotRules
    from mosaico_ros.nodes.snapshot_writer import SnapshotNames, SnapshotWriter


_MB = 1_000_000
_DRAIN_PATIENCE = 1.0
_WRITE_PATIENCE = 5.0
_DELIVERY_PATIENCE = 1.0
# Of a segment, so that one of a camera does not grow without bound.
_SEGMENT_BYTES = 8 * _MB
_SEGMENT_ROWS = 8192
# Parameters of capture by which topics are asked for; with none of them all are.
_INCLUDES = (
    'topics', 'regex', 'topic_types', 'services', 'all_services', 'actions', 'all_actions',
    'static_topics',
)  # fmt: skip


class FaultSnapshots(Work):
    """The work of the node."""

    _rules: SnapshotRules
    _names: SnapshotNames
    _watch: Watch
    _outbox: Any = None
    _capture: Capture
    _box: BlackBox
    _writer: SnapshotWriter
    _delivery: Delivery | None = None
    _medkit: MedkitBags | None = None
    _robot_id: str
    _next_look = 0.0
    _active = False

    def configure(self) -> None:
        """Read the settings and open the outbox.

        Raises
        ------
        InvalidArgumentError
            A setting is malformed.
        FailedPreconditionError
            Another process uses the folder.
        """
        from mosaico_ros.nodes.fault_sources import Watch, sources
        from mosaico_ros.nodes.fault_sources.scope import Scope
        from mosaico_ros.nodes.heap import bound_heap
        from mosaico_ros.nodes.outbox import Outbox, Retention
        from mosaico_ros.nodes.snapshot_rules import SnapshotRules
        from mosaico_ros.nodes.snapshot_writer import SnapshotNames
        from mosaico_ros.nodes.user_metadata import user_metadata
        from mosaico_ros.ros_bridge.ingest_plan import sequence_name_for

        bound_heap()
        settings = self.settings
        self._robot_id = hardware_id(settings['robot_id'], self.node.get_namespace())
        self._rules = SnapshotRules(settings)
        self._names = SnapshotNames(settings['sequence_name'])
        self._user_metadata = user_metadata(settings['metadata'])
        found = sources(
            settings,
            self._full_name,
            self.node.get_fully_qualified_name(),
            Scope(self.node.get_namespace(), self._robot_id),
        )
        self._watch = Watch(found, self._tell)
        retention = Retention(
            settings['keep_count'],
            int(settings['keep_mb'] * _MB),
            settings['keep_days'] * 86_400,
            int(settings['outbox_max_mb'] * _MB),
        )
        place = settings['snapshot_dir'].replace('{robot_id}', sequence_name_for(self._robot_id))
        try:
            self._outbox = Outbox(Path(place).expanduser(), retention, self._tell)
        except OSError as error:
            raise InvalidArgumentError(
                f'snapshot_dir {place} cannot be used: {error.strerror}'
            ) from error

    def activate(self) -> None:
        """Begin to hold messages and to notice faults."""
        from diagnostic_msgs.msg import DiagnosticStatus
        from rclpy.utilities import get_rmw_implementation_identifier
        from std_msgs.msg import String
        from std_srvs.srv import Trigger

        from mosaico_ros.nodes.black_box import BlackBox
        from mosaico_ros.nodes.capture import Capture
        from mosaico_ros.nodes.inbox import FlushPolicy
        from mosaico_ros.nodes.ring import Ring
        from mosaico_ros.nodes.snapshot_delivery import Delivery, sender
        from mosaico_ros.nodes.snapshot_writer import SnapshotWriter, robot_facts
        from mosaico_ros.protocol.version import package_version

        settings = self.settings
        total = int(settings['ring_max_mb'] * _MB)
        ring = Ring(
            settings['ring_sec'] + 2 * settings['segment_sec'],
            int(settings['ring_topic_max_mb'] * _MB),
            total,
        )
        policy = FlushPolicy(_SEGMENT_ROWS, _SEGMENT_BYTES, settings['segment_sec'])
        self._capture = Capture(
            self.node, self._capture_settings(), policy, self._on_parcels, self._tell
        )
        version = settings['software_version'] or f'mosaico_ros {package_version()}'
        self._publisher = self.node.create_publisher(String, '~/snapshot_stored', 100)
        self._notes = self.node.create_publisher(DiagnosticStatus, '~/fault_events', 100)
        self._writer = SnapshotWriter(
            self._outbox,
            ring,
            self._names,
            {**self._user_metadata, 'software_version': version},
            robot_facts(self._robot_id, version, get_rmw_implementation_identifier()),
            topic_details=self._capture.topic_details,
            missing=self._missing,
            stored=self._on_stored,
            tell=self._tell,
        )
        self._box = BlackBox(
            self._robot_id,
            ring,
            self._watch,
            self._rules,
            pinned_bytes=total,
            per_minute=settings['snapshots_per_minute'],
            write_ahead=settings['write_ahead'],
            released=self._capture.release,
            latched=self._capture.latched,
            cut=self._capture.cut,
            silent=self._silent,
            ready=self._writer.put,
            noted=self._on_note,
            tell=self._tell,
        )
        if settings['deliver']:
            self._delivery = Delivery(
                self._outbox,
                sender(settings, self._outbox),
                settings['retry_max_sec'],
                self._on_delivered,
            )
            self._delivery.start()
        self._medkit = self._medkit_bags()
        self._writer.start()
        self._box.start()
        self._capture.start()
        self._service = self.node.create_service(Trigger, '~/trigger', self._on_trigger)
        self._next_look = 0.0
        self._active = True
        self._tell(f'holding the last {settings["ring_sec"]:g} s of {self._robot_id}')

    def tick(self) -> None:
        """Look at the graph."""
        for failure in (self._capture.failure, self._box.failure):
            if failure is not None:
                raise failure
        if time.monotonic() >= self._next_look:
            self._capture.look()
            self._next_look = time.monotonic() + self._capture.pause

    def deactivate(self) -> None:
        """Write what is under way and stop."""
        self._active = False
        self.node.destroy_service(self._service)
        self._capture.finish(_DRAIN_PATIENCE)
        self._box.finish(_WRITE_PATIENCE)
        self._writer.finish(_WRITE_PATIENCE)
        if self._medkit is not None:
            self._medkit.finish()
        if self._delivery is not None:
            self._delivery.finish(_DELIVERY_PATIENCE)
            self._delivery = None
        self._capture.close()
        self.node.destroy_publisher(self._publisher)
        self.node.destroy_publisher(self._notes)
        waiting = len(self._outbox.waiting())
        if waiting:
            self._tell(f'{waiting} snapshots wait in {self._outbox.folder} for the next start')

    def cleanup(self) -> None:
        """Let another process have the folder."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.close()

    def diagnose(self) -> Iterable[Status]:
        """Return how the ring, the faults and the outbox are."""
        if not self._active:
            yield Status('faults', Level.WARN, 'not active: no fault is noticed')
            return
        from mosaico_ros.nodes.snapshot_health import statuses

        yield from statuses(
            self._box, self._writer, self._outbox, self._delivery, self._capture.reports()
        )

    # --- what the threads call ------------------------------------------------------------------

    def _on_parcels(self, bundle: Bundle) -> None:
        for parcel in bundle.parcels:
            self._box.put(parcel)

    def _on_note(self, note: FaultNote) -> None:
        from mosaico_ros.nodes.fault_notes import status

        self._notes.publish(status(note, self._robot_id))

    def _on_stored(self, entry: Entry) -> None:
        self._tell(f'snapshot {entry.sequence_name} written ({entry.size / _MB:.1f} MB)')
        self._publish('captured', entry)
        if self._medkit is not None and entry.metadata['fault_extra'].get('pipeline') == MEDKIT:
            self._medkit.want(entry)
        if self._delivery is not None:
            self._delivery.wake()

    def _on_delivered(self, entry: Entry) -> None:
        self._tell(f'snapshot {entry.sequence_name} is in the archive')
        self._publish('delivered', entry)

    def _publish(self, state: str, entry: Entry) -> None:
        from std_msgs.msg import String

        told = {
            'state': state,
            'sequence': entry.sequence_name,
            'file': str(self._outbox.folder / entry.file),
            'kind': entry.kind,
            **entry.metadata,
        }
        self._publisher.publish(String(data=json.dumps(told)))

    def _on_trigger(self, _request: Any, response: Any) -> Any:
        from mosaico_ros.nodes.faults import FaultEvent, Severity

        event = FaultEvent(
            'MANUAL',
            Severity.INFO,
            'trigger',
            time.time_ns(),
            description='asked for by ~/trigger',
        )
        try:
            response.message = self._box.trigger(event).snapshot_id
            response.success = True
        except MosaicoError as error:
            response.success, response.message = False, str(error)
        return response

    def _medkit_bags(self) -> MedkitBags | None:
        settings = self.settings
        if not (settings['medkit_bags'] and 'medkit' in settings['sources']):
            return None
        from mosaico_ros.nodes.medkit_bags import MedkitBags, service_ask

        try:
            ask = service_ask(self.node, self._full_name(settings['medkit_topic']))
        except NotFoundError:
            # Capture says so of the events, should there be any.
            return None
        bags = MedkitBags(ask, self._outbox, self._names, self._on_stored, self._tell)
        bags.start()
        return bags

    # --- little things --------------------------------------------------------------------------

    def _tell(self, text: str, warning: bool = False) -> None:
        logger = self.node.get_logger()
        if warning:
            logger.warning(text)
        else:
            logger.info(text)

    def _full_name(self, name: str) -> str:
        from mosaico_ros.nodes.capture import full_name

        return full_name(self.node.resolve_topic_name, name)

    def _capture_settings(self) -> dict[str, Any]:
        """What is asked for, and what the sources need beside it."""
        from mosaico_ros.nodes.topic_selection import matches

        settings = dict(self.settings)
        narrowed = not settings['all_topics'] and any(settings[name] for name in _INCLUDES)
        watched = self._watch.topics()
        for name in watched:
            if matches(name, settings['exclude_topics']):
                self._tell(f'{name} is excluded, so no fault is taken from it', warning=True)
        settings['topics'] = (*(settings['topics'] if narrowed else ('*',)), *watched)
        settings['all_topics'] = False
        return settings

    def _silent(self) -> bool:
        return any(
            not report.received and not report.problem for report in self._capture.reports()
        )

    def _missing(self) -> list[str]:
        wanted = set(map(self._full_name, self.settings['topics']))
        unseen = [name for name in self._capture.never_seen() if name in wanted]
        return unseen + [report.name for report in self._capture.reports() if report.problem]


main = program('mosaico_fault_snapshot', FAULT_SNAPSHOT, FaultSnapshots)

if __name__ == '__main__':
    sys.exit(main())
