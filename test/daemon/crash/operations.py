"""The operations whose every step is a crash point.

What comes before ``world.enumerate_from_here()`` is preparation and runs undisturbed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

from world import World, rows

from mosaico_ros.daemon import merging
from mosaico_ros.daemon.store import s3
from mosaico_ros.daemon.store.base import sequence_folder

__all__ = ['OPERATIONS']

OPERATIONS: dict[str, Callable[[World], None]] = {}


def operation(work: Callable[[World], None]) -> Callable[[World], None]:
    """Add an operation under its name."""
    OPERATIONS[work.__name__] = work
    return work


@operation
def first_start(world: World) -> None:
    """Of an archive that did not exist; on PostgreSQL and S3, of one more daemon."""
    shutil.rmtree(world.settings.data_dir, ignore_errors=True)
    world.enumerate_from_here()
    world.create_sequence()


@operation
def creation(world: World) -> None:
    world.filled('other', 'imu')
    world.enumerate_from_here()
    world.create_sequence()
    world.create_topic('run/imu', world.create_session())


@operation
def upload(world: World) -> None:
    session = world.filled()
    world.enumerate_from_here()
    world.upload('run/imu', session, chunks=3)


@operation
def upload_in_parts(world: World) -> None:
    s3._PART_BYTES = 1000
    session = world.filled()
    world.enumerate_from_here()
    world.upload('run/imu', session, chunks=1)


@operation
def two_uploads_at_once(world: World) -> None:
    session = world.filled()
    names = ['run/a', 'run/b']
    uploads = [world.begin(name, world.create_topic(name, session)) for name in names]
    world.enumerate_from_here()
    for number in range(2):
        for upload in uploads:
            upload.append(rows(number * 10, 10, 1))
            upload.cut()
    for name, upload in zip(names, uploads, strict=True):
        world.finish(name, upload)


@operation
def upload_with_merging(world: World) -> None:
    merging.FAN_IN = 2
    session = world.filled()
    name, stride = 'run/imu', 3001
    upload = world.begin(name, world.create_topic(name, session, stride))
    for number in range(5):
        upload.append(rows(number * 10, 10, stride))
        upload.commit()
    world.enumerate_from_here()
    world.finish(name, upload)


@operation
def aborted_upload(world: World) -> None:
    session = world.filled()
    upload = world.begin('run/imu', world.create_topic('run/imu', session))
    upload.append(rows(0, 10, 1))
    upload.commit()
    upload.append(rows(10, 10, 1))
    world.enumerate_from_here()
    upload.abort('cable pulled', keep_received=True)


@operation
def finalization(world: World) -> None:
    session = world.filled('run', 'imu', 'gps')
    world.enumerate_from_here()
    world.finalize(session)


@operation
def deletion_of_a_topic(world: World) -> None:
    world.filled('run', 'imu', 'gps')
    world.enumerate_from_here()
    world.delete_topic('run/imu')


@operation
def deletion_of_a_session(world: World) -> None:
    world.finalize(world.filled('run', 'gps'))
    session = world.create_session()
    world.upload('run/imu', session)
    world.upload('run/odometry', session)
    world.finalize(session)
    world.enumerate_from_here()
    world.delete_session(session)


@operation
def deletion_of_a_sequence(world: World) -> None:
    world.filled('other', 'imu')
    world.finalize(world.filled('run', 'imu', 'gps'))
    world.enumerate_from_here()
    world.delete_sequence('run')


@operation
def deletion_during_an_upload(world: World) -> None:
    session = world.filled('run', 'gps')
    upload = world.begin('run/imu', world.create_topic('run/imu', session))
    upload.append(rows(0, 10, 1))
    upload.commit()
    upload.append(rows(10, 10, 1))
    world.enumerate_from_here()
    world.delete_topic('run/imu')
    upload.abort('deleted', keep_received=True)


@operation
def notifications(world: World) -> None:
    world.filled('run', 'imu')
    world.notify('run/imu', 'earlier')
    world.enumerate_from_here()
    world.notify('run', 'first\nline two ü')
    world.notify('run/imu', 'second')
    world.purge('run/imu')
    world.notify('run/imu', 'third')


@operation
def recovery(world: World) -> None:
    """Of two uploads and of a deletion whose files are still there."""

    def work(doomed: World) -> None:
        session = doomed.filled('run', 'gps')
        for name in ('run/imu', 'run/odometry'):
            upload = doomed.begin(name, doomed.create_topic(name, session))
            upload.append(rows(0, 10, 1))
            upload.commit()
        doomed.archive._store.put(f'{upload.folder}/00000002.parquet', b'not recorded')
        doomed.archive._removal.settle = lambda *_: None  # type: ignore[method-assign]
        doomed.delete_topic('run/gps')

    world.in_a_process_that_dies(work)
    world.enumerate_from_here()
    world.archive.close()


@operation
def deletion_without_retention(world: World) -> None:
    world.settings = replace(world.settings, cleanup_retention_duration=0.0)
    world.filled('run', 'imu')
    world.enumerate_from_here()
    world.delete_sequence('run')


@operation
def cleanup(world: World) -> None:
    """Of a creation that was cut short, a deleted topic and a deleted sequence."""
    world.filled('run', 'imu', 'gps')
    world.filled('other', 'imu')
    world.archive._store.put(f'{sequence_folder("half")}/sequence.json', b'{}')
    world.delete_topic('run/imu')
    world.delete_sequence('other')
    world.enumerate_from_here()
    world.clean_up()


@operation
def optimizer(world: World) -> None:
    session = world.filled()
    world.upload('run/imu', session, chunks=3, stride=3001)
    world.enumerate_from_here()
    world.optimize()


@operation
def rebuild(world: World) -> None:
    world.finalize(world.filled('run', 'imu'))
    world.notify('run/imu', 'noted')
    world.filled('other', 'imu')
    world.delete_sequence('other')
    world.rebuild()
