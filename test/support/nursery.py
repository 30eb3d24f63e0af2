"""Starts our commands, each in a fork of a process that has imported what they need.

Most of the time that a command takes to start goes into imports, and tests start hundreds. A
program for ``forks.py``: standard input is a socket. Each request is a line of JSON (program,
arguments, environment, working directory) with four descriptors: standard input, output and
error, and where to write the exit code as a line. The answer is the process id as a line.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress


def import_all() -> None:
    """Import what daemons do, on either kind of storage, and what the commands do."""
    sys.path[0] = os.getcwd()  # as for python -m: this folder holds no modules to import
    os.environ.setdefault('GRPC_VERBOSITY', 'NONE')
    import mosaico_ros.cli.mosaico
    import mosaico_ros.cli.mosaicod
    import mosaico_ros.client.comm.mosaico_client
    import mosaico_ros.daemon.app
    import mosaico_ros.daemon.process.ephemeral
    import mosaico_ros.daemon.process.logs
    import mosaico_ros.protocol.version
    import mosaico_ros.ros_bridge.ingest_jobs

    with suppress(ModuleNotFoundError):
        import sqlalchemy.dialects.postgresql.psycopg
        import sqlalchemy.dialects.sqlite  # noqa: F401

        import mosaico_ros.daemon.store.s3  # noqa: F401


def receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """Return a request and its descriptors; nothing when the tests have ended."""
    request, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
    while request and not request.endswith(b'\n'):
        request += requests.recv(1 << 20)
    return request, descriptors


def become(request: bytes, descriptors: list[int]) -> None:
    """Do what ``python -m mosaico_ros.cli.PROGRAM`` does."""
    program, arguments, environment, folder = json.loads(request)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from mosaico_ros.cli import mosaico, mosaicod

    code = 1
    try:
        code = {'mosaico': mosaico, 'mosaicod': mosaicod}[program].main(arguments)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


def main() -> None:
    requests = socket.socket(fileno=os.dup(0))
    import_all()
    told, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the tests
    waits = selectors.DefaultSelector()
    waits.register(requests, selectors.EVENT_READ)
    waits.register(told, selectors.EVENT_READ)
    codes: dict[int, int] = {}
    while True:
        ready = {key.fileobj for key, _ in waits.select()}
        if told in ready:
            os.read(told, 1000)
            for child in list(codes):
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    code = codes.pop(child)
                    with suppress(BrokenPipeError):  # nobody asks any more
                        os.write(code, b'%d\n' % os.waitstatus_to_exitcode(status))
                    os.close(code)
        if requests in ready:
            request, descriptors = receive(requests)
            if not request:
                break
            child = os.fork()
            if child == 0:
                waits.close()
                requests.close()
                for descriptor in (told, wakes, *codes.values()):
                    os.close(descriptor)
                become(request, descriptors)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            codes[child] = descriptors[3]
            requests.sendall(b'%d\n' % child)
    for child in codes:
        os.kill(child, signal.SIGKILL)


if __name__ == '__main__':
    main()
