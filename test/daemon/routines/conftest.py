"""Archives that lose their catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mosaico_ros.daemon.routines.rebuild import RebuildReport, rebuild
from mosaico_ros.daemon.settings import Settings


@pytest.fixture
def lose_catalog(request: pytest.FixtureRequest) -> Callable[[Settings], Settings]:
    """``lose_catalog(settings)`` returns settings with an empty catalog for the same store."""

    def lose(settings: Settings) -> Settings:
        if settings.db_url:
            return replace(settings, db_url=request.getfixturevalue('postgres')())
        for file in settings.data_dir.glob('catalog.db*'):
            file.unlink()
        return settings

    return lose


@pytest.fixture
def rebuilt(
    filled: Any, settings: Settings, lose_catalog: Callable[[Settings], Settings]
) -> Callable[[], RebuildReport]:
    """``rebuilt()`` closes the archive, loses its catalog, rebuilds and opens it again."""

    def run() -> RebuildReport:
        filled.archive.close()
        lost = lose_catalog(settings)
        report = rebuild(lost, lambda done, total: None)
        filled.archive = filled.open_archive(db_url=lost.db_url)
        return report

    return run
