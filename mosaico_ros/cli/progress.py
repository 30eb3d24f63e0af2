"""How far a long verb is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ['bars', 'progress_of']

# Lines where there is no terminal: one per this share of the work.
_SHARE = 0.1


@contextmanager
def progress_of(things: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many of some things are done: a bar on a terminal, else a few lines."""
    if not sys.stderr.isatty():
        told = -1.0

        def tell(done: int, total: int) -> None:
            nonlocal told
            share = done / total if total else 1.0
            if told < share and (share >= told + _SHARE or done == total):
                told = share
                click.echo(f'mosaicod: {done} of {total} {things}', err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), things, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task('', total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def bars(*, shown: bool) -> Progress:
    """Return bars that each say something of their own: the field ``told`` of a task."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        TextColumn('{task.fields[told]}'),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not shown,
    )
