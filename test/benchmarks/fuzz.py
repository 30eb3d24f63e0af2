"""Damaged payloads and recordings without end in sight: 100 000 cases, in bounded memory and time.

``python test/benchmarks/fuzz.py [--payloads 90000] [--files 10000] [--seed 0]`` prints what became
of them, and the longest share of 500. It ends with an error at the first case that crashes, and
with one of the address space if a case asks for more memory than a reader may use.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / 'ros_bridge'))
import fuzzing

_ADDRESS_SPACE = 4 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--payloads', type=int, default=90_000)
    parser.add_argument('--files', type=int, default=10_000)
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    outcomes: Counter[str] = Counter()
    longest = 0.0
    begin = last = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for share in fuzzing.runs(options.seed, options.payloads, options.files, Path(folder)):
            outcomes += share
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    for what, count in outcomes.items():
        print(f'{count:>10,} {what}')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'{last - begin:.0f} s in all, {longest:.1f} s the longest share, {peak:.0f} MB at most')


if __name__ == '__main__':
    main()
