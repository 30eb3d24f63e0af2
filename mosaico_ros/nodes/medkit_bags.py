"""ros2_medkit's own recordings of faults, into the archive with the metadata of our snapshot.

The fault manager records some seconds around a fault, if it is told to, and tells the path when
asked. It deletes recordings as it likes, so that they are taken into the outbox at once: linked
where both lie on one file system, copied where not.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mosaico_ros.durable import sync
from mosaico_ros.nodes.outbox import Entry, Outbox
from mosaico_ros.nodes.snapshot_writer import SnapshotNames
from mosaico_ros.protocol.errors import NotFoundError

# The manager has the recording once the time after the fault is over, some seconds later.
_ATTEMPTS = 15
_PAUSE = 2.0
_PATIENCE = 5.0
# What the metadata of our snapshot says of its window.
_OURS = (
    'pre_sec', 'post_sec', 'window_start_ns', 'window_end_ns', 'window_complete', 'topics_missing',
)  # fmt: skip


@dataclass(frozen=True)
class MedkitBag:
    """What the fault manager answers: its name for the recording, and where that lies."""

    recording_id: str
    path: Path


#: Asks for the newest recording of a fault code; None if there is none (yet).
Ask = Callable[[str, str], MedkitBag | None]


class MedkitBags(threading.Thread):
    """The thread that asks for recordings and takes them in.

    Parameters
    ----------
    ask
        Called with fault code and source.
    outbox
        Where recordings go.
    names
        Of their sequences.
    stored
        Called in this thread with the entry of each recording taken in.
    tell
        Where to say what went wrong.
    pause
        Seconds between two attempts for one fault.
    """

    def __init__(
        self,
        ask: Ask,
        outbox: Outbox,
        names: SnapshotNames,
        stored: Callable[[Entry], None],
        tell: Callable[..., None],
        pause: float = _PAUSE,
    ) -> None:
        super().__init__(name='medkit-bags', daemon=True)
        self._ask = ask
        self._outbox = outbox
        self._names = names
        self._stored = stored
        self._tell = tell
        self._pause = pause
        self._wanted: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()

    def want(self, entry: Entry) -> None:
        """Look for medkit's recording of the fault of a snapshot; never blocks."""
        self._wanted.put(entry)

    def finish(self) -> None:
        """End soon; what was not found yet is not looked for any more."""
        self._wanted.put(None)

    def run(self) -> None:
        """Work until told to finish."""
        looking: list[tuple[float, int, Entry]] = []
        while True:
            wait = min((due for due, _, _ in looking), default=float('inf')) - time.monotonic()
            try:
                entry = self._wanted.get(timeout=min(max(wait, 0.0), 3600.0))
                if entry is None:
                    return
                looking.append((time.monotonic(), 0, entry))
            except queue.Empty:
                pass
            now = time.monotonic()
            for item in [each for each in looking if each[0] <= now]:
                looking.remove(item)
                _, attempts, entry = item
                if not self._found(entry) and attempts + 1 < _ATTEMPTS:
                    looking.append((time.monotonic() + self._pause, attempts + 1, entry))

    def _found(self, entry: Entry) -> bool:
        try:
            bag = self._ask(
                entry.metadata['fault_code'], entry.metadata['reporting_sources'].split(',')[0]
            )
            if bag is None or not bag.path.exists():
                return False
            taken = self._entry(entry, bag)
            known = {each.snapshot_id for each in self._outbox.entries()}
            if taken.snapshot_id in known:
                # Of an earlier fault of the same code, or of a burst that shares it.
                return False
            partial = self._outbox.partial(taken.file)
            _take(bag.path, partial)
            self._stored(self._outbox.add(taken))
        except (OSError, NotFoundError) as error:
            self._tell(
                f"medkit's recording of {entry.metadata['fault_code']} cannot be taken: {error}",
                warning=True,
            )
        return True

    def _entry(self, entry: Entry, bag: MedkitBag) -> Entry:
        text = '\0'.join((entry.metadata['robot_id'], 'medkit', bag.recording_id))
        metadata: dict[str, Any] = {
            **entry.metadata,
            'snapshot_id': hashlib.sha256(text.encode()).hexdigest()[:16],
            'source_pipeline': 'ros2_medkit',
            'recording_id': bag.recording_id,
        }
        for key in _OURS:
            metadata.pop(key)  # medkit chose otherwise, and does not tell
        metadata['lost_messages'] = 'unknown'
        name = self._names.name(metadata)
        suffix = '' if bag.path.is_dir() else bag.path.suffix
        return replace(
            entry,
            snapshot_id=metadata['snapshot_id'],
            sequence_name=name,
            file=name + suffix,
            metadata=metadata,
            kind='medkit',
        )


def service_ask(node: Any, medkit_topic: str) -> Ask:
    """Return what asks the fault manager's service beside its topic of events.

    Raises
    ------
    NotFoundError
        The package of its messages is not installed.
    """
    try:
        from ros2_medkit_msgs.srv import GetRosbag
    except ImportError as error:
        raise NotFoundError(
            f"medkit's recordings cannot be had: {error}",
            remedy='install ros2_medkit_msgs, or set medkit_bags to false',
        ) from error
    client = node.create_client(GetRosbag, f'{medkit_topic.rsplit("/", 1)[0]}/get_rosbag')

    def ask(code: str, source: str) -> MedkitBag | None:
        if not client.service_is_ready():
            return None
        request = GetRosbag.Request(fault_code=code)
        if hasattr(request, 'source_id'):  # newer than 0.6
            request.source_id = source
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(_PATIENCE):
            client.remove_pending_request(future)
            return None
        answer = future.result()
        if not answer.success:
            return None
        path = Path(answer.file_path)
        # Older ones name no recording: the path does.
        return MedkitBag(getattr(answer, 'recording_id', '') or path.name, path)

    return ask


def _take(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(path, to, copy_function=_link)
    else:
        to.unlink(missing_ok=True)
        _link(str(path), str(to))
    sync(to)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    sync(Path(target))
