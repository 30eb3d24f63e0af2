"""Taking turns: the log of routines, by which one daemon of an archive does each at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa

from mosaico_ros.daemon.catalog.database import Database
from mosaico_ros.daemon.catalog.dialects import now_ns, queue_writers
from mosaico_ros.daemon.catalog.tables import instances, runs

__all__ = ['take_turn']

T = TypeVar('T')

_RUNNING, _DONE, _FAILED = 'running', 'done', 'failed'

_KEPT = 100
#: After a failure the next attempt comes this soon, if the interval is longer.
_RETRY_S = 600.0


def take_turn(
    database: Database,
    routine: str,
    instance_id: int,
    work: Callable[[], T],
    interval_s: float = 0.0,
) -> T | None:
    """Do the work of a routine if it is its turn, and write down how it ended.

    Returns what the work does, whose text goes to the log; `None` if it is not its turn. It is
    not while a living daemon is at it; a run whose daemon is dead counts as failed.

    Parameters
    ----------
    database
        The catalog, whose clock counts.
    routine
        Its name.
    instance_id
        This daemon.
    work
        What to do; an error of it is raised once it is written down.
    interval_s
        How long ago the last success must lie at least; 0: it does not matter.

    """
    run_id = _begin(database, routine, instance_id, interval_s)
    if run_id is None:
        return None
    try:
        done = work()
    except BaseException as error:
        _end(database, run_id, _FAILED, str(error) or type(error).__name__)
        raise
    _end(database, run_id, _DONE, str(done))
    return done


def _begin(database: Database, routine: str, instance_id: int, interval_s: float) -> int | None:
    with database.write() as connection:
        queue_writers(connection, 'runs')
        now = now_ns(connection)
        of_routine = runs.c.routine == routine
        living = sa.select(instances.c.id).where(instances.c.id == runs.c.instance_id)
        connection.execute(
            runs.update()
            .where(of_routine, runs.c.state == _RUNNING, ~living.exists())
            .values(state=_FAILED, ended_at_ns=now, outcome='Its daemon has ended')
        )
        interval = int(interval_s * 1e9)
        pause = int(min(interval_s, _RETRY_S) * 1e9)
        in_the_way = sa.or_(
            runs.c.state == _RUNNING,
            sa.and_(runs.c.state == _DONE, runs.c.ended_at_ns > now - interval),
            # One that was taken over comes at once.
            sa.and_(runs.c.state == _FAILED, runs.c.ended_at_ns > now - pause, living.exists()),
        )
        if connection.execute(sa.select(runs.c.id).where(of_routine, in_the_way)).first():
            return None
        inserted = connection.execute(
            runs.insert().values(
                routine=routine,
                instance_id=instance_id,
                started_at_ns=now,
                state=_RUNNING,
                outcome='',
            )
        )
        key = inserted.inserted_primary_key
        assert key is not None
        newest = (
            sa.select(runs.c.id).where(of_routine).order_by(runs.c.id.desc()).limit(_KEPT)
        ).subquery()
        connection.execute(
            runs.delete().where(of_routine, runs.c.id.not_in(sa.select(newest.c.id)))
        )
    return int(key[0])


def _end(database: Database, run_id: int, state: str, outcome: str) -> None:
    with database.write() as connection:
        connection.execute(
            runs.update()
            # Unless another daemon has taken over meanwhile.
            .where(runs.c.id == run_id, runs.c.state == _RUNNING)
            .values(state=state, ended_at_ns=now_ns(connection), outcome=outcome)
        )
