"""What importing costs, and which module paths lead where."""

from __future__ import annotations

import subprocess
import sys
import textwrap

FORBIDDEN = ('rclpy', 'grpc', 'sqlalchemy', 'alembic', 'pandas', 'rich', 'rosbags', 'mcap')


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_usual_import_is_quick_and_loads_neither_ros_nor_the_server():
    # Processor time and the best of five: other tests share the machine with this one. On one that
    # is slow, as the loop shows, everything may take longer.
    code = f"""
        import sys, time
        begin = time.process_time()
        from mosaico_ros import MosaicoClient, IMU, QueryTopic
        spent = time.process_time() - begin
        begin = time.process_time()
        for number in range(10_000_000):
            number + 1
        print(spent / max(1, (time.process_time() - begin) / 0.4))
        loaded = [name for name in {FORBIDDEN!r} if name in sys.modules]
        assert not loaded, loaded
        assert not any(name.startswith('mosaico_ros.daemon') for name in sys.modules)
    """
    seconds = min(float(run(code)) for _ in range(5))
    assert seconds < 0.6


def test_every_public_name_is_there():
    run("""
        import mosaico_ros
        for name in mosaico_ros.__all__:
            getattr(mosaico_ros, name)
        assert set(mosaico_ros.__all__) <= set(dir(mosaico_ros))
    """)


def test_an_unknown_name_is_an_attribute_error():
    run("""
        import mosaico_ros
        try:
            mosaico_ros.Nonsense
        except AttributeError as error:
            assert 'Nonsense' in str(error)
        else:
            raise SystemExit('no error')
    """)


def test_published_module_paths_lead_to_the_same_classes():
    run("""
        import mosaico_ros
        from mosaico_ros.comm.mosaico_client import MosaicoClient
        from mosaico_ros.comm import GRPCCompression, Notification
        from mosaico_ros.enum import SessionLevelErrorPolicy
        from mosaico_ros.handlers import TopicWriter
        from mosaico_ros.handlers.sequence_handler import SequenceHandler
        from mosaico_ros.logging_config import get_logger
        from mosaico_ros.models.query import QueryTopic
        from mosaico_ros.models.query.builders import QueryTopic as Deep
        from mosaico_ros.query import QueryResponse
        from mosaico_ros.platform.server_config import ServerInfo
        from mosaico_ros.bridges.ros import RosbagInjector
        from mosaico_ros.bridges.mcap import MCAPInjector
        from mosaico_ros.bridges.topic_status import TopicStatus
        from mosaico_ros.bridges.base_schema_metadata import SchemaMetadata

        assert MosaicoClient is mosaico_ros.MosaicoClient
        assert issubclass(MCAPInjector, RosbagInjector)
        assert QueryTopic is Deep is mosaico_ros.QueryTopic
        assert TopicWriter is mosaico_ros.TopicWriter
        assert SequenceHandler is mosaico_ros.SequenceHandler
        assert SessionLevelErrorPolicy is mosaico_ros.SessionLevelErrorPolicy
        assert ServerInfo is mosaico_ros.ServerInfo
        assert MosaicoClient.__module__ == 'mosaico_ros.client.comm.mosaico_client'
        import mosaico_ros.models.query.builders as module
        assert module.__spec__.name == module.__name__ == 'mosaico_ros.client.query.builders'
    """)


def test_an_alias_invents_no_modules():
    run("""
        for name in ('mosaico_ros.comm.nonsense', 'mosaico_ros.nonsense', 'mosaico_ros.bridges.x'):
            try:
                __import__(name)
            except ModuleNotFoundError as error:
                assert error.name == name, error.name
            else:
                raise SystemExit(name)
    """)


def test_any_module_may_be_the_first_to_be_imported():
    """A forked child per module: none profits from others of its room, all from those below it.

    Rooms know only what is below them, see `test_rooms`, so that no circle leads through two.
    """
    run("""
        import os, pathlib, sys
        import mosaico_ros
        # What others wrote is shared: it takes the most time.
        import boto3, click, google.protobuf.descriptor_pb2, grpc, numpy.typing, pyarrow.compute
        import pyarrow.flight, pyarrow.parquet, pydantic.main, rosbags.typesys
        import sqlalchemy.dialects.postgresql, sqlalchemy.dialects.sqlite
        class Model(pydantic.BaseModel):
            number: int

        root = pathlib.Path(mosaico_ros.__file__).parent
        rooms = ('protocol', 'models', 'client', 'ros_bridge', 'daemon', 'cli')
        for room in rooms:
            failed = []
            names = []
            for file in sorted((root / room).rglob('*.py')):
                if file.name in ('__init__.py', 'env.py') or 'versions' in file.parts:
                    continue
                name = '.'.join(('mosaico_ros', *file.relative_to(root).with_suffix('').parts))
                names.append(name)
                child = os.fork()
                if child == 0:
                    try:
                        __import__(name)
                    except BaseException as error:
                        print(name, error, file=sys.stderr)
                        os._exit(1)
                    os._exit(0)
                if os.waitpid(child, 0)[1]:
                    failed.append(name)
            assert not failed, failed
            for name in names:
                __import__(name)
    """)
