"""Sidecar columns that say where and when a message came from, beside its time on the axis.

The ontology's schema has no place for them; the daemon serves them on request only.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mosaico_ros.protocol.metadata import SIDECAR, SIDECAR_TRUE
from mosaico_ros.ros_bridge.cdr.columns import number_array


def _sidecar(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, metadata={SIDECAR: SIDECAR_TRUE})


#: When the publisher sent it, ns since the epoch; MCAP's publish time.
SOURCE_NS = _sidecar('ros_source_ns', pa.int64())
#: When the middleware here received it, ns since the epoch; null where that is ``timestamp_ns``.
RECEIVE_NS = _sidecar('ros_receive_ns', pa.int64())
#: The node's ROS clock when it was taken, ns; null unless it follows ``/clock``.
CLOCK_NS = _sidecar('ros_clock_ns', pa.int64())
#: Global identifier of the publisher, as the middleware gives it (rmw, Kilted and newer).
PUBLISHER = _sidecar('ros_publisher', pa.binary())
#: The publisher's own number of the message (rmw, Iron and newer).
PUBLICATION = _sidecar('ros_publication', pa.int64())
#: True for a latched message: published before the recording, fetched when it began.
LATCHED = _sidecar('ros_latched', pa.bool_())


def source_column(timestamps: np.ndarray, published: np.ndarray) -> pa.Array:
    """`SOURCE_NS` of messages: null where the time of publication is the record time.

    Parameters
    ----------
    timestamps, published
        Both shape (n,), int64, ns.
    """
    return number_array(published, SOURCE_NS.type, published != timestamps)


#: What a live recording keeps of each message, in this order.
PROVENANCE = (RECEIVE_NS, SOURCE_NS, CLOCK_NS, PUBLISHER, PUBLICATION, LATCHED)
