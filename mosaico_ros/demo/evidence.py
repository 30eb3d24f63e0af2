"""What else became of the recording: snapshots of its bumps, a replay, a bag, held against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mosaico_ros.demo.motion import SPIKE_THRESHOLD
from mosaico_ros.demo.nodes import FAULT_CODE, POST_SEC, PRE_SEC
from mosaico_ros.demo.processes import Children
from mosaico_ros.protocol.metadata import TIMESTAMP_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa

    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

# Windows are cut by receive stamps; those of two processes may differ so much if both are starved
# of the processor, ns.
_TOLERANCE_NS = 300_000_000


@dataclass(frozen=True)
class Copy:
    """A sequence that holds a part of the recording, or all of it.

    Attributes
    ----------
    sequence
        Its name.
    what
        What it is, for people.
    messages
        How many it holds.
    expected
        How many that should be, None where the clocks of two processes decide.
    problems
        What is not as in the recording.
    """

    sequence: str
    what: str
    messages: int
    expected: int | None
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if all values are those of the recording, and none is missing."""
        return not self.problems and self.expected in (None, self.messages)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {**asdict(self), 'ok': self.ok}


@dataclass(frozen=True)
class Found:
    """What the query for spikes found in one sequence."""

    sequence: str
    windows: int


def wait_for_snapshots(children: Children, client: MosaicoClient, demo: str, count: int) -> None:
    """Wait until so many snapshots are in the archive, whole.

    Raises
    ------
    ProcessFailed
        They did not come in time.
    """

    def there() -> bool:
        names = _snapshots(client, demo)
        return len(names) >= count and all(
            session.locked
            for name in names
            if (handler := client.sequence_handler(name)) is not None and handler.reload()
            for session in handler.sessions
        )

    children.wait_until(there, 30.0, f'the delivery of {count} fault snapshots')


def of_snapshots(client: MosaicoClient, demo: str, bumps: Sequence[int]) -> Iterator[Copy]:
    """Hold each snapshot against the recording, the earliest first.

    `bumps` are the times at which they were recorded to begin, ns.
    """
    recorded = _tables(client, demo)
    for number, name in enumerate(_snapshots(client, demo)):
        tables = _tables(client, name)
        if number < len(bumps):
            problems = [
                f'{topic}: {problem}'
                for topic, table in recorded.items()
                if (problem := _missing(tables.get(topic), table, bumps[number]))
            ]
        else:
            problems = ['the robot hit no such bump']
        rows = sum(table.num_rows for table in tables.values())
        yield Copy(name, f'fault {FAULT_CODE}', rows, None, tuple(problems))


def of_a_replay(client: MosaicoClient, demo: str, replay: str, window: tuple[int, int]) -> Copy:
    """Hold what was recorded of the player against what it was to play."""
    problems = []
    expected = messages = 0
    replayed = _tables(client, replay)
    for topic in ('/imu', '/odom'):
        handler = client.topic_handler(demo, topic)
        assert handler is not None
        source = handler.to_arrow(window[0], window[1] + 1)
        expected += source.num_rows
        heard = replayed.get(f'/replay{topic}')
        messages += 0 if heard is None else heard.num_rows
        if heard is None or not _values(heard).equals(_values(source)):
            problems.append(f'{topic}: played and recorded again, it is not what it was')
    return Copy(replay, 'played and recorded again', messages, expected, tuple(problems))


def of_a_bag(client: MosaicoClient, port: int, demo: str, folder: Path) -> Copy:
    """Export the recording as a rosbag2 folder, ingest that, and compare all of it."""
    from mosaico_ros.ros_bridge.extractor import ROSExtractorConfig, ROSSequenceExtractor
    from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
    from mosaico_ros.ros_bridge.injector import RosbagInjector

    written = ROSSequenceExtractor(
        ROSExtractorConfig(
            folder, demo, port=port, recording_name='bag', overwrite=True, log_level='ERROR'
        )
    ).run()
    name = f'{demo}_bag'
    metadata = {'demo': demo}
    RosbagInjector(
        ROSInjectionConfig(written.path, name, metadata, port=port, log_level='ERROR')
    ).run()
    recorded, ingested = _tables(client, demo), _tables(client, name)
    problems = [
        f'{topic}: exported and ingested again, it is not what it was'
        for topic, table in recorded.items()
        if topic not in ingested or not table.equals(ingested[topic])
    ]
    rows = [sum(table.num_rows for table in each.values()) for each in (recorded, ingested)]
    return Copy(name, 'exported to a bag and ingested', rows[1], rows[0], tuple(problems))


def found_everywhere(client: MosaicoClient, demo: str) -> list[Found]:
    """Ask one question of all that the demonstration left in the archive."""
    from mosaico_ros.client.query import QueryOntologyCatalog, QuerySequence
    from mosaico_ros.models.sensors import IMU

    response = client.query(
        QuerySequence().with_user_metadata('demo', eq=demo),
        QueryOntologyCatalog(IMU.Q.acceleration.y.gt(SPIKE_THRESHOLD)),
        order_by='created',
    )
    return [
        Found(
            item.sequence.name,
            sum(len(topic.clusterize(clustering_dt_ns=500_000_000)) for topic in item.topics),
        )
        for item in response
    ]


def _snapshots(client: MosaicoClient, demo: str) -> list[str]:
    from mosaico_ros.client.query import QuerySequence

    response = client.query(
        QuerySequence()
        .with_user_metadata('demo', eq=demo)
        .with_user_metadata('fault_code', eq=FAULT_CODE)
        .with_user_metadata('fault_severity_int', geq=2)
    )
    names = [item.sequence.name for item in response]
    return sorted(names, key=lambda name: _captured(client, name))


def _captured(client: MosaicoClient, name: str) -> float:
    handler = client.sequence_handler(name)
    return 0.0 if handler is None else float(handler.user_metadata['captured_at_seconds'])


def _tables(client: MosaicoClient, sequence: str) -> dict[str, pa.Table]:
    handler = client.sequence_handler(sequence)
    if handler is None:
        return {}
    handler.reload()
    return handler.to_arrow()


def _values(table: pa.Table) -> pa.Table:
    return table.drop_columns([TIMESTAMP_COLUMN]).combine_chunks()


def _place(piece: pa.Table, whole: pa.Table) -> int | None:
    """Where a table's values are in another one, by row; None if they are not."""
    piece, whole = _values(piece), _values(whole)
    for begin in range(whole.num_rows - piece.num_rows + 1):
        if whole.slice(begin, 1).equals(piece.slice(0, 1)):
            return begin if whole.slice(begin, piece.num_rows).equals(piece) else None
    return None


def _missing(piece: pa.Table | None, whole: pa.Table, bump: int) -> str:
    """What keeps a topic of a snapshot from being the recorded one around a bump, if anything."""
    times = whole[TIMESTAMP_COLUMN].to_numpy()
    first = int(np.searchsorted(times, bump - round(PRE_SEC * 1e9) + _TOLERANCE_NS))
    last = int(np.searchsorted(times, bump + round(POST_SEC * 1e9) - _TOLERANCE_NS))
    if piece is None or not piece.num_rows:
        return '' if first == last else 'nothing of the window is there'
    begin = _place(piece, whole)
    if begin is None:
        return 'not a piece of what was recorded'
    if first < last and (begin > first or begin + piece.num_rows < last):
        return 'the window is not whole'
    return ''
