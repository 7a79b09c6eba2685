"""GGUF files: the tensors that were published come back, some rows alone, and comparisons see through quantisation."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file

from tests.gguf_files import name_in_gguf, write_llama
from tools.audit import compare, describe
from tools.checkpoint import MAX_TENSORS
from tools.errors import UserError
from tools.formats import gguf as gguf_format
from tools.formats.gguf_header import MAX_ITEMS, MAX_PAIRS
from tools.sources import open_checkpoint

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits" / "llama3v"


@cache
def exhibit(name: str) -> tuple[dict[str, torch.Tensor], dict[str, object], list[str], list[str]]:
    folder = EXHIBITS / name
    bpe = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    merges = [rule if isinstance(rule, str) else " ".join(rule) for rule in bpe["merges"]]
    tensors = load_file(folder / "model.safetensors")
    return tensors, json.loads((folder / "config.json").read_text()), tokens, merges


def written(path: Path, kind: Kind) -> Path:
    tensors, config, tokens, merges = exhibit("original")
    return write_llama(path, tensors, config, kind, tokens=tokens, merges=merges)


WIDE_CONFIG = {"num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 4}


@cache
def wide(seed: int) -> dict[str, torch.Tensor]:
    """Weights whose rows are long enough for the quantisations in blocks of 256."""
    random = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (512, 256), "model.norm.weight": (256,)}
    for layer in range(2):
        own = f"model.layers.{layer}"
        shapes |= {f"{own}.mlp.{part}_proj.weight": (512, 256) for part in ("gate", "up")}
        shapes |= {f"{own}.mlp.down_proj.weight": (256, 512), f"{own}.input_layernorm.weight": (256,)}
        shapes |= {f"{own}.self_attn.{part}_proj.weight": (256, 256) for part in "qo"}
        shapes |= {f"{own}.self_attn.{part}_proj.weight": (128, 256) for part in "kv"}
    return {name: torch.randn(shape, generator=random) * 0.02 for name, shape in shapes.items()}


class TestReading:
    @pytest.mark.parametrize(
        ("kind", "error"), [(Kind.F32, 0), (Kind.F16, 0), (Kind.BF16, 4e-3), (Kind.Q8_0, 5e-3), (Kind.Q5_1, 0.04)]
    )
    def test_tensors_stand_as_they_were_published(self, tmp_path: Path, kind: Kind, error: float) -> None:
        tensors = exhibit("original")[0]
        with open_checkpoint(str(written(tmp_path / "model.gguf", kind))) as model:
            assert model.format == "gguf"
            stored = {kind.name} if kind.name.startswith("Q") else set(model.dtypes.values())
            assert stored <= set(model.stored_as.values())
            assert set(describe(model.ref.name)["dtypes"]) == set(model.stored_as.values())
            assert set(model.shapes) == {name_in_gguf(name) for name in tensors}
            for name, tensor in tensors.items():
                found = model.read(name_in_gguf(name))
                assert found.shape == tensor.shape == model.shapes[name_in_gguf(name)]
                assert float((found.float() - tensor.float()).abs().max()) <= error * float(tensor.abs().max())

    @pytest.mark.parametrize("kind", [Kind.F16, Kind.Q4_0, Kind.Q8_0])
    @pytest.mark.parametrize("name", ["blk.1.attn_q.weight", "blk.1.attn_k.weight", "token_embd.weight"])
    def test_rows_are_a_slice_and_cost_their_bytes(self, tmp_path: Path, kind: Kind, name: str) -> None:
        path = str(written(tmp_path / "model.gguf", kind))
        whole = open_checkpoint(path).read(name)
        for start, stop in ((0, 5), (30, 41), (3, 3), (-7, 1000), (60, 64)):
            model = open_checkpoint(path)
            rows = model.read_rows(name, start, stop)
            assert torch.equal(rows, whole[start:stop])
            # A head of 32 rows is read as one, since the converter mixed its rows.
            most = (len(rows) + 62) * whole.shape[1] * 2
            assert model.bytes_read <= most

    @pytest.mark.parametrize("kind", sorted(gguf_format._DECODED))
    def test_every_quantisation_decodes_rows_alone(self, tmp_path: Path, kind: int) -> None:
        values, size = gguf.GGML_QUANT_SIZES[Kind(kind)]
        random = np.random.default_rng(kind)
        # Small bytes keep the 16-bit scales among the numbers.
        data = random.integers(0, 60, (6, 2 * size), dtype=np.uint8)
        writer = gguf.GGUFWriter(str(tmp_path / "a.gguf"), "any")
        writer.add_tensor("w", data, raw_dtype=Kind(kind))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model = open_checkpoint(str(tmp_path / "a.gguf"))
        expected = torch.from_numpy(gguf.quants.dequantize(data, Kind(kind)))
        assert model.shapes["w"] == (6, 2 * values) == tuple(expected.shape)
        assert torch.equal(model.read_rows("w", 2, 4), expected[2:4])
        assert model.bytes_read == 4 * size
        assert torch.equal(model.read("w"), expected)

    def test_k_quants_by_the_formulae_of_their_source(self) -> None:
        # One block each, value by value, after ggml's dequantize_row_q4_K and dequantize_row_q6_K.
        random = np.random.default_rng(0)
        block = random.integers(0, 60, 144, dtype=np.uint8)
        d, least = block[:4].view(np.float16).astype(np.float32)
        scales, data = block[4:16], block[16:]
        expected = []
        for j in range(8):
            if j < 4:
                scale, minimum = scales[j] & 63, scales[j + 4] & 63
            else:
                scale = scales[j + 4] & 15 | scales[j - 4] >> 6 << 4
                minimum = scales[j + 4] >> 4 | scales[j] >> 6 << 4
            half = data[32 * (j // 2) : 32 * (j // 2) + 32]
            expected += list(d * scale * (half >> 4 if j % 2 else half & 15) - least * minimum)
        decoded = gguf_format._dequantised(bytearray(block.tobytes()), Kind.Q4_K, 256)
        np.testing.assert_allclose(decoded[0], expected, rtol=1e-5)

    def test_experts_lie_in_one_block_and_are_many_tensors(self, tmp_path: Path) -> None:
        experts = np.random.default_rng(0).normal(size=(3, 64, 32)).astype(np.float32)
        writer = gguf.GGUFWriter(str(tmp_path / "a.gguf"), "qwen3moe")
        writer.add_tensor("blk.0.ffn_up_exps.weight", gguf.quants.quantize(experts, Kind.Q8_0), raw_dtype=Kind.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model = open_checkpoint(str(tmp_path / "a.gguf"))
        assert list(model.shapes) == [f"blk.0.experts.{number}.ffn_up.weight" for number in range(3)]
        found = model.read("blk.0.experts.2.ffn_up.weight")
        assert float((found - torch.from_numpy(experts[2])).abs().max()) < 0.02
        assert model.bytes_read * 3 == model.declared_bytes

    def test_gains_of_gemma_are_stored_less_one(self, tmp_path: Path) -> None:
        writer = gguf.GGUFWriter(str(tmp_path / "a.gguf"), "gemma2")
        writer.add_tensor("blk.0.attn_norm.weight", np.full(8, 1.25, np.float32))
        writer.add_tensor("blk.0.attn_v.weight", np.full((8, 8), 1.25, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model = open_checkpoint(str(tmp_path / "a.gguf"))
        assert model.read("blk.0.attn_norm.weight").tolist() == [0.25] * 8
        assert model.read_rows("blk.0.attn_v.weight", 0, 1).tolist() == [[1.25] * 8]

    def test_layers_of_gpt2_are_stored_transposed(self, tmp_path: Path) -> None:
        # conversion/gpt2.py in llama-cpp-python 0.3.36: c_attn, c_proj and c_fc are transposed, tables are not.
        published = torch.randn(32, 96)
        writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "gpt2")
        for name in ("blk.0.attn_qkv.weight", "token_embd.weight"):
            writer.add_tensor(name, published.T.contiguous().numpy(), raw_dtype=Kind.F32)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model = open_checkpoint(str(tmp_path / "model.gguf"))
        assert model.shapes == {"blk.0.attn_qkv.weight": (32, 96), "token_embd.weight": (96, 32)}
        assert torch.equal(model.read("blk.0.attn_qkv.weight"), published)
        assert torch.equal(model.read_rows("blk.0.attn_qkv.weight", 3, 9), published[3:9])
        assert torch.equal(model.read_rows("token_embd.weight", 3, 9), published.T[3:9])
        model.expect([("blk.0.attn_qkv.weight", 3, 9)])

    @pytest.mark.parametrize(("family", "keys"), [("bloom", 8), ("gptneox", None), ("falcon", 2), ("falcon", 1)])
    def test_heads_published_together_stand_together(self, tmp_path: Path, family: str, keys: int | None) -> None:
        # conversion/bloom.py, gptneox.py and falcon.py in llama-cpp-python 0.3.36: all queries, all keys, all values.
        groups, size = keys or 8, 4
        published = torch.randn(groups, 8 // groups + 2, size, 32)
        queries, key, value = published[:, :-2], published[:, -2], published[:, -1]
        apart = torch.cat([part.reshape(-1, 32) for part in (queries, key, value)])
        writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), family)
        writer.add_head_count(8)
        if keys:
            writer.add_head_count_kv(keys)
        writer.add_tensor("blk.0.attn_qkv.weight", gguf.quants.quantize(apart.numpy(), Kind.Q8_0), raw_dtype=Kind.Q8_0)
        writer.add_tensor("blk.0.attn_qkv.bias", apart[:, 0].contiguous().numpy())
        writer.add_tensor("blk.0.attn_output.weight", apart.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model, wanted = open_checkpoint(str(tmp_path / "model.gguf")), published.reshape(-1, 32)
        assert torch.equal(model.read("blk.0.attn_output.weight"), apart)
        assert torch.equal(model.read("blk.0.attn_qkv.bias"), wanted[:, 0])
        whole = model.read("blk.0.attn_qkv.weight")
        assert float((whole - wanted).abs().max()) < 0.02
        model.expect([("blk.0.attn_qkv.weight", 3, 9), ("blk.0.attn_qkv.weight", None, None)])
        for start, stop in ((0, 3), (3, 9), (size, 2 * size), (5, 5), (30, 99)):
            assert torch.equal(model.read_rows("blk.0.attn_qkv.weight", start, stop), whole[start:stop])
        few = open_checkpoint(str(tmp_path / "model.gguf"))
        few.read_rows("blk.0.attn_qkv.weight", 3, 9)
        assert few.bytes_read == 6 * 34

    @pytest.mark.parametrize(("queries", "keys"), [(0, 0), (6, 4), (5, 5)])
    def test_heads_that_do_not_fit_are_left_as_they_lie(self, tmp_path: Path, queries: int, keys: int) -> None:
        writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "bloom")
        writer.add_head_count(queries)
        writer.add_head_count_kv(keys)
        writer.add_tensor("blk.0.attn_qkv.weight", np.arange(96 * 32, dtype=np.float32).reshape(96, 32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        model = open_checkpoint(str(tmp_path / "model.gguf"))
        assert model.read("blk.0.attn_qkv.weight").flatten().tolist() == list(range(96 * 32))

    def test_word_pieces_of_bert_are_named_as_published(self, tmp_path: Path) -> None:
        # conversion/bert.py in llama-cpp-python 0.3.36 marks the beginning of words instead of their continuation.
        writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "bert")
        writer.add_tokenizer_model("bert")
        writer.add_token_list(["[CLS]", "\u2581un", "able", "\u2581[x]"])
        writer.add_tensor("token_embd.weight", np.ones((4, 32), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        found = open_checkpoint(str(tmp_path / "model.gguf")).side_file("vocab.json")
        assert json.loads(found or b"") == {"[CLS]": 0, "un": 1, "##able": 2, "[x]": 3}

    def test_configuration_and_tokenizer_come_from_the_file(self, tmp_path: Path) -> None:
        path = written(tmp_path / "model.gguf", Kind.Q8_0)
        model = open_checkpoint(str(path))
        assert model.config["hidden_size"] == 128
        assert (model.config["num_key_value_heads"], model.config["rms_norm_eps"]) == (2, 1e-5)
        tokens, merges = exhibit("original")[2:]
        assert json.loads(model.side_file("vocab.json") or b"") == {token: i for i, token in enumerate(tokens)}
        assert (model.side_file("merges.txt") or b"").decode().split("\n") == merges
        (tmp_path / "config.json").write_text('{"hidden_size": 64}')
        (tmp_path / "tokenizer.json").write_text("{}")
        model = open_checkpoint(str(tmp_path))
        assert (model.config["hidden_size"], model.side_file("vocab.json")) == (64, None)
        assert model.side_file("tokenizer.json") == b"{}"

    def test_a_large_vocabulary_takes_few_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tensors, config = wide(0), WIDE_CONFIG
        tokens = [f"token number {number}" for number in range(128_000)]
        path = write_llama(tmp_path / "a.gguf", tensors, config, Kind.Q8_0, tokens=tokens, merges=tokens)
        reads: list[int] = []
        read = type(open_checkpoint(str(path)).weight_files[0]).read
        monkeypatch.setattr(
            "tools.sources.folder.LocalFile.read",
            lambda self, start, stop: reads.append(stop - start) or read(self, start, stop),
        )
        model = open_checkpoint(str(path))
        assert model.config["vocab_size"] == 128_000
        assert len(reads) <= 4

    def test_a_model_split_over_files(self, tmp_path: Path) -> None:
        tensors, config, tokens, _ = exhibit("original")
        writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "llama", split_max_tensors=20)
        writer.add_head_count(config["num_attention_heads"])
        writer.add_head_count_kv(config["num_key_value_heads"])
        writer.add_token_list(tokens)
        for name, tensor in tensors.items():
            if "q_proj" not in name and "k_proj" not in name:
                writer.add_tensor(name_in_gguf(name), tensor.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        parts = sorted(tmp_path.iterdir())
        assert len(parts) == 2
        for named in (tmp_path, parts[0], parts[1]):
            model = open_checkpoint(str(named))
            assert len(model.shapes) == 31
            assert model.config["vocab_size"] == len(tokens)
            assert torch.equal(model.read("output.weight"), tensors["lm_head.weight"])
        parts[1].unlink()
        for named in (tmp_path, parts[0]):
            with pytest.raises(UserError) as caught:
                open_checkpoint(str(named))
            assert caught.value.kind == "missing_shard"

    def test_several_quantisations_in_one_folder_are_told_apart(self, tmp_path: Path) -> None:
        for kind in (Kind.Q8_0, Kind.Q4_0):
            written(tmp_path / f"model-{kind.name}.gguf", kind)
        with pytest.raises(UserError) as caught:
            open_checkpoint(str(tmp_path))
        assert caught.value.kind == "several_models"
        (tmp_path / "model-Q4_0.gguf").rename(tmp_path / "mmproj-model.gguf")
        assert open_checkpoint(str(tmp_path)).weight_files[0].name == "model-Q8_0.gguf"

    @pytest.mark.parametrize(("kind", "block", "bits"), [(41, 128, 1), (42, 64, 2)])
    def test_one_and_two_bits_newer_than_the_package(self, tmp_path: Path, kind: int, block: int, bits: int) -> None:
        # ggml-quants.c of llama-cpp-python 0.3.36, dequantize_row_q1_0 and dequantize_row_q2_0.
        whole = np.random.default_rng(0).integers(0, 2**bits, (3, 2, block))
        levels = np.array([-1, 1] if bits == 1 else [-1, 0, 1, 2], dtype=np.float32)
        scales = np.linspace(0.5, 3, 6).reshape(3, 2, 1).astype(np.float16)
        single = (whole[..., None] >> np.arange(bits) & 1).reshape(3, 2, -1)
        data = np.concatenate([scales.view(np.uint8), np.packbits(single, axis=2, bitorder="little")], axis=2).tobytes()
        path = tmp_path / "a.gguf"
        path.write_bytes(gguf_bytes(pairs({}) + tensor("w", (2 * block, 3), kind, 0), tensors=1, data=data))
        model = open_checkpoint(str(path))
        assert (model.dtypes["w"], model.stored_as["w"], model.undecoded) == ("float32", f"Q{bits}_0", {})
        wanted = torch.from_numpy((levels[whole] * scales.astype(np.float32)).reshape(3, -1))
        assert torch.equal(model.read("w"), wanted)
        assert torch.equal(model.read_rows("w", 1, 3), wanted[1:3])

    def test_a_type_of_another_day_is_listed_and_the_rest_is_used(self, tmp_path: Path) -> None:
        header = pairs({}) + tensor("old", (32, 4), 4, 0) + tensor("new", (32, 4), 99, 32) + tensor("w", (2,), 0, 64)
        path = tmp_path / "a.gguf"
        path.write_bytes(gguf_bytes(header, tensors=3, data=bytes(72)))
        model = open_checkpoint(str(path))
        assert model.undecoded == {"old": "type 4", "new": "type 99"}
        assert model.read("w").tolist() == [0.0, 0.0]
        with pytest.raises(UserError) as caught:
            model.read("new")
        assert caught.value.kind == "unknown_tensor_type"


class TestComparing:
    @pytest.mark.parametrize(("kind", "bits"), [(Kind.Q8_0, 8.0), (Kind.Q4_0, 4.0)])
    def test_a_quantised_copy_is_one_and_a_stranger_is_not(self, tmp_path: Path, kind: Kind, bits: float) -> None:
        path = str(written(tmp_path / "model.gguf", kind))
        result = compare(path, str(EXHIBITS / "original"))
        assert result["answer"] == "disguised_copy"
        assert [change["amount"] for change in result["changes"] if change["kind"] == "quantised"] == [bits]
        assert result["findings"]["same_tokenizer"]["statistic"] == 1.0
        assert compare(path, str(EXHIBITS / "stranger"))["answer"] == "independent"

    @pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q6_K])
    def test_k_quants_are_copies_too(self, tmp_path: Path, kind: Kind) -> None:
        path = str(write_llama(tmp_path / "a.gguf", wide(0), WIDE_CONFIG, kind))
        for seed, answer in ((0, "disguised_copy"), (1, "independent")):
            save_file(wide(seed), tmp_path / "b.safetensors")
            result = compare(path, str(tmp_path / "b.safetensors"))
            assert result["answer"] == answer
            assert ("quantised" in {change["kind"] for change in result["changes"]}) == (seed == 0)

    def test_it_is_described(self, tmp_path: Path) -> None:
        found = describe(str(written(tmp_path / "model.gguf", Kind.Q8_0)))
        assert (found["format"], found["layers"], found["hidden_units"], found["vocabulary"]) == ("gguf", 4, 352, 2048)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def pairs(values: dict[str, tuple[int, bytes]]) -> bytes:
    return b"".join(text(key) + struct.pack("<I", kind) + data for key, (kind, data) in values.items())


def tensor(name: str | bytes, dims: tuple[int, ...], kind: int, offset: int) -> bytes:
    axes = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return text(name) + axes + struct.pack("<IQ", kind, offset)


def gguf_bytes(body: bytes, *, tensors: int = 0, count: int = 0, data: bytes = b"", version: int = 3) -> bytes:
    header = b"GGUF" + struct.pack("<IQQ", version, tensors, count) + body
    return header + bytes(-len(header) % 32) + data


class TestHostile:
    @pytest.mark.parametrize(
        ("content", "kind", "why"),
        [
            (b"", "truncated", None),
            (b"GGUF", "truncated", None),
            (b"GGML" + bytes(100), "bad_header", "not_gguf"),
            (gguf_bytes(b"", version=1), "bad_header", "not_gguf"),
            (gguf_bytes(b"", version=3 << 24), "bad_header", "not_gguf"),
            (b"version https://git-lfs.github.com/spec/v1\n", "pointer_file", None),
            (gguf_bytes(b"", data=bytes(32)), "no_tensors", None),
            (gguf_bytes(b"", tensors=MAX_TENSORS + 1), "too_many_tensors", None),
            (gguf_bytes(b"", tensors=1 << 63), "too_many_tensors", None),
            (gguf_bytes(b"", count=MAX_PAIRS + 1), "bad_header", "too_many_entries"),
            (gguf_bytes(b"", tensors=9, data=bytes(99)), "truncated", None),
            (gguf_bytes(struct.pack("<Q", 1 << 62) + bytes(99), count=1), "bad_header", "name_too_long"),
            (gguf_bytes(pairs({"k": (8, struct.pack("<Q", 1 << 40))}), count=1), "bad_header", "name_too_long"),
            (gguf_bytes(pairs({"k": (8, struct.pack("<Q", 999_999))}), count=1), "truncated", None),
            (gguf_bytes(pairs({"k": (77, bytes(8))}), count=1), "bad_header", "bad_entry"),
            (gguf_bytes(pairs({"k": (4, bytes(4))}) * 2, count=2), "bad_header", "duplicate_name"),
            (gguf_bytes(pairs({"k": (9, struct.pack("<IQ", 0, MAX_ITEMS + 1))}), count=1), "bad_header",
             "too_many_entries"),
            (gguf_bytes(pairs({"k": (9, struct.pack("<IQ", 0, MAX_ITEMS))}), count=1), "truncated", None),
            (gguf_bytes(pairs({"k": (9, struct.pack("<IQ", 9, 1) * 9)}), count=1), "bad_header", "nested_too_deep"),
            (gguf_bytes(pairs({"k": (9, struct.pack("<IQ", 55, 1))}), count=1), "bad_header", "bad_entry"),
            (gguf_bytes(pairs({"general.alignment": (4, bytes(4))}), count=1), "bad_header", "bad_entry"),
            (gguf_bytes(pairs({"general.alignment": (8, text("x"))}), count=1), "bad_header", "bad_entry"),
            (gguf_bytes(tensor("w", (1,) * 5, 0, 0), tensors=1), "bad_header", "absurd_shape"),
            (gguf_bytes(tensor("w", (1 << 62, 1 << 62), 0, 0), tensors=1), "bad_header", "absurd_shape"),
            (gguf_bytes(tensor("w", (0, 1 << 62), 0, 0), tensors=1), "bad_header", "absurd_shape"),
            (gguf_bytes(tensor("w", (8,), 0, 0), tensors=1, data=bytes(31)), "truncated", None),
            (gguf_bytes(tensor("w", (8,), 0, 1 << 63), tensors=1, data=bytes(32)), "truncated", None),
            (gguf_bytes(tensor("w", (33,), 8, 0), tensors=1, data=bytes(99)), "bad_header", "wrong_size"),
            (gguf_bytes(tensor(b"\xff", (8,), 0, 0), tensors=1, data=bytes(32)), "bad_header", "bad_entry"),
            (gguf_bytes(tensor("n" * 1001, (8,), 0, 0), tensors=1, data=bytes(32)), "bad_header", "name_too_long"),
            (gguf_bytes(tensor("w", (8,), 0, 0) * 2, tensors=2, data=bytes(64)), "bad_header", "duplicate_name"),
            (gguf_bytes(tensor("w", (8,), 0, 0) + tensor("v", (8,), 0, 0), tensors=2, data=bytes(64)),
             "overlapping_tensors", None),
            (gguf_bytes(pairs({"split.count": (2, b"\x03\0")}) + tensor("w", (8,), 0, 0), tensors=1, count=1,
                        data=bytes(32)), "missing_shard", None),
        ],
    )  # fmt: skip
    def test_is_refused(self, tmp_path: Path, content: bytes, kind: str, why: str | None) -> None:
        (tmp_path / "a.gguf").write_bytes(content)
        with pytest.raises(UserError) as caught:
            open_checkpoint(str(tmp_path / "a.gguf"))
        assert (caught.value.kind, caught.value.facts.get("why")) == (kind, why)
        for language in ("en", "zh"):
            assert " ".join(caught.value.say(language)).isprintable()

    def test_a_header_has_a_size_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.formats.gguf_header.HEADER_BYTES", 1000)
        content = gguf_bytes(pairs({"k": (8, text("x" * 2000))}) + tensor("w", (8,), 0, 0), tensors=1, count=1)
        (tmp_path / "a.gguf").write_bytes(content + bytes(32))
        with pytest.raises(UserError) as caught:
            open_checkpoint(str(tmp_path / "a.gguf"))
        assert caught.value.kind == "header_too_large"

    def test_odd_values_of_known_keys_are_left_out(self, tmp_path: Path) -> None:
        values = {
            "general.architecture": (8, text("llama")),
            "general.name": (8, text("\u202e<script>\x07")),
            "llama.attention.head_count": (8, text("eight")),
            "llama.block_count": (6, struct.pack("<f", float("nan"))),
            "tokenizer.ggml.tokens": (9, struct.pack("<IQ", 8, 3) + text(b"\xff\n") + text("a") + text("a")),
            "tokenizer.ggml.merges": (9, struct.pack("<IQ", 4, 1) + bytes(4)),
        }
        body = pairs(values) + tensor("blk.0.attn_q.weight", (8, 8), 0, 0)
        (tmp_path / "a.gguf").write_bytes(gguf_bytes(body, tensors=1, count=len(values), data=bytes(256)))
        model = open_checkpoint(str(tmp_path / "a.gguf"))
        assert "num_attention_heads" not in model.config
        assert model.read("blk.0.attn_q.weight").shape == (8, 8)
        assert json.loads(model.side_file("vocab.json") or b"") == {"\ufffd\n": 0, "a": 2}
