"""Sequences out of the archive as recordings that ROS tools play."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mosaico_ros.client.comm.mosaico_client import MosaicoClient
from mosaico_ros.client.handlers.recording_handler import open_recording
from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.protocol.errors import InvalidArgumentError, MosaicoError
from mosaico_ros.ros_bridge.adapters.maps import ColumnMap
from mosaico_ros.ros_bridge.attachments import holds_attachments, stored_attachments
from mosaico_ros.ros_bridge.bags.extras import Extras
from mosaico_ros.ros_bridge.bags.metadata import latched_qos
from mosaico_ros.ros_bridge.bags.writing import BagFormat, WrittenTopic, bag_writer
from mosaico_ros.ros_bridge.cdr.decoder import Buffer, Payloads
from mosaico_ros.ros_bridge.cdr.layout import Struct
from mosaico_ros.ros_bridge.channels.channel_decoder import channel_of
from mosaico_ros.ros_bridge.definitions import Definition
from mosaico_ros.ros_bridge.registry import ROSTypeRegistry
from mosaico_ros.ros_bridge.schema_metadata import RosSchemaMetadata
from mosaico_ros.ros_bridge.topic_encoder import TopicEncoder
from mosaico_ros.ros_bridge.topic_filter import TopicFilter
from mosaico_ros.ros_bridge.way_back import way_back

if TYPE_CHECKING:
    from rosbags.typesys import Stores

    from mosaico_ros.client.handlers.recording_handler import RecordedTopicHandler

_log = get_logger(__name__)

#: Topics whose last message late subscribers expect, where nothing was recorded about it.
_LATCHED = ('/tf_static', '/robot_description')


@dataclass
class ROSExtractorConfig:
    """What to take out, and where to.

    Attributes
    ----------
    saving_path : Path
        Folder in which the recording is made.
    recording_name : str, optional
        Name of the recording; that of the sequence by default.
    sequence_name : str
        The sequence; a recording in parts by the name of the first.
    host, port, mosaico_api_key, tls_cert_path, enable_tls
        As in `MosaicoClient.connect`.
    topics : list of str, optional
        Patterns; see `TopicFilter`.
    log_level : str
        Verbosity of ``mosaico_ros``'s loggers while the extraction runs.
    start_timestamp_ns, end_timestamp_ns : int, optional
        Record times from (inclusive) and to (exclusive).
    overwrite : bool
        Replace a recording of that name.
    dry_run : bool
        Choose topics and message types, but write nothing; see `ROSSequenceExtractor.report`.
    ros_distro : rosbags.typesys.Stores or str, optional
        Type set for topics that were not made by ROS; default is that of the recording.
    storage_plugin : BagFormat or str
        ``mcap`` or ``sqlite3`` (rosbag2 folders), or ``ros1`` (a ``.bag`` file). Messages of the
        other ROS version are translated.
    custom_msgs : list, optional
        ``(package, folder or .msg file, distribution or None)`` to register.
    registry : ROSTypeRegistry, optional
        Definitions shared with other extractions.
    streams : int
        Topics that are read at once, as daemons limit calls under way; of more topics, those with
        the least data are read into memory beforehand.
    """

    saving_path: Path
    sequence_name: str
    host: str = 'localhost'
    port: int = 6726
    topics: list[str] | None = None
    log_level: str = 'INFO'
    mosaico_api_key: str | None = field(default=None, repr=False)
    tls_cert_path: str | None = None
    enable_tls: bool = False
    start_timestamp_ns: int | None = None
    end_timestamp_ns: int | None = None
    overwrite: bool = False
    dry_run: bool = False
    ros_distro: Stores | str | None = None
    storage_plugin: BagFormat | str = BagFormat.MCAP
    custom_msgs: list[tuple[str, str | Path, Stores | str | None]] | None = None
    registry: ROSTypeRegistry | None = None
    recording_name: str | None = None
    streams: int = 256


def connect(config: ROSExtractorConfig) -> MosaicoClient:
    """Connect to the daemon that a configuration names; see `MosaicoClient.connect`."""
    return MosaicoClient.connect(
        config.host,
        config.port,
        enable_tls=config.enable_tls,
        tls_cert_path=config.tls_cert_path,
        api_key=config.mosaico_api_key,
    )


@dataclass
class ExtractedTopic:
    """What became of one topic; ``skipped`` says why nothing of it was written.

    ``expected`` is how many messages there will be, where that is known beforehand; ``lost`` names
    the members that had values, and that the type does not have in the ROS version written.
    """

    name: str
    ontology: str
    msgtype: str = ''
    expected: int | None = None
    messages: int = 0
    nbytes: int = 0
    skipped: str | None = None
    lost: list[str] = field(default_factory=list)


@dataclass
class ExtractionReport:
    """What was written: ``path``, topics by their name in the archive, number of attachments.

    ``problems`` say what else was not; ``unused`` are patterns that match no topic.
    """

    path: Path
    topics: dict[str, ExtractedTopic] = field(default_factory=dict)
    attachments: int = 0
    problems: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def messages(self) -> int:
        return sum(topic.messages for topic in self.topics.values())

    @property
    def nbytes(self) -> int:
        return sum(topic.nbytes for topic in self.topics.values())

    @property
    def complete(self) -> bool:
        """Whether nothing was skipped, nor lost on the way to another ROS version."""
        topics = self.topics.values()
        return not self.problems and not any(topic.skipped or topic.lost for topic in topics)


@dataclass
class ExtractedSource:
    """A topic that can be written.

    Attributes
    ----------
    written : WrittenTopic
        As what.
    """

    written: WrittenTopic
    _report: ExtractedTopic
    _handler: RecordedTopicHandler
    _encode: Callable[[pa.RecordBatch], tuple[np.ndarray, np.ndarray, Payloads]]
    _window: tuple[int | None, int | None]

    @property
    def size(self) -> int:
        """Bytes in the archive, whatever their time."""
        return self._handler.total_size_bytes

    def messages(self) -> Iterator[tuple[np.ndarray, np.ndarray, Payloads]]:
        """Yield record and publish times (ns) and payloads in time order, a batch at a time."""
        with self._handler.get_data_streamer(*self._window, sidecars=True) as streamer:
            for batch in streamer.batches():
                times, published, payloads = self._encode(batch)
                self._report.messages += len(payloads)
                self._report.nbytes += int(payloads.lengths.sum())
                yield times, published, payloads


class ROSSequenceExtractor:
    """Takes one sequence out of the archive.

    Parameters
    ----------
    config : ROSExtractorConfig
        What and where to.
    progress : callable, optional
        Called with `report` from time to time.

    Attributes
    ----------
    report : ExtractionReport
        What is written so far.
    extras : Extras
        What the recording held beside messages; known once the sequence is opened.
    """

    def __init__(
        self,
        config: ROSExtractorConfig,
        progress: Callable[[ExtractionReport], None] | None = None,
    ) -> None:
        self._config = config
        self._progress = progress
        self._format = BagFormat(
            getattr(config.storage_plugin, 'name', str(config.storage_plugin)).lower()
        )
        self._registry = config.registry or ROSTypeRegistry()
        for package, path, store in config.custom_msgs or []:
            self._registry.register_directory(package, path, store)
        suffix = '.bag' if self._format is BagFormat.ROS1 else ''
        name = config.recording_name or config.sequence_name.strip('/')
        self._distro: str | None = None
        self._trees: dict[str, Struct] = {}
        self.extras = Extras()
        self.report = ExtractionReport(Path(config.saving_path) / f'{name}{suffix}')

    def run(self) -> ExtractionReport:
        """Write the recording.

        Raises
        ------
        NotFoundError
            If there is no such sequence.
        InvalidArgumentError
            If no topic of it can be written.
        AlreadyExistsError
            If something is at the path, and ``overwrite`` is not set.
        """
        with self.opened() as sources:
            if self._config.dry_run:
                return self.report
            if self._config.overwrite:
                _remove(self.report.path)
            written = [source.written for source in sources]
            begun = bag_writer(self._format, self.report.path, written, self._distro, self.extras)
            with begun as bag:
                for messages in _merged(sources, self._config.streams):
                    bag.write(*messages)
                    if self._progress is not None:
                        self._progress(self.report)
        return self.report

    @contextmanager
    def opened(self) -> Iterator[list[ExtractedSource]]:
        """Connect, and yield the topics that can be written; errors as in :meth:`run`."""
        config = self._config
        logger = get_logger()
        level = logger.level
        logger.setLevel(config.log_level.upper())
        try:
            with connect(config) as client:
                yield self._sources(client)
        finally:
            logger.setLevel(level)

    def _sources(self, client: MosaicoClient) -> list[ExtractedSource]:
        name = self._config.sequence_name
        handler = open_recording(client, name)
        recorded = handler.user_metadata.get('_bag_', {})
        self.extras = Extras.from_dict(recorded)
        distro = self._config.ros_distro or recorded.get('ros_distro')
        self._distro = None if distro is None else _plain(distro)
        chosen = TopicFilter(self._config.topics)
        sources = []
        # By name: which were created first is a matter of chance.
        for topic in map(handler.get_topic_handler, sorted(handler.topics)):
            if holds_attachments(topic):
                self.extras.attachments += stored_attachments(topic, self.report.problems)
            elif chosen(topic.name) and (source := self._source(topic, distro)) is not None:
                sources.append(source)
        self._admit_attachments()
        if not sources:
            reasons = ''.join(f'\n  {t.name}: {t.skipped}' for t in self.report.topics.values())
            raise InvalidArgumentError(
                f'{name} holds no topic that can be written{reasons}',
                remedy='' if reasons else f'it has {", ".join(sorted(handler.topics))}',
            )
        self.report.unused = chosen.unused
        return sources

    def _admit_attachments(self) -> None:
        count = len(self.extras.attachments)
        if self._format is BagFormat.MCAP:
            self.report.attachments = count
        elif count:
            self.report.problems.append(
                f'{count} attachment(s) left out, {self._format.value} has no place for them; '
                'export them as mcap'
            )

    def _claim(self, definition: Definition) -> None:
        """Refuse a second definition of a type: rosbag2's databases hold one of each."""
        if self._trees.setdefault(definition.msgtype, definition.tree) != definition.tree:
            raise InvalidArgumentError(
                f'another topic has another definition of {definition.msgtype}, and a .db3 file '
                'holds one of each type',
                remedy='export it as mcap',
            )

    # --- what the topics are --------------------------------------------------------------------

    def _source(self, handler: RecordedTopicHandler, distro: Any) -> ExtractedSource | None:
        window = (self._config.start_timestamp_ns, self._config.end_timestamp_ns)
        report = ExtractedTopic(handler.name, handler.ontology_tag)
        report.expected = handler.message_count if window == (None, None) else None
        self.report.topics[handler.name] = report
        about = RosSchemaMetadata.extract(handler.user_metadata)
        try:
            channel = channel_of(handler)
            if channel is not None:
                if self._format is not BagFormat.MCAP:
                    raise InvalidArgumentError(
                        f'its messages are {channel.channel.encoding}, not ROS messages',
                        remedy='export it as mcap',
                    )
                report.msgtype = channel.channel.schema_name
                written = WrittenTopic(channel.channel.name, channel.channel)
                return ExtractedSource(written, report, handler, channel.encode, window)
            definition, way = way_back(handler, distro, self._registry.definitions(distro))
            target = definition.for_ros(1 if self._format is BagFormat.ROS1 else 2)
            if self._format is BagFormat.SQLITE3:
                self._claim(target)
        except (MosaicoError, KeyError) as error:
            report.skipped = str(error)
            _log.warning('topic %s is skipped: %s', handler.name, error)
            return None
        report.msgtype = target.msgtype
        name = about.get('topic', handler.name)
        qos = about.get('offered_qos_profiles') or _default_qos(name)
        translated = None if target is definition else target
        if way is None or isinstance(way, ColumnMap):
            encoder = TopicEncoder(definition, way, target=translated)
        else:
            encoder = TopicEncoder(definition, None, adapter=way, target=translated)
        report.lost = encoder.lost
        written = WrittenTopic(name, target, qos)
        return ExtractedSource(written, report, handler, encoder.encode, window)


