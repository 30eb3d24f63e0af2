"""What the synthetic robot published, written down by itself.

The ledger is the reference that the recorder never sees. Per topic it holds the number of
messages and a SHA-256 over the *values* of all of them, in the order of publication, so that an
archive can be held against it without knowing how ROS or the archive encode anything.

Canonical form of a message, fed to the hash leaf by leaf in the order in which the message
definition declares the fields, nested messages in place:

* integers: 8 bytes, two's complement, little endian;
* floats: 8 bytes, IEEE 754 double, little endian (``float32`` widened exactly);
* booleans: one byte, 0 or 1;
* strings: number of UTF-8 bytes as 4 bytes little endian, then those bytes;
* arrays and sequences, fixed or not: number of elements as 4 bytes little endian, then the
  elements; elements of ``uint8``, ``byte`` and ``char`` are one byte each.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from array import array
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

_INTEGER = struct.Struct('<q')
_FLOAT = struct.Struct('<d')
_LENGTH = struct.Struct('<I')


class ValueDigest:
    """SHA-256 over message values in the canonical form above."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.messages = 0

    def end_message(self) -> None:
        """Count a message whose leaves were all given."""
        self.messages += 1

    def integer(self, value: int) -> None:
        """Add an integer."""
        self._hash.update(_INTEGER.pack(value))

    def real(self, value: float) -> None:
        """Add a float."""
        self._hash.update(_FLOAT.pack(value))

    def flag(self, value: bool) -> None:
        """Add a boolean."""
        self._hash.update(b'\x01' if value else b'\x00')

    def text(self, value: str) -> None:
        """Add a string."""
        encoded = value.encode()
        self._hash.update(_LENGTH.pack(len(encoded)))
        self._hash.update(encoded)

    def length(self, value: int) -> None:
        """Add the number of elements that follow."""
        self._hash.update(_LENGTH.pack(value))

    def reals(self, values: Iterable[float]) -> None:
        """Add an array of floats."""
        block = np.fromiter(values, '<f8')
        self.length(len(block))
        self._hash.update(block.tobytes())

    def octets(self, value: bytes | bytearray | memoryview | array[int]) -> None:
        """Add an array of bytes."""
        view = memoryview(value).cast('B')
        self.length(len(view))
        self._hash.update(view)

    def hexdigest(self) -> str:
        """Return the hash of everything given so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class TopicLedger:
    """What was published on one topic; stamps are header stamps, ns since the epoch."""

    type: str
    rate_hz: float
    count: int
    sha256: str
    first_stamp_ns: int
    last_stamp_ns: int


@dataclass(frozen=True)
class SpikeLedger:
    """One acceleration spike: the IMU messages whose ``linear_acceleration.y`` passed 8 m/s^2.

    Stamps are the header stamps of the first and last such message, ns since the epoch;
    ``peak`` is in m/s^2.
    """

    first_stamp_ns: int
    last_stamp_ns: int
    messages: int
    peak: float


@dataclass(frozen=True)
class Ledger:
    """Everything the robot says about its run."""

    seconds: float
    topics: dict[str, TopicLedger]
    spikes: list[SpikeLedger]

    def write(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        partial = path.with_name(path.name + '.partial')
        with partial.open('w', encoding='utf-8') as file:
            json.dump(asdict(self), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Read what :meth:`write` wrote."""
        content: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
        return cls(
            seconds=content['seconds'],
            topics={name: TopicLedger(**topic) for name, topic in content['topics'].items()},
            spikes=[SpikeLedger(**spike) for spike in content['spikes']],
        )
