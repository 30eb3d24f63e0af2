"""Signals that ask a node to stop."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The waits follow each other without a pause, so that the signal hits one at any instant of it.
STOPPED = """
import os, signal, threading
from mosaico_ros.nodes.stop_signals import StopSignals
for _ in range(100):
    with StopSignals() as stop:
        threading.Timer(0.003, os.kill, (os.getpid(), signal.{name})).start()
        while not stop.wait({seconds}):
            pass
        assert stop.received == '{name}'
"""


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM'])
@pytest.mark.parametrize('seconds', [0, 0.0001, 60])
def test_a_signal_ends_the_wait_that_it_interrupts(name, seconds):
    code = STOPPED.format(name=name, seconds=seconds)
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)
