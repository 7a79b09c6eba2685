"""`python -m tools`: one object a question, exit 0 or 2, one sentence for what a user can mend, never a traceback."""

from __future__ import annotations

import csv
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.small_models import Small, tensors_of, trained, tuned
from tools.__main__ import main
from tools.arguments import finding
from tools.errors import UserError
from tools.perturbations import perturbation_named
from tools.sources.range_cache import cache_folder

ROOT = Path(__file__).resolve().parents[2]
EXECUTED = "tests-tools-pickle-was-run"
HAN = re.compile(r"[\u4e00-\u9fff]")

# Drawn anew each time it would begin, once in 256 times, as a pickle does.
GARBAGE = random.Random(5).randbytes(4096)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    copy = trained("llama", 1)
    noisy = copy.with_tensors(tensors_of(perturbation_named("add_noise").apply(copy.held(), 0.1, 0)))
    return {
        "original": trained("llama", 1).saved(folder / "original"),
        "noisy": noisy.saved(folder / "noisy"),
        "tuned": tuned("llama", 1, 3).saved(folder / "tuned"),
        "stranger": trained("llama", 2).saved(folder / "stranger"),
    }


class Said:
    """What a command printed and returned."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def objects(self) -> list[dict[str, Any]]:
        def no_constant(name: str) -> None:
            raise ValueError(f"{name} is no JSON")

        return [json.loads(line, parse_constant=no_constant) for line in self.out.splitlines()]


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> Said:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


def refused(said: Said, kind: str | None = None) -> dict[str, str]:
    """The error record of a command that must end with exit 2: what is wrong, and the way out, one sentence each."""
    assert said.code == 2
    (record,) = said.objects
    error: dict[str, str] = record["error"]
    assert set(record) == {"error"} and set(error) == {"kind", "message", "remedy"}
    if kind is not None:
        assert error["kind"] == kind
    for sentence in (error["message"], error["remedy"]):
        assert re.fullmatch(r"[“\"A-Z].{8,400}\.", sentence) and "Traceback" not in sentence
    return error


def test_one_object_and_exit_0(run: Run, models: dict[str, str]) -> None:
    for a, answer in (("noisy", "disguised_copy"), ("stranger", "independent")):
        said = run("compare", models[a], models["original"], "--json")
        assert said.code == 0 and said.err == ""
        (result,) = said.objects
        assert result["schema"] == 1 and result["answer"] == answer


def test_the_base_and_the_seed_are_handed_on(run: Run, models: dict[str, str]) -> None:
    said = run(
        "compare", models["noisy"], models["tuned"], "--base", models["original"], "--seed", "7", "--full", "--json"
    )
    (result,) = said.objects
    assert result["base"]["name"] == models["original"] and result["reproduce"]["seed"] == 7
    for word in ("--base", "--seed 7", "--full"):
        assert word in result["reproduce"]["command"]


def test_undecided_is_an_answer_too(run: Run, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama", "hidden_size": 8}', encoding="utf-8")
    said = run("compare", tmp_path / "a", tmp_path / "b", "--json")
    assert said.code == 0 and said.objects[0]["answer"] == "undecided"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_without_json_a_report_in_the_readers_language(run: Run, models: dict[str, str], language: str) -> None:
    said = run("compare", models["noisy"], models["original"], "--lang", language)
    assert said.code == 0 and said.out.startswith("# ")
    assert bool(re.search(r"[\u4e00-\u9fff]", said.out)) == (language == "zh")


def test_describe_and_stress(run: Run, models: dict[str, str]) -> None:
    said = run("describe", models["original"], "--json")
    assert said.code == 0 and said.objects[0]["layers"] == 2
    refused(run("stress", "no-such-folder", "--json"), "not_found")


def test_whoever_chose_chinese_reads_no_english(run: Run, models: dict[str, str], tmp_path: Path) -> None:
    chosen, folder = ("--lang", "zh"), str(cache_folder())
    told = [run(*command, *chosen).out for command in (("describe", models["original"]), ("cache",))]
    told.append(run("compare", models["stranger"], models["original"], *chosen).out)
    for text in told:
        # Names of files, formats and commands stay what they are.
        own = re.sub(r"```.*?```|`[^`]*`|sha256 \w+|log10 p|Python", "", text, flags=re.S).replace(folder, "")
        assert HAN.search(text) and re.findall(r"[A-Za-z]{2,}", own) == []
    assert "width" in run("describe", models["original"]).out.lower()
    (tmp_path / "pairs.csv").write_text("a,b\nno-such-folder,other\n", encoding="utf-8")
    for command in (("describe", "no-such-folder", "--json"), ("compare", "--pairs", tmp_path / "pairs.csv")):
        for language, is_chinese in (("en", False), ("zh", True)):
            (record,) = run(*command, "--lang", language).objects
            assert bool(HAN.search(record["error"]["message"] + record["error"]["remedy"])) == is_chinese


WRONG_ARGUMENTS = [
    ((), "missing_arguments", "COMMAND"),
    (("describe",), "missing_arguments", "X"),
    (("compare", "x", "y", "--swift"), "unknown_arguments", "--swift"),
    (("compare", "x", "y", "--f"), "ambiguous_argument", "--full"),
    (("comapre", "x", "y"), "unknown_choice", "comapre"),
    (("compare", "x", "y", "--seed", "seven"), "no_whole_number", "seven"),
    (("compare", "x", "y", "--base"), "argument_without_value", "--base"),
    (("compare", "x", "y", "--parents"), "argument_without_value", "--parents"),
    (("compare", "x", "y", "--full=yes"), "argument_with_value", "--full"),
]


@pytest.mark.parametrize(("arguments", "kind", "named"), WRONG_ARGUMENTS)
def test_wrong_arguments_are_worded_in_the_readers_language(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    kind: str,
    named: str,
) -> None:
    kinds: list[str] = []

    def found(message: str) -> UserError:
        kinds.append(finding(message).kind)
        return finding(message)

    monkeypatch.setattr("tools.arguments.finding", found)
    # Without a command argparse takes the language for one.
    for language in ("en", "zh") if arguments else ("en",):
        with pytest.raises(SystemExit) as left:
            main([*arguments, "--lang", language] if arguments else [])
        said = capsys.readouterr()
        *usage, sentence = said.err.splitlines()
        assert left.value.code == 2 and said.out == "" and named in sentence
        assert usage[0].startswith("usage: " if language == "en" else "用法：")
        assert bool(HAN.search(sentence)) == (language == "zh")
    assert set(kinds) == {kind}


@pytest.mark.parametrize("command", [(), ("compare",), ("describe",), ("stress",), ("behave",), ("cache",)])
def test_the_help_is_in_the_readers_language(capsys: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    for language in ("en", "zh"):
        with pytest.raises(SystemExit) as left:
            main([*command, "--help", "--lang", language])
        assert left.value.code == 0
        said = capsys.readouterr().out
        assert bool(HAN.search(said)) == (language == "zh")
        # Names of commands, options and columns, and what stands for a value, stay what they are.
        own = re.sub(
            r"[A-Z.]+csv|\b(?:compare|describe|stress|behave|cache|python -m tools|base|parents|a|b)\b", "", said
        )
        own = re.sub(r"--?\w+|\b[A-Z]+\b|\{en,zh\}|`behaviour`", "", own)
        assert language == "en" or re.findall(r"[A-Za-z]{2,}", own) == []


def test_what_argparse_says_in_new_words_is_still_a_sentence() -> None:
    assert finding("a sentence that this version never says").kind == "bad_arguments"


def test_a_language_that_is_none_is_refused_in_english(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["cache", "--lang", "fr"])
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith("“fr” cannot be chosen for --lang. Give one of these: en, zh.\n")


def header(entries: dict[str, Any], data: bytes, length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (EXECUTED,)


def bad_inputs(folder: Path, good: str) -> dict[str, tuple[Path, str | None]]:
    """Everything that a user may give by mistake or malice -> what to give, and the kind of the refusal."""
    folder.mkdir(exist_ok=True)
    weights = Path(good, "model.safetensors").read_bytes()
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    files: dict[str, tuple[bytes, str | None]] = {
        "truncated.safetensors": (weights[:-100], None),
        "header_cut.safetensors": (weights[:40], None),
        "two_bytes.safetensors": (b"\x01\x02", None),
        "empty.safetensors": (b"", None),
        "header_2_60.safetensors": (header({"a": entry}, bytes(16), 2**60), "header_too_large"),
        "header_2_64.safetensors": (header({"a": entry}, bytes(16), 2**64 - 1), "header_too_large"),
        "overlap.safetensors": (
            header({"a": entry, "b": entry | {"data_offsets": [8, 24]}}, bytes(24)),
            "overlapping_tensors",
        ),
        "duplicate.safetensors": (header({"a": entry, "b": entry}, bytes(16)), "overlapping_tensors"),
        "no_json.safetensors": (struct.pack("<Q", 8) + b"\xff" * 8, "bad_header"),
        "outside.safetensors": (header({"a": entry | {"data_offsets": [0, 2**40]}}, bytes(16)), None),
        "negative.safetensors": (header({"a": entry | {"shape": [-4]}}, bytes(16)), None),
        "garbage.bin": (GARBAGE, "unreadable_archive"),
        "text.txt": (b"hello", "unknown_format"),
    }
    found: dict[str, tuple[Path, str | None]] = {}
    for name, (data, kind) in files.items():
        path = folder / name.rpartition(".")[0] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        found[name] = (path, kind)
    (folder / "pickle").mkdir(exist_ok=True)
    (folder / "pickle" / "pytorch_model.bin").write_bytes(pickle.dumps(Payload()))
    found["a bare pickle"] = (folder / "pickle", None)
    torch.save({"weight": torch.ones(4), "x": Payload()}, folder / "payload.bin")
    found["a pickle payload"] = (folder / "payload.bin", "unsafe_pickle")
    with zipfile.ZipFile(folder / "not_torch.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    found["another archive"] = (folder / "not_torch.pt", "unreadable_archive")
    (folder / "nothing").mkdir(exist_ok=True)
    found["an empty folder"] = (folder / "nothing", "empty_folder")
    (folder / "pictures").mkdir(exist_ok=True)
    (folder / "pictures" / "cat.png").write_bytes(b"png")
    found["a folder of something else"] = (folder / "pictures", "no_model_here")
    found["no such folder"] = (folder / "missing", "not_found")
    name = "model.layers.1.mlp.down_proj.weight"
    spoilt = trained("llama", 1).tensors | {name: torch.full_like(trained("llama", 1).tensors[name], torch.nan)}
    found["NaN weights"] = (Path(Small(spoilt).saved(folder / "nan")), "not_finite")
    found["other kinds of models"] = (
        Path(Small({"w": torch.randn(7, 5), "c": torch.randn(5, 3)}).saved(folder / "other")),
        "different_kinds",
    )
    return found


NAMES_OF_BAD_INPUTS = [
    "truncated.safetensors",
    "header_cut.safetensors",
    "two_bytes.safetensors",
    "empty.safetensors",
    "header_2_60.safetensors",
    "header_2_64.safetensors",
    "overlap.safetensors",
    "duplicate.safetensors",
    "no_json.safetensors",
    "outside.safetensors",
    "negative.safetensors",
    "garbage.bin",
    "text.txt",
    "a bare pickle",
    "a pickle payload",
    "another archive",
    "an empty folder",
    "a folder of something else",
    "no such folder",
    "NaN weights",
    "other kinds of models",
]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory, models: dict[str, str]) -> dict[str, tuple[Path, str | None]]:
    return bad_inputs(tmp_path_factory.mktemp("bad"), models["original"])


def test_every_bad_input_is_tried(bad: dict[str, Any]) -> None:
    assert set(bad) == set(NAMES_OF_BAD_INPUTS)


@pytest.mark.parametrize("name", NAMES_OF_BAD_INPUTS)
def test_bad_input_gets_a_sentence_and_exit_2(
    run: Run,
    bad: dict[str, tuple[Path, str | None]],
    models: dict[str, str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path, kind = bad[name]
    for arguments in ((path, models["original"]), (models["original"], path)):
        refused(run("compare", *arguments, "--json"), kind)
    if name != "other kinds of models":
        refused(
            run("compare", models["noisy"], models["original"], "--base", path, "--json"),
            kind if name != "NaN weights" else None,
        )
        refused(run("describe", path, "--json"), kind)
    for language in ("en", "zh"):
        said = run("compare", path, models["original"], "--lang", language)
        assert said.code == 2 and said.out == "" and said.err.count("\n") == 1
        assert bool(re.search(r"[\u4e00-\u9fff]", said.err)) == (language == "zh")
    assert not (tmp_path / EXECUTED).exists() and not (ROOT / EXECUTED).exists()


def test_two_models_are_needed(run: Run, models: dict[str, str]) -> None:
    refused(run("compare", "--json"), "two_models_needed")
    refused(run("compare", models["original"], "--json"), "two_models_needed")


@pytest.mark.parametrize(
    "name", ["meta/llama", "https://example.org/x", "a\0b", "x" * 5000, "~nobody-here/x", "\u202eabc", " ", "-"]
)
def test_odd_names(run: Run, models: dict[str, str], name: str) -> None:
    error = refused(run("compare", models["original"], name, "--json"))
    assert error["kind"] in ("not_found", "hub_offline", "unknown_address", "two_models_needed")
    assert not re.search(r"[\u0000-\u001f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", error["message"])
    assert len(error["message"]) < 400


def pairs_file(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = ("a", "b", "base")) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_pairs_one_line_each_and_a_bad_one_stops_nothing(
    run: Run, models: dict[str, str], bad: dict[str, Any], tmp_path: Path
) -> None:
    rows = [
        {"a": models["noisy"], "b": models["original"], "base": ""},
        {"a": models["noisy"], "b": str(bad["truncated.safetensors"][0]), "base": ""},
        {"a": "", "b": models["original"], "base": ""},
        {"a": models["tuned"], "b": models["original"], "base": str(bad["no such folder"][0])},
        {"a": str(bad["NaN weights"][0]), "b": models["original"], "base": ""},
        {"a": models["stranger"], "b": models["original"], "base": models["tuned"]},
    ]
    said = run("compare", "--pairs", pairs_file(tmp_path / "pairs.csv", rows), "--json")
    assert said.code == 0 and len(said.objects) == len(rows)
    answers = [record.get("answer") or record["error"]["kind"] for record in said.objects]
    assert answers[0] == "disguised_copy" and answers[-1] == "independent"
    for row, record in zip(rows, said.objects, strict=True):
        if "error" in record:
            assert (record["a"], record["b"]) == (row["a"], row["b"])
            assert set(record["error"]) == {"kind", "message", "remedy"}
    assert sum("error" in record for record in said.objects) == 4


@pytest.mark.parametrize("cell", ["{p} {q}", " {p} ; {q};", "{p}\t{q}"])
def test_pairs_may_name_parents(
    run: Run, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    heard: list[list[str]] = []

    def measure(a: str, b: str, base: str | None, *, parents: list[str], **options: Any) -> dict[str, Any]:
        heard.append(parents)
        return {"a": a}

    monkeypatch.setattr("tools.audit.compare", measure)
    rows = [{"a": "x", "b": "y", "parents": cell.format(p="p", q="q")}, {"a": "x", "b": "y", "parents": ""}]
    said = run("compare", "--pairs", pairs_file(tmp_path / "pairs.csv", rows, ("a", "b", "parents")), "--json")
    assert said.code == 0 and heard == [["p", "q"], []]


def test_pairs_without_a_base_column_and_with_a_byte_order_mark(
    run: Run, models: dict[str, str], tmp_path: Path
) -> None:
    path = pairs_file(tmp_path / "pairs.csv", [{"a": models["noisy"], "b": models["original"]}], ("a", "b"))
    Path(path).write_bytes(b"\xef\xbb\xbf" + Path(path).read_bytes())
    said = run("compare", "--pairs", path, "--json")
    assert said.code == 0 and said.objects[0]["answer"] == "disguised_copy"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a,b\n",
        b"x,y\n1,2\n",
        b"\xff\xfe\x00",
        b"\x00" * 1000,
        b'a,b\n"' + b"x" * 200_000,
        b"PK\x03\x04" + GARBAGE,
    ],
    ids=["empty", "a line", "no rows", "other columns", "UTF-16", "zeros", "an endless field", "an archive"],
)
def test_a_pairs_file_that_is_none(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "pairs.csv").write_bytes(data)
    refused(run("compare", "--pairs", tmp_path / "pairs.csv", "--json"), "bad_pairs_file")


def test_a_pairs_file_with_short_and_long_rows(run: Run, models: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(
        f"a,b,base\n{models['noisy']}\n,,,,,\n{models['noisy']},{models['original']},,more,and more\n", encoding="utf-8"
    )
    said = run("compare", "--pairs", tmp_path / "pairs.csv", "--json")
    assert said.code == 0
    assert ["error" in record for record in said.objects] == [True, True, False]


def test_no_pairs_file(run: Run, tmp_path: Path) -> None:
    refused(run("compare", "--pairs", tmp_path / "missing.csv", "--json"), "bad_pairs_file")
    refused(run("compare", "--pairs", tmp_path, "--json"), "bad_pairs_file")


def test_as_a_program(models: dict[str, str], tmp_path: Path) -> None:
    """Once through a real process: exit codes, clean streams, and nothing left behind."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tools", "compare", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    good = program(models["noisy"], models["original"], "--json")
    assert good.returncode == 0 and good.stderr == "" and json.loads(good.stdout)["answer"] == "disguised_copy"
    wrong = program("missing", models["original"], "--json")
    assert wrong.returncode == 2 and wrong.stderr == "" and json.loads(wrong.stdout)["error"]["kind"] == "not_found"
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error(models: dict[str, str]) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "tools", "describe", models["original"]],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None and started.stderr is not None
    started.stdout.close()
    said = started.stderr.read()
    assert (started.wait(), said) == (141, "")