def _merged(
    sources: list[ExtractedSource],
    at_once: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, list[Buffer]]]:
    """Messages of all topics in time order, as many at a time as are sure to be next.

    Yields their topics, record and publish times, and payloads.
    """
    by_size = sorted(range(len(sources)), key=lambda i: -sources[i].size)
    streams = [source.messages() for source in sources]
    for i in by_size[at_once:]:
        streams[i] = iter(list(streams[i]))
    heads: dict[int, tuple[np.ndarray, np.ndarray, Payloads, int]] = {}
    waiting = set(range(len(sources)))
    while True:
        for i in sorted(waiting):
            batch = next(streams[i], None)
            if batch is not None:
                heads[i] = (*batch, 0)
        waiting = set()
        if not heads:
            return
        limit = min(int(times[-1]) for times, *_ in heads.values())
        stamps: list[np.ndarray] = []
        topics: list[np.ndarray] = []
        pieces: list[Buffer] = []
        for i, (times, published, payloads, begin) in sorted(heads.items()):
            end = int(np.searchsorted(times, limit, 'right'))
            stamps.append(np.stack([times[begin:end], published[begin:end]]))
            topics.append(np.full(end - begin, i))
            pieces += [payloads[row] for row in range(begin, end)]
            if end == len(times):
                del heads[i]
                waiting.add(i)
            else:
                heads[i] = times, published, payloads, end
        joined = np.concatenate(stamps, axis=1)
        order = np.argsort(joined[0], kind='stable')
        placed = [pieces[row] for row in order.tolist()]
        yield np.concatenate(topics)[order], joined[0, order], joined[1, order], placed


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _plain(distro: Stores | str) -> str:
    """Plain name of a distribution, such as ``jazzy``."""
    return str(getattr(distro, 'value', distro)).rsplit('_', 1)[-1]


def _default_qos(topic: str) -> str:
    """QoS profiles (YAML) of topics that are useless without them; else nothing."""
    return latched_qos() if topic.endswith(_LATCHED) else ''
