"""The one loop that is compiled for this machine: two files read side by side, and how far apart their numbers are.

torch would walk over each block four times, and ask for Python's lock between any two; see docs/decisions/0022.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import cache, partial

import llvmlite.binding as llvm
import torch

# Numbers that one turn of the loop takes; a block holds a multiple of them.
AT_ONCE = 32

# Vectors that a machine does not have are cut up by the compiler. Sums are kept in float32, in 32 places each.
_LOOP = """
declare i64 @pread(i32, ptr, i64, i64)
declare i32 @memcmp(ptr, ptr, i64)
declare float @llvm.vector.reduce.fadd.v32f32(float, <32 x float>)

define i64 @farthest(i32 %file.x, i64 %at.x, ptr %buffer.x, i32 %file.y, i64 %at.y, ptr %buffer.y,
                     i64 %count, i64 %block, ptr %stop, ptr %result) {
begin:
  br label %read

read:
  %done = phi i64 [ 0, %begin ], [ %done.next, %on ]
  %most = phi float [ -1.0, %begin ], [ %most.next, %on ]
  %where = phi i64 [ 0, %begin ], [ %where.next, %on ]
  %asked = load volatile i32, ptr %stop
  %stopped = icmp ne i32 %asked, 0
  br i1 %stopped, label %unclear, label %fetch

fetch:
  %left = sub i64 %count, %done
  %short = icmp ult i64 %left, %block
  %n = select i1 %short, i64 %left, i64 %block
  %bytes.x = mul i64 %n, BYTES.X
  %bytes.y = mul i64 %n, BYTES.Y
  %begin.x = mul i64 %done, BYTES.X
  %begin.y = mul i64 %done, BYTES.Y
  %from.x = add i64 %at.x, %begin.x
  %from.y = add i64 %at.y, %begin.y
  %got.x = call i64 @pread(i32 %file.x, ptr %buffer.x, i64 %bytes.x, i64 %from.x)
  %got.y = call i64 @pread(i32 %file.y, ptr %buffer.y, i64 %bytes.y, i64 %from.y)
  %all.x = icmp eq i64 %got.x, %bytes.x
  %all.y = icmp eq i64 %got.y, %bytes.y
  %all = and i1 %all.x, %all.y
  br i1 %all, label %turn, label %unclear

turn:
  %i = phi i64 [ 0, %fetch ], [ %next, %turn ]
  %sums = phi <32 x float> [ zeroinitializer, %fetch ], [ %added, %turn ]
  %this.x = getelementptr NUMBER.X, ptr %buffer.x, i64 %i
  %this.y = getelementptr NUMBER.Y, ptr %buffer.y, i64 %i
LOADED
  %apart = fsub <32 x float> %values.x, %values.y
  %squares = fmul <32 x float> %apart, %apart
  %added = fadd <32 x float> %sums, %squares
  %next = add i64 %i, 32
  %more = icmp ult i64 %next, %n
  br i1 %more, label %turn, label %judged

judged:
  %sum = call reassoc float @llvm.vector.reduce.fadd.v32f32(float 0.0, <32 x float> %added)
  %numbers = uitofp i64 %n to float
  %mean = fdiv float %sum, %numbers
  %above = fcmp ogt float %sum, 0.0
  %below = fcmp olt float %sum, 0x7FF0000000000000
  %clear = and i1 %above, %below
  br i1 %clear, label %on, label %closer

closer:
  %held = select i1 ONE_TYPE, i64 %bytes.x, i64 0
  %differ = call i32 @memcmp(ptr %buffer.x, ptr %buffer.y, i64 %held)
  %same = icmp eq i32 %differ, 0
  %equal = and i1 %same, ONE_TYPE
  br i1 %equal, label %on, label %unclear

on:
  %found = phi float [ %mean, %judged ], [ -1.0, %closer ]
  %farther = fcmp ogt float %found, %most
  %most.next = select i1 %farther, float %found, float %most
  %where.next = select i1 %farther, i64 %done, i64 %where
  %done.next = add i64 %done, %n
  %again = icmp ult i64 %done.next, %count
  br i1 %again, label %read, label %end

end:
  store float %most.next, ptr %result
  ret i64 %where.next

unclear:
  ret i64 -1
}
"""
_HALF = """
  %bits.SIDE = load <32 x i16>, ptr %this.SIDE, align 1
  %wide.SIDE = zext <32 x i16> %bits.SIDE to <32 x i32>
