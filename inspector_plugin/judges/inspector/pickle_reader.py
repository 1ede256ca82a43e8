"""Reading pickles of scikit-learn classifiers without executing anything.

A pickle is a program: unpickling one calls whatever it names. This reader takes the opcodes one by
one and keeps a stack of inert records (see `pickle_records.py`). An opcode, class or function that
is not on the allow-list ends it, by name, before anything has been made of what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.pickle_opcodes import Refused, opcodes
from inspector_plugin.judges.inspector.pickle_records import (
    ALLOWED,
    INSTANCES,
    REDUCERS,
    Instance,
    Name,
    set_state,
)

# Their files have some 1,500 opcodes and up to a few megabytes.
_MOST_BYTES = 512 * 2**20
_MOST_OPCODES = 200_000
_NEWEST_PROTOCOL = 5
_MALFORMED = (ValueError, IndexError, KeyError, OverflowError, TypeError)


def read_pickle(path: Path) -> Any:
    """Read a pickle into plain values and inert records.

    Args:
        path: The file.

    Returns:
        What it holds: None, numbers, text, bytes, tuples, lists and dicts of Python, and the
        records of `pickle_records.py`. Containers may hold one another, or themselves.

    Raises:
        PackError: If the file cannot be read, is no pickle, or holds anything not allowed.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise PackError(f"{path} has {size} bytes: more than a probe classifier has.")
        content = path.read_bytes()
    except OSError as error:
        raise PackError(f"Cannot read {path}: {error}") from error
    try:
        return _Machine(content).run()
    except Refused as error:
        raise PackError(
            f"{path} is refused: it holds {error}. Only the classifiers that INSPECTOR published "
            "are read (GridSearchCV, Pipeline, StandardScaler, LogisticRegression, SVC); nothing "
            "in the file was executed."
        ) from error
    except _MALFORMED as error:
        raise PackError(
            f"{path} is not a whole pickle of a protocol up to {_NEWEST_PROTOCOL}; get the file "
            "again. Nothing in it was executed."
        ) from error


class _Machine:
    """A stack, a memo, and what each opcode does to them."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Take all opcodes, and return what they leave."""
        for count, (opcode, argument) in enumerate(opcodes(self._content)):
            if count >= _MOST_OPCODES:
                raise Refused(f"more than {_MOST_OPCODES} opcodes")
            if opcode in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode])
            elif opcode in _LITERALS:
                self._stack.append(argument)
            elif opcode in _ACTIONS:
                _ACTIONS[opcode](self, argument)
        if len(self._stack) != 1 or self._below:
            raise ValueError("unbalanced")
        return self._stack[0]

    def protocol(self, argument: Any) -> None:
        """Check the protocol."""
        if argument > _NEWEST_PROTOCOL:
            raise ValueError("protocol")

    def mark(self, argument: Any) -> None:
        """Begin a group of values."""
        self._below.append(self._stack)
        self._stack = []

    def _group(self) -> list[Any]:
        """End the group begun last, and return its values."""
        values, self._stack = self._stack, self._below.pop()
        return values

    def put(self, argument: Any) -> None:
        """Keep the topmost value under a number, the next one if none is given."""
        self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]

    def get(self, argument: Any) -> None:
        """Put a value that was kept on the stack again."""
        self._stack.append(self._memo[argument])

    def empty_list(self, argument: Any) -> None:
        """Make an empty list."""
        self._stack.append([])

    def empty_dict(self, argument: Any) -> None:
        """Make an empty dict."""
        self._stack.append({})

    def group_to_tuple(self, argument: Any) -> None:
        """Make a tuple of a group."""
        values = self._group()
        self._stack.append(tuple(values))

    def short_tuple(self, length: int) -> None:
        """Make a tuple of the topmost values."""
        self._require(length)
        values = tuple(self._stack[-length:])
        del self._stack[-length:]
        self._stack.append(values)

    def append(self, argument: Any) -> None:
        """Append the topmost value to the list below it."""
        value = self._stack.pop()
        self._list().append(value)

    def append_group(self, argument: Any) -> None:
        """Append a group to the list below it."""
        values = self._group()
        self._list().extend(values)

    def _list(self) -> list[Any]:
        values: Any = self._stack[-1]
        if type(values) is not list:
            raise Refused("values appended to something that is no list")
        return values

    def set_item(self, argument: Any) -> None:
        """Put the topmost key and value into the dict below them."""
        self._require(3)
        key, value = self._stack[-2:]
        del self._stack[-2:]
        self._set_items([key, value])

    def set_group(self, argument: Any) -> None:
        """Put a group of keys and values into the dict below it."""
        self._set_items(self._group())

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise Refused("items set in something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Nested tuples that share their parts would take for ever to hash.
            if type(key) not in (str, int):
                raise Refused("a dict whose keys are not text or whole numbers")
            target[key] = value

    def name(self, argument: Any) -> None:
        """Name a class or function by the text in the opcode."""
        self._stack.append(_allowed(*argument))

    def name_on_stack(self, argument: Any) -> None:
        """Name a class or function by the two topmost texts."""
        self._require(2)
        module, name = self._stack[-2:]
        del self._stack[-2:]
        self._stack.append(_allowed(module, name))

    def new(self, argument: Any) -> None:
        """Make the record of an instance."""
        self._require(2)
        of, arguments = self._stack[-2:]
        del self._stack[-2:]
        if type(of) is not Name or (of.module, of.name) not in INSTANCES or arguments != ():
            raise Refused("an instance made in another way than those of scikit-learn")
        self._stack.append(Instance(of))

    def reduce(self, argument: Any) -> None:
        """Make the record of what a known function would have returned."""
        self._require(2)
        function, arguments = self._stack[-2:]
        del self._stack[-2:]
        reducer = REDUCERS.get((function.module, function.name)) if type(function) is Name else None
        if reducer is None or type(arguments) is not tuple:
            known = type(function) is Name
            raise Refused(f"a call of {function}" if known else "a call of no function")
        self._stack.append(reducer(arguments))

    def build(self, argument: Any) -> None:
        """Give the record below the topmost value that value as its state."""
        self._require(2)
        state = self._stack.pop()
        set_state(self._stack[-1], state)

    def _require(self, values: int) -> None:
        if len(self._stack) < values:
            raise ValueError("an empty stack")


def _allowed(module: object, name: object) -> Name:
    if type(module) is not str or type(name) is not str:
        raise Refused("a class or function whose name is not text")
    if (module, name) not in ALLOWED:
        raise Refused(f"{ascii(module[:80])[1:-1]}.{ascii(name[:80])[1:-1]}")
    return Name(module, name)


_CONSTANTS: Mapping[str, Any] = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_ACTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.protocol,
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_DICT": _Machine.empty_dict,
    "TUPLE": _Machine.group_to_tuple,
    "TUPLE1": lambda machine, argument: machine.short_tuple(1),
    "TUPLE2": lambda machine, argument: machine.short_tuple(2),
    "TUPLE3": lambda machine, argument: machine.short_tuple(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_group,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_group,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "NEWOBJ": _Machine.new,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}
