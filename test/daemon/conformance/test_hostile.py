"""Whatever bytes arrive: the caller gets INVALID_ARGUMENT, nobody else notices."""

from __future__ import annotations

import json
import random

import pytest

# One body per action that is right but for the locators, which nobody has.
UUID = '6f0b1c2e-51ab-4f0e-9c69-0d6b1f9d2a11'
CONDITION = {'T.x': {'$gt': 1}}
BODIES = {
    'info': {},
    'version': {},
    'sequence_create': {'locator': 'x', 'user_metadata': {}},
    'sequence_delete': {'locator': 'x'},
    'session_create': {'locator': 'x'},
    'session_finalize': {'session_uuid': UUID},
    'session_seal': {'session_uuid': UUID},
    'session_annotate': {'session_uuid': UUID},
    'session_delete': {'locator': 'x:01JB2M4T9QX7WZ3N5V8K6R1C0D'},
    'topic_create': {
        'session_uuid': UUID,
        'locator': 'x/t',
        'serialization_format': 'default',
        'ontology_tag': 'T',
        'user_metadata': {},
    },
    'topic_delete': {'locator': 'x/t'},
    'query': {'sequence': {'name': {'$eq': 'x'}}},
    'topic_filter_clusterize': {'locator': 'x/t', 'clustering_dt_ns': 0, 'ontology': CONDITION},
    'topic_filter_intersect': {
        'topics': [
            {'locator': f'x/{name}', 'clustering_dt_ns': 0, 'ontology': CONDITION} for name in 'ab'
        ],
        'intersect_dt_ns': 0,
    },
    'api_key_create': {'permissions': 'read', 'description': ''},
    'api_key_status': {'api_key_fingerprint': '0a1b2c3d'},
    'api_key_revoke': {'api_key_fingerprint': '0a1b2c3d'},
} | {
    f'{kind}_notification_{verb}': {'locator': locator}
    | ({'notification_type': 'error', 'msg': 'm'} if verb == 'create' else {})
    for kind, locator in (('sequence', 'x'), ('topic', 'x/t'))
    for verb in ('create', 'list', 'purge')
}

# Put where a body belongs; each ends with INVALID_ARGUMENT whatever the action.
BROKEN = {
    'not JSON': b'{',
    'text behind it': b'{} {}',
    'an array': b'[{}]',
    'a string': b'"{}"',
    'null': b'null',
    'not UTF-8': b'{"locator": "\xff"}',
    'UTF-16': '{"locator": "x"}'.encode('utf-16'),
    'NUL': b'{"locator": "x\x00"}',
    'NaN': b'{"locator": NaN}',
    'infinite': b'{"unknown": -Infinity}',
    'too large a number': b'{"unknown": 1e999}',
    'thousands of digits': b'{"unknown": ' + b'9' * 5000 + b'}',
    'a key twice': b'{"unknown": 1, "unknown": 2}',
    'half a surrogate pair': b'{"unknown": "\\ud800"}',
    'half a pair as key': b'{"\\udfff": 1}',
    'deep': b'{"unknown": ' + b'[' * 100 + b']' * 100 + b'}',
    'very deep': b'{"unknown": ' + b'{"a":' * 100_000 + b'1' + b'}' * 100_000 + b'}',
    'open brackets only': b'[' * 1_000_000,
    'beyond 8 MiB': b'{"unknown": "' + b'x' * (9 << 20) + b'"}',
    'a single quote': b"{'locator': 'x'}",
    'control characters': b'{"locator": "x\ny"}',
}

INSERTED = [b'"', b'{', b'}', b'[', b',', b'\\', b'1e9', b'null', b'\xf0\x9f']

# Put in the place of each field in turn.
VALUES = [
    None, True, 0, -1, 2**63, -(2**70), 10**4000, 1.5, 5e-324, '', ' ', 'x' * 100_000, '\0',
    '\u202e', [], [[]], ['x', 5], {}, {'$eq': None}, {'a': {'b': []}},
    '../../etc/passwd', "'; DROP TABLE topics; --",
]  # fmt: skip


def test_every_action_is_covered(remote):
    assert {action.type for action in remote.client.list_actions()} == set(BODIES)


@pytest.mark.parametrize('what', BROKEN)
def test_broken_bodies(wire, what):
    actions = BODIES if len(BROKEN[what]) < 1 << 20 else ('sequence_create', 'query')
    for action in actions:
        code, details = wire.act_raw(action, BROKEN[what])
        assert code == 'INVALID_ARGUMENT', (action, details)
        assert len(details) <= 2000
    for method in ('GetFlightInfo', 'GetSchema'):
        assert wire.describe_raw(method, BROKEN[what])[0] == 'INVALID_ARGUMENT'
    assert wire.put(BROKEN[what], [1])[0] == 'INVALID_ARGUMENT'


