"""A checkpoint seen with its packed tensors decoded: `layer.weight` takes the place of what it was packed into.

Here are bitsandbytes' packings, after its functional.py, and 8-bit numbers with scales beside them, as in DeepSeek-V3's
inference code; others have files of their own. A packing that is not known is listed as undecoded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tools.checkpoint import Checkpoint, Wanted
from tools.errors import UserError
from tools.formats.json_text import NotAnObject, parse_object
from tools.formats.packed_columns import columns
from tools.formats.packed_groups import blocks, compressed, mlx, nibbles, nvidia
from tools.formats.packing import Packing

if TYPE_CHECKING:
    import torch

_INTEGERS = frozenset({"uint8", "int8", "int16", "int32", "uint32"})
_EIGHT_BIT = frozenset({"int8", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"})
_BYTES = _EIGHT_BIT | {"uint8"}
# Last parts of names under which other packings keep their numbers (EXL2, HQQ).
_OTHER_PACKINGS = (
    "qweight", "weight_packed", "q_weight", "W_q", "_blocks", "trellis", "_Q4", "_weight_qdata", "weight._data",
    "_data._data",
)  # fmt: skip
_STATE = "quant_state.bitsandbytes__"
_STATE_BYTES = 10_000
# Blocks of the published models with block scales, where the configuration does not say.
_SCALE_BLOCK = 128


class Scaled(Packing):
    """8-bit numbers with scales beside them: one for all, one for each row, or one for each block."""

    def __init__(
        self, behind: Checkpoint, name: str, scale: str, block: tuple[int, int], divisor: float, more: Sequence[str]
    ) -> None:
        super().__init__(behind)
        self.parts, self.shape = (name, scale, *more), behind.shapes[name]
        self._block, self._divisor = block, divisor

    def rows(self, start: int, stop: int) -> torch.Tensor:
        values = self._behind.read_rows(self.parts[0], start, stop).float()
        scales = self._behind.read(self.parts[1]).float() / self._divisor
        if scales.numel() == 1:
            return values * scales.reshape(())
        high, wide = self._block
        scales = scales.reshape(scales.shape[0], -1)[start // high : -(-stop // high)]
        scales = scales.repeat_interleave(high, 0)[start % high :][: len(values)]
        return values * scales.repeat_interleave(wide, 1)[:, : values.shape[1]]

    def wanted(self, start: int | None, stop: int | None) -> list[Wanted]:
        return [(self.parts[0], start, stop), (self.parts[1], None, None)]


class Shifted(Packing):
    """8-bit numbers of ONNX Runtime, torchao and Quanto: weight[row, i] = scale[row] * (q[row, i] - zero[row]).

    There may be one scale for all rows, and no zero.
    """

    def __init__(self, behind: Checkpoint, data: str, scale: str, zero: str | None) -> None:
        super().__init__(behind)
        self.parts = (data, scale, *([zero] if zero else []))
        self.shape = behind.shapes[data]

    def rows(self, start: int, stop: int) -> torch.Tensor:
        values = self._behind.read_rows(self.parts[0], start, stop).float()
        beside = [self._behind.read(part).float() for part in self.parts[1:]]
        if beside[0].numel() > 1:
            beside = [side.reshape(-1, *[1] * (values.dim() - 1))[start:stop] for side in beside]
        return (values - beside[1] if len(beside) > 1 else values) * beside[0]

    def wanted(self, start: int | None, stop: int | None) -> list[Wanted]:
        return [(self.parts[0], start, stop), *((part, None, None) for part in self.parts[1:])]


class FourBit(Packing):
    """bitsandbytes' NF4 and FP4: two places in a table of 16 numbers in each byte, a largest value for each block."""

    def __init__(self, behind: Checkpoint, name: str, state: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        super().__init__(behind)
        self.shape = shape
        self._name, self._block = name, int(state["blocksize"])
        self._nested = f"{name}.nested_absmax" in behind.shapes
        self._nested_block, self._offset = int(state.get("nested_blocksize", 256)), float(state.get("nested_offset", 0))
        kept = ("absmax", "quant_map", *(("nested_absmax", "nested_quant_map") if self._nested else ()))
        self.parts = (name, *(f"{name}.{part}" for part in kept))
        self.parts += tuple(part for part in behind.shapes if part.startswith(f"{name}.{_STATE}"))

    def rows(self, start: int, stop: int) -> torch.Tensor:
        import torch

        columns = math.prod(self.shape[1:])
        first, last = start * columns, stop * columns
        data = self._behind.read_rows(self._name, first // 2, -(-last // 2)).flatten()
        places = torch.stack([data >> 4, data & 15], dim=1).flatten()[first % 2 :][: last - first].long()
        blocks = slice(first // self._block, -(-last // self._block))
        largest = self._behind.read_rows(f"{self._name}.absmax", blocks.start, blocks.stop)
        if self._nested:
            table = self._behind.read(f"{self._name}.nested_quant_map").float()
            outer = self._behind.read(f"{self._name}.nested_absmax").float()
            index = torch.arange(blocks.start, blocks.stop) // self._nested_block
            largest = table[largest.long()] * outer[index] + self._offset
        values = self._behind.read(f"{self._name}.quant_map").float()[places]
        steps = largest.float().repeat_interleave(self._block)[first % self._block :][: last - first]
        return (values * steps).reshape(stop - start, *self.shape[1:])


class UnpackedCheckpoint(Checkpoint):
    """Another checkpoint with its packed tensors decoded, and those whose packing is unknown listed."""

    def __init__(self, behind: Checkpoint, packings: Mapping[str, Packing], unknown: Mapping[str, str]) -> None:
        hidden = {part for packing in packings.values() for part in packing.parts}
        first = {packing.parts[0]: name for name, packing in packings.items()}
        names = [first.get(name, name) for name in behind.shapes if name in first or name not in hidden]
        super().__init__(
            behind.model,
            shapes={name: packings[name].shape if name in packings else behind.shapes[name] for name in names},
            dtypes={name: "float32" if name in packings else unknown.get(name, behind.dtypes[name]) for name in names},
            declared_names=behind.declared_names,
        )
        self.undecoded = {**behind.undecoded, **unknown}
        self.names_code = behind.names_code
        self.stored_as |= {
            name: behind.stored_as[name] for name in names if name not in packings and name not in unknown
        }
        for name, packing in packings.items():
            stored = packing.parts[0]
            alone = math.prod(behind.shapes[stored]) == math.prod(packing.shape)
            self.stored_as[name] = f"{'' if alone else 'packed '}{behind.dtypes[stored]}"
        self._behind, self._packings = behind, dict(packings)

    @property
    def bytes_read(self) -> int:
        """Bytes of packed and other tensors looked at so far."""
        return self._behind.bytes_read

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor, decoded where it is packed, on the CPU, as a copy that may be written to."""
        packing = self._packings.get(name)
        if packing is None:
            self._refuse_undecoded(name)
            return self._behind.read(name)
        return self._decoded(name, packing, 0, packing.shape[0])

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; GPTQ and AWQ lie transposed and are read whole."""
        packing = self._packings.get(name)
        if packing is None:
            self._refuse_undecoded(name)
            return self._behind.read_rows(name, start, stop)
        first, last, _ = slice(start, stop).indices(packing.shape[0])
        return self._decoded(name, packing, first, max(first, last))

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        parts: list[Wanted] = []
        for name, start, stop in wanted:
            packing = self._packings.get(name)
            parts += packing.wanted(start, stop) if packing else [(name, start, stop)]
        self._behind.expect(parts)

    def side_file(self, name: str) -> bytes | None:
        """Return the file of this name beside the weights, or None."""
        return self._behind.side_file(name)

    def close(self) -> None:
        """Let go of the files."""
        self._behind.close()

    def _refuse_undecoded(self, name: str) -> None:
        if name in self.undecoded:
            raise UserError("unknown_tensor_type", tensor=name, dtype=self.undecoded[name])

    def _decoded(self, name: str, packing: Packing, first: int, last: int) -> torch.Tensor:
        import torch

        if first == last:
            return torch.empty((0, *packing.shape[1:]))
        try:
            return packing.rows(first, last)
        except MemoryError:
            raise UserError("too_large_tensor", tensor=name) from None
        except (RuntimeError, IndexError):
            # Tables and scales that do not fit each other.
            raise UserError("unknown_tensor_type", tensor=name, dtype="packed") from None


def unpacked(behind: Checkpoint) -> Checkpoint:
    """The checkpoint with its packed tensors decoded; itself where nothing in it is packed. Raises UserError."""
    found: dict[str, Packing] = {}
    states = [name for name in behind.shapes if _STATE in name]
    behind.expect((name, None, None) for name in states)
    for stored in behind.shapes:
        name, packing = _packing(behind, stored, states)
        if packing is not None and (name not in behind.shapes or name == stored):
            found[name] = packing
    used = {part for packing in found.values() for part in packing.parts}
    quantised = isinstance(behind.config.get("quantization_config"), dict)
    unknown = {
        name: f"packed {dtype}"
        for name, dtype in behind.dtypes.items()
        if name not in used
        and len(behind.shapes[name]) > 1
        and dtype in _INTEGERS
        and (quantised or name.endswith(_OTHER_PACKINGS) or _beside(name) & behind.shapes.keys())
    }
    return UnpackedCheckpoint(behind, found, unknown) if found or unknown else behind


def _beside(name: str) -> set[str]:
    """What lies beside whole numbers that stand for others."""
    return {f"{name}.quant_map", f"{name}_scale", f"{name.removesuffix('weight')}scales"}


def _packing(behind: Checkpoint, name: str, states: Sequence[str]) -> tuple[str, Packing | None]:
    """The name of what is packed in a tensor, and how; None where it is not the first part of a known packing."""
    layer, _, last = name.rpartition(".")
    if last == "qweight":
        return f"{layer}.weight", columns(behind, layer)
    if last == "weight_packed":
        return f"{layer}.weight", compressed(behind, name)
    if name.endswith("_blocks"):
        return name.removesuffix("_blocks"), blocks(behind, name)
    if name.endswith("_Q4"):
        return name.removesuffix("_Q4"), nibbles(behind, name)
    if name.endswith("_quantized"):
        root = name.removesuffix("_quantized")
        return root, _shifted(behind, name, f"{root}_scale", f"{root}_zero_point")
    if last == "_weight_qdata":
        scale, zero = f"{layer}._weight_scale", f"{layer}._weight_zero_point"
        return f"{layer}.weight", _shifted(behind, name, scale, zero if zero in behind.shapes else None)
    if name.endswith(".weight._data"):
        return layer, _shifted(behind, name, f"{layer}._scale", None)
    if f"{name}.quant_map" in behind.shapes:
        return name, _four_bit(behind, name, states)
    if last == "weight" and behind.dtypes[name] == "uint32":
        return name, mlx(behind, name)
    if last == "weight" and behind.dtypes[name] == "uint8":
        return name, nvidia(behind, name)
    return name, _scaled(behind, name) if behind.dtypes[name] in _EIGHT_BIT else None


def _scaled(behind: Checkpoint, name: str) -> Scaled | None:
    """8-bit numbers with scales: bitsandbytes' SCB is the largest value of a row, which 127 stands for."""
    layer, shape = name.removesuffix("weight"), behind.shapes[name]
    if len(shape) != 2 or not name.endswith("weight"):
        return None
    more = [part for part in (f"{layer}weight_format",) if part in behind.shapes]
    if behind.shapes.get(f"{layer}SCB") == (shape[0],):
        return Scaled(behind, name, f"{layer}SCB", (1, shape[1]), 127.0, more)
    for scale in (f"{name}_scale_inv", f"{name}_scale"):
        found = behind.shapes.get(scale)
        if found is None or f"{name}_scale_2" in behind.shapes:
            continue
        if math.prod(found) == 1 or found in ((shape[0],), (shape[0], 1)):
            return Scaled(behind, name, scale, (1, shape[1]), 1.0, ())
        block = _block(behind)
        if found == (-(-shape[0] // block[0]), -(-shape[1] // block[1])):
            return Scaled(behind, name, scale, block, 1.0, ())
    return None


def _shifted(behind: Checkpoint, data: str, scale: str, zero: str | None) -> Shifted | None:
    """8-bit numbers with one scale (and zero) for all, or one for each row."""
    shape = behind.shapes[data]
    beside = [behind.shapes.get(part) for part in (scale, zero) if part is not None]
    fits = any(all(found == one for found in beside) for one in ((), (1,), shape[:1], (*shape[:1], 1)))
    return Shifted(behind, data, scale, zero) if shape and fits and behind.dtypes[data] in _BYTES else None


def _block(behind: Checkpoint) -> tuple[int, int]:
    settings = behind.config.get("quantization_config")
    said = settings.get("weight_block_size") if isinstance(settings, dict) else None
    if isinstance(said, list) and len(said) == 2 and all(type(side) is int and 0 < side <= 1 << 16 for side in said):
        return said[0], said[1]
    return _SCALE_BLOCK, _SCALE_BLOCK


def _four_bit(behind: Checkpoint, name: str, states: Sequence[str]) -> FourBit | None:
    own = [state for state in states if state.startswith(f"{name}.{_STATE}")]
    needed = {f"{name}.absmax": None, f"{name}.quant_map": (16,)}
    if len(own) != 1 or behind.dtypes[name] != "uint8" or math.prod(behind.shapes[own[0]]) > _STATE_BYTES:
        return None
    if any(
        behind.shapes.get(part) is None or shape not in (None, behind.shapes[part]) for part, shape in needed.items()
    ):
        return None
    try:
        state = parse_object(bytes(behind.read(own[0]).flatten().tolist()), max_commas=1000)
        shape, block = state["shape"], state["blocksize"]
        counts = all(type(side) is int and 0 < side < 1 << 40 for side in (*shape, block))
        bytes_needed = -(-math.prod(shape) // 2)
        blocks = -(-math.prod(shape) // block)
        if not counts or behind.shapes[name][0] != bytes_needed or behind.shapes[f"{name}.absmax"] != (blocks,):
            return None
        return FourBit(behind, name, state, tuple(shape))
    except (NotAnObject, KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
