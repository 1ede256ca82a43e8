"""Taking the bytes of a pickle apart into opcodes and their arguments; nothing is done with them.

Only the opcodes that data are made of are known here; any other is refused by name.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Refused(Exception):
    """What a file holds is not on the allow-list, or not of the form that goes with it."""


class _Bytes:
    """The bytes, and how far they have been read. What is not there raises ValueError."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self.content):
            raise ValueError("cut off")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def number(self, form: str) -> Any:
        """A number in one of the forms of `struct`, little-endian."""
        form = "<" + form
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.content.index(b"\n", self.position)
        return self.take(end + 1 - self.position)[:-1].decode("utf-8")


def _nothing(source: _Bytes) -> None:
    return None


def _number(form: str) -> Callable[[_Bytes], Any]:
    return lambda source: source.number(form)


def _float(source: _Bytes) -> float:
    return float(struct.unpack(">d", source.take(8))[0])


def _long(source: _Bytes) -> int:
    return int.from_bytes(source.take(source.number("B")), "little", signed=True)


def _bytes(form: str) -> Callable[[_Bytes], bytes]:
    return lambda source: source.take(source.number(form))


def _text(form: str) -> Callable[[_Bytes], str]:
    return lambda source: source.take(source.number(form)).decode("utf-8", "surrogatepass")


def _frame(source: _Bytes) -> None:
    if source.number("Q") > len(source.content) - source.position:
        raise ValueError("a frame that is longer than the file")


def _name(source: _Bytes) -> tuple[str, str]:
    return source.line(), source.line()


_ARGUMENTS: Mapping[str, Callable[[_Bytes], Any]] = {
    "PROTO": _number("B"),
    "FRAME": _frame,
    "STOP": _nothing,
    "MARK": _nothing,
    "MEMOIZE": _nothing,
    "BINPUT": _number("B"),
    "LONG_BINPUT": _number("I"),
    "BINGET": _number("B"),
    "LONG_BINGET": _number("I"),
    "NONE": _nothing,
    "NEWTRUE": _nothing,
    "NEWFALSE": _nothing,
    "BININT": _number("i"),
    "BININT1": _number("B"),
    "BININT2": _number("H"),
    "LONG1": _long,
    "BINFLOAT": _float,
    "SHORT_BINUNICODE": _text("B"),
    "BINUNICODE": _text("I"),
    "BINUNICODE8": _text("Q"),
    "SHORT_BINBYTES": _bytes("B"),
    "BINBYTES": _bytes("I"),
    "BINBYTES8": _bytes("Q"),
    "BYTEARRAY8": _bytes("Q"),
    "EMPTY_TUPLE": _nothing,
    "TUPLE": _nothing,
    "TUPLE1": _nothing,
    "TUPLE2": _nothing,
    "TUPLE3": _nothing,
    "EMPTY_LIST": _nothing,
    "APPEND": _nothing,
    "APPENDS": _nothing,
    "EMPTY_DICT": _nothing,
    "SETITEM": _nothing,
    "SETITEMS": _nothing,
    "GLOBAL": _name,
    "STACK_GLOBAL": _nothing,
    "NEWOBJ": _nothing,
    "REDUCE": _nothing,
    "BUILD": _nothing,
}
_HEAD = b"\x80"  # of a pickle of protocol 2 and later
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


def opcodes(content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the name and the argument of each opcode, up to STOP.

    Raises:
        Refused: At an opcode that is not known here, or bytes after STOP.
        ValueError: At bytes that are no opcode, or not all there.
    """
    source = _Bytes(content)
    name = ""
    while name != "STOP":
        code = source.number("B")
        if code not in _NAMES:
            raise ValueError("no opcode")
        name = _NAMES[code]
        if name not in _ARGUMENTS:
            if not content.startswith(_HEAD):
                raise ValueError("probably no pickle at all")
            raise Refused(f"the opcode {name}")
        yield name, _ARGUMENTS[name](source)
    if source.position != len(content):
        raise Refused("something after its end")
