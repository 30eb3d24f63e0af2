"""What rosbag2 writes beside the messages: ``metadata.yaml``, and the same text inside files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaico_ros.protocol.errors import InvalidArgumentError


@dataclass(frozen=True)
class Metadata:
    """The part of rosbag2's metadata that reading needs.

    ``compression`` is ``zstd`` if every message is compressed by itself, else empty.
    """

    files: list[str]
    distro: str | None = None
    compression: str = ''


def read_metadata(path: Path) -> Metadata:
    """Parse ``metadata.yaml``.

    Raises
    ------
    InvalidArgumentError
        If it is not what rosbag2 writes.
    """
    info = _information(path.read_text(encoding='utf-8'))
    if not isinstance(info, dict) or not isinstance(info.get('relative_file_paths'), list):
        raise InvalidArgumentError(
            f'{path} does not describe a bag',
            remedy='remove it, and the files beside it are read in the order of their names',
        )
    mode = str(info.get('compression_mode') or '').lower()
    return Metadata(
        [str(name) for name in info['relative_file_paths']],
        _distro(info),
        str(info.get('compression_format') or '') if mode == 'message' else '',
    )


def distro_of(text: str) -> str | None:
    """Distribution named in metadata stored inside a file."""
    info = _information(text)
    return _distro(info) if isinstance(info, dict) else None


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
