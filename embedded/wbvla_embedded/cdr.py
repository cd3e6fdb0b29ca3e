"""Plain CDR (the ROS 2 wire form) by code made for each type when it is first written or read.

Consecutive numbers are packed by one `struct.Struct`; since alignment depends on where a run begins, each run has
eight of them, one for each position modulo 8. Positions count from the end of the 4-byte encapsulation header.
"""

from __future__ import annotations

import functools
import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any

import numpy

from .interfaces import PRIMITIVES, Field, definition
from .messages import DTYPES, TYPECODES, Message, message_class

HEADER = b'\x00\x01\x00\x00'  # plain CDR, little endian
_FORMATS = {**TYPECODES, 'bool': '?', 'byte': 'c'}
_PAD = tuple(b'\0' * (-position % 8) for position in range(8))


class CdrError(ValueError):
    """Bytes that are not a message of the type they claim to be."""


@functools.cache
def _run(formats: str, order: str) -> tuple[struct.Struct, ...]:
    """Structs for a run of numbers that begins at position 0..7 modulo 8."""
    table = []
    for start in range(8):
        position, layout = start, order
        for code in formats:
            size = struct.calcsize('=' + code)
            layout += f'{-position % size}x{code}'
            position += -position % size + size
        table.append(struct.Struct(layout))
    return tuple(table)


