"""Packed weights: packers written here from the published layouts, decoded by the tool, compared with their source."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tools.audit import compare, describe
from tools.errors import UserError
from tools.sources import open_checkpoint

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"
Parts = dict[str, torch.Tensor]
NF4 = [-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803, 0.1609302,
       0.2461123, 0.33791524, 0.44070983, 0.5626170, 0.72295684, 1.0]  # fmt: skip
FP4 = [0.0, 0.0052083, 0.6666667, 1.0, 0.3333333, 0.5, 0.1666667, 0.25,
       0.0, -0.0052083, -0.6666667, -1.0, -0.3333333, -0.5, -0.1666667, -0.25]  # fmt: skip


def signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


def packed_bits(rows: list[list[int]], bits: int) -> list[list[int]]:
    """Each row as one long number, lowest first, cut into words of 32 bits."""
    found = []
    for row in rows:
        whole = sum(value << (bits * place) for place, value in enumerate(row))
        found.append([signed((whole >> (32 * word)) & 0xFFFFFFFF) for word in range(len(row) * bits // 32)])
    return found


def grid(weight: torch.Tensor, bits: int, groups: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Whole numbers (out, in), zeros and scales (groups, out) of a quantisation with one range for each group."""
    count = int(groups.max()) + 1
    scales, zeros = torch.zeros(count, len(weight)), torch.zeros(count, len(weight), dtype=torch.int64)
    whole = torch.zeros_like(weight, dtype=torch.int64)
    for group in range(count):
        part = weight[:, groups == group].float()
        low, high = part.min(1).values.clamp(max=0), part.max(1).values.clamp(min=0)
        scale = ((high - low) / (2**bits - 1)).half().float()
        zero = (-low / scale).round().clamp(1, 2**bits - 1)
        scales[group], zeros[group] = scale, zero.long()
        whole[:, groups == group] = (part / scale[:, None] + zero[:, None]).round().clamp(0, 2**bits - 1).long()
    return whole, zeros, scales


def gptq(name: str, weight: torch.Tensor, bits: int = 4, group: int = 32, by_activity: bool = False) -> Parts:
    groups = torch.arange(weight.shape[1]) // group
    if by_activity:
        groups = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(0))]
    whole, zeros, scales = grid(weight, bits, groups)
    layer = name.removesuffix(".weight")
    return {
        f"{layer}.qweight": torch.tensor(packed_bits(whole.tolist(), bits), dtype=torch.int32).T.contiguous(),
        f"{layer}.qzeros": torch.tensor(packed_bits((zeros - 1).tolist(), bits), dtype=torch.int32),
        f"{layer}.scales": scales.half(),
        f"{layer}.g_idx": groups.int(),
    }


def awq(name: str, weight: torch.Tensor, group: int = 32) -> Parts:
    whole, zeros, scales = grid(weight, 4, torch.arange(weight.shape[1]) // group)
    layer = name.removesuffix(".weight")

    def words(rows: torch.Tensor) -> torch.Tensor:
        # In each word the columns stand in the order 0, 2, 4, 6, 1, 3, 5, 7.
        mixed = rows.reshape(len(rows), -1, 8)[..., [0, 2, 4, 6, 1, 3, 5, 7]].reshape(len(rows), -1)
        return torch.tensor(packed_bits(mixed.tolist(), 4), dtype=torch.int32)

    return {f"{layer}.qweight": words(whole.T), f"{layer}.qzeros": words(zeros), f"{layer}.scales": scales.half()}


def int8(name: str, weight: torch.Tensor) -> Parts:
    largest = weight.float().abs().amax(1)
    whole = (weight.float() * 127 / largest[:, None]).round().to(torch.int8)
    layer = name.removesuffix("weight")
    return {name: whole, f"{layer}SCB": largest, f"{layer}weight_format": torch.tensor(0, dtype=torch.uint8)}


def four_bit(name: str, weight: torch.Tensor, kind: str = "nf4", nested: bool = True) -> Parts:
    table = torch.tensor(NF4 if kind == "nf4" else FP4)
    blocks = weight.float().reshape(-1, 64)
    largest = blocks.abs().amax(1)
    state = {"quant_type": kind, "blocksize": 64, "dtype": "float16", "shape": list(weight.shape)}
    parts: Parts = {f"{name}.quant_map": table}
    if nested:
        offset = float(largest.mean())
        around = largest - offset
        outer = torch.stack([part.abs().max() for part in around.split(256)])
        codes = torch.linspace(-1, 1, 256)
        relative = around / outer.repeat_interleave(256)[: len(around)]
        chosen = (relative[:, None] - codes).abs().argmin(1)
        parts |= {f"{name}.nested_absmax": outer, f"{name}.nested_quant_map": codes}
        parts[f"{name}.absmax"] = chosen.to(torch.uint8)
        state |= {"nested_blocksize": 256, "nested_offset": offset, "nested_dtype": "float32"}
        largest = codes[chosen] * outer.repeat_interleave(256)[: len(around)] + offset
    else:
        parts[f"{name}.absmax"] = largest
    places = (blocks[..., None] / largest[:, None, None] - table).abs().argmin(-1).flatten()
    parts[name] = (places[::2] << 4 | places[1::2]).to(torch.uint8).reshape(-1, 1)
    text = json.dumps(state).encode()
    parts[f"{name}.quant_state.bitsandbytes__{kind}"] = torch.tensor(list(text), dtype=torch.uint8)
    return parts


def block_fp8(name: str, weight: torch.Tensor) -> Parts:
    high, wide = (math.ceil(side / 128) for side in weight.shape)
    scales = torch.zeros(high, wide)
    values = weight.float().clone()
    for i in range(high):
        for j in range(wide):
            place = (slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128))
            scales[i, j] = values[place].abs().max() / 448
            values[place] /= scales[i, j]
    return {name: values.to(torch.float8_e4m3fn), f"{name}_scale_inv": scales}