@pytest.mark.parametrize('action', BODIES)
def test_wrong_values_in_every_field(wire, action):
    """No value of any type in any place is an error inside the daemon."""
    harmless = {'OK', 'INVALID_ARGUMENT', 'NOT_FOUND'}
    for field in BODIES[action]:
        for value in VALUES:
            body = BODIES[action] | {field: value}
            if action == 'sequence_create' and field == 'user_metadata':
                body['locator'] = f'{wire.sequence}_{VALUES.index(value)}'
            code, details = wire.act(action, **body)
            assert code in harmless, (field, value, details)
            assert len(details) <= 2000
        body = {name: value for name, value in BODIES[action].items() if name != field}
        assert wire.act(action, **body)[0] in harmless
    assert wire.act('sequence_delete', locator='x')[0] in harmless


@pytest.mark.parametrize('method', ['GetFlightInfo', 'GetSchema', 'DoPut'])
def test_wrong_values_in_every_field_of_a_descriptor(wire, method):
    right = {'resource_locator': 'x/t', 'topic_uuid': UUID, 'acks': False, 'sidecars': False}
    right |= {'timestamp_ns_start': 0, 'timestamp_ns_end': 1}
    for field in right:
        for value in VALUES:
            command = right | {field: value}
            if method == 'DoPut':
                code, details = wire.put(command, [1])
            else:
                code, details = wire.describe(method, **command)
            assert code in {'INVALID_ARGUMENT', 'NOT_FOUND'}, (field, value, details)


@pytest.mark.parametrize('seed', range(4))
def test_random_damage_is_never_an_internal_error(wire, seed):
    rng = random.Random(seed)
    for _ in range(60):
        action = rng.choice(list(BODIES))
        body = bytearray(json.dumps(BODIES[action]).encode())
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            match rng.randint(0, 2):
                case 0:
                    body[at] = rng.randrange(256)
                case 1:
                    del body[at : at + rng.randint(1, 8)]
                case _:
                    body[at:at] = rng.choice(
                        [b'"', b'{', b'}', b'[', b',', b'\\', b'1e9', b'null']
                    )
            if not body:
                break
        code, details = wire.act_raw(action, bytes(body))
        assert code in {'OK', 'INVALID_ARGUMENT', 'NOT_FOUND', 'ALREADY_EXISTS'}, (body, details)
    wire.act('sequence_delete', locator='x')


def test_hostile_query_operands(wire):
    for operator in ('$eq', '$neq', '$lt', '$leq', '$gt', '$geq', '$between', '$outside', '$in',
                     '$match', '$ex', '$nex', '$regex', 'eq', ''):  # fmt: skip
        for value in [*VALUES, [1, 'a'], [2, 1], [1] * 5000, 'a' * 257, '[', '[z-a]', '*' * 250]:
            condition = {operator: value}
            for section in (
                {'sequence': {'name': condition}},
                {'topic': {'user_metadata': {'a.**.b[*]': condition}}},
                {'ontology': {'Custom.x': condition}},
                {'ontology': {'Custom.x[?].y': condition}},
            ):
                code, details = wire.act('query', **section)
                assert code in {'OK', 'INVALID_ARGUMENT'}, (section, details)


@pytest.mark.parametrize(
    'key',
    ['', '.', 'T', 'T.', '.x', 'T..x', 'T.x[', 'T.x[]', 'T.x[-1]', 'T.x[1e9]', 'T.x[?][?]',
     'T.x[' + '9' * 400 + ']', 'T.' + 'x.' * 5000, 'T.x\0', '*', '%', 'T.x; --', '$or', 'ü.x'],
)  # fmt: skip
def test_hostile_query_paths(wire, key):
    for section in ('ontology', 'sequence', 'topic'):
        for body in (
            {section: {key: {'$eq': 1}}},
            {section: {'user_metadata': {key: {'$eq': 1}}}},
        ):
            code, details = wire.act('query', **body)
            assert code in {'OK', 'INVALID_ARGUMENT'}, details


def test_damaged_tickets(wire):
    wire.put(wire.topic('t'), [1, 2, 3])
    ticket = wire.remote.info('t').endpoints[0].ticket.ticket
    assert wire.get(ticket)[0] == 'OK'
    harmless = {'OK', 'INVALID_ARGUMENT', 'NOT_FOUND'}
    for at in range(len(ticket)):
        for changed in (
            ticket[:at],
            ticket[:at] + bytes([ticket[at] ^ 0xFF]) + ticket[at + 1 :],
            ticket[:at] + b'\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f' + ticket[at:],
        ):
            code, details = wire.get(changed)
            assert code in harmless, (changed, details)
    for whole in (b'', b'x', ticket * 2, b'\x0a\x03a/b\x10\x05\x18', bytes(1 << 20)):
        assert wire.get(whole)[0] == 'INVALID_ARGUMENT'
