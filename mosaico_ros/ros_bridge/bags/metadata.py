"""What rosbag2 writes beside the messages: ``metadata.yaml``, and the same text inside files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError


@dataclass(frozen=True)
class Metadata:
    """The part of rosbag2's metadata that reading needs."""

    files: list[str]
    distro: str | None = None
    custom_data: dict[str, str] = field(default_factory=dict)


def read_metadata(path: Path) -> Metadata:
    """Parse ``metadata.yaml``.

    Raises
    ------
    InvalidArgumentError
        If it is not what rosbag2 writes.
    """
    found = parse_metadata(path.read_text(encoding='utf-8'))
    if found is None or not found.files:
        raise InvalidArgumentError(
            f'{path} does not describe a bag',
            remedy='remove it, and the files beside it are read in the order of their names',
        )
    return found


def parse_metadata(text: str) -> Metadata | None:
    """The same from the text, which files have inside too; None if it is something else."""
    info = _information(text)
    if not isinstance(info, dict):
        return None
    files, custom = info.get('relative_file_paths'), info.get('custom_data')
    return Metadata(
        [str(name) for name in files] if isinstance(files, list) else [],
        _distro(info),
        {str(k): str(v) for k, v in custom.items()} if isinstance(custom, dict) else {},
    )


def _information(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ='safe').load(text)
    except YAMLError:
        return None
    if isinstance(document, dict):
        return document.get('rosbag2_bagfile_information', document)
    return None


def _distro(info: dict[str, Any]) -> str | None:
    name = info.get('ros_distro')
    return str(name) if name and name != 'unknown' else None


# --- writing ------------------------------------------------------------------------------------


def parse_qos(text: str) -> list[Any]:
    """QoS profiles (rosbags' form) from their YAML, names or numbers; none if it is not that."""
    from rosbags.rosbag2.errors import ReaderError
    from rosbags.rosbag2.metadata import parse_qos as parse

    try:
        return parse(text)
    except (ReaderError, KeyError, TypeError):
        return []


def latched_qos() -> str:
    """QoS profiles (YAML) of a topic whose last message late subscribers expect."""
    never = {'sec': 0, 'nsec': 0}
    profile = {
        'history': 'keep_last',
        'depth': 1,
        'reliability': 'reliable',
        'durability': 'transient_local',
        'deadline': never,
        'lifespan': never,
        'liveliness': 'system_default',
        'liveliness_lease_duration': never,
        'avoid_ros_namespace_conventions': False,
    }
    return yaml_text([profile])


def is_latched(qos: str) -> bool:
    """Whether a publisher with such profiles (YAML) kept messages for late subscribers."""
    return any(profile.durability.name == 'TRANSIENT_LOCAL' for profile in parse_qos(qos))


def rosbag2_information(
    storage: str,
    file: str,
    topics: list[tuple[str, str, str, str, str]],
    counts: list[int],
    first_ns: int,
    last_ns: int,
    distro: str | None,
    custom_data: dict[str, str] | None = None,
) -> dict[str, Any]:
    """What rosbag2 says of a recording with one file.

    Parameters
    ----------
    storage
        ``mcap`` or ``sqlite3``.
    file
        Name of the file.
    topics
        Name, type, serialization, QoS profiles (YAML) and type hash of each topic.
    counts
        Number of messages by topic.
    first_ns, last_ns
        Record times.
    distro
        ROS distribution; versions of the format before 9 for those that read no other.
    custom_data
        What the user gave to the recorder.
    """
    from rosbags.rosbag2.metadata import dump_qos_v8, dump_qos_v9

    version = 8 if distro in ('foxy', 'galactic', 'humble', 'iron') else 9
    dump: Any = dump_qos_v8 if version == 8 else dump_qos_v9
    times = {
        'starting_time': {'nanoseconds_since_epoch': first_ns},
        'duration': {'nanoseconds': max(last_ns - first_ns, 0)},
        'message_count': sum(counts),
    }
    return {
        'version': version,
        'storage_identifier': storage,
        'relative_file_paths': [file],
        **times,
        'topics_with_message_count': [
            {
                'topic_metadata': {
                    'name': name,
                    'type': msgtype,
                    'serialization_format': encoding,
                    'offered_qos_profiles': dump(parse_qos(qos)),
                    'type_description_hash': type_hash,
                },
                'message_count': count,
            }
            for (name, msgtype, encoding, qos, type_hash), count in zip(
                topics, counts, strict=True
            )
        ],
        'compression_format': '',
        'compression_mode': '',
        'files': [{'path': file, **times}],
        'custom_data': custom_data or None,
        'ros_distro': distro or 'unknown',
    }


def yaml_text(document: Any) -> str:
    """A document as block YAML."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ='safe')
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.representer.ignore_aliases = lambda data: True
    stream = StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
