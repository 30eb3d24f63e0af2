"""Where the demo's processes live: a free port, an own ROS domain, a clean environment."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping
from pathlib import Path

# Above 101 the ports of a domain can collide with the system's ephemeral ones; 90 to 101 are left
# to test runs.
_DOMAINS = range(1, 90)
_DDS_PORT_BASE, _DDS_DOMAIN_GAIN, _DDS_UNICAST_OFFSET = 7400, 250, 10

# A user's own ROS settings must not lead the demo's robot into his robot's graph.
_FOREIGN = (
    'ROS_LOCALHOST_ONLY',
    'ROS_STATIC_PEERS',
    'ROS_DISCOVERY_SERVER',
    'FASTRTPS_DEFAULT_PROFILES_FILE',
    'FASTDDS_DEFAULT_PROFILES_FILE',
    'CYCLONEDDS_URI',
)


def free_port(wanted: int) -> int:
    """Return `wanted` if nobody listens there, else a port that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError('no port is free on 127.0.0.1')


def free_domain() -> int:
    """Return a ROS domain in which no participant on this machine listens."""
    domains = list(_DOMAINS)
    random.shuffle(domains)
    for domain in domains:
        port = _DDS_PORT_BASE + _DDS_DOMAIN_GAIN * domain + _DDS_UNICAST_OFFSET
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', port))
            except OSError:
                continue
            return domain
    return domains[0]


def child_environment(parent: Mapping[str, str], domain: int, log_dir: Path) -> dict[str, str]:
    """Return the environment for the demo's processes.

    The Python and ROS installation of the parent stay, everything that would connect the
    processes with other nodes or other daemons goes.
    """
    environment = {
        name: value
        for name, value in parent.items()
        if name not in _FOREIGN and not name.startswith(('MOSAICOD_', 'MOSAICO_'))
    }
    environment.update(
        ROS_DOMAIN_ID=str(domain),
        ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST',
        ROS_LOG_DIR=str(log_dir),
        PYTHONUNBUFFERED='1',
    )
    if environment.get('ROS_DISTRO') == 'humble':
        environment['ROS_LOCALHOST_ONLY'] = '1'  # Humble knows no discovery range
    return environment


def log_tail(path: Path, lines: int = 12) -> str:
    """Return the end of a log file, for an error report."""
    try:
        content = path.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    return os.linesep.join(content[-lines:])