"""
# How numbers become float32. bfloat16 is its upper half. float16 is moved to its place and its exponent corrected by
# 2^112, which is exact for small numbers too; those above all finite ones become NaN.
_LOADED = {
    torch.float32: ("float", 4, "  %values.SIDE = load <32 x float>, ptr %this.SIDE, align 1\n"),
    torch.bfloat16: (
        "i16",
        2,
        _HALF
        + """
  %upper.SIDE = shl <32 x i32> %wide.SIDE, splat (i32 16)
  %values.SIDE = bitcast <32 x i32> %upper.SIDE to <32 x float>
""",
    ),
    torch.float16: (
        "i16",
        2,
        _HALF
        + """
  %size.SIDE = and <32 x i32> %wide.SIDE, splat (i32 32767)
  %place.SIDE = shl <32 x i32> %size.SIDE, splat (i32 13)
  %small.SIDE = bitcast <32 x i32> %place.SIDE to <32 x float>
  %right.SIDE = fmul <32 x float> %small.SIDE, splat (float 0x46F0000000000000)
  %finite.SIDE = icmp ult <32 x i32> %size.SIDE, splat (i32 31744)
  %known.SIDE = select <32 x i1> %finite.SIDE, <32 x float> %right.SIDE, <32 x float> splat (float 0x7FF8000000000000)
  %sign.SIDE = icmp ugt <32 x i32> %wide.SIDE, splat (i32 32767)
  %minus.SIDE = fneg <32 x float> %known.SIDE
  %values.SIDE = select <32 x i1> %sign.SIDE, <32 x float> %minus.SIDE, <32 x float> %known.SIDE
""",
    ),
}

# Two workers that begin at once would compile it twice.
_COMPILING = threading.Lock()

# A file opened for reading, by its number, and where in it the numbers begin.
Opened = tuple[int, int]


def can_compare(x: torch.dtype, y: torch.dtype) -> bool:
    """Whether the loop knows numbers of these types, and this system how to read from a place in a file."""
    return x in _LOADED and y in _LOADED and hasattr(os, "pread")


class Farthest:
    """Looks for the block of numbers that differs most between two files, without holding up other threads."""

    def __init__(self, x: torch.dtype, y: torch.dtype, block: int, stop: ctypes.c_int32) -> None:
        """For files of these types, `block` numbers at a time, a multiple of AT_ONCE.

        Another thread ends a search by setting `stop` to something else than 0.
        """
        with _COMPILING:
            self._loop = _compiled(x, y)
        self._block, self._stop = block, stop
        self._buffers = [torch.empty(block, dtype=dtype) for dtype in (x, y)]
        self._most = ctypes.c_float()

    def block(self, x: Opened, y: Opened, count: int) -> tuple[float, int] | None:
        """The largest mean square of a block's difference among `count` numbers, and the place of its first number.

        `count` is a multiple of AT_ONCE. Negative where all bytes are equal. None where that takes a closer look: a
        file that ends before, squares too small or too large for 32 bits, values that are no numbers; and after a stop.
        """
        mine, theirs = (buffer.data_ptr() for buffer in self._buffers)
        stop = ctypes.byref(self._stop)
        place = self._loop(*x, mine, *y, theirs, count, self._block, stop, ctypes.byref(self._most))
        return None if place < 0 else (self._most.value, place)


@cache
def _compiled(x: torch.dtype, y: torch.dtype) -> Callable[..., int]:
    """The loop for numbers of these types; it may be called from several threads."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text, loaded = _LOOP.replace("ONE_TYPE", str(x == y).lower()), ""
    for side, dtype in (("x", x), ("y", y)):
        number, size, load = _LOADED[dtype]
        text = text.replace(f"NUMBER.{side.upper()}", number).replace(f"BYTES.{side.upper()}", str(size))
        loaded += load.replace("SIDE", side)
    module = llvm.parse_assembly(text.replace("LOADED", loaded))
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    file, count, pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
    loop = ctypes.CFUNCTYPE(count, file, count, pointer, file, count, pointer, count, count, pointer, pointer)(
        engine.get_function_address("farthest")
    )
    # What is compiled lives as long as the engine.
    return partial(_call, engine, loop)


def _call(engine: object, loop: Callable[..., int], *arguments: object) -> int:
    return loop(*arguments)
