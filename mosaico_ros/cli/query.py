"""``mosaico query``: where in the archive a condition holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mosaico_ros.cli import rendering
from mosaico_ros.cli.connection import connects
from mosaico_ros.cli.spans import Seconds

if TYPE_CHECKING:
    from mosaico_ros.client.comm.mosaico_client import MosaicoClient


@click.command('query')
@click.argument('expression')
@click.option(
    '--gap',
    default=0.1,
    show_default=True,
    type=Seconds(),
    help='Hits closer than this (seconds) belong to one window.',
)
@click.option(
    '--order-by',
    metavar='KEY',
    help='Order of the sequences: created (the default), name or start_time; -name descends.',
)
@click.option('--limit', type=click.IntRange(min=1), help='Sequences to find, at most.')
@click.option('--explain', is_flag=True, help='Show how the daemon answers, not what.')
@click.option('--json', 'as_json', is_flag=True, help='One JSON object per topic and line.')
@connects
def command(
    client: MosaicoClient,
    expression: str,
    gap: float,
    order_by: str | None,
    limit: int | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Find the topics and the time windows where EXPRESSION holds.

    \b
    mosaico query 'IMU.acceleration.y > 8'
    mosaico query 'IMU.acceleration.x > 8 or IMU.acceleration.y > 8' --explain
    mosaico query 'GPS.status.status == 2 and not GPS.position.z between 10 and 20'
    mosaico query "sequence.name match 'demo*' and topic.ontology_tag == 'IMU'"
    """
    from mosaico_ros.client.query.text import parse

    query = parse(expression)
    if explain:
        plan = client.explain(query=query)
        click.echo(json.dumps(plan.to_dict()) if as_json else str(plan))
        return
    found = 0
    for item in client.query(query=query, order_by=order_by, limit=limit):
        for topic in item.topics:
            found += 1
            windows = topic.clusterize(round(gap * 1e9)) if topic.has_conditions else []
            spans = [(window.timerange.start, window.timerange.end) for window in windows]
            if as_json:
                click.echo(
                    json.dumps(
                        {
                            'sequence': item.sequence.name,
                            'topic': topic.name,
                            'ontology_tag': topic.ontology_tag,
                            'windows': [
                                {'start_ns': start, 'end_ns': end} for start, end in spans
                            ],
                        }
                    )
                )
                continue
            click.echo(f'{item.sequence.name}{topic.name}  ({topic.ontology_tag})')
            for start, end in spans:
                click.echo(
                    f'  {rendering.moment(start)} to {rendering.moment(end)}  '
                    f'{rendering.duration(end - start):>9}  [{start}, {end}]'
                )
    if not found and not as_json:
        click.echo('nothing matches')
