"""Programs beside the weights: what hides nothing, what is common to all, what cannot be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import transformers

from tests.small_models import Held, Small, fresh
from tools.audit import compare
from tools.comparison import Comparison
from tools.evidence import Abstention, Evidence
from tools.probes import code_likeness
from tools.probes.code_likeness import measure
from tools.report import background, markdown
from tools.source_code import LARGEST_FILE, Unreadable, fingerprints, in_framework
from tools.words import ABSTENTIONS

# A program of nobody: an attention that decays, a mixer of neighbours, and a loss.
PROGRAM = '''
import math
import torch
from torch import nn
import torch.nn.functional as F
from .configuration_kestrel import KestrelConfig


class DecayingAttention(nn.Module):
    """Attention whose reach falls with distance."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.size = config.width // config.heads
        self.decay = nn.Parameter(torch.linspace(0.25, 4.0, config.heads))
        self.mix = nn.Linear(config.width, 3 * config.width + config.heads, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, states, places, memory=None):
        batch, length, _ = states.shape
        mixed = self.mix(states)
        query, key, value, gate = mixed.split([states.shape[-1]] * 3 + [self.heads], dim=-1)
        query = query.view(batch, length, self.heads, self.size).transpose(1, 2)
        key = key.view(batch, length, self.heads, self.size).transpose(1, 2)
        value = value.view(batch, length, self.heads, self.size).transpose(1, 2)
        if memory is not None:
            key = torch.cat([memory[0], key], dim=2)
            value = torch.cat([memory[1], value], dim=2)
        distance = (places[:, None, :, None] - places[:, None, None, :]).abs().float()
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.size)
        scores = scores - F.softplus(self.decay)[None, :, None, None] * distance.log1p()
        scores = scores.masked_fill(distance.new_ones(length, length).triu(1).bool(), -1e9)
        chosen = scores.topk(min(32, length), dim=-1).values[..., -1:]
        weights = torch.where(scores >= chosen, scores, scores - 4.0 * (chosen - scores)).softmax(dim=-1)
        carried = (weights @ value) * torch.sigmoid(gate).transpose(1, 2)[..., None]
        return self.out(carried.transpose(1, 2).reshape(batch, length, -1)), (key, value)


def neighbour_mix(states, shift, share):
    """Every place borrows from those before it."""
    before = F.pad(states, (0, 0, shift, 0))[:, : states.shape[1]]
    after = F.pad(states, (0, 0, 0, shift))[:, shift:]
    energy = (states * before).sum(-1, keepdim=True) - (states * after).sum(-1, keepdim=True)
    return states + share * torch.tanh(energy / math.sqrt(states.shape[-1])) * (before - after)


def calibrated_loss(scores, targets, temperature=1.5, floor=0.02):
    """Cross entropy that forgives what is nearly right."""
    logs = F.log_softmax(scores / temperature, dim=-1)
    right = logs.gather(-1, targets[..., None]).squeeze(-1)
    best = logs.max(dim=-1).values
    slack = torch.clamp(best - right - floor, min=0.0)
    return (slack * slack).mean() - 0.1 * (logs.exp() * logs).sum(-1).mean()


def ring_memory(store, fresh, place, longest=64):
    """Keeps the last states in a ring and tells which of them are stale."""
    slots = torch.arange(longest, device=fresh.device)
    at = torch.remainder(place + torch.arange(fresh.shape[1], device=fresh.device), longest)
    store = store.index_copy(1, at, fresh) if store is not None else F.pad(fresh, (0, 0, 0, longest - fresh.shape[1]))
    age = torch.remainder(place - slots, longest)
    stale = (age > place) | (age >= longest - 1)
    weight = torch.exp(-age.float() / (longest / 4)) * (~stale).float()
    return store, weight / torch.clamp(weight.sum(), min=1e-6), stale.nonzero().flatten()


def braid(left, right, turns, strength):
    """Two streams change places along the width, a little more with every turn."""
    width = left.shape[-1]
    for turn in range(turns):
        angle = strength * math.pi * (turn + 1) / (2 * turns)
        step = width >> (turn % 5 + 1) or 1
        rolled = torch.roll(right, shifts=step, dims=-1)
        near, far = math.cos(angle), math.sin(angle)
        left, right = near * left - far * rolled, far * left + near * rolled
        scale = torch.rsqrt((left * left + right * right).mean(-1, keepdim=True) + 1e-6)
        left, right = left * scale, right * scale
    return torch.stack([left, right], dim=-2).flatten(-2)
