"""Flight's control messages as protobuf classes.

Built from descriptors made here instead of generated code, which would bind the package to
one range of protobuf runtimes. Field numbers and types are those of Arrow's ``Flight.proto``;
``FlightData`` is missing on purpose, see :mod:`mosaico_ros.daemon.transport.frames`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = 'arrow.flight.protocol.FlightService'
_PACKAGE = 'arrow.flight.protocol'

_TYPES = {
    'bytes': descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    'string': descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    'int64': descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    'bool': descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
}

# Message -> fields as (name, number, type); '*' marks repeated fields.
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    'Empty': [],
    'ActionType': [('type', 1, 'string'), ('description', 2, 'string')],
    'Criteria': [('expression', 1, 'bytes')],
    'Action': [('type', 1, 'string'), ('body', 2, 'bytes')],
    'Result': [('body', 1, 'bytes')],
    'SchemaResult': [('schema', 1, 'bytes')],
    'FlightDescriptor': [
        ('type', 1, 'DescriptorType'),
        ('cmd', 2, 'bytes'),
        ('path', 3, '*string'),
    ],
    'Ticket': [('ticket', 1, 'bytes')],
    'Location': [('uri', 1, 'string')],
    'FlightEndpoint': [
        ('ticket', 1, 'Ticket'),
        ('location', 2, '*Location'),
        ('app_metadata', 4, 'bytes'),
    ],
    'FlightInfo': [
        ('schema', 1, 'bytes'),
        ('flight_descriptor', 2, 'FlightDescriptor'),
        ('endpoint', 3, '*FlightEndpoint'),
        ('total_records', 4, 'int64'),
        ('total_bytes', 5, 'int64'),
        ('ordered', 6, 'bool'),
        ('app_metadata', 7, 'bytes'),
    ],
    'PutResult': [('app_metadata', 1, 'bytes')],
}

DESCRIPTOR_UNKNOWN, DESCRIPTOR_PATH, DESCRIPTOR_CMD = 0, 1, 2


def _build() -> dict[str, Any]:
    field_proto = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        # An own file name in an own pool: a Flight.proto generated elsewhere in this process
        # does not collide.
        name='mosaico_ros/flight.proto',
        package=_PACKAGE,
        syntax='proto3',
    )
    kinds = file.enum_type.add(name='DescriptorType')
    for number, name in enumerate(('UNKNOWN', 'PATH', 'CMD')):
        kinds.value.add(name=name, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number)
            repeated = kind.startswith('*')
            kind = kind.lstrip('*')
            field.label = field_proto.LABEL_REPEATED if repeated else field_proto.LABEL_OPTIONAL
            if kind in _TYPES:
                field.type = _TYPES[kind]
            else:
                field.type_name = f'.{_PACKAGE}.{kind}'
                is_enum = kind == 'DescriptorType'
                field.type = field_proto.TYPE_ENUM if is_enum else field_proto.TYPE_MESSAGE
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f'{_PACKAGE}.{name}'))
        for name in _MESSAGES
    }


_CLASSES = _build()

# Classes made at run time have no static type.
Empty: Any = _CLASSES['Empty']
ActionType: Any = _CLASSES['ActionType']
Criteria: Any = _CLASSES['Criteria']
Action: Any = _CLASSES['Action']
Result: Any = _CLASSES['Result']
SchemaResult: Any = _CLASSES['SchemaResult']
FlightDescriptor: Any = _CLASSES['FlightDescriptor']
Ticket: Any = _CLASSES['Ticket']
Location: Any = _CLASSES['Location']
FlightEndpoint: Any = _CLASSES['FlightEndpoint']
FlightInfo: Any = _CLASSES['FlightInfo']
PutResult: Any = _CLASSES['PutResult']
