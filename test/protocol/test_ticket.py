"""Tickets: exact round trips, readers that only look for a name, garbage."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.limits import INT64_MAX, INT64_MIN
from mosaico_ros.protocol.locators import TopicLocator
from mosaico_ros.protocol.ticket import Ticket

INT64 = st.integers(INT64_MIN, INT64_MAX)


@st.composite
def locators(draw, smallest=3, largest=1024):
    """Topic locators of an exact, drawn length, any letters."""
    length = draw(st.integers(smallest, largest))
    first = draw(st.sampled_from('azAZ09m'))
    text = (first + draw(st.text('abzAZ09_-', min_size=1, max_size=40)) * 1024)[:length]
    # A slash behind each `every` characters, never last, never two in a row.
    every = draw(st.integers(1, min(254, length - 2)))
    cut = [c if (i + 1) % (every + 1) or i == length - 1 else '/' for i, c in enumerate(text)]
    return TopicLocator.parse(''.join(cut))


def plotjuggler_topic_name(ticket: bytes) -> str | None:
    """What PlotJuggler 3.17 takes for the topic in a ticket: a name behind a varint length."""

    def at(offset: int) -> str | None:
        length = shift = 0
        while offset < len(ticket):
            byte = ticket[offset]
            offset += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                text = ticket[offset : offset + length]
                if 0 < length <= 4096 and len(text) == length and all(31 < b < 127 for b in text):
                    return text.decode()
                return None
        return None

    return at(1) or at(0)


@given(
    locators(8),
    st.integers(0, INT64_MAX),
    st.none() | INT64,
    st.none() | INT64,
    st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=['Cs']), max_size=250)).map(tuple),
)
def test_round_trip_and_plotjuggler(locator, topic_id, start, end, sidecars, columns):
    ticket = Ticket(locator, topic_id, start, end, sidecars, columns)
    assert Ticket.decode(ticket.encode()) == ticket
    assert plotjuggler_topic_name(ticket.encode()) == str(locator)


def test_plotjuggler_finds_names_of_every_length():
    components = ('q' + 'x' * 199 + '/') * 6
    for length in range(8, 1025):
        locator = TopicLocator.parse('seq/' + components[: length - 5] + 'e')
        assert len(str(locator)) == length
        assert plotjuggler_topic_name(Ticket(locator, 7, 1, 2).encode()) == str(locator)


@given(st.binary(max_size=80))
def test_garbage_is_invalid_argument(data):
    try:
        ticket = Ticket.decode(data)
    except InvalidArgumentError:
        return
    assert ticket.encode()


@given(locators(), st.data())
def test_damage_never_escapes_as_another_error(locator, data):
    raw = bytearray(Ticket(locator, 3, -5, 5).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        Ticket.decode(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except InvalidArgumentError:
        pass


def test_field_order_is_protobuf():
    assert Ticket(TopicLocator('a', 'b'), 300, -1, None, True).encode() == (
        b'\x0a\x03a/b\x10\xac\x02\x18\x01\x28\x01'
    )
