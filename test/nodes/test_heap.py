"""What was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Blocks of pictures among small ones that stay, in a process of its own; prints the MB that are
# still there when all pictures are gone.
_PICTURES = """
import sys, threading
from pathlib import Path
from mosaico_ros.nodes.heap import bound_heap, give_back

def resident():
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6

def take(size):
    blocks = []
    for _ in range(60):
        blocks.append((bytes(size), [bytes(600) for _ in range(20)]))
    kept.extend(small for _, small in blocks)

kept = []
if sys.argv[1] == 'bound':
    bound_heap()
before = resident()
for size in (1_200_000, 2_400_000):
    threads = [threading.Thread(target=take, args=(size,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
if sys.argv[1] == 'given back':
    give_back()
print(resident() - before)
"""


def _left(how: str) -> float:
    done = subprocess.run(
        [sys.executable, '-c', _PICTURES, how], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.mark.parametrize('how', ['bound', 'given back'])
def test_pictures_leave_nothing_behind(how: str) -> None:
    alone = _left('alone')
    assert alone > 50, 'the C library does it by itself'
    assert _left(how) < alone / 4
