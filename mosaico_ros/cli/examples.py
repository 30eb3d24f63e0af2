"""``mosaico examples``: the example programs, listed and run."""

from __future__ import annotations

import ast
import os
import runpy
from pathlib import Path

import click

from mosaico_ros.cli.connection import addressed


def catalog() -> dict[str, str]:
    """Names of the programs with the first line of what they say about themselves."""
    found = {}
    for path in sorted((Path(__file__).parents[1] / 'examples').glob('*.py')):
        source = path.read_text(encoding='utf-8')
        if '__main__' in source:
            says = ast.get_docstring(ast.parse(source)) or ''
            found[path.stem] = says.partition('\n')[0]
    return found


@click.command('examples')
@click.argument('name', required=False)
@addressed
def command(
    name: str | None, host: str, port: int, api_key: str | None, tls: bool, tls_cert: str | None
) -> None:
    """Run the example NAME, or list all examples."""
    programs = catalog()
    if name is None:
        width = max(map(len, programs))
        for program, says in programs.items():
            click.echo(f'{program:{width}}  {says}')
        return
    if name not in programs:
        raise click.BadParameter(f'there is no example {name!r}; `mosaico examples` lists them')
    given = {'HOST': host, 'PORT': str(port), 'API_KEY': api_key, 'TLS_CERT_FILE': tls_cert}
    os.environ.update({f'MOSAICO_{key}': value for key, value in given.items() if value})
    runpy.run_module(f'mosaico_ros.examples.{name}', run_name='__main__')
