"""Incidents onto the disk: one file each, and its entry in the outbox."""

from __future__ import annotations

import errno
import json
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa

from mosaico_ros.nodes.black_box import Incident
from mosaico_ros.nodes.freeze_frame import freeze_frame
from mosaico_ros.nodes.outbox import Entry, Outbox
from mosaico_ros.nodes.ring import Ring
from mosaico_ros.nodes.snapshot_file import SnapshotTopic, write_snapshot
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.ros_bridge.ingest_plan import sequence_name_for

#: Of the metadata and the records; raised when a key changes its meaning.
SCHEMA_VERSION = 1


class SnapshotNames:
    """Names of snapshots in the archive, which their files carry too.

    Parameters
    ----------
    template
        The parameter `sequence_name`.

    Raises
    ------
    InvalidArgumentError
        It holds a placeholder that does not exist, or lacks ``{snapshot_id}``.
    """

    def __init__(self, template: str) -> None:
        self._template = template
        known = dict.fromkeys(
            ('source', 'robot_id', 'fault_code', 'severity', 'seconds', 'date', 'time'), ''
        )
        try:
            named = template.format_map({**known, 'snapshot_id': '\0'})
        except (KeyError, ValueError, IndexError) as error:
            raise InvalidArgumentError(
                f'sequence_name {template!r} cannot be filled in: {error}',
                remedy=f'known placeholders: {", ".join(known)}, snapshot_id',
            ) from error
        if '\0' not in named:
            raise InvalidArgumentError(
                f'sequence_name {template!r} lacks {{snapshot_id}}',
                remedy='without it two faults could get one name',
            )

    def name(self, metadata: Mapping[str, Any]) -> str:
        """Return the name of a snapshot with this metadata."""
        moment = datetime.fromtimestamp(metadata['captured_at_seconds'])
        return sequence_name_for(
            self._template.format_map(
                {
                    'source': metadata['source_pipeline'],
                    'robot_id': metadata['robot_id'],
                    'fault_code': metadata['fault_code'],
                    'severity': metadata['fault_severity'],
                    'seconds': int(metadata['captured_at_seconds']),
                    'date': moment.strftime('%Y%m%d'),
                    'time': moment.strftime('%H%M%S'),
                    'snapshot_id': metadata['snapshot_id'],
                }
            )
        )


