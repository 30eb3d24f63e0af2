"""Print which step of its life each release of the published client completes with our daemon.

    python test/peers/releases.py

Makes the environments of the releases on the first run. An ``ok`` stands for a step that was
checked, a ``-`` for a call that the release does not have.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


class Table:
    """Collects what the tests of the releases recorded."""

    def __init__(self) -> None:
        self.releases: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one release's steps."""
        if report.when == 'call':
            self.releases |= dict(report.user_properties)

    def lines(self) -> list[str]:
        """Return the table, a line per step."""
        steps = dict.fromkeys(step for walked in self.releases.values() for step in walked)
        rows = [('step', *self.releases)]
        rows += [(s, *(w.get(s, 'not reached') for w in self.releases.values())) for s in steps]
        return [
            f'{name:20}' + ''.join(f'{cell:14.100}' for cell in cells) for name, *cells in rows
        ]


if __name__ == '__main__':
    table = Table()
    tests = Path(__file__).with_name('test_releases.py')
    code = pytest.main(['-q', '-p', 'no:xdist', str(tests)], plugins=[table])
    print('\n'.join(table.lines()))
    sys.exit(code)
