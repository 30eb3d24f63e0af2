"""The latched messages that the next part of a recording begins with, kept beside its log.

Where an outage ends a part is known afterwards only, and by then the last ``/tf_static`` in front
of that place may have left the log hours ago. So whoever delivers notes the latched messages that
it leaves behind, and they outlive the process as the log does.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mosaico_ros.nodes.accounting import TopicAccount
from mosaico_ros.nodes.latch_cache import LatchCache
from mosaico_ros.nodes.parcel import CAPTURED
from mosaico_ros.ros_bridge.provenance import LATCHED

_NAME = 'latched'
_TOPIC = 'topic'
_LATCHED_COLUMN = CAPTURED.get_field_index(LATCHED.name)


def latched_rows(rows: pa.RecordBatch) -> pa.RecordBatch | None:
    """Return the messages (schema `CAPTURED`) that a late subscriber could have got, if any.

    Those came by a subscription to latched publishers: only for them it is known whether they
    were sent before it.
    """
    column = rows.column(_LATCHED_COLUMN)
    if column.null_count == len(column):
        return None
    return rows.filter(pc.is_valid(column))


class LatchedFile:
    """The last latched messages of each publisher, by number of the topic.

    Parameters
    ----------
    folder
        Of the spool. What is in its file is there from the start; one that is damaged is none.

    Attributes
    ----------
    topics
        Numbers of the topics that have any.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._latch = LatchCache()
        self.topics: set[int] = set()
        self._changed = False
        # What cannot be read is missing at the beginning of a part, and nowhere else.
        with contextlib.suppress(OSError, pa.ArrowInvalid, KeyError, ValueError):
            self._read()

    def _read(self) -> None:
        with pa.ipc.open_stream(self._path.read_bytes()) as reader:
            for rows, metadata in reader.iter_batches_with_custom_metadata():
                self.note(int(metadata[_TOPIC]), rows, len(rows))
        self._changed = False

    def note(self, topic: int, rows: pa.RecordBatch, depth: int = 1) -> None:
        """Remember the last `depth` of these messages of a topic, for each publisher."""
        if not len(rows):
            return
        self._changed = True
        self.topics.add(topic)
        account = TopicAccount(str(topic), '')
        self._latch.describe(account, depth)
        self._latch.keep(account, rows)

    def rows(self, topic: int) -> pa.RecordBatch | None:
        """Return the messages of a topic in order, marked as latched."""
        return self._all().get(str(topic))

    def _all(self) -> dict[str, pa.RecordBatch]:
        return {parcel.account.name: parcel.rows for parcel in self._latch.parcels()}

    def save(self) -> None:
        """Have what is noted outlive the process.

        On a full disk it does not: that must not keep the log, which is about to shrink, from
        doing so.
        """
        if not self._changed:
            return
        temporary = self._path.with_suffix('.new')
        try:
            with temporary.open('wb') as file:
                with pa.ipc.new_stream(file, CAPTURED) as writer:
                    for name, rows in self._all().items():
                        writer.write_batch(rows, custom_metadata={_TOPIC: name})
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        self._changed = False
