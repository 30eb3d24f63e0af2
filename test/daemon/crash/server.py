"""Stops an operation at every one of its steps and checks what is left; a program for tests.

Reads jobs from standard input, one JSON line each, and answers with one line: how many points
there were, and what was wrong at which. Everything is imported once; each point runs in a fork.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas  # noqa: F401 - pyarrow does so at the first need: once here, not in each fork
from defects import DEFECTS
from model import Model
from operations import OPERATIONS
from steps import Steps
from storage import Storage
from verdict import check
from world import World

__all__ = []

# Names that are others in each run: ULIDs and UUIDs.
_RANDOM = re.compile(r'[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')


def enumerate_points(
    operation: str, storage: Storage, plant: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Run an operation until it completes, each time one step further.

    Parameters
    ----------
    operation, storage
        What is done where.
    plant
        Called before in each process; for planting a defect.

    """
    checked, wrong, point, seen = 0, [], 0, set[str]()
    ended = False
    while not ended:
        point += 1
        storage.begin_point()
        told, left = os.pipe(), os.pipe()
        work = partial(_operate, operation, storage, plant, point, told[1], left[1])
        child = _fork(work, told, left)
        facts = [json.loads(line) for line in _read_all(told).splitlines()]
        end = json.loads(_read_all(left) or 'null')
        os.waitpid(child, 0)
        if end is None:
            return {'wrong': [f'point {point}: the operation failed'], 'points': point}
        ended = end['before'] == 'the end'
        # What a process leaves are names, what a loss of power leaves is what was synced.
        for variant, kinds in (('killed', ('name', 'commit')), ('power lost', ('sync', 'commit'))):
            state = _RANDOM.sub('', json.dumps([variant, [end[kind] for kind in kinds], facts]))
            if state in seen or (variant == 'power lost' and storage.remote):
                continue
            seen.add(state)
            checked += 1
            model, objects = Model.of(facts), storage.objects_of(variant)
            fault = _in_fork(partial(check, storage.settings_of(variant), model, objects))
            if fault:
                wrong.append(
                    f'{variant} at point {point}, before {end["before"]}\n'
                    f'after: {end["trail"][-6:]}\ntold: {facts[-4:]}\n{fault}'
                )
        storage.end_point()
    return {'points': point - 1, 'checked': checked, 'wrong': wrong}


def _operate(
    operation: str,
    storage: Storage,
    plant: Callable[[], None],
    point: int,
    facts: int,
    left: int,
) -> None:
    def stop(end: dict[str, Any]) -> None:
        if not storage.remote:
            steps[0].disk.write_durable(storage.durable)
        os.write(left, json.dumps(end).encode())
        os._exit(0)

    plant()
    steps: list[Steps] = []
    world = World(
        storage.settings,
        facts,
        lambda: steps.append(Steps(storage.work, point, stop)),
    )
    OPERATIONS[operation](world)
    steps[0].stop('the end')


def _fork(work: Callable[[], None], *pipes: tuple[int, int]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    for _, writing in pipes:
        os.close(writing)
    return child


def _in_fork(work: Callable[[], None]) -> str:
    pipe = os.pipe()

    def report() -> None:
        try:
            work()
        except BaseException:
            os.write(pipe[1], traceback.format_exc()[-3000:].encode())

    child = _fork(report, pipe)
    fault = _read_all(pipe).decode()
    os.waitpid(child, 0)
    return fault


def _read_all(pipe: tuple[int, int]) -> bytes:
    with open(pipe[0], 'rb') as file:
        return file.read()


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        storage = Storage(Path(job['folder']), job['remote'])
        try:
            plant = DEFECTS[job['defect']] if job['defect'] else lambda: None
            answer = enumerate_points(job['operation'], storage, plant)
        except Exception:
            answer = {'wrong': [traceback.format_exc()]}
        finally:
            storage.close()
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
