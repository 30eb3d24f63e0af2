"""The demo's child processes: started in order, stopped in reverse order, none left behind."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mosaico_ros.demo.surroundings import log_tail
from mosaico_ros.protocol.errors import MosaicoError


class ProcessFailed(MosaicoError):
    """A child process ended that should not have, or with a wrong exit code."""


@dataclass
class Child:
    """One child process; `log` holds what it wrote to standard error."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    stop_signal: signal.Signals

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def stop(self, patience: float) -> int:
        """Ask it to stop, wait, kill it if it does not; return its exit code."""
        if self.running:
            self.process.send_signal(self.stop_signal)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def failure(self) -> ProcessFailed:
        """Describe its unexpected end."""
        tail = log_tail(self.log)
        return ProcessFailed(
            f'the {self.name} ended with exit code {self.process.poll()}'
            + (f':\n{tail}' if tail else ''),
            remedy=f'its log is {self.log}',
        )


class Children:
    """Context that owns processes. Leaving it, also by Ctrl-C, stops all of them.

    The children have their own sessions, so that Ctrl-C reaches only this process, which then
    stops them in an order that loses nothing: last started first.
    """

    def __init__(self, environment: Mapping[str, str], log_dir: Path) -> None:
        self._environment = dict(environment)
        self._log_dir = log_dir
        self._children: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Start a process; `on_line` gets each line of its standard output, in a thread."""
        log = self._log_dir / f'{name}.log'
        with log.open('w', encoding='utf-8') as errors:
            process = subprocess.Popen(
                list(command),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if on_line is not None else errors,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        child = Child(name, process, log, stop_signal)
        self._children.append(child)
        if on_line is not None:
            threading.Thread(target=_read, args=(process, on_line), daemon=True).start()
        return child

    def wait_until(self, ready: Callable[[], bool], patience: float, what: str) -> None:
        """Wait for a condition while all children live.

        Raises
        ------
        ProcessFailed
            A child ended meanwhile, or `patience` seconds have passed.
        """
        deadline = time.monotonic() + patience
        while not ready():
            for child in self._children:
                if not child.running and child.process.returncode != 0:
                    raise child.failure()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f'{what} did not happen within {patience:g} s',
                    remedy=f'the logs are in {self._log_dir}',
                )
            time.sleep(0.02)

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A Ctrl-C while stopping must not leave the rest running.
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
        try:
            for child in reversed(self._children):
                child.stop(patience=10.0)
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


def _read(process: subprocess.Popen[str], on_line: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        on_line(line.rstrip('\n'))
