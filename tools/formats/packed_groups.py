"""Rows of small numbers with a scale for each group of neighbours: MLX, compressed-tensors, MXFP4, NVFP4, MatMulNBits.

After mlx.core.quantize (modes affine, mxfp4, mxfp8, nvfp4), compressed_tensors/compressors (pack-quantized,
nvfp4-pack-quantized, mxfp4-pack-quantized), TensorRT-Model-Optimizer's NVFP4 and the blocks of gpt-oss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.checkpoint import Checkpoint, Wanted
from tools.formats.packing import Packing, small_numbers

if TYPE_CHECKING:
    import torch

# The 4-bit float of the Open Compute Project (two bits of exponent, one of mantissa).
_FLOATS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
# MLX without biases: bits times group -> (bits, group, how scales are stored).
_MLX_FLOATS = {128: (4, 32, "e8m0"), 64: (4, 16, "e4m3"), 256: (8, 32, "e8m0")}
_MLX_BITS, _MLX_GROUPS = frozenset({2, 3, 4, 5, 6, 8}), frozenset({32, 64, 128})
# Numbers of a group of 4-bit floats; NVFP4 has scales of 8 bits and one more for all, the others powers of two.
_MX_GROUP, _NV_GROUP = 32, 16


@dataclass(frozen=True)
class _Form:
    """How the numbers of a tensor are stored.

    `scales_as`: plain, e8m0 (a power of two less 127) or e4m3, both in a byte. `lift`: what was added to each number.
    """

    bits: int
    scales: str
    floats: bool = False
    scales_as: str = "plain"
    lift: int = 0
    biases: str | None = None
    zeros: str | None = None
    groups: str | None = None
    times: str | None = None
    over: str | None = None
    more: tuple[str, ...] = ()


class _Grouped(Packing):
    """weight[row, i] = scale[row, g(i)] * (q[row, i] - zero[row, g(i)]) + bias[row, g(i)]."""

    def __init__(self, behind: Checkpoint, name: str, shape: tuple[int, ...], form: _Form) -> None:
        super().__init__(behind)
        self.shape, self._form = shape, form
        beside = (form.scales, form.biases, form.zeros, form.groups, form.times, form.over)
        self.parts = (name, *(part for part in beside if part is not None), *form.more)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        import torch

        form, columns = self._form, self.shape[-1]
        data = self._behind.read_rows(self.parts[0], start, stop)
        flat = math.prod(self.shape[1:-1]) * (stop - start)
        whole = small_numbers(data.reshape(flat, -1), form.bits)[:, :columns]
        if form.floats and form.bits == 4:
            values = torch.tensor(_FLOATS)[whole]
        elif form.floats:
            values = whole.to(torch.uint8).view(torch.float8_e4m3fn).float()
        else:
            values = whole.float() - form.lift
        scales = self._scales(start, stop).reshape(flat, -1)
        if form.groups is None:
            group = torch.arange(columns) // (columns // scales.shape[1])
        else:
            group = self._behind.read(form.groups).long()
            if int(group.min()) < 0:
                raise IndexError("a group before the first")
        if form.zeros is not None:
            packed = self._behind.read(form.zeros)
            zeros = small_numbers(packed.T, form.bits).T[start:stop].float() - form.lift
            values = values - zeros[:, group]
        values = values * scales[:, group]
        if form.biases is not None:
            values += self._behind.read_rows(form.biases, start, stop).float().reshape(flat, -1)[:, group]
        return values.reshape(stop - start, *self.shape[1:])

    def wanted(self, start: int | None, stop: int | None) -> list[Wanted]:
        """The rows of what lies in rows, and the few others whole."""
        by_row = {self.parts[0], self._form.scales, self._form.biases}
        whole = [part for part in self.parts if part not in by_row and part not in self._form.more]
        return [(part, start, stop) for part in self.parts if part in by_row] + [(part, None, None) for part in whole]

    def _scales(self, start: int, stop: int) -> torch.Tensor:
        import torch

        scales = self._behind.read_rows(self._form.scales, start, stop)
        if self._form.scales_as == "e8m0":
            return torch.exp2(scales.float() - 127)
        scales = (scales.view(torch.float8_e4m3fn) if self._form.scales_as == "e4m3" else scales).float()
        if self._form.times is not None:
            scales = scales * self._behind.read(self._form.times).float().reshape(())
        if self._form.over is not None:
            scales = scales / self._behind.read(self._form.over).float().reshape(())
        return scales


def mlx(behind: Checkpoint, name: str) -> Packing | None:
    """A layer quantised by MLX: `scales` and mostly `biases` beside words; bits and group as the configuration says."""
    layer = name.removesuffix("weight")
    shape, scales = behind.shapes[name], behind.shapes.get(f"{layer}scales")
    if scales is None or len(shape) not in (2, 3) or scales[:-1] != shape[:-1] or not scales[-1]:
        return None
    # Numbers a row times bits, over groups a row.
    both, odd = divmod(32 * shape[-1], scales[-1])
    biases = f"{layer}biases" if behind.shapes.get(f"{layer}biases") == scales else None
    if odd:
        return None
    if biases is None:
        if both not in _MLX_FLOATS or behind.dtypes[f"{layer}scales"] != "uint8":
            return None
        bits, group, scales_as = _MLX_FLOATS[both]
        form = _Form(bits, f"{layer}scales", floats=True, scales_as=scales_as)
    else:
        bits, group = _said_by_mlx(behind, layer.rstrip("."))
        if bits not in _MLX_BITS or group not in _MLX_GROUPS or bits * group != both:
            return None
        form = _Form(bits, f"{layer}scales", biases=biases)
    return _Grouped(behind, name, (*shape[:-1], scales[-1] * group), form)


def _said_by_mlx(behind: Checkpoint, layer: str) -> tuple[int, int]:
    """Bits and group of a layer, (0, 0) where nothing is said: shapes only tell their product."""
    said = behind.config.get("quantization", behind.config.get("quantization_config"))
    if not isinstance(said, Mapping):
        return 0, 0
    own = said.get(layer)
    bits, group = ((own if isinstance(own, Mapping) else said).get(key) for key in ("bits", "group_size"))
    return (bits, group) if type(bits) is int and type(group) is int else (0, 0)


def compressed(behind: Checkpoint, name: str) -> Packing | None:
    """A layer packed by compressed-tensors: `weight_packed` with scales, of whole numbers or 4-bit floats."""
    layer, shape = name.removesuffix("_packed"), behind.shapes[name]
    scales = behind.shapes.get(f"{layer}_scale")
    if len(shape) != 2 or scales is None or len(scales) != 2 or scales[0] != shape[0] or not scales[1]:
        return None
    if behind.dtypes[name] == "uint8":
        return _four_bit_floats(behind, name, f"{layer}_scale", (shape[0], 2 * shape[1]), f"{layer}_global_scale", None)
    told = f"{layer}_shape"
    if behind.dtypes[name] != "int32" or behind.shapes.get(told) != (2,) or behind.dtypes[told] != "int64":
        return None
    outputs, inputs = (int(side) for side in behind.read(told).tolist())
    bits = 32 * shape[1] // max(1, inputs)
    if outputs != shape[0] or not 1 <= bits <= 8 or -(-inputs * bits // 32) != shape[1]:
        return None
    zeros = f"{layer}_zero_point" if f"{layer}_zero_point" in behind.shapes else None
    groups = f"{layer}_g_idx" if f"{layer}_g_idx" in behind.shapes else None
    if zeros and behind.shapes[zeros] != (-(-outputs * bits // 32), scales[1]):
        return None
    if (behind.shapes[groups] != (inputs,)) if groups else inputs % scales[1]:
        return None
    lift = 1 << (bits - 1)
    form = _Form(bits, f"{layer}_scale", lift=lift, zeros=zeros, groups=groups, more=(told,))
    return _Grouped(behind, name, (outputs, inputs), form)


def nvidia(behind: Checkpoint, name: str) -> Packing | None:
    """A layer of 4-bit floats as TensorRT-Model-Optimizer leaves it: bytes, `weight_scale` and `weight_scale_2`."""
    shape, scale, outer = behind.shapes[name], f"{name}_scale", f"{name}_scale_2"
    if len(shape) != 2 or behind.dtypes[name] != "uint8" or outer not in behind.shapes:
        return None
    return _four_bit_floats(behind, name, scale, (shape[0], 2 * shape[1]), None, outer)


def blocks(behind: Checkpoint, name: str) -> Packing | None:
    """Experts of gpt-oss, (experts, outputs, groups, bytes of a group) with a power of two for each group."""
    shape, scales = behind.shapes[name], f"{name.removesuffix('_blocks')}_scales"
    if len(shape) != 4 or behind.shapes.get(scales) != shape[:3] or 2 * shape[3] != _MX_GROUP:
        return None
    return _four_bit_floats(behind, name, scales, (*shape[:2], shape[2] * _MX_GROUP), None, None)


def nibbles(behind: Checkpoint, name: str) -> Packing | None:
    """A layer of ONNX Runtime's MatMulNBits in 4 bit: (outputs, groups, bytes of a group), the zero at 8."""
    root, shape = name.removesuffix("_Q4"), behind.shapes[name]
    scales = behind.shapes.get(f"{root}_scales")
    if len(shape) != 3 or scales != shape[:2] or behind.dtypes[name] != "uint8" or not math.prod(shape):
        return None
    if f"{root}_zero_points" in behind.shapes:
        return None
    form = _Form(4, f"{root}_scales", lift=8)
    return _Grouped(behind, name, (shape[0], 2 * shape[1] * shape[2]), form)


def _four_bit_floats(
    behind: Checkpoint, name: str, scale: str, shape: tuple[int, ...], over: str | None, times: str | None
) -> Packing | None:
    """4-bit floats: groups of 16 with 8-bit floats as scales and one scale for all, or of 32 with powers of two."""
    found, kind = behind.shapes.get(scale), behind.dtypes.get(scale)
    if found is None or found[:-1] != shape[:-1] or behind.dtypes[name] != "uint8":
        return None
    if kind == "uint8" and found[-1] * _MX_GROUP == shape[-1]:
        return _Grouped(behind, name, shape, _Form(4, scale, floats=True, scales_as="e8m0"))
    outer = over or times
    if kind != "float8_e4m3fn" or found[-1] * _NV_GROUP != shape[-1] or outer is None:
        return None
    if math.prod(behind.shapes.get(outer, ())) != 1 or outer not in behind.shapes:
        return None
    return _Grouped(behind, name, shape, _Form(4, scale, floats=True, over=over, times=times))