'''


class Renamer(ast.NodeTransformer):
    """Gives every name that the author chose another one."""

    def __init__(self, kept: set[str]) -> None:
        self.kept, self.new = kept, dict[str, str]()

    def _other(self, name: str) -> str:
        return name if name in self.kept or name.startswith("__") else self.new.setdefault(name, f"z{len(self.new)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._other(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg, node.annotation = self._other(node.arg), ast.Name("object")
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == self.new.get("self"):
            node.attr = self._other(node.attr)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name, node.body = self._other(node.name), node.body[bool(ast.get_docstring(node)) :]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self._other(node.name)
        return node


def disguised(text: str) -> str:
    """Other names, no comments, another layout, other aliases, functions in the opposite order."""
    tree = ast.parse(text)
    first = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    rest = [node for node in tree.body if node not in first]
    kept = {alias.asname or alias.name for node in first for alias in node.names} | {"super", "min", "None"}
    tree.body = [*first, *(Renamer(kept).visit(node) for node in reversed(rest))]
    made = ast.unparse(ast.fix_missing_locations(tree))
    made = made.replace("import torch.nn.functional as F", "import torch.nn.functional as functional")
    return re.sub(r"\bF\.", "functional.", made)


def held(name: str, **files: str | bytes) -> Held:
    data = {f"{file}.py": text if isinstance(text, bytes) else text.encode() for file, text in files.items()}
    return Held({}, None, data, name)


def likeness(a: Held, b: Held) -> Evidence:
    finding = measure(Comparison(a, b))
    assert isinstance(finding, Evidence), finding
    return finding


def reason(a: Held, b: Held) -> str:
    finding = measure(Comparison(a, b))
    assert isinstance(finding, Abstention), finding
    assert finding.reason in ABSTENTIONS
    return finding.reason


def framework(model: str) -> str:
    path = Path(transformers.__file__).parent / "models" / model / f"modeling_{model}.py"
    return path.read_text(encoding="utf-8")


def test_other_names_layout_and_order_hide_nothing() -> None:
    other = disguised(PROGRAM)
    assert "DecayingAttention" not in other and "states" not in other
    finding = likeness(held("a", modeling_kestrel=PROGRAM), held("b", model=other))
    assert finding.statistic > 0.9 and finding.n >= 20
    spans = finding.where["spans"]
    assert {span["file_a"] for span in spans} == {"modeling_kestrel.py"}
    forward = next(span for span in spans if span["nodes"] == max(s["nodes"] for s in spans))
    lines = PROGRAM.splitlines()
    first, last = forward["lines_a"]
    assert "def forward" in "\n".join(lines[first - 3 : first + 3])
    assert "return self.out" in "\n".join(lines[last - 3 : last + 1])
    said = other.splitlines()[forward["lines_b"][0] - 3 : forward["lines_b"][1] + 1]
    assert any("torch.linspace" in line or ".topk(" in line for line in said)


def test_the_share_is_that_of_the_smaller_program() -> None:
    part = PROGRAM[: PROGRAM.index("def braid")]
    there = likeness(held("a", modeling=PROGRAM), held("b", modeling=part))
    back = likeness(held("b", modeling=part), held("a", modeling=PROGRAM))
    assert there.statistic == back.statistic == 1.0 and there.n == back.n


def test_a_program_of_its_own_is_not_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    own = """
import numpy as np
def schedule(step, total, warm=0.1, low=0.05):
    share = step / max(total, 1)
    if share < warm:
        return share / warm
    left = (1 - share) / (1 - warm)
    return low + (1 - low) * 0.5 * (1 + np.cos(np.pi * (1 - left))) if left > 0 else low
def collate(rows, pad, longest):
    out = np.full((len(rows), longest), pad)
    for place, row in enumerate(rows):
        out[place, : min(longest, len(row))] = row[:longest]
    return {"tokens": out, "mask": (out != pad).astype(np.int8), "lengths": [len(row) for row in rows]}
"""
    assert "too little" in reason(held("a", modeling=PROGRAM), held("b", train=own))
    monkeypatch.setattr(code_likeness, "FEWEST_OWN", 1)
    finding = likeness(held("a", modeling=PROGRAM), held("b", train=own))
    assert finding.statistic == 0.0 and finding.where["spans"] == []


@pytest.mark.parametrize("pair", [("llama", "gpt2"), ("llama", "mistral"), ("bert", "roberta")])
def test_what_the_framework_brings_is_discounted(pair: tuple[str, str]) -> None:
    one, other = (held(model, modeling=framework(model)) for model in pair)
    assert "framework" in reason(one, other)
    # A repository that holds the framework's file and functions of its own is asked about those alone.
    both = [held("x", modeling=framework(model) + PROGRAM) for model in pair]
    finding = likeness(*both)
    assert finding.statistic == 1.0
    shown = [framework(model).count("\n") for model in pair]
    assert all(span["lines_a"][0] > shown[0] and span["lines_b"][0] > shown[1] for span in finding.where["spans"])


def test_what_a_version_outside_the_baseline_leaves_is_too_little_to_be_asked_about() -> None:
    left = PROGRAM[PROGRAM.index("def calibrated_loss") : PROGRAM.index("def ring_memory")]
    one, other = (held("x", modeling=framework("bert") + "\nimport torch.nn.functional as F\n" + left) for _ in "ab")
    assert "too little" in reason(one, other)


def test_the_baseline_knows_the_framework_and_nothing_else() -> None:
    assert in_framework(fingerprints(framework("llama").encode())).all()
    # Splitting queries, keys and values into heads is an idiom of the framework.
    assert 0.0 < in_framework(fingerprints(PROGRAM.encode())).mean() < 0.2


HOSTILE = {
    "syntax": b"def broken(:\n    pass",
    "no text": bytes(range(256)) * 40,
    "brackets": b"(" * 50_000,
    "lists": b"[" * 5_000 + b"]" * 5_000,
    "signs": b"x = " + b"-" * 100_000 + b"1",
    "nots": b"x = " + b"not " * 50_000 + b"1",
    "powers": b"x = " + b"2**" * 50_000 + b"2",
    "sums": b"x = " + b"1+" * 200_000 + b"1",
    "attributes": b"x = a" + b".b" * 200_000,
    "lambdas": b"x = " + b"lambda:" * 50_000 + b"1",
    "indentation": b"".join(b" " * i + b"if x:\n" for i in range(900)) + b" " * 900 + b"x",
    "elif": b"if a:\n  b\n" + b"elif a:\n  b\n" * 20_000,
    "null": b"x = 1\0",
    "large": b"#" * (LARGEST_FILE + 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_left_out_and_nothing_breaks(kind: str) -> None:
    if kind not in ("sums", "attributes", "elif", "nots", "signs", "powers", "lambdas"):
        with pytest.raises(Unreadable):
            fingerprints(HOSTILE[kind])
    hostile = held("hostile", modeling=HOSTILE[kind])
    assert measure(Comparison(hostile, held("b", modeling=PROGRAM))) == measure(
        Comparison(held("b", modeling=PROGRAM), hostile)
    )
    # One bad file does not hide the others, and how many were left out is told.
    mixed = held("mixed", bad=HOSTILE["syntax"], modeling=PROGRAM)
    finding = likeness(mixed, held("b", modeling=PROGRAM))
    assert finding.statistic == 1.0 and finding.where["left_out"] == 1


def test_fifty_megabytes_are_not_even_read() -> None:
    big = held("big", modeling=b"x = 1\n" * 9_000_000)
    big.side_file = None  # type: ignore[assignment,method-assign]
    assert "limits" in reason(big, held("b", modeling=PROGRAM))


def test_a_program_is_never_run() -> None:
    finding = likeness(held("a", m=PROGRAM + "\nraise SystemExit\n"), held("b", m=PROGRAM + "\nopen('x', 'w')\n"))
    assert finding.statistic == 1.0 and not Path("x").exists()


def test_without_programs_there_is_nothing_to_say() -> None:
    assert "no Python code" in reason(held("a", modeling=PROGRAM), held("b"))


def test_a_report_names_files_and_lines_and_renders_nothing(tmp_path: Path) -> None:
    name = "![x](http:evil)<script>`|modeling.py"
    for seed, folder in enumerate(("a", "b")):
        model = fresh("llama", seed)
        Small(model.tensors, model.config, {name: PROGRAM.encode()}).saved(tmp_path / folder)
    result = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    found = result["findings"]["code_likeness"]
    assert found["role"] == "context" and found["log10_pvalue"] is None and "code_likeness" not in result["because"]
    for language in ("en", "zh"):
        sentence = background(result, language)[-1]
        assert "100%" in sentence and re.search(r"\d+-\d+", sentence)
        document = markdown(result, language)
        assert sentence in document and "KestrelConfig" not in document
        # The foreign name stands in code that it cannot break out of.
        assert "`![x](http:evil)<script>'/modeling.py`" in sentence
