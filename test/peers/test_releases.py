"""Every release of the published client, from its own environment, against our daemon.

``python test/peers/releases.py`` shows the same as a table.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.peer

# Releases up to 0.4 unpack one key where later ones unpack two; nothing else needs the option.
OPTIONS: dict[str, tuple[str, ...]] = {
    '0.7.0': (),
    '0.6.3': (),
    '0.5.0': (),
    '0.4.3': ('--legacy-clients',),
    '0.3.0': ('--legacy-clients',),
}
WALK = Path(__file__).with_name('release_walk.py')


@pytest.mark.parametrize('release', OPTIONS)
def test_every_step_of_every_release_works(
    release: str,
    make_daemon: Callable[..., Any],
    release_python: Callable[[str], Path],
    record_property: Callable[[str, object], None],
) -> None:
    daemon = make_daemon('--api-key', *OPTIONS[release])
    done = subprocess.run(
        [release_python(release), WALK, str(daemon.port), daemon.make_keys()['manage']],
        env={'PATH': '/usr/bin:/bin'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    record_property(release, steps)
    assert {name: said for name, said in steps.items() if said not in ('ok', '-')} == {}
    assert steps['delete'] == 'ok'
