"""Recordings into the archive: read, decode and send side by side, in bounded memory."""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaico_ros.client.comm.mosaico_client import MosaicoClient
from mosaico_ros.client.enums import TopicLevelErrorPolicy
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.protocol.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
)
from mosaico_ros.protocol.limits import MAX_COMPONENT_LENGTH
from mosaico_ros.ros_bridge.attachments import store_attachments
from mosaico_ros.ros_bridge.bags import Bag, BagTopic, MessageGroup, bag_files, open_bag
from mosaico_ros.ros_bridge.channels.channel_decoder import ChannelDecoder
from mosaico_ros.ros_bridge.ingest_plan import is_stored
from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
from mosaico_ros.ros_bridge.injection_report import (
    InjectionReport,
    InjectionStatus,
    TopicReport,
)
from mosaico_ros.ros_bridge.lane_workers import LaneWorkers
from mosaico_ros.ros_bridge.provenance import SOURCE_NS, source_column
from mosaico_ros.ros_bridge.registry import ROSTypeRegistry
from mosaico_ros.ros_bridge.residual import Fidelity
from mosaico_ros.ros_bridge.topic_decoder import TopicDecoder
from mosaico_ros.ros_bridge.topic_filter import TopicFilter

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.client.handlers.base_session_writer import BaseSessionWriter
    from mosaico_ros.client.handlers.topic_writer import TopicWriter

_log = get_logger(__name__)

_TOO_LARGE = 'larger than the daemon accepts (its setting MOSAICOD_MAX_GRPC_MESSAGE_SIZE)'
#: Of a topic's name; leaves room for the number that tells topics of one name apart.
_LONGEST_PART = MAX_COMPONENT_LENGTH - 8


