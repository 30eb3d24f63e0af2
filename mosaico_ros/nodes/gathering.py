"""Bundles of what little has come on many topics.

Making columns of a few messages costs as much as of hundreds. So those of many topics are made
at once, for every topic where that is all there is to do: nothing came twice, out of order, or
with a strange stamp.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mosaico_ros.nodes.inbox import Inbox
from mosaico_ros.nodes.parcel import Bundle
from mosaico_ros.nodes.taken import Message, Moment, Taken, columns

# A topic with more than this, bytes, is worth columns of its own; they are also compressed, or
# not, by what is in them.
_LITTLE = 64_000


def gather(inboxes: Iterable[Inbox]) -> Bundle | None:
    """Empty inboxes into one bundle; those that need a closer look stay as they are."""
    chosen: list[Inbox] = []
    batches: list[tuple[Moment, Sequence[Message]]] = []
    for inbox in inboxes:
        some = inbox.batches if inbox.count and inbox.size <= _LITTLE else None
        if some is not None:
            chosen.append(inbox)
            batches += some
    if not chosen:
        return None
    taken, odd = columns(batches)
    counts = np.array([inbox.count for inbox in chosen])
    starts = np.cumsum(counts) - counts
    rising, steady = np.ones(len(taken), bool), np.ones(len(taken), bool)
    rising[1:] = np.diff(taken.stamps) > 0
    rising[starts] = taken.stamps[starts] > [inbox.floor for inbox in chosen]
    steady[1:] = np.diff(taken.numbers) == 1
    steady[starts] = True
    in_order = np.logical_and.reduceat(rising & ~odd, starts).tolist()
    numbered = np.logical_and.reduceat(steady, starts).tolist()
    sound = [
        good and _new(inbox, taken, start, consecutive)
        for inbox, start, good, consecutive in zip(
            chosen, starts.tolist(), in_order, numbered, strict=True
        )
    ]
    if not all(sound):
        taken = taken.select(np.repeat(sound, counts))
        chosen = [inbox for inbox, kept in zip(chosen, sound, strict=True) if kept]
    if not chosen:
        return None
    whole = taken.rows(taken.stamps)
    parcels = []
    start = 0
    for inbox in chosen:
        count = inbox.count
        parcels.append(inbox.gathered(whole.slice(start, count)))
        start += count
    return Bundle(whole, parcels)


def _new(inbox: Inbox, taken: Taken, start: int, consecutive: bool) -> bool:
    """Note the messages of an inbox as heard if they plainly are new; tell whether they are."""
    publications = inbox.account.publications
    end = start + inbox.count
    publishers, numbers = taken.publishers[start:end], taken.numbers
    publisher = publishers[0]
    if publishers.count(publisher) < len(publishers):
        return False
    if publisher is not None:
        return consecutive and publications.follow(
            publisher, int(numbers[start]), int(numbers[end - 1])
        )
    # Of one subscription nothing that has no name can be told to be a repetition.
    rows = slice(start, end)
    publications.news(
        publishers, numbers[rows], taken.sources[rows], taken.payloads[rows], repeated=False
    )
    return True
