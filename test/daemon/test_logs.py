"""Log lines in each style."""

from __future__ import annotations

import io
import json
import logging

import pytest

from mosaico_ros.daemon.process import logs


@pytest.fixture(autouse=True)
def _restore_logging():
    root, ours = logging.getLogger(), logging.getLogger('mosaico_ros')
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


def written(level: str, style: str, terminal: bool = False) -> str:
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    logs.configure(level, style, stream)
    log = logging.getLogger('mosaico_ros.daemon.test')
    log.debug('quiet')
    try:
        raise ValueError('inner')
    except ValueError:
        log.warning('the %s failed', 'thing', exc_info=True)
    return stream.getvalue()


def test_plain_lines_have_no_colours():
    for style, terminal in (('plain', True), ('pretty', False)):
        text = written('warning', style, terminal)
        assert 'WARNING mosaico_ros.daemon.test: the thing failed' in text
        assert '\x1b' not in text
        assert 'quiet' not in text


def test_pretty_lines_are_coloured_on_a_terminal():
    assert written('warning', 'pretty', True).startswith('\x1b[33m')


def test_json_lines_are_one_object_each():
    lines = [json.loads(line) for line in written('debug', 'json').splitlines()]
    assert [line['level'] for line in lines] == ['debug', 'warning']
    assert lines[1]['message'] == 'the thing failed'
    assert 'ValueError: inner' in lines[1]['exception']


def test_texts_of_clients_cannot_pass_for_lines_of_ours():
    stream = io.StringIO()
    logs.configure('warning', 'plain', stream)
    log = logging.getLogger('mosaico_ros.daemon.test')
    log.warning('refused %s', 'a\n2026-01-01 ERROR gone\r\x1b[2J\u202e grün')
    (line,) = stream.getvalue().splitlines()
    assert line.endswith('refused a\\n2026-01-01 ERROR gone\\r\\x1b[2J\\u202e grün')
