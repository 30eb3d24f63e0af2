"""Certificates and their keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ['TlsFiles']


class TlsFiles:
    """PEM files in a folder: an authority, and certificates that it signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.ca_key = folder / 'ca.pem', folder / 'ca.key'
        self._openssl(
            *('req', '-x509', '-new', '-nodes', *self._new_key(self.ca_key)),
            *('-days', '2', '-subj', '/CN=Test authority', '-out', self.ca),
        )
        self.cert, self.key = self.issue('server')

    def issue(self, name: str, days: int = 2, usage: str = 'serverAuth') -> tuple[Path, Path]:
        """Return paths of a new certificate for localhost and of its key."""
        cert, key = self.folder / f'{name}.pem', self.folder / f'{name}.key'
        request, extensions = self.folder / f'{name}.csr', self.folder / f'{name}.ext'
        extensions.write_text(
            'basicConstraints=CA:FALSE\n'
            f'extendedKeyUsage={usage}\n'
            'subjectAltName=DNS:localhost,IP:127.0.0.1\n'
        )
        self._openssl(
            *('req', '-new', '-nodes', *self._new_key(key)),
            *('-subj', '/CN=localhost', '-out', request),
        )
        self._openssl(
            *('x509', '-req', '-in', request, '-CA', self.ca, '-CAkey', self.ca_key),
            *('-CAcreateserial', '-days', days, '-extfile', extensions, '-out', cert),
        )
        return cert, key

    def settings(self, **changes: Path) -> dict[str, str]:
        """Return the variables that name the server's files."""
        files = {'cert_file': self.cert, 'private_key_file': self.key} | changes
        return {f'MOSAICOD_TLS_{name.upper()}': str(path) for name, path in files.items()}

    @staticmethod
    def _new_key(path: Path) -> list[object]:
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-keyout', path]

    @staticmethod
    def _openssl(*arguments: object) -> None:
        subprocess.run(['openssl', *map(str, arguments)], check=True, capture_output=True)
