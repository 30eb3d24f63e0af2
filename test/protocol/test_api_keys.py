"""API keys: the grammar of their tokens, and what the permissions include."""

from __future__ import annotations

import itertools

import pytest

from mosaico_ros.protocol.api_keys import ApiKeyToken, Permission, masked, parse_fingerprint
from mosaico_ros.protocol.errors import InvalidArgumentError

# Published in the documentation of the protocol.
SAMPLE = 'msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530'


def test_a_published_token_is_read():
    token = ApiKeyToken.parse(SAMPLE)
    assert token.payload == 'vrfeceju4lqivysxgaseefa3tsxs0vrl'
    assert token.fingerprint == '1b676530'
    assert token.reveal() == SAMPLE


def test_a_fingerprint_keeps_its_leading_zeros():
    tokens = (ApiKeyToken(f'{number:031d}a') for number in range(1000))
    token = next(token for token in tokens if token.fingerprint.startswith('0'))
    assert len(token.fingerprint) == 8
    assert ApiKeyToken.parse(token.reveal()) == token


@pytest.mark.parametrize(
    'text',
    [
        '',
        'msco',
        SAMPLE.upper(),
        SAMPLE + '\n',
        SAMPLE[:-1] + '1',
        SAMPLE.replace('msco', 'mscp'),
        SAMPLE.replace('_', '-'),
        'Bearer ' + SAMPLE,
        SAMPLE.replace('vrfece', 'vrfec'),
        SAMPLE.replace('vrfece', 'vrfecé'),
        'msco_' + 'a' * 32 + '_cab11777',
    ],
)
def test_what_is_no_token_is_refused_unquoted(text):
    with pytest.raises(InvalidArgumentError) as caught:
        ApiKeyToken.parse(text)
    assert 'vrfece' not in str(caught.value).lower()


@pytest.mark.parametrize(
    'payload', ['a' * 32, '0' * 32, 'A0' * 16, 'a0' * 15, 'à0' * 16, '٣a' * 16]
)
def test_payloads_hold_letters_and_digits(payload):
    with pytest.raises(InvalidArgumentError):
        ApiKeyToken(payload)


def test_neither_repr_nor_str_show_the_secret():
    token = ApiKeyToken.parse(SAMPLE)
    assert token.payload not in f'{token} {token!r}'


def test_tokens_are_masked_wherever_they_stand():
    for token in (SAMPLE, SAMPLE.upper(), SAMPLE[:20]):
        text = masked(f'"{token}", {{"key":"{token}"}}')
        assert 'vrfec' not in text.lower()
        assert text.lower().count('msco_***') == 2
    assert masked('msco, msco_, msco_run_12') == 'msco, msco_, msco_run_12'


def test_permissions_are_a_ladder():
    for (i, held), (j, needed) in itertools.product(enumerate(Permission), repeat=2):
        assert held.includes(needed) == (i >= j)
    assert [permission.value for permission in Permission] == ['read', 'write', 'delete', 'manage']


def test_a_token_given_as_fingerprint_is_refused_unquoted():
    assert parse_fingerprint('0a1b2c3d') == '0a1b2c3d'
    for text in (SAMPLE, '0A1B2C3D', '0a1b2c3', '0a1b2c3d\n', '٠a1b2c3d'):
        with pytest.raises(InvalidArgumentError) as caught:
            parse_fingerprint(text)
        assert 'vrfece' not in str(caught.value)