class _Coder:
    """Collects lines of a function, runs of numbers and the objects that its code refers to."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.lines: list[str] = []
        self.indent = 1
        self.run: list[tuple[str, str]] = []
        self.names: dict[str, Any] = {'U32': struct.Struct(order + 'I'), 'PAD': _PAD, 'array': array, 'numpy': numpy,
                                      'CdrError': CdrError, 'new': object.__new__}
        self.count = 0

    def emit(self, line: str) -> None:
        self.lines.append('    ' * self.indent + line)

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f'{prefix}{self.count}'

    def table(self) -> tuple[str, str]:
        """Name of the struct table of the pending run, and its variables or expressions; the run is then over."""
        formats = ''.join(code for code, _ in self.run)
        name = 'R' + formats.replace('?', 'x')
        self.names[name] = _run(formats, self.order)
        items = ', '.join(item for _, item in self.run)
        self.run = []
        return name, items

    def build(self, head: str, tail: str) -> Callable:
        source = '\n'.join([head, *self.lines, f'    {tail}'])
        exec(compile(source, '<cdr>', 'exec'), self.names)  # source is made from checked identifiers only
        return self.names[head.split()[1].split('(')[0]]


class _Writer(_Coder):
    """Makes `write(m, b)`, which appends message `m` to bytearray `b` (4 bytes of header already in it)."""

    def flush(self) -> None:
        if self.run:
            name, items = self.table()
            self.emit(f'b += {name}[len(b) + 4 & 7].pack({items})')

    def fields(self, fields: tuple[Field, ...], owner: str) -> None:
        for field in fields:
            self.field(field, f'{owner}._{field.name}')

    def field(self, field: Field, value: str) -> None:
        if field.kind == 'scalar':
            self.element(field, value)
            return
        local = self.fresh('v')
        self.emit(f'{local} = {value}')
        if field.kind == 'sequence':
            self.run.append(('I', f'len({local})'))
        if field.base not in _FORMATS:
            self.flush()
            item = self.fresh('i')
            self.emit(f'for {item} in {local}:')
            self.indent += 1
            self.element(field, item)
            self.flush()
            self.indent -= 1
            return
        size = struct.calcsize('=' + _FORMATS[field.base])
        self.flush()
        if size > 4 or field.kind == 'array':
            test = f'if len({local}): ' if field.kind == 'sequence' else ''
            self.emit(f'{test}b += PAD[len(b) + 4 & 7][:-(len(b) + 4) % {size}]')
        if field.base == 'byte':
            self.emit(f"b += b''.join({local})")
        elif field.base == 'bool':
            self.emit(f'b += bytes({local})')
        else:
            self.emit(f'b += {local}.tobytes()')

    def element(self, field: Field, value: str) -> None:
        if field.base in _FORMATS:
            self.run.append((_FORMATS[field.base], value))
        elif field.base == 'string':
            local = self.fresh('s')
            self.emit(f'{local} = {value}.encode()')
            self.run.append(('I', f'len({local}) + 1'))
            self.flush()
            self.emit(f"b += {local} + b'\\0'")
        else:
            local = self.fresh('m')
            self.emit(f'{local} = {value}')
            self.fields(definition(field.base).fields, local)


class _Reader(_Coder):
    """Makes `read(d, p)`, which reads a message from bytes `d` at `p` and returns it and the position after it."""

    def __init__(self, order: str) -> None:
        super().__init__(order)
        self.classes: dict[str, str] = {}

    def flush(self) -> None:
        if self.run:
            name, items = self.table()
            local = self.fresh('r')
            self.emit(f'{local} = {name}[p + 4 & 7]; {items}, = {local}.unpack_from(d, p); p += {local}.size')

    def message(self, typename: str) -> tuple[str, list[str]]:
        """Read the fields; returns the variable of the message and the lines that build it once all are read."""
        local = self.fresh('m')
        name = self.classes.setdefault(typename, f'C{len(self.classes)}')
        self.names[name] = message_class(typename)
        building, last = [], [f'{local} = new({name})']
        for field in definition(typename).fields:
            value, lines = self.field(field)
            building += lines
            last.append(f'{local}._{field.name} = {value}')
        return local, building + last

    def field(self, field: Field) -> tuple[str, list[str]]:
        if field.kind == 'scalar':
            return self.element(field)
        count = str(field.size)
        if field.kind == 'sequence':
            count = self.fresh('n')
            self.run.append(('I', count))
        self.flush()
        if field.kind == 'sequence' and field.size:
            self.emit(f"if {count} > {field.size}: raise CdrError(f'{{{count}}} elements in {field.name}, "
                      f"at most {field.size}')")
        return (self.numbers(field, count) if field.base in _FORMATS else self.objects(field, count)), []

    def numbers(self, field: Field, count: str) -> str:
        size = struct.calcsize('=' + _FORMATS[field.base])
        local = self.fresh('a')
        if size > 4 or field.kind == 'array':
            self.emit(f'if {count}: p += -(p + 4) % {size}')
        end = self.fresh('q')
        self.emit(f'{end} = p + {count} * {size}')
        self.emit(f"if {end} > e: raise CdrError('{field.name} is longer than the message')")
        if field.base == 'bool':
            self.emit(f'{local} = [c != 0 for c in d[p:{end}]]')
        elif field.base == 'byte':
            self.emit(f'{local} = [bytes((c,)) for c in d[p:{end}]]')
        elif field.kind == 'array':
            self.emit(f"{local} = numpy.frombuffer(d, '{DTYPES[field.base]}', {count}, p).copy()")
        else:
            self.emit(f"{local} = array('{TYPECODES[field.base]}', d[p:{end}])")
        if size > 1 and (self.order == '<') != (sys.byteorder == 'little'):
            self.emit(f'{local}.byteswap({"True" if field.kind == "array" else ""})')
        self.emit(f'p = {end}')
        return local

    def objects(self, field: Field, count: str) -> str:
        local = self.fresh('a')
        self.emit(f"if {count} > e - p: raise CdrError('{field.name} is longer than the message')")
        self.emit(f'{local} = []')
        self.emit(f'for _ in range({count}):')
        self.indent += 1
        value, lines = self.element(field)
        self.flush()
        for line in lines:
            self.emit(line)
        self.emit(f'{local}.append({value})')
        self.indent -= 1
        return local

    def element(self, field: Field) -> tuple[str, list[str]]:
        if field.base in _FORMATS:
            local = self.fresh('x')
            self.run.append((_FORMATS[field.base], local))
            return local, []
        if field.base not in PRIMITIVES:
            return self.message(field.base)
        count, local = self.fresh('n'), self.fresh('s')
        self.run.append(('I', count))
        self.flush()
        self.emit(f"if {count} > e - p: raise CdrError('{field.name} is longer than the message')")
        self.emit(f'{local} = d[p:p + {count} - 1].decode() if {count} else ""; p += {count}')
        return local, []


@functools.cache
def _writer(cls: type[Message]) -> Callable[[Message, bytearray], None]:
    coder = _Writer('<')
    coder.fields(definition(cls._typename).fields, 'm')
    coder.flush()
    return coder.build('def write(m, b):', 'return')


@functools.cache
def _reader(cls: type[Message], order: str) -> Callable[[bytes, int], tuple[Message, int]]:
    coder = _Reader(order)
    coder.emit('e = len(d)')
    local, lines = coder.message(cls._typename)
    coder.flush()
    for line in lines:
        coder.emit(line)
    return coder.build('def read(d, p):', f'return {local}, p')


def serialize(message: Message, prefix: bytes = b'') -> bytes:
    """Bytes of a message; `prefix` (a multiple of 8 bytes, such as a request header) goes before its fields."""
    buffer = bytearray(HEADER + prefix)
    _writer(type(message))(message, buffer)
    return bytes(buffer)


def deserialize(data: bytes, cls: type[Any], skip: int = 0) -> Any:
    """The message in `data`, whose fields begin `skip` bytes after the encapsulation header.

    Raises CdrError for a foreign encapsulation, truncated data, lengths beyond the data and bytes left over.
    """
    if len(data) < 4 or data[0] != 0 or data[1] > 1:
        raise CdrError(f'not plain CDR: begins with {bytes(data[:4]).hex() or "nothing"}')
    try:
        message, end = _reader(cls, '<' if data[1] else '>')(data, 4 + skip)
    except (struct.error, UnicodeDecodeError) as error:
        raise CdrError(f'{cls._typename}: {error}') from None
    if len(data) - end > 8:
        raise CdrError(f'{cls._typename}: {len(data) - end} bytes left over')
    return message