class RosbagInjector:
    """Loads one recording into a sequence.

    Parameters
    ----------
    config : ROSInjectionConfig
        What to load.
    progress : callable, optional
        Called with the `InjectionReport` after every group of messages, from any thread, one call
        at a time.

    Attributes
    ----------
    report : InjectionReport
        Complete when `run` has returned or raised.
    """

    def __init__(
        self,
        config: ROSInjectionConfig,
        progress: Callable[[InjectionReport], None] | None = None,
    ) -> None:
        self._config = config
        self._progress = progress
        self._progress_lock = threading.Lock()
        self._chosen = TopicFilter(config.topics)
        registry = config.registry or ROSTypeRegistry()
        for package, path, store in config.custom_msgs or ():
            registry.register_directory(package, path, store)
        self._extra = registry.definitions(config.ros_distro)
        self._lanes: dict[str, _Lane] = {}
        self._paths: set[str] = set()
        self._accepted = 0
        self.report = InjectionReport(config.sequence_name)

    def run(self) -> InjectionStatus:
        """Load the bag.

        Returns
        -------
        InjectionStatus
            ``CANCELLED`` after Ctrl-C; what was stored until then follows ``on_error``.

        Raises
        ------
        NotFoundError
            If there is no such file.
        InvalidArgumentError
            If it is not a bag, or no topic in it can be loaded.
        AlreadyExistsError
            If the sequence exists (with ``resume``: and is not this bag).
        UnavailableError
            If the daemon cannot be reached, or is lost on the way.
        """
        logger = get_logger()
        level = logger.level
        logger.setLevel(self._config.log_level.upper())
        begin = time.monotonic()
        try:
            with (
                open_bag(self._config.file_path) as bag,
                ThreadPoolExecutor(1, 'bag-digest') as background,
            ):
                if self._config.dry_run:
                    self._prepare(bag)
                    self._note_unused()
                    return InjectionStatus.DRY_RUN
                ended = threading.Event()
                metadata = background.submit(self._sequence_metadata, bag, ended)
                try:
                    self._prepare(bag)
                    return self._load(bag, metadata)
                finally:
                    ended.set()
        except KeyboardInterrupt:
            return InjectionStatus.CANCELLED
        finally:
            self.report.seconds = time.monotonic() - begin
            logger.setLevel(level)

    # --- before the first message ---------------------------------------------------------------

    def _prepare(self, bag: Bag) -> None:
        """Choose topics and their decoders, as far as the bag tells them beforehand."""
        for topic in bag.topics.values():
            self._wanted(bag, topic)
        self.report.problems += bag.problems
        self.report.attachments = len(bag.extras.attachments)
        self.report.attached_bytes = bag.extras.attached_bytes
        lanes = self._lanes.values()
        if bag.topics and not any(lane.decoder for lane in lanes):
            reasons = [f'{lane.report.name}: {lane.report.skipped}' for lane in lanes]
            raise InvalidArgumentError(
                f'{bag.path} holds no topic to load' + ''.join(f'\n  {r}' for r in reasons),
                remedy='' if reasons else f'it has {", ".join(sorted(bag.topics))}',
            )
        counts = [bag.topics[name].count for name, lane in self._lanes.items() if lane.decoder]
        if counts and None not in counts:
            self.report.expected = sum(filter(None, counts))

    def _wanted(self, bag: Bag, topic: BagTopic) -> bool:
        if topic.key in self._lanes:
            return self._lanes[topic.key].decoder is not None
        if not self._chosen(topic.name):
            return False
        report = TopicReport(topic.key, topic.msgtype, expected=topic.count)
        lane = _Lane(report, topic, self._free_path(topic))
        self._lanes[topic.key] = lane
        self.report.topics[topic.key] = lane.report
        try:
            lane.decoder = self._decoder(bag, topic)
        except (NotFoundError, InvalidArgumentError) as error:
            lane.report.skipped = str(error)
            _log.warning('topic %s is skipped: %s', topic.key, error)
            return False
        lane.report.ontology = lane.decoder.ontology_type.ontology_tag()
        lane.metadata = self._topic_metadata(bag, lane, lane.decoder)
        lane.turn = self._accepted // self._config.streams
        self._accepted += 1
        return True

    def _free_path(self, topic: BagTopic) -> str:
        """The archive's name for a topic; numbered where several would have the same."""
        path = topic_path(topic)
        numbered = (f'{path}_{number}' for number in itertools.count(2))
        names = itertools.chain([path], numbered)
        free = next(name for name in names if name not in self._paths)
        self._paths.add(free)
        return free

    def _decoder(self, bag: Bag, topic: BagTopic) -> TopicDecoder | ChannelDecoder:
        config = self._config
        formats = config.serialization_formats or {}
        adapter: Any = (config.adapter_overrides or {}).get(topic.name)
        fidelity = Fidelity.BYTES if config.keep_raw else Fidelity.VALUES
        if topic.channel is not None:
            return ChannelDecoder(
                topic.channel,
                adapter=adapter,
                serialization_format=formats.get(topic.name) or formats.get(topic.msgtype),
                fidelity=fidelity,
            )
        return TopicDecoder(
            topic.msgtype,
            topic.definition,
            distro=self._distro(bag, topic),
            ros1=topic.ros1,
            adapter=adapter,
            extra=self._extra,
            serialization_format=formats.get(topic.msgtype),
            topic=topic.name,
            fidelity=fidelity,
            sidecars=(SOURCE_NS,),
        )

    def _distro(self, bag: Bag, topic: BagTopic) -> Stores | str | None:
        if self._config.ros_distro is not None:
            return self._config.ros_distro
        return 'noetic' if topic.ros1 else bag.distro

    def _topic_metadata(
        self, bag: Bag, lane: _Lane, decoder: TopicDecoder | ChannelDecoder
    ) -> dict[str, Any]:
        topic = lane.topic
        metadata = decoder.metadata()
        (facts,) = metadata.values()
        facts['source_file'] = bag.path.name
        if topic.qos:
            facts['offered_qos_profiles'] = topic.qos
        if topic.channel is None and f'/{lane.path}' != topic.name:
            facts['topic'] = topic.name
        return {**(self._config.topic_metadata or {}).get(topic.name, {}), **metadata}

    def _sequence_metadata(self, bag: Bag, ended: threading.Event) -> dict[str, Any]:
        files = bag_files(bag.path)
        facts: dict[str, Any] = {
            'name': bag.path.name,
            'size_bytes': sum(path.stat().st_size for path in files),
        }
        if self._config.checksum:
            facts['sha256'] = _sha256(files, ended)
        facts |= bag.extras.to_dict()
        if bag.distro:
            facts['ros_distro'] = bag.distro
        if self._config.topics:
            facts['topics'] = self._config.topics
        if self._config.keep_raw:
            facts['keep_raw'] = True
        return {'rosbag_injection': bag.path.name, **self._config.metadata, '_bag_': facts}

    # --- the messages ---------------------------------------------------------------------------

    def _load(self, bag: Bag, metadata: Future[dict[str, Any]]) -> InjectionStatus:
        config = self._config
        with MosaicoClient.connect(
            config.host,
            config.port,
            enable_tls=config.enable_tls,
            tls_cert_path=config.tls_cert_path,
            api_key=config.mosaico_api_key,
        ) as client:
            attachments = bag.extras.attachments
            if config.update_if_exists and client.sequence_exists(config.sequence_name):
                session: BaseSessionWriter = client.sequence_update(
                    config.sequence_name, on_error=config.on_error
                )
            else:
                if config.resume and self._is_present(client, metadata):
                    return InjectionStatus.PRESENT
                facts = metadata.result()
                session = client.sequence_create(config.sequence_name, facts, config.on_error)
                if 'attachments' in facts['_bag_']:
                    attachments = []
            told = len(bag.problems)
            try:
                with session:
                    for turn in itertools.count():
                        self._read(bag, session, turn)
                        if self._accepted <= (turn + 1) * config.streams:
                            break
                    self._store_silent(bag, session)
                    if attachments:
                        store_attachments(session, attachments)
                    self._note_shortfalls(bag)
            finally:
                # Damage is met again with every reading.
                self.report.problems += dict.fromkeys(bag.problems[told:])
                self._close_books()
        return InjectionStatus.COMPLETED

    def _read(self, bag: Bag, session: BaseSessionWriter, turn: int) -> None:
        """Read the recording for the topics whose turn it is."""

        def wanted(topic: BagTopic) -> bool:
            return self._wanted(bag, topic) and self._lanes[topic.key].turn == turn

        ahead = self._config.read_ahead_bytes
        store = LaneWorkers(lambda group: self._store(session, group), self._seal, ahead)
        with store as workers:
            for group in bag.groups(wanted):
                workers.put(group)

    def _is_present(self, client: MosaicoClient, metadata: Future[dict[str, Any]]) -> bool:
        """Count what the archive has of the bag; make room if that is a part only."""
        sequence = client.sequence_handler(self._config.sequence_name)
        if sequence is None:
            return False
        if not is_stored(client, sequence, metadata.result()['_bag_']):
            client.sequence_delete(sequence.name)
            self.report.replaced = True
            return False
        for lane in self._lanes.values():
            report, name = lane.report, f'/{lane.path}'
            if name in sequence.topics:
                topic = sequence.get_topic_handler(name)
                report.stored = topic.message_count or 0
                report.start_ns, report.end_ns = topic.timestamp_ns_min, topic.timestamp_ns_max
            if lane.decoder is not None:
                report.read = report.stored if report.expected is None else report.expected
        self._note_unused()
        return True

    def _store(self, session: BaseSessionWriter, group: MessageGroup) -> None:
        lane = self._lanes[group.topic]
        assert lane.decoder is not None
        report = lane.report
        report.read += len(group.payloads)
        report.nbytes += group.nbytes
        if lane.writer is None and report.skipped is None:
            self._open_lane(session, lane)
        if lane.writer is not None and lane.writer.is_active:
            with lane.writer as writer:
                source = source_column(group.timestamps, group.published)
                batch = lane.decoder.decode(group.timestamps, group.payloads, (source,))
                # Daemons without sidecars take none.
                writer.push_batch(batch.select(writer.schema.names))
                self._note_times(report, group)
            report.stored = writer.rows_pushed - writer.dropped_record_count
        if self._progress is not None:
            with self._progress_lock:
                self._progress(self.report)

    def _seal(self, topic: str) -> None:
        """Wait until the daemon has stored and locked the topic; the others' go on meanwhile."""
        writer = self._lanes[topic].writer
        if writer is not None:
            writer.close()

    def _open_lane(self, session: BaseSessionWriter, lane: _Lane) -> None:
        assert lane.decoder is not None
        name = lane.topic.name
        policies = self._config.topics_on_error
        policy = (
            policies.get(name, TopicLevelErrorPolicy.Raise)
            if isinstance(policies, dict)
            else policies
        )
        decoder = lane.decoder
        try:
            lane.writer = session.topic_create(
                lane.path, lane.metadata, decoder.ontology_type, policy, schema=decoder.schema
            )
        except (AlreadyExistsError, InvalidArgumentError) as refused:
            if policy is TopicLevelErrorPolicy.Raise:
                raise
            lane.report.skipped = str(refused)

    def _store_silent(self, bag: Bag, session: BaseSessionWriter) -> None:
        """Store the topics on which nothing was published: their types, QoS and that silence."""
        recorded = [lane for lane in self._lanes.values() if lane.decoder is not None]
        if not recorded:
            raise InvalidArgumentError(f'{bag.path} holds no topic to load')
        for lane in recorded:
            if lane.writer is None and lane.report.read == 0:
                self._open_lane(session, lane)
                self._seal(lane.topic.key)

    def _note_shortfalls(self, bag: Bag) -> None:
        read = [(key, lane.report.read) for key, lane in self._lanes.items() if lane.decoder]
        told = (bag.topics[key].shortfall(count) for key, count in read)
        self.report.problems += filter(None, told)

    @staticmethod
    def _note_times(report: TopicReport, group: MessageGroup) -> None:
        first, last = int(group.timestamps.min()), int(group.timestamps.max())
        report.start_ns = first if report.start_ns is None else min(report.start_ns, first)
        report.end_ns = last if report.end_ns is None else max(report.end_ns, last)

    def _note_unused(self) -> None:
        """Tell of what the user has said of topics that there are not."""
        names = {lane.topic.name for lane in self._lanes.values()}
        self.report.unused = [
            *self._chosen.unused,
            *(name for name in self._config.topic_metadata or {} if name not in names),
        ]
        for unused in self.report.unused:
            _log.warning('%s: no topic loaded is %s', self._config.file_path, unused)

    def _close_books(self) -> None:
        self._note_unused()
        for lane in self._lanes.values():
            if lane.decoder is None:
                continue
            lane.report.malformed = dict(lane.decoder.problems)
            lane.report.invalid_text = lane.decoder.invalid_text
            if lane.writer is not None:
                dropped = lane.writer.dropped_record_count
                lane.report.stored = lane.writer.rows_pushed - dropped
                if dropped:
                    lane.report.malformed[_TOO_LARGE] = dropped
            if lane.report.malformed:
                _log.warning(
                    'topic %s: %d malformed messages left out (%s)',
                    lane.report.name,
                    sum(lane.report.malformed.values()),
                    '; '.join(f'{reason}: {n}' for reason, n in lane.report.malformed.items()),
                )


@dataclass
class _Lane:
    """One topic on its way."""

    report: TopicReport
    topic: BagTopic
    path: str
    turn: int = 0
    decoder: TopicDecoder | ChannelDecoder | None = None
    writer: TopicWriter | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def topic_path(topic: BagTopic) -> str:
    """Topic name that the archive accepts: what it forbids becomes an underscore.

    The dots in names of channels that are not ROS become slashes, and long parts are cut.
    """
    name = topic.name if topic.channel is None else topic.name.replace('.', '/')
    parts = [part[:_LONGEST_PART] for part in name.split('/') if part] or ['_']
    return '/'.join(re.sub(r'[^A-Za-z0-9_-]', '_', part) for part in parts)


def _sha256(files: list[Path], ended: threading.Event) -> str:
    """Digest of the files end to end, as hexadecimal text; cut short when nobody waits for it."""
    digest = hashlib.sha256()
    block = bytearray(1 << 22)
    for path in files:
        with path.open('rb', buffering=0) as file:
            while (count := file.readinto(block)) and not ended.is_set():
                digest.update(memoryview(block)[:count])
    return digest.hexdigest()
