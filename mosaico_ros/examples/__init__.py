"""Programs for a running daemon, one per feature; ``mosaico examples`` lists and runs them.

Each connects where ``MOSAICO_HOST`` and ``MOSAICO_PORT`` say (``localhost:6726`` by default), with
the credentials that ``MosaicoClient.from_env`` finds, and works on files in the current folder.
"""

from __future__ import annotations

import os

__all__ = ['HOST', 'PORT']

HOST = os.environ.get('MOSAICO_HOST', 'localhost')
PORT = int(os.environ.get('MOSAICO_PORT', '6726'))
