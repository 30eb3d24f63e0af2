"""A server of S3."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

__all__ = ['S3Server']


class S3Server:
    """rclone, serving a folder as S3."""

    access_key, secret_key = 'mosaico-test', 'mosaico-test-secret'

    def __init__(self, root: Path) -> None:
        self.root = root / 'objects'
        self.root.mkdir()
        self.log = root / 'rclone.log'
        program = shutil.which('rclone', path=str(Path(sys.executable).parent))
        if program is None:
            pytest.skip('rclone is not installed')
        command = [program, 'serve', 's3', '--addr', '127.0.0.1:0', '--config', '']
        command += ['--auth-key', f'{self.access_key},{self.secret_key}', str(self.root)]
        with self.log.open('w') as log:
            self.process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + 20
        while not (found := re.search(r'server on \[(http://.*?)/\]', self.log.read_text())):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        self.endpoint = found.group(1)

    def new_bucket(self) -> str:
        """Return the name of a new bucket; its objects are files below ``root / name``."""
        name = f'test-{uuid.uuid4().hex[:16]}'
        self.client.create_bucket(Bucket=name)
        return name

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client."""
        import boto3

        return boto3.client(
            's3',
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name='us-east-1',
        )

    @property
    def credentials(self) -> dict[str, str]:
        """Where it is and how to get in."""
        return {
            'endpoint': self.endpoint,
            'access_key': self.access_key,
            'secret_key': self.secret_key,
        }