def row_fp8(name: str, weight: torch.Tensor) -> Parts:
    scale = weight.float().abs().amax(1, keepdim=True) / 448
    return {name: (weight.float() / scale).to(torch.float8_e4m3fn), f"{name}_scale": scale}


def words(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Rows of whole numbers, lowest bits first, in words of 32 bits: MLX and compressed-tensors store them alike."""
    return torch.tensor(packed_bits(numbers.tolist(), bits), dtype=torch.int32)


def mlx(name: str, weight: torch.Tensor, bits: int = 4, group: int = 32) -> Parts:
    """mlx.core.quantize of mlx 0.32.4, mode affine: q * scale + bias; the step may be negative there."""
    groups = weight.float().reshape(len(weight), -1, group)
    low, high = groups.amin(-1), groups.amax(-1)
    scales = (high - low) / (2**bits - 1)
    whole = ((groups - low[..., None]) / scales[..., None]).round().clamp(0, 2**bits - 1).long().flatten(1)
    layer = name.removesuffix("weight")
    return {name: words(whole, bits).view(torch.uint32), f"{layer}scales": scales, f"{layer}biases": low}


def power_of_two(groups: torch.Tensor) -> torch.Tensor:
    """Exponents, as bytes, with which the largest number of each group is at most 6 in size."""
    return ((groups.abs().amax(-1) / 6).log2().ceil() + 127).to(torch.uint8)


def nibbles(groups: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Two 4-bit floats in each byte, the first one low, (rows, columns / 2)."""
    table = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    wanted = (groups / scales[..., None]).flatten(1)
    codes = (wanted.abs()[..., None] - table).abs().argmin(-1) + 8 * (wanted < 0)
    return (codes[:, ::2] | codes[:, 1::2] << 4).to(torch.uint8)


def mxfp4(name: str, weight: torch.Tensor) -> Parts:
    """mxfp4-pack-quantized of compressed-tensors 0.20.0."""
    groups = weight.float().reshape(len(weight), -1, 32)
    exponents = power_of_two(groups)
    return {f"{name}_packed": nibbles(groups, torch.exp2(exponents.float() - 127)), f"{name}_scale": exponents}


def mlx_mxfp4(name: str, weight: torch.Tensor) -> Parts:
    """mlx.core.quantize of mlx 0.32.4, mode mxfp4: the same bytes seen as words."""
    parts = mxfp4(name, weight)
    words_of_bytes = parts[f"{name}_packed"].view(torch.uint32)
    return {name: words_of_bytes, f"{name.removesuffix('weight')}scales": parts[f"{name}_scale"]}


def expert_blocks(name: str, weight: torch.Tensor) -> Parts:
    """The experts of gpt-oss: here one expert that is the whole matrix cut in two."""
    parts, halves = mxfp4(name, weight), (2, len(weight) // 2, -1)
    blocks = parts[f"{name}_packed"].reshape(*halves, 16)
    return {f"{name}_blocks": blocks, f"{name}_scales": parts[f"{name}_scale"].reshape(halves)}


def nvfp4(name: str, weight: torch.Tensor, divided: bool = True) -> Parts:
    """nvfp4-pack-quantized of compressed-tensors 0.20.0, or Model Optimizer's NVFP4, whose outer scale multiplies."""
    groups = weight.float().reshape(len(weight), -1, 16)
    outer = 448 * 6 / weight.float().abs().max()
    scales = (groups.abs().amax(-1) / 6 * outer).to(torch.float8_e4m3fn)
    data = nibbles(groups, scales.float() / outer)
    if divided:
        return {f"{name}_packed": data, f"{name}_scale": scales, f"{name}_global_scale": outer.reshape(1)}
    return {name: data, f"{name}_scale": scales, f"{name}_scale_2": 1 / outer}


def compressed(name: str, weight: torch.Tensor, bits: int = 4, zeros: bool = False, by_activity: bool = False) -> Parts:
    """pack-quantized of compressed-tensors 0.20.0, groups of 32."""
    groups = torch.arange(weight.shape[1]) // 32
    if by_activity:
        groups = groups[torch.randperm(len(groups), generator=torch.Generator().manual_seed(0))]
    whole, zero, scales = grid(weight, bits, groups)
    if not zeros:
        scales = torch.stack([weight[:, groups == g].abs().amax(1) for g in range(len(scales))]) / (2 ** (bits - 1) - 1)
        whole = (weight / scales.T[:, groups]).round().long() + 2 ** (bits - 1)
    parts: Parts = {f"{name}_packed": words(whole, bits), f"{name}_scale": scales.T.contiguous()}
    parts[f"{name}_shape"] = torch.tensor(weight.shape)
    if zeros:
        parts[f"{name}_zero_point"] = words(zero, bits).T.contiguous()
    if by_activity:
        parts[f"{name}_g_idx"] = groups.int()
    return parts


def by_row(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = weight.float().abs().amax(1, keepdim=True) / 127
    return (weight.float() / scale).round().to(torch.int8), scale


def torchao(name: str, weight: torch.Tensor) -> Parts:
    """Int8WeightOnlyConfig of torchao 0.18.0 as Transformers 5.23 saves it."""
    (whole, scale), layer = by_row(weight), name.removesuffix("weight")
    parts = {f"{layer}_weight_qdata": whole, f"{layer}_weight_scale": scale}
    return parts | {f"{layer}_weight_zero_point": torch.zeros(len(weight), 1, dtype=torch.int8)}


def quanto(name: str, weight: torch.Tensor) -> Parts:
    """qint8 of optimum-quanto 0.2.7."""
    whole, scale = by_row(weight)
    return {f"{name}._data": whole, f"{name}._scale": scale}


# For the other packings these are words of some method that is not known.
MLX_SAYS = {"quantization": {"bits": 4, "group_size": 32}, "quantization_config": {"quant_method": "any"}}
PACKERS: dict[str, tuple[Callable[[str, torch.Tensor], Parts], float]] = {
    "gptq": (gptq, 0.15),
    "gptq by activity": (lambda name, weight: gptq(name, weight, by_activity=True), 0.15),
    "gptq 2 bit": (lambda name, weight: gptq(name, weight, bits=2), 0.7),
    "gptq 3 bit": (lambda name, weight: gptq(name, weight, bits=3), 0.3),
    "gptq 8 bit": (lambda name, weight: gptq(name, weight, bits=8), 0.01),
    "awq": (awq, 0.15),
    "int8": (int8, 0.02),
    "nf4": (four_bit, 0.15),
    "nf4 plain": (lambda name, weight: four_bit(name, weight, nested=False), 0.15),
    "fp4": (lambda name, weight: four_bit(name, weight, "fp4"), 0.2),
    "fp8 by block": (block_fp8, 0.04),
    "fp8 by row": (row_fp8, 0.04),
    "int8 of torchao": (torchao, 0.02),
    "int8 of quanto": (quanto, 0.02),
    "mlx": (mlx, 0.15),
    "mlx mxfp4": (mlx_mxfp4, 0.15),
    "compressed 4 bit": (compressed, 0.15),
    "compressed 8 bit": (lambda name, weight: compressed(name, weight, 8), 0.01),
    "compressed 3 bit": (lambda name, weight: compressed(name, weight, 3), 0.35),
    "compressed with zeros": (lambda name, weight: compressed(name, weight, zeros=True), 0.15),
    "compressed by activity": (lambda name, weight: compressed(name, weight, zeros=True, by_activity=True), 0.15),
    "mxfp4": (mxfp4, 0.15),
    "nvfp4": (nvfp4, 0.15),
    "nvfp4 of Model Optimizer": (lambda name, weight: nvfp4(name, weight, divided=False), 0.15),
}


def packed_exhibit(folder: Path, packer: Callable[[str, torch.Tensor], Parts]) -> Path:
    tensors: Parts = {}
    for name, tensor in load_file(EXHIBITS / "original" / "model.safetensors").items():
        tensors |= packer(name, tensor) if "proj" in name else {name: tensor}
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((EXHIBITS / "original" / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | MLX_SAYS))
    return folder


@pytest.mark.parametrize("name", list(PACKERS))
def test_layers_come_back_under_their_name(tmp_path: Path, name: str) -> None:
    packer, error = PACKERS[name]
    weight = torch.randn(256, 160 if "fp8" in name else 128, generator=torch.Generator().manual_seed(1)) * 0.05
    save_file(packer("layer.weight", weight), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(MLX_SAYS))
    model = open_checkpoint(str(tmp_path))
    assert model.shapes == {"layer.weight": tuple(weight.shape)}
    assert (model.dtypes["layer.weight"], model.undecoded) == ("float32", {})
    one_by_one = name.startswith(("int8", "fp8"))
    assert model.stored_as["layer.weight"].startswith("packed ") != one_by_one, model.stored_as
    assert "float32" not in model.stored_as["layer.weight"]
    whole = model.read("layer.weight")
    assert float((whole - weight).norm() / weight.norm()) < error
    for start, stop in ((0, 1), (127, 131), (13, 90), (5, 5), (250, 999), (-3, 256)):
        assert torch.equal(model.read_rows("layer.weight", start, stop), whole[start:stop])
    model.expect([("layer.weight", 3, 5), ("layer.weight", None, None)])


def test_values_by_hand() -> None:
    # Written out value by value, after the sources named in the module.
    one = torch.linspace(-1, 1, 64 * 8).reshape(8, 64)
    parts = gptq("l.weight", one, bits=4, group=32)
    q, z, s = parts["l.qweight"], parts["l.qzeros"], parts["l.scales"].float()
    by_hand = torch.tensor(
        [
            [
                float(s[i // 32, o])
                * ((int(q[i // 8, o]) >> 4 * (i % 8) & 15) - ((int(z[i // 32, o // 8]) >> 4 * (o % 8) & 15) + 1))
                for i in range(64)
            ]
            for o in range(8)
        ]
    )
    assert float((by_hand - one).abs().max()) < 0.08


# gptqmodel 5.8.0, utils/model.py, convert_gptq_v2_to_v1_format_module: taken from the words of zeros as a whole.
TAKEN = {
    2: [0b01010101010101010101010101010101],
    3: [0b00100100100100100100100100100100, 0b10010010010010010010010010010010, 0b01001001001001001001001001001001],
    4: [0b00010001000100010001000100010001],
    8: [0b00000001000000010000000100000001],
}


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_zeros_as_gptqmodel_writes_them(tmp_path: Path, bits: int, newer: bool) -> None:
    layer = gptq("l.weight", torch.randn(64, 64), bits)
    # A zero of none borrows from the next one where one is taken from it.
    zeros = torch.arange(2 * 64).reshape(2, 64) % 2**bits
    words = packed_bits(zeros.tolist(), bits)
    taken = TAKEN[bits]
    first = [[signed((word - taken[i % len(taken)]) & 0xFFFFFFFF) for i, word in enumerate(row)] for row in words]
    layer["l.qzeros"] = torch.tensor(words if newer else first, dtype=torch.int32)
    said = {"checkpoint_format": "gptq_v2" if newer else "gptq", "meta": {"quantizer": ["gptqmodel:5.8.0"]}}
    save_file(layer, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": said}))
    scales = layer["l.scales"].float()
    whole = open_checkpoint(str(tmp_path)).read("l.weight") / scales[layer["l.g_idx"].long()].T
    unpacked = (whole + zeros[layer["l.g_idx"].long()].T).round().long()
    assert torch.equal(torch.tensor(packed_bits(unpacked.tolist(), bits)).int(), layer["l.qweight"].T)


@pytest.mark.parametrize("name", ["gptq", "awq", "int8", "nf4", "fp8 by block", "mlx", "compressed 4 bit", "nvfp4"])
def test_a_packed_copy_is_one_and_a_stranger_is_not(tmp_path: Path, name: str) -> None:
    packed = str(packed_exhibit(tmp_path / "packed", PACKERS[name][0]))
    result = compare(packed, str(EXHIBITS / "original"))
    assert result["answer"] == "disguised_copy", [change["kind"] for change in result["changes"]]
    assert "quantised" in {change["kind"] for change in result["changes"]}
    assert compare(packed, str(EXHIBITS / "stranger"))["answer"] == "independent"


def test_an_unknown_packing_is_a_limit_and_the_rest_is_used(tmp_path: Path) -> None:
    def foreign(name: str, weight: torch.Tensor) -> Parts:
        if "mlp" in name:
            return {name: weight}
        random = torch.Generator().manual_seed(0)
        return {f"{name}_packed": torch.randint(-9, 9, (len(weight), 16), dtype=torch.int32, generator=random)}

    packed = packed_exhibit(tmp_path / "packed", foreign)
    with open_checkpoint(str(packed)) as model:
        assert set(model.undecoded.values()) == {"packed int32"}
        with pytest.raises(UserError) as caught:
            model.read(next(iter(model.undecoded)))
        assert caught.value.kind == "unknown_tensor_type"
        count = len(model.undecoded)
    result = compare(str(packed), str(EXHIBITS / "original"))
    assert result["answer"] in ("disguised_copy", "identical", "derived")
    for limits in (result["limits"], describe(str(packed))["limits"]):
        assert sum(f"cannot be decoded here, of which nothing is said: {count}." in text for text in limits) == 1


def assert_left_out(folder: Path, parts: Parts) -> None:
    """The packed tensor is not among the model's, what lies beside it is."""
    save_file(parts | {"norm.weight": torch.ones(4)}, folder / "model.safetensors")
    model = open_checkpoint(str(folder))
    assert "l.weight" not in model.shapes
    assert torch.equal(model.read("norm.weight"), torch.ones(4))


def assert_groups_refused(folder: Path, parts: Parts, groups: str) -> None:
    for wrong in (-1, 4, 1 << 30):
        parts[groups] = torch.full((128,), wrong, dtype=torch.int32)
        save_file(parts, folder / "model.safetensors")
        with pytest.raises(UserError):
            open_checkpoint(str(folder)).read("l.weight")


@pytest.mark.parametrize(
    "change",
    [
        {"l.qzeros": torch.zeros(1, 1, dtype=torch.int32)},
        {"l.qzeros": torch.zeros(4, 16, dtype=torch.float32)},
        {"l.scales": torch.zeros(3, 128)},
        {"l.scales": torch.zeros(0, 128)},
        {"l.g_idx": torch.zeros(5, dtype=torch.int32)},
        {"l.qweight": torch.zeros(7, 3, dtype=torch.int32)},
        {"l.qweight": torch.zeros(7, dtype=torch.int32)},
    ],
)
def test_parts_that_do_not_fit_are_undecoded(tmp_path: Path, change: Parts) -> None:
    assert_left_out(tmp_path, gptq("l.weight", torch.randn(128, 128)) | change)


def test_groups_that_lead_nowhere(tmp_path: Path) -> None:
    assert_groups_refused(tmp_path, gptq("l.weight", torch.randn(128, 128)), "l.g_idx")


def test_experts_in_blocks_come_back_whole(tmp_path: Path) -> None:
    weight = torch.randn(64, 96, generator=torch.Generator().manual_seed(1))
    save_file(expert_blocks("mlp.experts.up", weight), tmp_path / "model.safetensors")
    model = open_checkpoint(str(tmp_path))
    assert (model.shapes, model.undecoded) == ({"mlp.experts.up": (2, 32, 96)}, {})
    whole = model.read("mlp.experts.up")
    assert float((whole.reshape(64, 96) - weight).norm() / weight.norm()) < 0.15
    assert torch.equal(model.read_rows("mlp.experts.up", 1, 2), whole[1:])


@pytest.mark.parametrize(
    "says",
    [{}, {"bits": 4}, {"bits": 8, "group_size": 32}, {"bits": 4.0, "group_size": 32}, {"bits": 32, "group_size": 4},
     {"bits": 4, "group_size": 32, "l": {"bits": 3, "group_size": 32}}, {"bits": -4, "group_size": -32}, [], "x"],
)  # fmt: skip
def test_words_of_mlx_are_undecoded_where_the_configuration_does_not_fit(tmp_path: Path, says: object) -> None:
    save_file(mlx("l.weight", torch.randn(64, 128)), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization": says}))
    assert open_checkpoint(str(tmp_path)).undecoded == {"l.weight": "packed uint32"}


def test_bits_of_one_layer_of_mlx(tmp_path: Path) -> None:
    weight = torch.randn(64, 128)
    save_file(mlx("a.weight", weight, 8) | mlx("b.weight", weight), tmp_path / "model.safetensors")
    says = {"bits": 4, "group_size": 32, "a": {"bits": 8, "group_size": 32}, "b": True}
    (tmp_path / "config.json").write_text(json.dumps({"quantization": says}))
    model = open_checkpoint(str(tmp_path))
    errors = [float((model.read(name) - weight).norm() / weight.norm()) for name in ("a.weight", "b.weight")]
    assert errors[0] < 0.01 < 0.05 < errors[1] < 0.15


@pytest.mark.parametrize(
    "change",
    [
        {"l.weight_shape": torch.tensor([64, 1 << 40])}, {"l.weight_shape": torch.tensor([64, -128])},
        {"l.weight_shape": torch.tensor([128, 64])}, {"l.weight_shape": torch.tensor([64.0, 128.0])},
        {"l.weight_shape": torch.tensor([64])}, {"l.weight_scale": torch.ones(64, 3)},
        {"l.weight_scale": torch.ones(64, 0)}, {"l.weight_scale": torch.ones(64)},
        {"l.weight_g_idx": torch.zeros(5, dtype=torch.int32)}, {"l.weight_zero_point": torch.ones(64, 4)},
        {"l.weight_packed": torch.zeros(64, 4, 4, dtype=torch.int32)}, {"l.weight_packed": torch.zeros(64, 16)},
    ],
)  # fmt: skip
def test_compressed_parts_that_do_not_fit_are_undecoded(tmp_path: Path, change: Parts) -> None:
    assert_left_out(tmp_path, compressed("l.weight", torch.randn(64, 128)) | change)


def test_compressed_groups_that_lead_nowhere(tmp_path: Path) -> None:
    parts = compressed("l.weight", torch.randn(64, 128), by_activity=True)
    assert_groups_refused(tmp_path, parts, "l.weight_g_idx")


@pytest.mark.parametrize(
    "state",
    [
        b"", b"[]", b"{", b'{"shape": [128, 128]}', b'{"shape": [9, 9], "blocksize": 64}',
        b'{"shape": [128, 128], "blocksize": 0}', b'{"shape": [128, 128], "blocksize": -64}',
        b'{"shape": ["a"], "blocksize": 64}', b'{"shape": 5, "blocksize": 64}',
        b'{"shape": [-128, -128], "blocksize": 64}',
        b'{"shape": [128, 128], "blocksize": 64, "nested_blocksize": 0}',
        b'{"shape": [128, 128], "blocksize": 64, "nested_offset": "x"}',
        b'{"shape": [128, 128], "blocksize": 64, "nested_offset": [1]}', b"{" * 5000, b" " * 20_000,
    ],
)  # fmt: skip
def test_hostile_states_are_undecoded(tmp_path: Path, state: bytes) -> None:
    parts = four_bit("l.weight", torch.randn(128, 128))
    parts["l.weight.quant_state.bitsandbytes__nf4"] = torch.tensor(list(state), dtype=torch.uint8)
    save_file(parts, tmp_path / "model.safetensors")
    model = open_checkpoint(str(tmp_path))
    with pytest.raises(UserError) as caught:
        model.read("l.weight")
    assert caught.value.kind == "unknown_tensor_type"


def test_8_bit_numbers_without_a_scale_stay_as_they_are(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.ones(4, 4).to(torch.float8_e4m3fn), "b.weight": torch.ones(4, 4, dtype=torch.int8)}
    save_file(tensors, tmp_path / "model.safetensors")
    model = open_checkpoint(str(tmp_path))
    assert model.dtypes == {"a.weight": "float8_e4m3fn", "b.weight": "int8"}
