"""Archives that lose their catalog, and work that is broken off at any step."""

from __future__ import annotations

import threading
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


class FaultError(Exception):
    """What breaks the work off."""


@pytest.fixture
def reaches_end(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """``reaches_end(work, step, (owner, 'method', ...), ...)`` runs `work` with a fault in it.

    Steps are calls of these methods by this thread, counted from 0; none succeeds from `step` on.
    Returns whether the work was done before.
    """

    def run(work: Callable[[], object], step: int, *watched: tuple[Any, ...]) -> bool:
        left = step

        def count(call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                if threading.current_thread() is threading.main_thread():
                    left -= 1
                    if left < 0:
                        raise FaultError
                return call(*arguments, **options)

            return counted

        with monkeypatch.context() as broken:
            for owner, *names in watched:
                for name in names:
                    broken.setattr(owner, name, count(getattr(owner, name)))
            try:
                work()
            except FaultError:
                return False
        return True

    return run
