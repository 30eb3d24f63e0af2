"""What an injection is to load, and where to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.client.enums import (
    SerializationFormat,
    SessionLevelErrorPolicy,
    TopicLevelErrorPolicy,
)
from mosaico_ros.ros_bridge.lane_workers import WAITING_BYTES

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.ros_bridge.adapter_base import ROSAdapterBase
    from mosaico_ros.ros_bridge.registry import ROSTypeRegistry


@dataclass
class ROSInjectionConfig:
    """What to load, and where to.

    Attributes
    ----------
    file_path : Path
        Bag file or rosbag2 folder; see `mosaico_ros.ros_bridge.bags.open_bag`.
    sequence_name : str
        Sequence to create.
    metadata : dict
        User metadata of the sequence; facts about the bag are added under ``_bag_``.
    topic_metadata : dict, optional
        Topic name to further metadata of that topic.
    update_if_exists : bool
        Add the topics to a sequence that exists, instead of failing.
    resume : bool
        Leave a sequence alone that holds this bag, and replace one that holds a part of it
        because its injection was killed; see `mosaico_ros.ros_bridge.ingest_plan.is_stored`.
        Without effect together with `update_if_exists`.
    host, port : str, int
        The daemon.
    on_error : SessionLevelErrorPolicy
        Whether a failed injection leaves what it has written (``Report``) or nothing.
    topics_on_error : TopicLevelErrorPolicy or dict
        What a failing topic does to the others; one policy, or one by topic (default ``Raise``).
    serialization_formats : dict, optional
        Message type (or name of a channel that is not ROS) to storage format, for types without
        an ontology class.
    log_level : str
        Verbosity of ``mosaico_ros``'s loggers while the injection runs.
    mosaico_api_key, tls_cert_path, enable_tls
        As in `MosaicoClient.connect`.
    dry_run : bool
        Open the bag and choose types, but connect to nothing; see `RosbagInjector.report`.
    ros_distro : rosbags.typesys.Stores or str, optional
        Type set for messages that neither the bag nor an installed package defines; default is
        the distribution that the bag names, else the latest.
    custom_msgs : list, optional
        ``(package, folder or .msg file, distribution or None)`` to register.
    registry : ROSTypeRegistry, optional
        Definitions shared with other injections.
    topics : list of str, optional
        Patterns; see `TopicFilter`.
    adapter_overrides : dict, optional
        Topic name to the adapter to use for it: one written per message, or a built-in one of
        `mosaico_ros.ros_bridge.adapters`, such as ``LidarAdapter`` for a cloud of points.
    keep_raw : bool
        Keep what padding and encapsulation hold too, so that an export gives the recorded bytes;
        without it an export gives the recorded values.
    read_ahead_bytes : int
        Bytes of messages that may wait between reading and sending; fewer need less memory, and
        keep the daemon less busy.
    checksum : bool
        Store the bag's SHA-256 in the sequence metadata (reads the bag once more).
    streams : int
        Topics that are sent at once, as daemons limit calls under way; a bag of more topics is
        read several times.
    """

    file_path: Path
    sequence_name: str
    metadata: dict[str, Any] = field(default_factory=dict)
    topic_metadata: dict[str, dict[str, Any]] | None = None
    update_if_exists: bool = False
    host: str = 'localhost'
    port: int = 6726
    on_error: SessionLevelErrorPolicy = SessionLevelErrorPolicy.Report
    topics_on_error: TopicLevelErrorPolicy | dict[str, TopicLevelErrorPolicy] = (
        TopicLevelErrorPolicy.Raise
    )
    serialization_formats: dict[str, SerializationFormat] | None = None
    log_level: str = 'INFO'
    mosaico_api_key: str | None = field(default=None, repr=False)
    tls_cert_path: str | None = None
    enable_tls: bool = False
    dry_run: bool = False
    ros_distro: Stores | str | None = None
    custom_msgs: list[tuple[str, str | Path, Stores | str | None]] | None = None
    registry: ROSTypeRegistry | None = None
    topics: list[str] | None = None
    adapter_overrides: dict[str, type[ROSAdapterBase[Any]]] | None = None
    keep_raw: bool = False
    checksum: bool = True
    resume: bool = False
    read_ahead_bytes: int = WAITING_BYTES
    streams: int = 256
