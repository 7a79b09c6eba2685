"""A pickle read as data: its operations are followed by hand, nothing that it names is ever looked up or called.

A pickle is a program for a small machine with a stack. The few operations that build lists, tables and texts are done
here; a function it names becomes a name, a call becomes a record of the name and its arguments. What a record means is
for the caller to say. https://docs.python.org/3/library/pickletools.html describes the operations.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# For 200,000 tensors a pickle has about 60 MB and 7 million operations.
MAX_OPERATIONS = 10_000_000


class TooLong(Exception):
    """The pickle has more operations than a model's can have."""


@dataclass(frozen=True)
class Name:
    """A function or type that the pickle names, `module.name`."""

    path: str


@dataclass(eq=False)
class Call:
    """What would come from calling a function: its path, or None where something else was called; its arguments.

    `state` is what the pickle would then put into it: of an object its attributes.
    """

    path: str | None
    arguments: tuple[Any, ...]
    state: Any = None


@dataclass(eq=False)
class Kept:
    """What the pickle says lies outside of it, such as a tensor's numbers."""

    key: Any


class Table:
    """A dictionary, or something made like one, in order; only texts and whole numbers are keys."""

    def __init__(self) -> None:
        self.items: dict[str | int, Any] = {}

    def put(self, key: Any, value: Any) -> None:
        # Hashing a deeply nested tuple could end the process; such keys name no weights.
        if isinstance(key, str | int):
            self.items[key] = value


_MARK = object()
_DICTIONARIES = frozenset({"collections.OrderedDict", "collections.Counter", "collections.defaultdict"})
_PUSHED = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
        "BINUNICODE8", "BYTEARRAY8",
    }
)  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME"})


class Machine:
    """Follows one pickle; `refuse` is asked about every name, and again where it is called, and raises to end it."""

    def __init__(self, refuse: Callable[[str, bool], None]) -> None:
        self._refuse = refuse
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.kept: list[Kept] = []

    def follow(self, stream: io.BytesIO) -> Any:
        """Return what the pickle at the stream's place builds; the stream ends up after it.

        Raises ValueError for what is no pickle, IndexError where its stack runs empty, KeyError for what it never
        remembered, TypeError for operations on the wrong things, and what `refuse` raises.
        """
        for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPERATIONS:
                raise TooLong
            self._do(operation.name, argument)
        return self._stack.pop()

    def _do(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif (done := _OPERATIONS.get(name)) is not None:
            done(self, argument)
        elif name not in _IGNORED and name != "STOP":
            # Registered extensions and buffers from elsewhere: no weights need them.
            self._refuse(name, True)
            raise ValueError(name)

    def _after_mark(self) -> list[Any]:
        place = len(self._stack) - 1
        while self._stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError
        found = self._stack[place + 1 :]
        del self._stack[place:]
        return found

    def _name(self, path: str) -> None:
        self._refuse(path, False)
        self._stack.append(Name(path))

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> None:
        path = function.path if isinstance(function, Name) else None
        if path is not None:
            self._refuse(path, True)
        if path not in _DICTIONARIES:
            self._stack.append(Call(path, arguments))
            return
        table = Table()
        # Older Pythons pickled an ordered dictionary with its pairs as the argument.
        if arguments and isinstance(arguments[0], list):
            for pair in arguments[0]:
                table.put(*pair)
        elif arguments and isinstance(arguments[0], Table):
            table.items.update(arguments[0].items)
        self._stack.append(table)

    def global_(self, argument: Any) -> None:
        self._name(str(argument).replace(" ", ".", 1))

    def stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError
        self._name(f"{module}.{name}")

    def inst(self, argument: Any) -> None:
        self._name(str(argument).replace(" ", ".", 1))
        function = self._stack.pop()
        self._call(function, tuple(self._after_mark()))

    def obj(self, _: Any) -> None:
        function, *arguments = self._after_mark()
        self._call(function, tuple(arguments))

    def reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(arguments, tuple):
            raise TypeError
        self._call(function, arguments)

    def newobj_ex(self, _: Any) -> None:
        self._stack.pop()
        self.reduce(None)

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        if isinstance(self._stack[-1], Call):
            self._stack[-1].state = state

    def mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def pop_mark(self, _: Any) -> None:
        self._after_mark()

    def dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def put(self, argument: Any) -> None:
        self._memo[argument] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: Any) -> None:
        self._stack.append(self._memo[argument])

    def empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def tuple_(self, _: Any) -> None:
        self._stack.append(tuple(self._after_mark()))

    def tuple1(self, _: Any) -> None:
        self._last(1)

    def tuple2(self, _: Any) -> None:
        self._last(2)

    def tuple3(self, _: Any) -> None:
        self._last(3)

    def _last(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def empty_list(self, _: Any) -> None:
        self._stack.append([])

    def list_(self, _: Any) -> None:
        self._stack.append(self._after_mark())

    def append(self, _: Any) -> None:
        value = self._stack.pop()
        self._extend([value])

    def appends(self, _: Any) -> None:
        self._extend(self._after_mark())

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)
        elif not isinstance(self._stack[-1], Call):
            raise TypeError

    def empty_dict(self, _: Any) -> None:
        self._stack.append(Table())

    def dict_(self, _: Any) -> None:
        values = self._after_mark()
        self._stack.append(Table())
        self._fill(values)

    def setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._fill([key, value])

    def setitems(self, _: Any) -> None:
        self._fill(self._after_mark())

    def _fill(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Table):
            for key, value in zip(values[::2], values[1::2], strict=True):
                target.put(key, value)
        elif not isinstance(target, Call):
            raise TypeError

    def persid(self, argument: Any) -> None:
        self._keep(argument)

    def binpersid(self, _: Any) -> None:
        self._keep(self._stack.pop())

    def _keep(self, key: Any) -> None:
        self.kept.append(Kept(key))
        self._stack.append(self.kept[-1])


_OPERATIONS: dict[str, Callable[[Machine, Any], None]] = {
    "GLOBAL": Machine.global_,
    "STACK_GLOBAL": Machine.stack_global,
    "INST": Machine.inst,
    "OBJ": Machine.obj,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": Machine.newobj_ex,
    "BUILD": Machine.build,
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.dup,
    "PUT": Machine.put,
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": Machine.memoize,
    "GET": Machine.get,
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "EMPTY_TUPLE": Machine.empty_tuple,
    "TUPLE": Machine.tuple_,
    "TUPLE1": Machine.tuple1,
    "TUPLE2": Machine.tuple2,
    "TUPLE3": Machine.tuple3,
    "EMPTY_LIST": Machine.empty_list,
    "LIST": Machine.list_,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "EMPTY_SET": Machine.empty_list,
    "ADDITEMS": Machine.appends,
    "FROZENSET": Machine.list_,
    "EMPTY_DICT": Machine.empty_dict,
    "DICT": Machine.dict_,
    "SETITEM": Machine.setitem,
    "SETITEMS": Machine.setitems,
    "PERSID": Machine.persid,
    "BINPERSID": Machine.binpersid,
}