class SnapshotWriter(threading.Thread):
    """The thread that writes files.

    Parameters
    ----------
    outbox
        Where they go.
    ring
        Gets its memory back.
    names
        Of the sequences.
    about
        What to note with every snapshot beside the fault: ``software_version`` and the user's
        own.
    robot
        Facts for the metadata record ``robot``.
    topic_details
        Returns what the graph says of a topic's publishers.
    missing
        Returns the topics that were asked for and cannot be had.
    stored
        Called in this thread with the entry of each snapshot, once it is on the disk.
    tell
        Where to say what went wrong.
    """

    def __init__(
        self,
        outbox: Outbox,
        ring: Ring,
        names: SnapshotNames,
        about: Mapping[str, Any],
        robot: Mapping[str, str],
        *,
        topic_details: Callable[[str], Mapping[str, Any]],
        missing: Callable[[], Sequence[str]],
        stored: Callable[[Entry], None],
        tell: Callable[..., None],
    ) -> None:
        super().__init__(name='snapshot-writer', daemon=True)
        self._outbox = outbox
        self._ring = ring
        self._names = names
        self._about = about
        self._robot = robot
        self._topic_details = topic_details
        self._missing = missing
        self._stored = stored
        self._tell = tell
        self._incidents: queue.SimpleQueue[Incident | None] = queue.SimpleQueue()
        #: Snapshots that could not be written.
        self.failed = 0

    def put(self, incident: Incident) -> None:
        """Queue an incident; never blocks."""
        self._incidents.put(incident)

    def finish(self, patience: float) -> None:
        """Write what is queued and end."""
        self._incidents.put(None)
        self.join(patience)

    def run(self) -> None:
        """Write until told to finish."""
        while (incident := self._incidents.get()) is not None:
            try:
                entry = self._stored_entry(incident)
                if entry.complete:
                    self._stored(entry)
            except Exception as error:
                self._failed(incident, error)
            finally:
                self._ring.release(incident.window)

    def _failed(self, incident: Incident, error: Exception) -> None:
        what = f'the snapshot of {incident.fault.event.fault_code} cannot be written: {error}'
        if not incident.complete:
            self._tell(f'{what}; it will be tried again when it is complete', warning=True)
            return
        self.failed += 1
        before = self._outbox.settle(incident.fault.snapshot_id)
        left = 'only the seconds before the fault are kept' if before else 'it is lost'
        self._tell(f'{what}; {left}', warning=True)
        if before is not None:
            self._stored(before)

    def _stored_entry(self, incident: Incident) -> Entry:
        try:
            return self._write(incident)
        except OSError as error:
            # Copies of what the archive has are worth less than this.
            if error.errno != errno.ENOSPC or not self._outbox.make_room():
                raise
        return self._write(incident)

    def _write(self, incident: Incident) -> Entry:
        topics = [self._topic(incident, name) for name in _names(incident)]
        metadata = self._metadata(incident, topics)
        name = self._names.name(metadata)
        entry = Entry(
            metadata['snapshot_id'],
            name,
            f'{name}.mcap',
            metadata,
            incident.fault.event.stamp,
            int(incident.fault.event.severity),
            incident.kind,
            complete=incident.complete,
        )
        records = {
            'fault': _texts({key: metadata[key] for key in metadata if key not in _ELSEWHERE}),
            'robot': _texts(self._robot),
            'capture': _texts(_capture(incident, topics, metadata)),
        }
        frozen = freeze_frame(incident.fault.event.stamp, _last(incident))
        partial = self._outbox.partial(entry.file)
        try:
            write_snapshot(
                partial,
                entry.file,
                topics,
                incident.window.start_ns,
                records,
                {'freeze_frame.json': frozen},
                os.environ.get('ROS_DISTRO'),
            )
            return self._outbox.add(entry)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _topic(self, incident: Incident, name: str) -> SnapshotTopic:
        start = incident.window.start_ns
        details = self._topic_details(name)
        expired = start - _lifespan(details)
        latched = []
        for topic, _, rows in incident.latched:
            if topic == name:
                stamps = rows.column(0).to_numpy()
                begin, end = np.searchsorted(stamps, [expired, start], 'left').tolist()
                if end > begin:
                    latched.append(rows.slice(begin, end - begin))
        return SnapshotTopic(
            name,
            incident.types.get(name)
            or next(kind for topic, kind, _ in incident.latched if topic == name),
            list(incident.window.rows(name)),
            latched,
            details,
        )

    def _metadata(self, incident: Incident, topics: Sequence[SnapshotTopic]) -> dict[str, Any]:
        fault, window = incident.fault, incident.window
        event = fault.event
        losses = [window.lost(topic.name) for topic in topics]
        moment = datetime.fromtimestamp(event.stamp // 10**9, timezone.utc)
        return {
            **self._about,
            'robot_id': fault.robot_id,
            'fault_code': event.fault_code,
            'fault_severity': event.severity.label,
            'fault_severity_int': int(event.severity),
            'fault_description': event.description,
            'fault_status': 'CONFIRMED',
            'reporting_sources': ','.join(fault.reporting_sources),
            'captured_at_seconds': event.stamp / 1e9,
            'captured_at_iso': f'{moment:%Y-%m-%dT%H:%M:%S}.{event.stamp % 10**9 // 10**6:03}Z',
            'event_id': event.extra.get('event_id', fault.snapshot_id),
            'snapshot_id': fault.snapshot_id,
            'incident_id': incident.incident_id,
            'source_pipeline': 'mosaico_ros',
            'pre_sec': incident.rule.pre_sec,
            'post_sec': incident.rule.post_sec,
            'window_start_ns': window.start_ns,
            'window_end_ns': window.end_ns,
            # Cut off, if the node was stopped or died before the end.
            'window_complete': incident.complete and time.time_ns() >= window.end_ns,
            # Unknown is not zero.
            'lost_messages': 'unknown' if None in losses else sum(filter(None, losses)),
            'topics_missing': ','.join(self._missing()),
            'schema_version': SCHEMA_VERSION,
            'fault_extra': dict(event.extra),
        }


# What is in the record `capture` or `robot`, not in `fault`.
_ELSEWHERE = {
    'robot_id', 'software_version', 'pre_sec', 'post_sec', 'window_start_ns', 'window_end_ns',
    'window_complete', 'lost_messages', 'topics_missing',
}  # fmt: skip


def robot_facts(robot_id: str, software_version: str, rmw: str) -> dict[str, str]:
    """Return the metadata record ``robot``."""
    return {
        'robot_id': robot_id,
        'software_version': software_version,
        'host': platform.node(),
        'ros_distro': os.environ.get('ROS_DISTRO', 'unknown'),
        'rmw': rmw,
    }


def _lifespan(details: Mapping[str, Any]) -> int:
    """How long the latched messages of a topic are in force, ns: a log line of old is none."""
    return max((offer['lifespan_ns'] for offer in details.get('offered_qos', ())), default=2**62)


def _names(incident: Incident) -> list[str]:
    """Topics with anything to write: those of the window, and latched ones."""
    window = incident.window
    found = {name for name in window.segments if any(window.rows(name))}
    for name, _, rows in incident.latched:
        if rows.column(0)[0].as_py() < window.start_ns:
            found.add(name)
    return sorted(found)


def _capture(
    incident: Incident, topics: Sequence[SnapshotTopic], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    window = incident.window
    told = {}
    for topic in topics:
        stamps = [rows.column(0) for rows in topic.rows]
        told[topic.name] = {
            'type': topic.msgtype,
            'messages': topic.count,
            'latched': sum(rows.num_rows for rows in topic.latched),
            'first_ns': stamps[0][0].as_py() if stamps else None,
            'last_ns': stamps[-1][-1].as_py() if stamps else None,
            'lost': window.lost(topic.name),
            'cut_short': topic.name in window.cut_short,
        }
    return {
        **{key: metadata[key] for key in _ELSEWHERE if key in metadata},
        'time_axis': 'receive stamp of the middleware, in order of delivery',
        'topics': json.dumps(told),
    }


def _last(incident: Incident) -> dict[str, tuple[str, pa.RecordBatch]]:
    """The last row of every topic that is not after the fault."""
    stamp = incident.fault.event.stamp
    found: dict[str, tuple[str, pa.RecordBatch]] = {}
    for name, msgtype in incident.types.items():
        batches = [rows for topic, _, rows in incident.latched if topic == name]
        if name in incident.last:
            batches.append(incident.last[name])
        batches += incident.window.rows(name)
        best: tuple[int, pa.RecordBatch] | None = None
        for rows in batches:
            stamps = rows.column(0).to_numpy()
            upto = int(np.searchsorted(stamps, stamp, 'right'))
            if upto and (best is None or stamps[upto - 1] > best[0]):
                best = int(stamps[upto - 1]), rows.slice(upto - 1, 1)
        if best is not None:
            found[name] = (msgtype, best[1])
    return found


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
