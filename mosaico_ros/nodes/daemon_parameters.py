"""The daemon node's parameters: the daemon's main settings under their own names.

Settings that may hold secrets (database URL, keys) stay in the environment: everybody in the
graph can read parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mosaico_ros.nodes.parameters import ParameterSpec, ParameterValue

DAEMON = (
    ParameterSpec(
        'host',
        '127.0.0.1',
        'Address to listen on. Local by default: without API keys the archive is open to whoever '
        'reaches it. As every parameter here, one left at its default leaves the choice to the '
        'environment (MOSAICOD_HOST, MOSAICOD_PORT, ...) and to the file MOSAICOD_CONFIG names.',
    ),
    ParameterSpec(
        'port',
        6726,
        'Port to listen on; 0 lets the system choose. The default is where clients look.',
        low=0,
        high=65535,
    ),
    ParameterSpec(
        'data_dir',
        '',
        'Folder of the catalog and the chunks; empty means ~/.local/share/mosaico.',
    ),
    ParameterSpec(
        'store_endpoint',
        '',
        'Where the chunks go instead of the data folder: file:///absolute/path, or '
        'http(s)://host:port of an S3 server, or s3:// for AWS. Bucket and credentials come from '
        'the environment (MOSAICOD_STORE_BUCKET, ...).',
    ),
    ParameterSpec(
        'max_chunk_size_in_bytes',
        67_108_864,
        'A chunk is cut at this size in memory: large enough to keep the catalog small, small '
        'enough that some hundred open topics fit into memory. 0 means no limit.',
        low=0,
        high=4e9,
    ),
    ParameterSpec(
        'max_chunk_age_seconds',
        30.0,
        'A chunk is cut at this age, seconds, so that a slow topic loses at most this much in a '
        'crash.',
        low=1.0,
        high=86400.0,
    ),
    ParameterSpec(
        'lease_seconds',
        30.0,
        'An upload whose daemon has not renewed its lease for this long is taken for dead.',
        low=1.0,
        high=3600.0,
    ),
    ParameterSpec(
        'log_level',
        'warning',
        'Least severity of what the daemon logs.',
        choices=('error', 'warning', 'info', 'debug'),
    ),
)


def given_settings(settings: Mapping[str, ParameterValue]) -> dict[str, Any]:
    """Return the parameters that were changed from their defaults, as options of the daemon."""
    defaults = {spec.name: spec.default for spec in DAEMON}
    return {name: value for name, value in settings.items() if value != defaults[name]}
