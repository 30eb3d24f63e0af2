"""Many recordings into the archive: one after the other, or in processes side by side."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context
from types import FrameType
from typing import NamedTuple

from mosaico_ros.client.logging_config import get_logger
from mosaico_ros.protocol.errors import MosaicoError
from mosaico_ros.ros_bridge.injection_config import ROSInjectionConfig
from mosaico_ros.ros_bridge.injection_report import InjectionReport, InjectionStatus
from mosaico_ros.ros_bridge.injector import RosbagInjector

_log = get_logger(__name__)


class Advance(NamedTuple):
    """How far one recording is; `expected` is None if its file does not say it."""

    sequence_name: str
    stored: int
    expected: int | None
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """How the injection of one recording ended; without `status` it failed, `error` says why."""

    config: ROSInjectionConfig
    report: InjectionReport
    status: InjectionStatus | None = None
    error: str = ''


def ingest_all(
    configs: Iterable[ROSInjectionConfig], jobs: int, progress: Callable[[Advance], None]
) -> Iterator[Outcome]:
    """Load recordings; a failing one does not keep the others from being loaded.

    After Ctrl-C no further one is begun, and those under way end as cancelled. To be called in
    the main thread. A program that asks for several jobs needs the usual guard of its main
    module, ``if __name__ == '__main__'``.

    Parameters
    ----------
    configs : iterable of ROSInjectionConfig
        What to load, and where to.
    jobs : int
        Number of processes; one recording at a time is loaded in this process.
    progress : callable
        Called when a recording is begun, and after every group of messages.

    Yields
    ------
    Outcome
        In the order in which they end.
    """
    if jobs > 1:
        # They share what the daemon allows.
        configs = [replace(one, streams=max(one.streams // jobs, 1)) for one in configs]
        yield from _Workers(configs, jobs).run(progress)
        return
    for config in configs:
        outcome = _ingest(config, progress)
        yield outcome
        if outcome.status is InjectionStatus.CANCELLED:
            return


def _ingest(config: ROSInjectionConfig, progress: Callable[[Advance], None]) -> Outcome:
    begin = time.monotonic()

    def advance(report: InjectionReport) -> None:
        seconds = time.monotonic() - begin
        name, nbytes = report.sequence_name, report.nbytes
        progress(Advance(name, report.stored, report.expected, nbytes, seconds))

    report = InjectionReport(config.sequence_name)
    try:
        injector = RosbagInjector(config, advance)
        report = injector.report
        advance(report)
        return Outcome(config, report, injector.run())
    except KeyboardInterrupt:
        return Outcome(config, report, InjectionStatus.CANCELLED)
    except (MosaicoError, OSError) as error:
        return Outcome(config, report, error=str(error))
    except Exception as error:
        _log.exception('%s: unexpected', config.file_path)
        return Outcome(config, report, error=f'{type(error).__name__}: {error}')


class _Workers:
    """Processes that load one recording at a time, started as they are needed.

    They ignore Ctrl-C, which a terminal sends to all: the first one makes this process ask them
    to end, the second one kills them.
    """

    def __init__(self, configs: Iterable[ROSInjectionConfig], jobs: int) -> None:
        self._waiting = deque(configs)
        self._jobs = jobs
        self._workers: list[_Worker] = []
        self._interrupted = False

    def run(self, progress: Callable[[Advance], None]) -> Iterator[Outcome]:
        with self._attentive():
            try:
                while self._assign():
                    busy = {w.connection: w for w in self._workers if w.config is not None}
                    for ready in connection.wait(list(busy)):
                        worker = busy[ready]  # type: ignore[index]
                        told = worker.hear()
                        if isinstance(told, Advance):
                            progress(told)
                        else:
                            yield self._settled(worker, told)
            finally:
                for worker in self._workers:
                    worker.end()

    def _assign(self) -> bool:
        """Give work to whom has none; whether anything is under way."""
        while self._waiting and not self._interrupted:
            worker = next((w for w in self._workers if w.config is None), None)
            if worker is None:
                if len(self._workers) == self._jobs:
                    break
                worker = _Worker()
                self._workers.append(worker)
            worker.begin(self._waiting.popleft())
        return any(worker.config is not None for worker in self._workers)

    def _settled(self, worker: _Worker, outcome: Outcome | None) -> Outcome:
        config, worker.config = worker.config, None
        assert config is not None
        if outcome is not None:
            return outcome
        self._workers.remove(worker)
        worker.process.join()
        report = InjectionReport(config.sequence_name)
        if self._interrupted:
            return Outcome(config, report, InjectionStatus.CANCELLED)
        return Outcome(config, report, error=f'its process died ({worker.ending})')

    @contextmanager
    def _attentive(self) -> Iterator[None]:
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        for worker in self._workers:
            if self._interrupted:
                worker.process.kill()
            elif worker.config is not None:
                worker.process.terminate()
        self._interrupted = True


class _Worker:
    """One process, and what it is working on."""

    def __init__(self) -> None:
        # Forking would copy the threads' locks, gRPC's among them, in whatever state they are.
        context = get_context('spawn')
        self.config: ROSInjectionConfig | None = None
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        # Inherited, and thus effective while the process is still importing.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def begin(self, config: ROSInjectionConfig) -> None:
        self.config = config
        try:
            self.connection.send(config)
        except BrokenPipeError:
            pass  # it died; `hear` tells

    def hear(self) -> Advance | Outcome | None:
        """What it has to say; None if it is dead."""
        try:
            told: Advance | Outcome = self.connection.recv()
        except (EOFError, ConnectionError):
            return None
        return told

    def end(self) -> None:
        # First, so that it does not wait for a reader of what it tells.
        self.connection.close()
        if self.config is not None:
            self.process.terminate()
        self.process.join()

    @property
    def ending(self) -> str:
        code = self.process.exitcode
        return signal.Signals(-code).name if code is not None and code < 0 else f'exit code {code}'


def _serve(parent: connection.Connection) -> None:
    """Load what the parent asks for until it has enough, or is dead."""
    signal.signal(signal.SIGTERM, _cancel)
    try:
        while True:
            parent.send(_ingest(parent.recv(), parent.send))
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass


def _cancel(number: int, frame: FrameType | None) -> None:
    """End as after Ctrl-C, once: what cleans up is not to be interrupted."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt
