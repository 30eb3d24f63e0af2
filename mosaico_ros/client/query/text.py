"""Queries as text, for the command line.

::

    IMU.acceleration.y > 8 and GPS.status.status == 2
    RobotJoint.positions[?] between -0.1 and 0.1
    String.data match '[ERR]'
    sequence.name match 'test_drive' and sequence.metadata.site.hall == 'B'
    topic.ontology_tag == 'IMU' and topic.name == '/front/imu'
    (IMU.acceleration.x > 8 or IMU.acceleration.y > 8) and not sequence.name match 'test'

Conditions are joined by ``and`` and ``or``, which binds looser; ``not`` stands in front of a
condition or a parenthesis. Instants are nanoseconds, or texts such as ``2026-03-27T12:20:00Z``.
The first word of a path is an ontology tag, or ``sequence`` or
``topic`` for what the catalog knows: ``name``, ``created_at_ns``, ``ontology_tag`` (topics only)
and ``metadata.<key path>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mosaico_ros.client.query.builders import (
    Query,
    QueryBuilder,
    QueryOntologyCatalog,
    QuerySequence,
    QueryTopic,
)
from mosaico_ros.models.core import registry
from mosaico_ros.models.core.combining import Combination
from mosaico_ros.models.core.expressions import (
    QueryableInstant,
    QueryExpression,
    substring_pattern,
)
from mosaico_ros.models.core.query_proxy import Elements, Members
from mosaico_ros.protocol.errors import InvalidArgumentError
from mosaico_ros.protocol.instants import parse_instant
from mosaico_ros.protocol.query import (
    OntologyCondition,
    Specifier,
    ontology_path,
    parse as parse_query,
    row_alternatives,
)
from mosaico_ros.protocol.tags import tag_spellings

__all__ = ['QueryTextError', 'parse', 'parse_rows']

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<path>[A-Za-z_][\w/-]*(?:\[(?:\d+|\?|!)\])?(?:\.[\w-]+(?:\[(?:\d+|\?|!|\*)\])?)*)
    | (?P<sign>>=|<=|==|!=|=|>|<|~|\[|\]|\(|\)|,)
    )""",
    re.VERBOSE,
)
_COMPARISONS = {
    '>': 'gt', '>=': 'geq', '<': 'lt', '<=': 'leq', '==': 'eq', '=': 'eq', '!=': 'neq',
}  # fmt: skip
_OPERATORS = '> >= < <= == != between outside in match'
_MAX_DEPTH = 50
_CONSTANTS = {'true': True, 'false': False}


class QueryTextError(InvalidArgumentError):
    """The text of a query cannot be understood; the message shows the place."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        # One line whatever the text holds, so that the caret stands where it belongs.
        line = text.replace('\n', ' ').replace('\t', ' ')
        super().__init__(f'{problem}\n  {line}\n  {" " * at}^')
        self.position = at


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Query:
    """Read a query.

    Parameters
    ----------
    text
        As the head of this module describes.

    Returns
    -------
    Query
        For ``MosaicoClient.query(query=...)``.

    Raises
    ------
    QueryTextError
        The text is no query; ``position`` is the offending character, counted from 0.

    """
    return _Parser(text).query()


def parse_rows(text: str) -> list[tuple[OntologyCondition, ...]]:
    """Read conditions on the fields of rows of one kind, whatever their type is called.

    Parameters
    ----------
    text
        As the head of this module describes, with paths that begin at a field:
        ``linear_acceleration.z < 2 or temperature > 80``.

    Returns
    -------
    list of tuple of OntologyCondition
        Alternatives; all conditions of one of them must hold. Their tag means nothing.

    Raises
    ------
    QueryTextError
        The text is no condition; ``position`` is the offending character, counted from 0.

    """
    query = parse_query(_RowsParser(text).query().to_dict())
    return row_alternatives(query.ontology, query.where)


def _nanoseconds(value: Any) -> Any:
    """Read instants that are written as text."""
    if isinstance(value, list):
        return [_nanoseconds(one) for one in value]
    return parse_instant(value) if isinstance(value, str) else value


class _Parser:
    _example = 'IMU.acceleration.y'

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._scan())
        self._next = 0
        self._depth = 0

    def query(self) -> Query:
        found = self._any_of()
        if self._peek().kind != 'end':
            raise self._error(self._peek(), 'Expected "and" or "or"')
        return Query(found)

    def _any_of(self) -> QueryBuilder | Combination:
        found = self._all_of()
        while self._peek().text.lower() == 'or':
            self._take()
            found = found | self._all_of()
        return found

    def _all_of(self) -> QueryBuilder | Combination:
        found = self._one()
        while self._peek().text.lower() == 'and':
            self._take()
            found = found & self._one()
        return found

    def _one(self) -> QueryBuilder | Combination:
        opening = self._peek()
        word = opening.text.lower()
        if word not in ('not', '('):
            return self._condition()
        self._take()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._error(opening, f'More than {_MAX_DEPTH} levels')
        if word == 'not':
            found: QueryBuilder | Combination = ~self._one()
        else:
            found = self._any_of()
            closing = self._take()
            if closing.text != ')':
                raise self._error(closing, 'Expected "and", "or" or ")"')
        self._depth -= 1
        return found

    def _scan(self) -> Any:
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                problem = 'Unexpected character'
                if self._text[at] in '\'"':
                    problem = 'This quote is not closed'
                raise QueryTextError(self._text, at, problem)
            kind = found.lastgroup or ''
            yield _Token(kind, found[kind], found.start(kind))
            at = found.end()
        yield _Token('end', '', end)

    def _condition(self) -> QueryBuilder:
        path = self._take()
        if path.kind != 'path' or not self._is_field(path.text):
            raise self._error(path, f'Expected a field, for example {self._example}')
        operator = self._take()
        name = _COMPARISONS.get(operator.text)
        word = operator.text.lower()
        value: Any
        if name is not None:
            value = self._value()
        elif word == 'between' or word == 'outside':
            low = self._value()
            joint = self._take()
            if joint.text.lower() != 'and':
                raise self._error(joint, f'Expected "and": {word} LOW and HIGH')
            name, value = word, [low, self._value()]
        elif word == 'in':
            name, value = 'in_', self._list()
        elif word == 'match' or operator.text == '~':
            name, value = 'match', self._value()
        else:
            raise self._error(operator, f'Expected an operator: {_OPERATORS}')
        try:
            return self._builder(path, name, value)
        except QueryTextError:
            raise
        except (InvalidArgumentError, AttributeError) as error:
            raise self._error(path, str(error)) from error

    def _is_field(self, path: str) -> bool:
        return '.' in path

    def _builder(self, path: _Token, name: str, value: Any) -> QueryBuilder:
        head, _, rest = path.text.partition('.')
        if head in ('sequence', 'topic'):
            return self._catalog(path, rest, name, value)
        return QueryOntologyCatalog(self._expression(path, name, value))

    def _catalog(self, path: _Token, field: str, name: str, value: Any) -> QueryBuilder:
        builder = QuerySequence() if path.text.startswith('sequence.') else QueryTopic()
        section, _, key = field.partition('.')
        if section in ('metadata', 'user_metadata') and key:
            return builder.with_user_metadata(key, **{name: value})
        if field == 'name' and name == 'eq':
            return builder.with_name(value)
        if field == 'name' and name == 'match':
            return builder.with_name_match(value)
        if field == 'ontology_tag' and name == 'eq' and isinstance(builder, QueryTopic):
            return builder.with_ontology_tag(value)
        if field in ('created_at_ns', 'created_timestamp') and name in ('geq', 'leq', 'between'):
            value = _nanoseconds(value)
            bounds = {'geq': (value, None), 'leq': (None, value)}
            return builder.with_created_timestamp(*(bounds.get(name) or value))
        known = 'name (== or match), created_at_ns (>=, <=, between), metadata.KEY'
        if isinstance(builder, QueryTopic):
            known += ', ontology_tag (==)'
        raise self._error(path, f'Not offered here. The catalog knows {known}')

    def _expression(self, path: _Token, name: str, value: Any) -> QueryExpression:
        tag, steps = ontology_path(path.text)
        known = next(
            (cls for spelling in tag_spellings(tag) if (cls := registry.lookup(spelling))), None
        )
        if known is None:
            # A type of another program: the daemon knows its fields, this process does not.
            operand = substring_pattern(value) if name == 'match' else value
            return QueryExpression(tag, '.'.join(map(str, steps)), f'${name.rstrip("_")}', operand)
        node: Any = known.Q
        for step in steps:
            node = getattr(node, step.name)
            if step.specifier is Specifier.INDEX:
                node = node[step.index]
            elif step.specifier is not None:
                node = node.any() if step.specifier is Specifier.ANY else node.all()
        if isinstance(node, Elements):
            raise self._error(path, f'{path.text} is a list: write {path.text}[0], [?] or [!]')
        if isinstance(node, Members):
            raise self._error(path, f'{path.text} has parts: {", ".join(dir(node))}')
        if isinstance(node, QueryableInstant):
            value = _nanoseconds(value)
        return getattr(node, name)(value)

    def _value(self) -> Any:
        token = self._take()
        if token.kind == 'number':
            digits = token.text.replace('_', '')
            return int(digits) if re.fullmatch(r'[+-]?\d+', digits) else float(digits)
        if token.kind == 'text':
            return re.sub(r'\\(.)', r'\1', token.text[1:-1])
        if token.text.lower() in _CONSTANTS:
            return _CONSTANTS[token.text.lower()]
        raise self._error(token, 'Expected a number, a quoted text, true or false')

    def _list(self) -> list[Any]:
        opening = self._take()
        closing = {'[': ']', '(': ')'}.get(opening.text)
        if closing is None:
            raise self._error(opening, 'Expected a list: in [1, 2, 3]')
        values = [self._value()]
        while True:
            token = self._take()
            if token.text == closing:
                return values
            if token.text != ',':
                raise self._error(token, f'Expected "," or "{closing}"')
            values.append(self._value())

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _error(self, token: _Token, problem: str) -> QueryTextError:
        if token.kind == 'end':
            problem += ', but the text ends'
        return QueryTextError(self._text, token.at, problem)


class _RowsParser(_Parser):
    """Paths have no tag in front: there is only one kind of row."""

    _example = 'acceleration.y'

    def _is_field(self, path: str) -> bool:
        return path.lower() not in ('and', 'or', 'not')

    def _builder(self, path: _Token, name: str, value: Any) -> QueryBuilder:
        operand = substring_pattern(value) if name == 'match' else value
        expression = QueryExpression('row', path.text, f'${name.rstrip("_")}', operand)
        return QueryOntologyCatalog(expression)
