"""``mosaicod ping``: whether a daemon serves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from mosaico_ros.cli.connection import addressed
from mosaico_ros.protocol.errors import MosaicoError


@click.command()
@addressed
@click.option(
    '--timeout', type=float, default=2.0, show_default=True, help='Seconds to wait for it.'
)
@click.option('--json', 'as_json', is_flag=True, help='The answer as one JSON object.')
def ping(
    host: str,
    port: int,
    api_key: str | None,
    tls: bool,
    tls_cert: str | None,
    timeout: float,
    as_json: bool,
) -> int:
    """Ask a daemon whether it serves: it answers, takes the key, and reaches its archive.

    The exit code is 0 if it does and 1 if not.
    """
    os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
    from mosaico_ros.client.comm.health import check_health
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient

    answer: dict[str, Any] = {'serving': False, 'address': f'{host}:{port}'}
    begun = time.monotonic()
    try:
        with MosaicoClient.connect(
            host, port, timeout, enable_tls=tls, tls_cert_path=tls_cert, api_key=api_key
        ) as client:
            answer['version'] = client.info().version
        authorities = Path(tls_cert).read_bytes() if tls_cert else None
        check_health(host, port, timeout, tls=tls or bool(tls_cert), authorities=authorities)
        answer['serving'] = True
    except MosaicoError as error:
        answer['reason'] = str(error)
    answer['milliseconds'] = round((time.monotonic() - begun) * 1e3, 1)
    if as_json:
        click.echo(json.dumps(answer))
    elif answer['serving']:
        click.echo(f'{host}:{port} serves (answered in {answer["milliseconds"]} ms)')
    else:
        click.echo(f'mosaicod: {answer["reason"]}', err=True)
    return 0 if answer['serving'] else 1
