"""Stops an operation at every one of its steps and checks what is left; a program for tests.

Reads jobs from standard input, one JSON line each, and answers with one line: how many points
there were, and what was wrong at which. Everything is imported once; the operation and the
examination of each point run in forks.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas  # noqa: F401 - pyarrow does so at the first need: once here, not in each fork
from defects import DEFECTS
from disk import Disk
from model import Model
from operations import OPERATIONS
from steps import Steps
from storage import Storage
from verdict import check
from world import World

from mosaico_ros.daemon import leases

__all__ = []


def enumerate_points(
    operation: str,
    storage: Storage,
    plant: Callable[[], None] = lambda: None,
    fault: str | None = None,
) -> dict[str, Any]:
    """Run an operation, held before each of its steps while what it would leave is copied.

    What a process leaves is what others can see at that moment: the names and contents of
    files, committed transactions, objects. So a copy is as good as the end of the process, and
    one run shows all points; each copy is examined as if the process were gone.

    Parameters
    ----------
    operation, storage
        What is done where.
    plant
        Called before in its process; for planting a defect.
    fault
        What is wrong then; finding it is enough.

    """
    wrong, step = list[str](), 0
    seen = set[tuple[Any, ...]]()
    # What a process leaves is what others see, what a loss of power leaves is what was synced.
    variants = ['killed'] if storage.remote else ['killed', 'power lost']
    storage.begin()
    ours, theirs = socket.socketpair()

    def operate() -> None:
        ours.close()
        _operate(operation, storage, plant, theirs)

    child = _fork(operate)
    theirs.close()
    point: dict[str, Any] = {'before': ''}
    with ours, ours.makefile() as lines:
        for line in lines:
            point = json.loads(line)
            step = point['step']
            told = storage.facts.read_bytes()[: point['told']]
            facts = [json.loads(fact) for fact in told.splitlines()]
            if not storage.remote:
                storage.copy_living(step)
            new = []
            for variant in variants:
                state = (told, point['commits'], storage.digest_of(variant, step))
                if state not in seen:
                    seen.add(state)
                    new.append(variant)
            if storage.remote and new:
                storage.copy_living(step)
            ours.send(b'go on')
            for variant in new:
                model, objects = Model.of(facts), storage.objects_of(variant, step)
                examine = partial(check, storage.settings_of(variant, step), model, objects)
                found = _in_fork(partial(_after_the_end_of, child, examine))
                if found:
                    wrong.append(
                        f'{variant} at step {step}, before {point["before"]}\n'
                        f'after: {point["trail"]}\ntold: {facts[-4:]}\n{found}'
                    )
            storage.remove_copies(step)
            if fault and any(fault in text for text in wrong):
                os.kill(child, signal.SIGKILL)
                break
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and point['before'] != 'the end':
        wrong.append(f'the operation failed after step {step}')
    return {'points': step, 'checked': len(seen), 'wrong': wrong}


def _operate(
    operation: str, storage: Storage, plant: Callable[[], None], parent: socket.socket
) -> None:
    def hold(disk: Disk, point: dict[str, Any]) -> None:
        # First what was told: what is copied may be ahead of it, never behind.
        told = os.fstat(facts).st_size
        if not storage.remote:
            disk.write_durable(storage.copy_of('power lost', point['step']))
        parent.sendall(json.dumps(point | {'told': told}).encode() + b'\n')
        parent.recv(100)

    plant()
    facts = os.open(storage.facts, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    steps: list[Steps] = []
    world = World(storage.settings, facts, lambda: steps.append(Steps(storage.work, hold)))
    OPERATIONS[operation](world)
    steps[0].hold('the end')
    os._exit(0)


def _after_the_end_of(process: int, work: Callable[[], None]) -> None:
    start_of = leases._process_start
    leases._process_start = lambda pid: None if pid == process else start_of(pid)
    work()


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    return child


def _in_fork(work: Callable[[], None]) -> str:
    pipe = os.pipe()

    def report() -> None:
        try:
            work()
        except BaseException:
            os.write(pipe[1], traceback.format_exc()[-3000:].encode())

    child = _fork(report)
    os.close(pipe[1])
    with open(pipe[0]) as file:
        fault = file.read()
    os.waitpid(child, 0)
    return fault


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        storage = Storage(Path(job['folder']), job['remote'])
        try:
            plant = DEFECTS[job['defect']] if job['defect'] else lambda: None
            answer = enumerate_points(job['operation'], storage, plant, job['fault'])
        except Exception:
            answer = {'wrong': [traceback.format_exc()]}
        finally:
            storage.close()
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
