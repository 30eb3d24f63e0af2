"""Connect with TLS and an API key, everything secret taken from the environment.

``MOSAICO_API_KEY`` holds the key. ``MOSAICO_CERT_PATH`` names the certificate authority of a
daemon whose certificate is self-signed or of an internal authority; without it the authorities of
the system are trusted.
"""

from __future__ import annotations

import os

from mosaico_ros import MosaicoClient
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.connect(
        host=HOST,
        port=PORT,
        api_key=os.environ['MOSAICO_API_KEY'],
        enable_tls=True,
        tls_cert_path=os.environ.get('MOSAICO_CERT_PATH'),
    ) as client:
        print(f'Connected to version: {client.version()}')
        print(f'Sequences: {client.list_sequences()}')


if __name__ == '__main__':
    main()
