"""Message definitions as trees, and trees compiled to decoding programs.

A program is a flat list of steps over one cursor per message. Everything between two pieces of
variable length is one `Block`: a run of bytes whose inner offsets are the same in every message,
so that one gather and a few strided copies decode it for a whole batch. Blocks end where the
alignment grows, because only from an aligned start are the inner offsets constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mosaico_ros.protocol.errors import InvalidArgumentError

#: Member that IDL gives to a structure without members; one byte on the wire, none in ROS 1.
EMPTY_STRUCT_MEMBER = 'structure_needs_at_least_one_member'
#: Items that take no byte may be this many; no payload's length bounds them.
MOST_EMPTY_ITEMS = 1 << 16

#: rosbags' base names to numpy type codes (without byte order).
PRIMITIVES = {
    'bool': 'b1',
    'byte': 'u1',
    'char': 'u1',
    'octet': 'u1',
    'int8': 'i1',
    'uint8': 'u1',
    'int16': 'i2',
    'uint16': 'u2',
    'int32': 'i4',
    'uint32': 'u4',
    'int64': 'i8',
    'uint64': 'u8',
    'float32': 'f4',
    'float64': 'f8',
}


@dataclass(frozen=True)
class Primitive:
    """Number or boolean; ``code`` is a numpy type code such as ``f8``."""

    code: str

    @property
    def size(self) -> int:
        return int(self.code[1:])


@dataclass(frozen=True)
class Text:
    """``string`` (UTF-8) or, if ``wide``, ``wstring`` (UTF-16 code units in 32-bit words)."""

    wide: bool = False


@dataclass(frozen=True)
class Struct:
    """Nested message: member names and nodes in wire order."""

    name: str
    members: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Array:
    """Fixed number of items."""

    item: Node
    count: int


@dataclass(frozen=True)
class Sequence:
    """Variable number of items; a bound does not change the wire form."""

    item: Node


Node = Primitive | Text | Struct | Array | Sequence


@dataclass(frozen=True)
class Wire:
    """How one encapsulation lays out values.

    ``max_align``: 8 in XCDR1, 4 in XCDR2, 1 in ROS 1. ``terminated``: string lengths count a
    closing NUL. ``delimited``: collections of non-primitive items are preceded by their size in
    bytes (XCDR2). ``header``: bytes of encapsulation before the first member.
    """

    max_align: int
    big_endian: bool = False
    terminated: bool = True
    delimited: bool = False
    header: int = 4


CDR_LE = Wire(8)
ROS1 = Wire(1, terminated=False, header=0)
#: Second byte of the encapsulation header (the first must be 0) to layout. Parameter lists and
#: delimited encodings (2, 3, 8 to 11) need member ids that ROS definitions do not carry.
ENCAPSULATIONS = {
    0: Wire(8, big_endian=True),
    1: CDR_LE,
    6: Wire(4, big_endian=True, delimited=True),
    7: Wire(4, delimited=True),
}


# --- definition to tree -------------------------------------------------------------------------


def build_tree(definitions: dict, name: str, _open: tuple[str, ...] = ()) -> Struct:
    """Build the tree of one message type.

    Parameters
    ----------
    definitions : dict
        rosbags' field definitions: type name to ``(constants, fields)``.
    name : str
        Full type name, such as ``sensor_msgs/msg/Imu``.

    Raises
    ------
    InvalidArgumentError
        If a nested type is missing, a type contains itself, or a base type has no wire form in
        ROS (``float128``, ``wchar``, ``fixed``).
    """
    if name in _open:
        raise InvalidArgumentError(f'message type {name} contains itself')
    if name not in definitions:
        parent = f' (used by {_open[-1]})' if _open else ''
        raise InvalidArgumentError(
            f'no definition of message type {name}{parent}',
            remedy='install its package or pass its .msg text',
        )
    chain = (*_open, name)

    def node(desc: tuple) -> Node:
        kind, content = int(desc[0]), desc[1]
        if kind == 1:
            base = content[0]
            if base in ('string', 'wstring'):
                return Text(wide=base == 'wstring')
            if base not in PRIMITIVES:
                raise InvalidArgumentError(f'{name} uses {base}, which has no ROS wire form')
            return Primitive(PRIMITIVES[base])
        if kind == 2:
            return build_tree(definitions, content, chain)
        item, count = content
        if kind == 3:
            return Array(node(item), count)
        return Sequence(node(item))

    members = tuple((member, node(desc)) for member, desc in definitions[name][1])
    # An empty structure still occupies a byte, and neither Arrow nor Parquet can store one.
    return Struct(name, members or ((EMPTY_STRUCT_MEMBER, Primitive('u1')),))


# --- tree to program ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """Values inside a block; ``count`` is None for a scalar, ``slot`` where they go."""

    slot: int
    offset: int
    code: str
    count: int | None


@dataclass
class Block:
    """Run of bytes with constant inner offsets once its start is aligned to ``align``.

    If ``measures`` is set, the last four bytes are the length word of the next step.
    """

    align: int
    size: int = 0
    leaves: list[Leaf] = field(default_factory=list)
    measures: bool = False


@dataclass(frozen=True)
class TextStep:
    """Bytes of a string; its length word ended the block before."""

    slot: int
    wide: bool


@dataclass(frozen=True)
class ItemsStep:
    """Items of an array (``count``) or of a sequence (None: length word in the block before).

    ``code`` is set for items that are primitives, otherwise ``program`` decodes one item.
    """

    slot: int
    count: int | None
    code: str | None
    program: Program | None
    min_size: int

    @property
    def is_blob(self) -> bool:
        """Whether the items are the bytes of one binary value."""
        return self.code == 'u1' and self.count is None


Step = Block | TextStep | ItemsStep
#: Where a member's values are: a slot number, or members of a nested structure.
Shape = int | tuple[tuple[str, 'Shape'], ...]


@dataclass
class Program:
    """Steps that decode one structure, and the shape in which their slots form its members."""

    steps: list[Step]
    slots: int
    shape: Shape
    wire: Wire

    @property
    def min_size(self) -> int:
        """Least number of bytes that one structure occupies (alignment not counted)."""
        total = 0
        for step in self.steps:
            if isinstance(step, Block):
                total += step.size
            elif isinstance(step, ItemsStep) and step.count is not None:
                total += step.count * step.min_size
        return total

    @property
    def block(self) -> Block | None:
        """The only block, if one block is all there is: then items lie at a constant stride."""
        if len(self.steps) == 1 and isinstance(self.steps[0], Block):
            return self.steps[0]
        return None


class _Compiler:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.steps: list[Step] = []
        self.slots = 0

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def put(self, code: str, count: int | None, *, slot: int | None) -> None:
        """Append values to the open block, or open a new one where the alignment grows."""
        size = int(code[1:])
        align = min(size, self.wire.max_align)
        last = self.steps[-1] if self.steps else None
        if isinstance(last, Block) and not last.measures and align <= last.align:
            block = last
            block.size = -(-block.size // align) * align
        else:
            block = Block(align)
            self.steps.append(block)
        if slot is not None:
            block.leaves.append(Leaf(slot, block.size, code, count))
        block.size += size * (1 if count is None else count)

    def length_word(self) -> None:
        self.put('u4', None, slot=None)
        block = self.steps[-1]
        assert isinstance(block, Block)
        block.measures = True

    def add(self, node: Node) -> Shape:
        if isinstance(node, Struct):
            return tuple((name, self.member(name, member)) for name, member in node.members)
        slot = self.slot()
        if isinstance(node, Primitive):
            self.put(node.code, None, slot=slot)
        elif isinstance(node, Text):
            self.length_word()
            self.steps.append(TextStep(slot, node.wide))
        elif isinstance(node, Array) and isinstance(node.item, Primitive) and node.count:
            self.put(node.item.code, node.count, slot=slot)
        else:
            self.items(node, slot)
        return slot

    def member(self, name: str, node: Node) -> Shape:
        if name == EMPTY_STRUCT_MEMBER and self.wire.header == 0:
            return self.slot()
        return self.add(node)

    def items(self, node: Array | Sequence, slot: int) -> None:
        count = node.count if isinstance(node, Array) else None
        primitive = node.item if isinstance(node.item, Primitive) else None
        if self.wire.delimited and primitive is None:
            self.put('u4', None, slot=None)
        if count is None:
            self.length_word()
        if primitive is not None:
            step = ItemsStep(slot, count, primitive.code, None, primitive.size)
        else:
            program = compile_program(node.item, self.wire)
            step = ItemsStep(slot, count, None, program, program.min_size)
        self.steps.append(step)


def compile_program(node: Node, wire: Wire) -> Program:
    """Compile a tree for one wire layout."""
    compiler = _Compiler(wire)
    shape = compiler.add(node)
    return Program(compiler.steps, compiler.slots, shape, wire)
