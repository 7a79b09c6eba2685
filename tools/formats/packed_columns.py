"""GPTQ and AWQ: the matrix lies transposed, several whole numbers in one word, a scale for each group of rows.

After AutoGPTQ (nn_modules/qlinear) and AutoAWQ (utils/packing_utils).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tools.checkpoint import Checkpoint
from tools.errors import UserError
from tools.formats.packing import Packing, small_numbers

if TYPE_CHECKING:
    import torch

# Where AWQ keeps the eight columns of one word.
_AWQ_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
# Bits -> what the first format of GPTQ takes from each word of zeros, one from every number.
_ONES = {2: (0x55555555,), 4: (0x11111111,), 8: (0x01010101,)}
# GPTQModel with 3 bits, over three words: the first and the last in each other's place, taken off and put back so.
_ONES_OF_GPTQMODEL = (0x24924924, 0x92492492, 0x49249249)


def columns(behind: Checkpoint, layer: str) -> Packing | None:
    """How a layer is packed by GPTQ or AWQ; None where its parts do not fit each other."""
    parts = [f"{layer}.{part}" for part in ("qweight", "qzeros", "scales")]
    shapes = [behind.shapes.get(part, ()) for part in parts]
    if [behind.dtypes.get(part) for part in parts[:2]] != ["int32", "int32"] or any(len(s) != 2 for s in shapes):
        return None
    (high, wide), (groups, zeros), (groups_too, outputs) = shapes
    if groups != groups_too or not groups or not outputs:
        return None
    bits, awq = zeros * 32 // outputs, wide * 8 == outputs
    inputs = high if awq else high * 32 // max(1, bits)
    fits = bits in (2, 3, 4, 8) and zeros * 32 == outputs * bits and (bits == 4 if awq else wide == outputs)
    whole = inputs % groups == 0 and (awq or high * 32 == inputs * bits)
    by_group = behind.shapes.get(f"{layer}.g_idx", (inputs,)) == (inputs,)
    return _Columns(behind, layer, bits, awq, (outputs, inputs)) if fits and (whole or not awq) and by_group else None


class _Columns(Packing):
    """A layer of either.

    weight[out, in] = scale[g(in), out] * (q[in, out] - zero[g(in), out])
    """

    def __init__(self, behind: Checkpoint, layer: str, bits: int, awq: bool, shape: tuple[int, int]) -> None:
        super().__init__(behind)
        self.shape = shape
        self._layer, self._bits, self._awq = layer, bits, awq
        self._groups = f"{layer}.g_idx" if f"{layer}.g_idx" in behind.shapes and not awq else None
        settings = behind.config.get("quantization_config")
        settings = settings if isinstance(settings, dict) else {}
        newer = settings.get("checkpoint_format", settings.get("format")) == "gptq_v2"
        self._taken: tuple[int, ...] = () if awq or newer else _ONES.get(bits, ())
        if bits == 3 and not newer and "gptqmodel" in str(settings.get("meta")).lower():
            self._taken = _ONES_OF_GPTQMODEL
        # Other packers take the one from each number alone.
        self._zero = 0 if awq or newer or self._taken else 1
        self.parts = tuple(f"{layer}.{part}" for part in ("qweight", "qzeros", "scales"))
        self.parts += (self._groups,) if self._groups else ()

    def rows(self, start: int, stop: int) -> torch.Tensor:
        import torch

        qweight, qzeros, scales = (self._behind.read(part) for part in self.parts[:3])
        if self._awq:
            first, last = start // 8, -(-stop // 8)
            whole = _awq_numbers(qweight[:, first:last])[:, start - 8 * first : stop - 8 * first]
        else:
            whole = small_numbers(qweight[:, start:stop].T, self._bits).T
        if self._taken:
            # The words as a whole, since what was taken from a zero of none was borrowed from the next.
            taken = torch.tensor(self._taken).repeat(qzeros.shape[1] // len(self._taken))
            qzeros = (qzeros.long() + taken).bitwise_and(0xFFFFFFFF).to(torch.uint32).view(torch.int32)
        zeros = _awq_numbers(qzeros) if self._awq else small_numbers(qzeros, self._bits)
        zeros = zeros[:, start:stop] + self._zero
        inputs = torch.arange(self.shape[1])
        group = inputs // (self.shape[1] // scales.shape[0])
        if self._groups:
            group = self._behind.read(self._groups).long()
            if int(group.min()) < 0 or int(group.max()) >= scales.shape[0]:
                raise UserError("unknown_tensor_type", tensor=f"{self._layer}.weight", dtype="packed")
        values = scales[:, start:stop].float()[group] * (whole - zeros[group])
        return values.T.contiguous()


def _awq_numbers(words: torch.Tensor) -> torch.Tensor:
    return small_numbers(words, 4).reshape(len(words), -1, 8)[..., list(_AWQ_PLACES)].reshape(len(words), -1)
