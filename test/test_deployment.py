"""The documentation of deployment and the container files agree with the code.

``python test/test_deployment.py`` writes the tables of the documentation anew.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mosaico_ros.cli.mosaicod import mosaicod
from mosaico_ros.daemon.process import metrics
from mosaico_ros.daemon.settings import Settings, load, unknown_variables, variable

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / 'docs' / 'deployment.md'
COMPOSE = ROOT / 'docker' / 'compose.yaml'
DOCKERFILE = ROOT / 'docker' / 'Dockerfile'


def settings_table() -> str:
    """One row per comment in the source, with all the settings that follow it."""
    source = Path(settings_source()).read_text(encoding='utf-8')
    body = source.partition('class Settings:')[2].partition('@property')[0]
    rows = ['| Variable | Default | |', '|---|---|---|']
    for comment, names in re.findall(r'((?:    #:.*\n)+)((?:    \w+: .*\n(?!    #:))*.*)', body):
        text = ' '.join(line.strip().removeprefix('#:').strip() for line in comment.splitlines())
        fields = re.findall(r'^    (\w+): ', names, re.MULTILINE)
        shown = '<br>'.join(f'`{variable(name)}`' for name in fields)
        defaults = '<br>'.join(default(name) for name in fields)
        rows.append(f'| {shown} | {defaults} | {text.replace("``", "`")} |')
    return '\n'.join(rows)


def settings_source() -> str:
    import mosaico_ros.daemon.settings as module

    assert module.__file__
    return module.__file__


def default(name: str) -> str:
    if name == 'data_dir':
        return '`~/.local/share/mosaico`'
    value = getattr(Settings(), name)
    return '' if value == '' else f'`{str(value).lower() if isinstance(value, bool) else value}`'


def metrics_table() -> str:
    rows = ['| Metric | Type | Labels | |', '|---|---|---|---|']
    for metric in metrics.registered():
        labels = ', '.join(f'`{label}`' for label in getattr(metric, 'labels', ()))
        rows.append(f'| `{metric.name}` | {metric.kind} | {labels} | {metric.text} |')
    return '\n'.join(rows)


def with_tables(text: str) -> str:
    for name, table in (('metrics', metrics_table()), ('settings', settings_table())):
        text = re.sub(
            f'(<!-- {name} -->\n).*?(<!-- end -->)',
            lambda found, table=table: f'{found[1]}{table}\n{found[2]}',
            text,
            flags=re.DOTALL,
        )
    return text


def test_the_tables_are_those_of_the_code():
    text = GUIDE.read_text(encoding='utf-8')
    assert with_tables(text) == text, f'run: python {Path(__file__).relative_to(ROOT)}'
    for field in dataclasses.fields(Settings):
        assert f'`{variable(field.name)}`' in text


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE.read_text(encoding='utf-8'))
    assert isinstance(loaded, dict)
    return loaded


def check_command(words: list[str]) -> None:
    """Parse a command line of `mosaicod` without running it."""
    context = click.Context(mosaicod)
    name, verb, rest = mosaicod.resolve_command(context, words)
    assert verb is not None
    verb.make_context(name, list(rest), parent=context)


def test_the_compose_file_fits_this_release():
    services = compose()['services']
    assert set(services) == {'db', 's3', 'bucket', 'mosaicod'}
    for name, service in services.items():
        assert ('image' in service) != ('build' in service), name
        assert set(service.get('depends_on', ())) <= set(services)
        for mount in service.get('volumes', ()):
            assert mount.partition(':')[0] in compose()['volumes']
    daemon = services['mosaicod']
    assert (COMPOSE.parent / daemon['build']['context'] / daemon['build']['dockerfile']).exists()
    check_command(shlex.split(daemon['command']))
    assert daemon['healthcheck']['test'][:2] == ['CMD', 'mosaicod']
    check_command(daemon['healthcheck']['test'][2:])
    given = {
        name: re.sub(r'\$\{(\w+)[^}]*\}', 'secret', str(value))
        for name, value in daemon['environment'].items()
    }
    assert unknown_variables(given) == []
    settings = load(given)
    assert settings.location == 'postgresql://mosaico:***@db:5432/mosaico, http://s3:9000/robots'
    waits = int(daemon['stop_grace_period'].rstrip('s'))
    assert settings.shutdown_grace + 6 < waits
    assert services['bucket']['command'].endswith(f'/{settings.store_bucket}')


def test_no_secret_is_baked_in():
    for name, service in compose()['services'].items():
        for key, value in service.get('environment', {}).items():
            if re.search('PASSWORD|SECRET|DB_URL|MC_HOST', key):
                assert re.search(r'\$\{(POSTGRES_PASSWORD|S3_SECRET_KEY)', value), (name, key)
    assert not re.search(r'(?i)password|secret', DOCKERFILE.read_text())


@pytest.mark.parametrize('word', ['ENTRYPOINT', 'CMD', 'HEALTHCHECK'])
def test_the_image_runs_commands_that_exist(word):
    text = DOCKERFILE.read_text(encoding='utf-8')
    (words,) = re.findall(rf'^{word} .*?(\[.*\])$', text, re.MULTILINE)
    words = yaml.safe_load(words)
    if word == 'CMD':
        words = ['mosaicod', *words]
    assert words[0] == 'mosaicod'
    if words[1:]:
        check_command(words[1:])


def test_the_image_gets_what_the_package_is_built_from():
    text = DOCKERFILE.read_text(encoding='utf-8')
    copied = {
        name
        for line in re.findall(r'^COPY (.*) \S+$', text, re.MULTILINE)
        for name in line.split()
    }
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / '.dockerignore').read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith('!')} == copied
    mentioned = re.findall(r"'(\w+)/|'(\w+\.\w+)'", (ROOT / 'setup.py').read_text())
    needed = {name for pair in mentioned for name in pair if name and (ROOT / name).exists()}
    assert {'launch', 'config', 'README.md'} <= needed <= copied
    variables = dict(re.findall(r'^ENV (MOSAICOD_\w+)=(\S+)$', text, re.MULTILINE))
    assert unknown_variables(variables) == []
    assert set(variables) == {'MOSAICOD_DATA_DIR'}


if __name__ == '__main__':
    GUIDE.write_text(with_tables(GUIDE.read_text(encoding='utf-8')), encoding='utf-8')
