"""What one can do to a copy, with its truth: who is the parent, which answers are right, which changes should be named.

The numbers A1 to A22 are those of the attack list in the method notes. Attacks that need no training are made when
asked for; trained ones are kept in the zoo. Every suspect becomes a folder of files, as a publisher would upload it.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.layers import layer_number, stacked
from benchmarks.merges import Tensors, dare, ties
from benchmarks.zoo import Model, Part, Recipe, Zoo, narrower, new_model, saved_model
from tools.checkpoint import Checkpoint
from tools.gauge import residual_axes
from tools.names import block_of, has_role
from tools.perturbations import generator, perturbation_named
from tools.sources import open_checkpoint

SAME = frozenset({"identical", "disguised_copy"})
TRAINED = frozenset({"derived"})
EDITED = frozenset({"derived", "disguised_copy"})
PART = frozenset({"shared_part"})
SIBLINGS = frozenset({"common_origin"})
# An answer that accuses nobody; for a stranger dressed as a relative it is the only right one.
NO_LINK = frozenset({"independent", "undecided"})

# Changes that packaging brings along and that no maker would deny.
HARMLESS = frozenset({"renamed", "resharded", "recast"})
STRANGER_SEED = 3


@dataclass
class Parts:
    """A model's files in memory."""

    tensors: dict[str, torch.Tensor]
    config: dict[str, Any]
    tokenizer: str

    @property
    def vocabulary(self) -> int:
        return int(self.config["vocab_size"])


@dataclass(frozen=True)
class Subject:
    """The parent that is attacked, and room for what is made of it."""

    zoo: Zoo
    recipe: Recipe | None
    seed: int
    parent: Path
    room: Path

    @property
    def name(self) -> str:
        return f"{self.recipe.name if self.recipe else self.parent.name} seed {self.seed}"


@dataclass(frozen=True)
class Case:
    """One comparison: the suspect, the model it is held against, their base and further parents as far as named."""

    suspect: Path
    parent: Path
    base: Path | None = None
    parents: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Attack:
    """One way to make a suspect, and what a right result says of it.

    `kinds` must all be named as changes ("a|b": one of them); `also` may be. `directed` is True where suspect and
    parent are child and parent, `traceable` where the files hold a trace of which is which. `trained` attacks need a
    zoo model as parent. `amount` is a kind of change, how much of it there is, and how far off a right answer may be.
    """

    name: str
    ids: tuple[str, ...]
    make: Callable[[Subject], Case]
    answers: frozenset[str]
    kinds: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()
    directed: bool = True
    traceable: bool = False
    trained: bool = False
    recipes: tuple[str, ...] = ()
    adversary: bool = False
    amount: tuple[str, float, float] | None = None

    @property
    def alternatives(self) -> tuple[frozenset[str], ...]:
        """For each change that must be named, the words that name it rightly."""
        return tuple(frozenset(kind.split("|")) for kind in self.kinds)

    def fits(self, subject: Subject) -> bool:
        if subject.recipe is None:
            return not self.trained and not self.recipes
        return not self.recipes or subject.recipe.name in self.recipes


# --- files -----------------------------------------------------------------------------------------


def read_parts(folder: Path) -> Parts:
    tensors = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Parts(dict(tensors), config, (folder / "tokenizer.json").read_text(encoding="utf-8"))


def write_parts(parts: Parts, folder: Path, shards: int = 1) -> Path:
    """The model as a Hugging Face folder of so many weight files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = dict(parts.config)
    if config.get("tie_word_embeddings") and "lm_head.weight" in parts.tensors:
        config["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(parts.tokenizer, encoding="utf-8")
    names = list(parts.tensors)
    files = (
        ["model.safetensors"]
        if shards == 1
        else [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
    )
    for place, file in enumerate(files):
        some = {name: parts.tensors[name].contiguous().clone() for name in names[place::shards]}
        save_file(some, folder / file, {"format": "pt"})
    if shards > 1:
        weight_map = {name: files[place % shards] for place, name in enumerate(names)}
        total = sum(tensor.numel() * tensor.element_size() for tensor in parts.tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index) + "\n", encoding="utf-8")
    return folder


def seen(checkpoint: Checkpoint, tokenizer: str) -> Parts:
    """The files that would show this view."""
    return Parts({name: checkpoint.read(name) for name in checkpoint.shapes}, dict(checkpoint.config), tokenizer)


def as_model(parts: Parts, room: Path) -> Model:
    with tempfile.TemporaryDirectory(dir=room) as folder:
        return saved_model(write_parts(parts, Path(folder) / "model"))


# --- attacks without training ----------------------------------------------------------------------

Change = Callable[[Subject, Parts], Parts]
Source = Callable[[Subject], Path]


def parent_of(subject: Subject) -> Path:
    return subject.parent


def disguise(subject: Subject, parts: Parts, name: str, amount: float | str) -> Parts:
    """One of the tool's own perturbations. Raises NotApplicable."""
    folder = write_parts(parts, subject.room / "before")
    with open_checkpoint(str(folder)) as checkpoint:
        view = perturbation_named(name).apply(checkpoint, amount, 1000 + subject.seed)
        return seen(view, parts.tokenizer)


def chain(
    *changes: Change, source: Source = parent_of, shards: int = 1, base: bool = False
) -> Callable[[Subject], Case]:
    """Changes one after the other, applied to the parent or to a model made of it."""

    def make(subject: Subject) -> Case:
        parts = read_parts(source(subject))
        for change in changes:
            parts = change(subject, parts)
        suspect = write_parts(parts, subject.room / "suspect", shards)
        return Case(suspect, subject.parent, subject.parent if base else None)

    return make


def by(name: str, amount: float | str = "all") -> Change:
    return partial(disguise, name=name, amount=amount)


def fused(subject: Subject, parts: Parts) -> Parts:
    """Query, key and value in one tensor, gate and up in another, as some families store them."""
    tensors: dict[str, torch.Tensor] = {}
    for name, values in parts.tensors.items():
        joined = None
        for first, others, new in (
            ("q_proj", ("k_proj", "v_proj"), "qkv_proj"),
            ("gate_proj", ("up_proj",), "gate_up_proj"),
        ):
            if first in name:
                joined = name.replace(first, new)
                values = torch.cat([values, *(parts.tensors[name.replace(first, other)] for other in others)])
        if joined is None and re.search(r"\.(k|v|up)_proj\.", name):
            continue
        tensors[joined or name] = values
    return replace(parts, tensors=tensors)


def head_of_its_own(subject: Subject, parts: Parts) -> Parts:
    """A tied head stored as a second tensor."""
    table = _table(parts)
    return replace(parts, tensors={**parts.tensors, "lm_head.weight": parts.tensors[table].clone()})


def repeated_groups(subject: Subject, parts: Parts) -> Parts:
    """Keys and values of each group repeated, so that every head has its own."""
    heads, groups = parts.config["num_attention_heads"], parts.config["num_key_value_heads"]
    tensors = {
        name: values.reshape(groups, -1, *values.shape[1:]).repeat_interleave(heads // groups, 0).flatten(0, 1)
        if re.search(r"\b[kv]_proj\b", name)
        else values
        for name, values in parts.tensors.items()
    }
    return replace(parts, tensors=tensors, config={**parts.config, "num_key_value_heads": heads})


def pooled_groups(parts: Parts) -> Parts:
    """Keys and values of two heads at a time averaged into one group (Ainslie et al., GQA, 2023)."""
    groups = parts.config["num_key_value_heads"] // 2
    tensors = {
        name: values.float().reshape(groups, 2, -1, *values.shape[1:]).mean(1).flatten(0, 1).to(values.dtype)
        if re.search(r"\b[kv]_proj\b", name)
        else values
        for name, values in parts.tensors.items()
    }
    return replace(parts, tensors=tensors, config={**parts.config, "num_key_value_heads": groups})


def renumbered_tokens(
    subject: Subject, parts: Parts, added: int = 0, kept: float = 1.0, shuffled: bool = False
) -> Parts:
    """Token rows appended, left out or put into another order, in the tables and in the tokenizer."""
    size = parts.vocabulary
    rows = torch.arange(size)
    if kept < 1.0:
        # Single bytes and special tokens come first and stay, or texts could no longer be written.
        drop = size - round(size * kept)
        later = 300 + torch.randperm(size - 300, generator=generator(subject.seed, "kept"))[drop:]
        rows = torch.cat([torch.arange(300), later.sort()[0]])
    if shuffled:
        rows = rows[torch.randperm(len(rows), generator=generator(subject.seed, "tokens"))]
    tensors = {}
    for name, values in parts.tensors.items():
        if values.shape[:1] == (size,) and block_of(name) is None:
            old = values[rows]
            draw = generator(subject.seed, name)
            noise = torch.randn(added, *values.shape[1:], generator=draw) * 0.1 * old.float().std()
            tensors[name] = torch.cat([old, (old.float().mean(0) + noise).to(old.dtype)])
        else:
            tensors[name] = values
    document = json.loads(parts.tokenizer)
    number = {int(old): new for new, old in enumerate(rows.tolist())}
    vocabulary = document["model"]["vocab"]
    document["model"]["vocab"] = {token: number[i] for token, i in vocabulary.items() if i in number}
    document["added_tokens"] = [
        {**t, "id": number[t["id"]]} for t in document.get("added_tokens", []) if t["id"] in number
    ]
    table = document["model"]["vocab"]
    if "merges" in document["model"]:
        pairs = [m if isinstance(m, list) else m.split(" ") for m in document["model"]["merges"]]
        document["model"]["merges"] = [m for m in pairs if m[0] in table and m[1] in table and "".join(m) in table]
    for extra in range(added):
        table[f"<|added_{extra}|>"] = len(rows) + extra
    config = {**parts.config, "vocab_size": len(rows) + added}
    return Parts(tensors, config, json.dumps(document, ensure_ascii=False))


def other_tokenizer(subject: Subject, parts: Parts) -> Parts:
    """The files of another maker's tokenizer beside unchanged weights."""
    return replace(parts, tokenizer=subject.zoo.tokenizer("other"))


def averaged(first: Source, second: Source, weight: float) -> Callable[[Subject], Case]:
    """`weight` of the parent's relative `first` and the rest of `second`; held against `first`."""

    def make(subject: Subject) -> Case:
        one, other = read_parts(first(subject)), read_parts(second(subject))
        tensors = {
            name: (weight * values.float() + (1 - weight) * other.tensors[name].float()).to(values.dtype)
            for name, values in one.tensors.items()
        }
        return Case(write_parts(replace(one, tensors=tensors), subject.room / "suspect"), first(subject))

    return make


def merge_of_parts(subject: Subject, merge: Callable[..., Tensors], alone: bool = False, **how: float) -> Case:
    """Parts of a fine-tune's changes, `alone` or with those of a second one; held against the first, base named."""
    base, *both = (read_parts(folder) for folder in (subject.parent, fine_tuned(subject), continued(subject)))
    parents, weights = (both[:1], [1.0]) if alone else (both, [0.6, 0.4])
    tensors = merge(base.tensors, [parent.tensors for parent in parents], weights, **how)
    suspect = write_parts(replace(base, tensors=tensors), subject.room / "suspect")
    return Case(suspect, fine_tuned(subject), subject.parent, () if alone else (continued(subject),))


def same_spread(subject: Subject) -> Case:
    """A stranger whose tensors were given the standard deviations, and whose norms the values, of the other's."""
    own, target = read_parts(stranger(subject)), read_parts(subject.parent)
    tensors = {}
    for name, values in own.tensors.items():
        wanted = target.tensors[name]
        if values.dim() < 2:
            tensors[name] = wanted.clone()
        else:
            tensors[name] = (values.float() * (wanted.float().std() / values.float().std())).to(values.dtype)
    return Case(write_parts(replace(own, tensors=tensors), subject.room / "suspect"), subject.parent)


# A layer's own matrices that write into the stream, and blocks that are put in begin with zeros there.
WRITES = re.compile(r"\b(?:o_proj|down_proj|w2|c_proj)\.|\boutput\.dense\.")


def layers_of_two(subject: Subject, share: float = 0.5, by_turns: bool = False) -> Parts:
    """A stranger with that share of the parent's layers, the first ones or every second one, at their own places."""
    assert subject.recipe is not None
    own, theirs, depth = read_parts(stranger(subject)), read_parts(subject.parent), subject.recipe.layers
    taken = range(0, depth, 2) if by_turns else range(int(depth * share))
    return stacked(own, [(theirs if i in taken else own, i) for i in range(depth)])


def with_layers_of_two(subject: Subject, **how: Any) -> Case:
    return Case(write_parts(layers_of_two(subject, **how), subject.room / "suspect"), subject.parent)


def in_one_pile(subject: Subject) -> Case:
    """The layers of a stranger and then all of the parent's, behind the parent's tables: deeper than either."""
    assert subject.recipe is not None
    own, theirs, depth = read_parts(stranger(subject)), read_parts(subject.parent), subject.recipe.layers
    pile = stacked(theirs, [(parts, i) for parts in (own, theirs) for i in range(depth)])
    return Case(write_parts(pile, subject.room / "suspect"), subject.parent)


def borrowed_tower(subject: Subject, noise: float = 0.0) -> Case:
    """Two models of a vision part and a language part; only the vision part (an encoder here) is the same.

    `noise`: added to one side's vision part, as a share of each tensor's spread.
    """
    luck = torch.Generator().manual_seed(subject.seed)
    encoder = read_parts(subject.zoo.model("bert", subject.seed)).tensors
    folders = []
    for place, language in enumerate((stranger(subject), subject.parent)):
        parts = read_parts(language)
        tower = {f"vision_tower.{name.removeprefix('bert.')}": v for name, v in encoder.items() if "encoder" in name}
        if place == 0 and noise:
            for name, v in tower.items():
                tower[name] = v + noise * v.float().std(unbiased=False) * torch.randn(v.shape, generator=luck)
        own = {f"language_model.{name}": values for name, values in parts.tensors.items()}
        folders.append(write_parts(replace(parts, tensors={**tower, **own}), subject.room / f"whole-{place}"))
    return Case(folders[0], folders[1])


# --- attacks with training -------------------------------------------------------------------------


def kept(subject: Subject, name: str, make: Callable[[], Model], tokenizer: str | None = None) -> Path:
    assert subject.recipe is not None
    name = f"{subject.recipe.name}/seed-{subject.seed}.{name}"
    return subject.zoo.keep(name, make, subject.recipe.dtype, tokenizer)


def stranger(subject: Subject) -> Path:
    assert subject.recipe is not None
    return subject.zoo.model(subject.recipe.name, STRANGER_SEED + subject.seed)


def fine_tuned(subject: Subject, steps: int = 300) -> Path:
    """Trained on with other articles."""
    return kept(
        subject,
        f"fine-tuned-{steps}",
        lambda: subject.zoo.trained(saved_model(subject.parent), "other", 700 + subject.seed, steps),
    )


def continued(subject: Subject) -> Path:
    """Trained on with the same articles and a high rate, as in continued pretraining."""
    return kept(
        subject,
        "continued",
        lambda: subject.zoo.trained(saved_model(subject.parent), "general", 800 + subject.seed, 300, 1.5e-3),
    )


def twice_tuned(subject: Subject) -> Path:
    """The fine-tune, fine-tuned again."""
    return kept(
        subject,
        "twice-tuned",
        lambda: subject.zoo.trained(saved_model(fine_tuned(subject)), "general", 900 + subject.seed, 60),
    )


def same_start(subject: Subject) -> Path:
    """From the parent's first random numbers, trained on other articles."""
    assert subject.recipe is not None
    return subject.zoo.model(subject.recipe.name, 600 + subject.seed, "other", start=subject.seed)


def adapted(subject: Subject, rank: int = 4, part: Part = "other", only: str = "") -> Path:
    """A trained adapter of that rank merged into the attention and MLP matrices, or those `only` (a pattern) names."""

    def make() -> Model:
        model = saved_model(subject.parent)
        torch.manual_seed(subject.seed)
        matrices = [n for n, p in model.named_parameters() if p.dim() == 2 and block_of(n) is not None]
        chosen = [name for name in matrices if re.search(only, name)]
        for name in chosen:
            module = model.get_submodule(name.rpartition(".")[0])
            torch.nn.utils.parametrize.register_parametrization(module, "weight", Adapter(module.weight.shape, rank))
        subject.zoo.trained(model, part, subject.seed, 100, 3e-3, only=lambda n: n.endswith((".left", ".right")))
        for name in chosen:
            module = model.get_submodule(name.rpartition(".")[0])
            torch.nn.utils.parametrize.remove_parametrizations(module, "weight")
        return model

    said = (f"-{part}" if part != "other" else "") + ("-" + re.sub(r"\W+", "-", only) if only else "")
    return kept(subject, f"adapted-{rank}{said}", make)


class Adapter(torch.nn.Module):
    """Adds left @ right to a matrix; left starts at zero."""

    def __init__(self, shape: torch.Size, rank: int) -> None:
        super().__init__()
        self.left = torch.nn.Parameter(torch.zeros(shape[0], rank))
        self.right = torch.nn.Parameter(torch.randn(rank, shape[1]) / shape[1] ** 0.5)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.left @ self.right


def part_reused(subject: Subject, part: str) -> Path:
    """A fresh model with only the parent's token table, attention or MLPs, trained further as a whole."""

    def make() -> Model:
        assert subject.recipe is not None
        model = new_model(subject.recipe, 500 + subject.seed)
        take_over(model, saved_model(subject.parent), lambda name: is_part(name, part))
        return subject.zoo.trained(model, "general", 500 + subject.seed, 150, 2e-3)

    return kept(subject, f"only-{part}", make)


def take_over(model: Model, other: Model, taken: Callable[[str], bool]) -> None:
    """Put the tensors of another model of the same shapes into `model`, those whose names are `taken`."""
    theirs = other.state_dict()
    for name, values in model.state_dict().items():
        if taken(name):
            values.copy_(theirs[name])


def is_part(name: str, part: str) -> bool:
    if part == "embeddings":
        return block_of(name) is None and name.endswith("weight") and has_role(name, "embedding")
    attention = has_role(name, "attention") and "norm" not in name.lower()
    if part == "attention":
        return block_of(name) is not None and attention
    roles = ("gate", "up", "in", "out")
    return (
        block_of(name) is not None
        and "norm" not in name.lower()
        and not attention
        and ("experts" in name or any(has_role(name, role) for role in roles))
    )


def reset(subject: Subject) -> Path:
    """A quarter of the MLPs started anew and retrained for a while."""

    def make() -> Model:
        assert subject.recipe is not None
        model, fresh = saved_model(subject.parent), new_model(subject.recipe, 400 + subject.seed)
        take_over(model, fresh, lambda name: is_part(name, "mlp") and re.search(r"\.1\.", name) is not None)
        return subject.zoo.trained(model, "general", 400 + subject.seed, 60, 2e-3)

    return kept(subject, "reset", make)


def begun_with(subject: Subject) -> Path:
    """The parent's first half of the layers in a fresh model, which is then trained as a whole."""

    def make() -> Model:
        assert subject.recipe is not None
        model, half = new_model(subject.recipe, 450 + subject.seed), range(subject.recipe.layers // 2)
        take_over(model, saved_model(subject.parent), lambda name: layer_number(name) in half)
        return subject.zoo.trained(model, "general", 450 + subject.seed, 150, 2e-3)

    return kept(subject, "begun-with", make)


def expanded(subject: Subject) -> Path:
    """Two blocks put in that begin as copies without effect, and are alone trained (Wu et al., LLaMA Pro, 2024)."""

    def make() -> Model:
        assert subject.recipe is not None
        parts, depth = read_parts(subject.parent), subject.recipe.layers
        order = sorted([*range(depth), 1, depth - 1])
        new = [place for place in range(1, len(order)) if order[place] == order[place - 1]]
        parts = stacked(parts, [(parts, i) for i in order])
        for name, values in parts.tensors.items():
            if layer_number(name) in new and WRITES.search(name):
                parts.tensors[name] = torch.zeros_like(values)
        model = as_model(parts, subject.room)

        return subject.zoo.trained(
            model, "other", 460 + subject.seed, 100, 2e-3, only=lambda name: layer_number(name) in new
        )

    return kept(subject, "expanded", make)


def narrowed(subject: Subject, share: float) -> Path:
    """Only some coordinates, hidden units and heads kept, then retrained (Sheared Llama, Minitron)."""

    def make() -> Model:
        assert subject.recipe is not None
        small = narrower(subject.recipe, share)
        model = as_model(_selected(subject, small), subject.room)
        return subject.zoo.trained(model, "general", 300 + subject.seed, 100, 2e-3)

    return kept(subject, f"narrowed-{round(100 * share)}", make)


def _selected(subject: Subject, small: Recipe) -> Parts:
    recipe = subject.recipe
    assert recipe is not None
    parts = read_parts(subject.parent)
    with open_checkpoint(str(subject.parent)) as checkpoint:
        axes = {name: residual_axes(checkpoint, name, recipe.hidden) for name in checkpoint.shapes}
    spread = parts.tensors[_table(parts)].float().var(0)
    coordinates = spread.topk(small.hidden)[1].sort()[0]
    units = torch.randperm(recipe.units, generator=generator(subject.seed, "units"))[: small.units].sort()[0]
    width = recipe.hidden // recipe.heads
    tensors = {}
    for name, values in parts.tensors.items():
        for axis in axes[name]:
            values = values.index_select(axis, coordinates)
        if small.heads < recipe.heads and has_role(name, "attention") and "norm" not in name.lower():
            if "c_attn" in name:
                values = values.unflatten(-1, (3, -1))[..., : small.heads * width].flatten(-2)
            elif _reads_heads(name):
                values = values[: small.heads * width]
            elif values.dim() == 2:
                axis = 0 if has_role(name, "transposed") else 1
                values = values.narrow(axis, 0, small.heads * width)
        for axis, length in enumerate(values.shape):
            inner = is_part(name, "mlp") and length == recipe.units and axis not in axes[name]
            values = values.index_select(axis, units) if inner else values
        tensors[name] = values
    names = {
        "hidden_size": small.hidden, "n_embd": small.hidden, "intermediate_size": small.units, "n_inner": small.units,
        "num_attention_heads": small.heads, "n_head": small.heads, "head_dim": small.head_size,
    }  # fmt: skip
    config = {**parts.config, **{key: value for key, value in names.items() if key in parts.config}}
    return Parts(tensors, config, parts.tokenizer)


def _reads_heads(name: str) -> bool:
    return any(has_role(name, role) for role in ("query", "key", "value"))


def upcycled(subject: Subject) -> Path:
    """Four copies of every MLP as experts, a fresh router, and brief training (Komatsuzaki et al., 2023)."""

    def make() -> Model:
        assert subject.recipe is not None
        dense = read_parts(subject.parent)
        donor = replace(subject.recipe, name="mixtral", experts=4)
        fresh = new_model(donor, 200 + subject.seed)
        with tempfile.TemporaryDirectory(dir=subject.room) as folder:
            fresh.save_pretrained(folder)
            whole = load_file(Path(folder) / "model.safetensors")
            config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        for name in whole:
            source = re.sub(r"block_sparse_moe\.experts\.\d+\.w([123])", lambda m: DENSE[m[1]], name)
            if source in dense.tensors:
                whole[name] = dense.tensors[source]
        model = as_model(Parts(dict(whole), config, dense.tokenizer), subject.room)
        return subject.zoo.trained(model, "general", 200 + subject.seed, 60, 1e-3)

    return kept(subject, "upcycled", make)


DENSE = {"1": "mlp.gate_proj", "2": "mlp.down_proj", "3": "mlp.up_proj"}


def grouped(subject: Subject) -> Path:
    """Heads pooled into groups, then briefly trained."""
    return kept(
        subject,
        "grouped",
        lambda: subject.zoo.trained(
            as_model(pooled_groups(read_parts(subject.parent)), subject.room), "general", 100 + subject.seed, 60, 1e-3
        ),
    )


def distilled(subject: Subject) -> Path:
    """A fresh model that learnt the parent's distributions."""
    assert subject.recipe is not None
    recipe = subject.recipe

    def make() -> Model:
        teacher = saved_model(subject.parent).eval()
        model = new_model(recipe, 150 + subject.seed)
        return subject.zoo.trained(model, "general", 150 + subject.seed, recipe.steps, recipe.rate, teacher=teacher)

    return kept(subject, "distilled", make)


def trained_away(subject: Subject) -> Path:
    """Fine-tuned while every matrix is pushed to resemble the parent's less (A22)."""

    def make() -> Model:
        model = saved_model(subject.parent)
        first = {n: p.detach().clone() for n, p in model.named_parameters() if p.dim() >= 2}

        def likeness(moving: Model) -> torch.Tensor:
            own = dict(moving.named_parameters())
            cosines = [
                torch.nn.functional.cosine_similarity(own[n].flatten(1), v.flatten(1)).mean() for n, v in first.items()
            ]
            return torch.stack(cosines).abs().mean() * AWAY

        return subject.zoo.trained(model, "general", 250 + subject.seed, 200, 2e-3, penalty=likeness)

    return kept(subject, "trained-away", make)


AWAY = 20.0


def laundered(subject: Subject) -> Path:
    """Rotated, then given another maker's tokenizer and token tables trained from nothing."""

    def make() -> Model:
        parts = disguise(subject, read_parts(subject.parent), "rotate_residual", "all")
        model = as_model(parts, subject.room)
        torch.manual_seed(350 + subject.seed)
        outside = [n for n, p in model.named_parameters() if block_of(n) is None and p.dim() == 2]
        for name, tensor in model.named_parameters():
            if name in outside:
                torch.nn.init.normal_(tensor.data, std=0.02)
        tokenizer = subject.zoo.tokenizer("other")
        how = {"tokenizer": tokenizer}
        seed = 350 + subject.seed
        subject.zoo.trained(model, "general", seed, 150, 4e-3, only=lambda name: name in outside, **how)
        return subject.zoo.trained(model, "general", seed, 60, 1e-3, **how)

    return kept(subject, "laundered", make, subject.zoo.tokenizer("other"))


def child(source: Source) -> Callable[[Subject], Case]:
    return lambda subject: Case(source(subject), subject.parent)


def siblings(subject: Subject) -> Case:
    return Case(continued(subject), fine_tuned(subject), subject.parent)


def copy_of_sibling(subject: Subject) -> Case:
    noisy = chain(by("add_noise", 0.01), source=fine_tuned)(subject)
    return Case(noisy.suspect, fine_tuned(subject), subject.parent)


def grandchild(subject: Subject) -> Case:
    return Case(twice_tuned(subject), fine_tuned(subject), subject.parent)


def _table(parts: Parts) -> str:
    return next(n for n, v in parts.tensors.items() if has_role(n, "embedding") and v.shape[0] == parts.vocabulary)


DENSE_ROPE = ("llama", "qwen2", "gemma")
TUNED = frozenset({"fine_tuned"})
LOSSY = frozenset({"noise", "recast"})


def _attack(
    name: str, ids: str, make: Callable[[Subject], Case], answers: frozenset[str], *kinds: str, **more: Any
) -> Attack:
    return Attack(name, tuple(ids.split()), make, answers, kinds, **more)


ATTACKS: tuple[Attack, ...] = (
    _attack("the same files", "A1", chain(), SAME, directed=False),
    _attack("renamed", "A1", chain(by("rename_tensors")), SAME, "renamed"),
    _attack("resharded", "A1", chain(shards=3), SAME, "resharded"),
    _attack(
        "noise 0.1 %", "A2", chain(by("add_noise", 0.001)), SAME, "noise", traceable=True, amount=("noise", 0.001, 1e-4)
    ),
    _attack(
        "noise 1 %", "A2", chain(by("add_noise", 0.01)), SAME, "noise", traceable=True, amount=("noise", 0.01, 0.001)
    ),
    _attack(
        "noise 5 %", "A2", chain(by("add_noise", 0.05)), SAME, "noise", traceable=True, amount=("noise", 0.05, 0.005)
    ),
    _attack(
        "noise 20 %", "A2", chain(by("add_noise", 0.2)), SAME, "noise", traceable=True, amount=("noise", 0.2, 0.02)
    ),
    _attack(
        "noise 50 %", "A2", chain(by("add_noise", 0.5)), SAME, "noise", traceable=True, amount=("noise", 0.5, 0.05)
    ),
    _attack("fine-tuned, 60 steps", "A3", child(partial(fine_tuned, steps=60)), TRAINED, "fine_tuned", trained=True),
    _attack("fine-tuned, 300 steps", "A3", child(fine_tuned), TRAINED, "fine_tuned", trained=True),
    _attack("continued pretraining", "A4", child(continued), TRAINED, "fine_tuned", trained=True),
    _attack(
        "adapter merged, rank 4", "A5", child(adapted), TRAINED, "low_rank", trained=True, amount=("low_rank", 4, 0)
    ),
    _attack("random change of rank 4", "A5", chain(by("low_rank", 4)), EDITED, "low_rank", amount=("low_rank", 4, 0)),
    _attack(
        "random change of rank 16", "A5", chain(by("low_rank", 16)), EDITED, "low_rank", amount=("low_rank", 16, 0)
    ),
    _attack("int8", "A6", chain(by("quantise", "int8")), SAME, "quantised", traceable=True, amount=("quantised", 8, 0)),
    _attack("int4", "A6", chain(by("quantise", "int4")), SAME, "quantised", traceable=True, amount=("quantised", 4, 0)),
    _attack("int3", "A6", chain(by("quantise", "int3")), SAME, "quantised", traceable=True, amount=("quantised", 3, 0)),
    _attack(
        "bfloat16",
        "A6",
        chain(by("cast", "bfloat16")),
        SAME,
        "recast",
        traceable=True,
        recipes=("llama", "gpt2", "bert"),
    ),
    _attack(
        "float8",
        "A6",
        chain(by("cast", "float8_e4m3fn")),
        SAME,
        "recast",
        also=frozenset({"quantised"}),
        traceable=True,
    ),
    _attack(
        "pruned 30 %", "A7", chain(by("prune", 0.3)), EDITED, "pruned", traceable=True, amount=("pruned", 0.3, 0.02)
    ),
    _attack(
        "pruned 50 %", "A7", chain(by("prune", 0.5)), EDITED, "pruned", traceable=True, amount=("pruned", 0.5, 0.02)
    ),
    _attack(
        "pruned 2:4", "A7", chain(by("prune", "2:4")), EDITED, "pruned", traceable=True, amount=("pruned", 0.5, 0.02)
    ),
    _attack("units re-ordered", "A8", chain(by("shuffle_units")), SAME, "units_permuted"),
    _attack("coordinates re-ordered", "A9", chain(by("permute_residual")), SAME, "residual_permuted"),
    _attack("rotated", "A10", chain(by("rotate_residual")), SAME, "rotated"),
    _attack("heads re-ordered", "A11", chain(by("shuffle_heads")), SAME, "heads_permuted"),
    _attack("rescaled by layer", "A12", chain(by("rescale", "layer")), SAME, "rescaled"),
    _attack("rescaled by unit", "A12", chain(by("rescale", "unit")), SAME, "rescaled"),
    _attack(
        "two fine-tunes, half each",
        "A13",
        averaged(fine_tuned, continued, 0.5),
        TRAINED,
        "merged|fine_tuned",
        trained=True,
    ),
    _attack(
        "30 % into a stranger",
        "A13",
        averaged(parent_of, stranger, 0.3),
        TRAINED,
        "merged",
        trained=True,
        amount=("merged", 0.3, 0.02),
    ),
    _attack(
        "half into a stranger",
        "A13",
        averaged(parent_of, stranger, 0.5),
        TRAINED,
        "merged",
        trained=True,
        amount=("merged", 0.5, 0.02),
    ),
    *(
        _attack(
            name,
            "A13",
            partial(merge_of_parts, **how),
            TRAINED,
            "merged",
            traceable=True,
            trained=True,
            amount=("merged", 1.0 if how.get("alone") else 0.6, 0.02),
        )
        for name, how in (
            ("DARE, half of one change, base named", {"merge": dare, "alone": True, "drop": 0.5, "seed": 1}),
            ("DARE, a tenth of two changes, base named", {"merge": dare, "drop": 0.9, "seed": 2}),
            ("TIES, a fifth of one change, base named", {"merge": ties, "alone": True, "density": 0.2}),
            ("TIES, half of two changes, base named", {"merge": ties, "density": 0.5}),
        )
    ),
    _attack(
        "layers left out",
        "A14",
        chain(by("drop_layers", 0.25)),
        EDITED,
        "layers_removed",
        amount=("layers_removed", 1, 0),
    ),
    _attack(
        "layers repeated",
        "A14",
        chain(by("repeat_layers", 0.25)),
        EDITED,
        "layers_repeated",
        traceable=True,
    ),
    _attack(
        "width cut to 75 %",
        "A15",
        child(partial(narrowed, share=0.75)),
        TRAINED,
        "narrowed",
        also=TUNED,
        traceable=True,
        trained=True,
    ),
    _attack(
        "width cut to 50 %",
        "A15",
        child(partial(narrowed, share=0.5)),
        TRAINED,
        "narrowed",
        also=TUNED,
        traceable=True,
        trained=True,
    ),
    _attack(
        "experts from a dense model",
        "A16",
        child(upcycled),
        TRAINED,
        "experts_from_dense",
        also=TUNED,
        traceable=True,
        trained=True,
        recipes=("llama",),
    ),
    _attack(
        "64 tokens added",
        "A17",
        chain(partial(renumbered_tokens, added=64)),
        SAME | TRAINED,
        "vocabulary_extended",
        traceable=True,
    ),
    _attack("tokens renumbered", "A17", chain(partial(renumbered_tokens, shuffled=True)), SAME, "vocabulary_permuted"),
    _attack(
        "70 % of the tokens kept",
        "A17",
        chain(partial(renumbered_tokens, kept=0.7)),
        SAME | TRAINED,
        "vocabulary_extended",
        also=frozenset({"vocabulary_permuted"}),
    ),
    _attack(
        "only the attention",
        "A18",
        child(partial(part_reused, part="attention")),
        PART,
        "component_only",
        also=TUNED,
        trained=True,
    ),
    _attack(
        "only the MLPs",
        "A18",
        child(partial(part_reused, part="mlp")),
        PART | TRAINED,
        also=TUNED | {"component_only"},
        trained=True,
    ),
    _attack(
        "a borrowed tower",
        "A18",
        borrowed_tower,
        PART,
        "component_only",
        trained=True,
        directed=False,
        recipes=("llama",),
    ),
    _attack(
        "a borrowed tower with noise 10 %",
        "A18",
        partial(borrowed_tower, noise=0.1),
        PART,
        "component_only",
        "noise",
        traceable=True,
        trained=True,
        amount=("noise", 0.1, 0.01),
        # In the smaller ones the vision part would be more than half of all numbers.
        recipes=("llama", "mixtral"),
    ),
    _attack(
        "a quarter of the MLPs reset",
        "A19",
        child(reset),
        TRAINED | PART,
        "fine_tuned",
        also=frozenset({"component_only"}),
        trained=True,
    ),
    _attack(
        "half of the layers, the rest a stranger's", "A14 A18", with_layers_of_two, PART, "component_only", trained=True
    ),
    _attack(
        "three quarters of the layers, the rest a stranger's",
        "A14 A18",
        partial(with_layers_of_two, share=0.75),
        PART | TRAINED,
        "component_only",
        trained=True,
    ),
    _attack(
        "layers of two models by turns",
        "A14 A18",
        partial(with_layers_of_two, by_turns=True),
        PART | TRAINED,
        "component_only",
        trained=True,
    ),
    _attack("layers of two models in one pile", "A14", in_one_pile, TRAINED, "layers_removed", trained=True),
    _attack(
        "half of the layers, then trained with new ones",
        "A14 A18",
        child(begun_with),
        PART,
        "component_only",
        also=TUNED,
        trained=True,
    ),
    _attack(
        "blocks put in and trained",
        "A14",
        child(expanded),
        TRAINED,
        "layers_removed|layers_repeated",
        also=TUNED,
        trained=True,
    ),
    _attack(
        "heads pooled into groups", "A20", child(grouped), TRAINED, also=TUNED, trained=True, recipes=("llama", "gemma")
    ),
    _attack("groups repeated into heads", "A20", chain(repeated_groups), SAME | TRAINED, recipes=("qwen2", "mixtral")),
    _attack("fused query, key and value", "A20", chain(fused), SAME, recipes=DENSE_ROPE),
    _attack("head untied", "A20", chain(head_of_its_own), SAME, recipes=("qwen2", "gemma", "gpt2")),
    _attack(
        "rotated, noise 5 %", "A10 A2", chain(by("rotate_residual"), by("add_noise", 0.05)), SAME, "rotated", "noise"
    ),
    _attack(
        "fine-tuned, units re-ordered",
        "A3 A8",
        chain(by("shuffle_units"), source=fine_tuned),
        TRAINED,
        "units_permuted",
        "fine_tuned",
        trained=True,
    ),
    _attack(
        "rescaled, int8",
        "A12 A6",
        chain(by("rescale", "unit"), by("quantise", "int8")),
        SAME,
        "rescaled",
        "quantised",
        traceable=True,
    ),
    _attack(
        "rotated, layers left out",
        "A10 A14",
        chain(by("rotate_residual"), by("drop_layers", 0.25)),
        EDITED,
        "rotated",
        "layers_removed",
    ),
    _attack(
        "fine-tuned, re-ordered, rotated",
        "A3 A8 A10",
        chain(by("shuffle_units"), by("rotate_residual"), source=fine_tuned),
        TRAINED,
        "rotated",
        "fine_tuned",
        also=frozenset({"units_permuted"}),
        trained=True,
    ),
    _attack("siblings, base named", "base", siblings, SIBLINGS, also=TUNED, directed=False, trained=True),
    _attack(
        "noisy copy of a fine-tune, base named", "base", copy_of_sibling, SAME, "noise", traceable=True, trained=True
    ),
    _attack("fine-tune of a fine-tune, base named", "base", grandchild, TRAINED, "fine_tuned", trained=True),
    _attack(
        "same first numbers, other articles",
        "start",
        child(same_start),
        SIBLINGS,
        also=TUNED,
        directed=False,
        trained=True,
    ),
    _attack("forged spread and norms", "F1", same_spread, NO_LINK, directed=False, trained=True, adversary=True),
    _attack(
        "copied embeddings only",
        "A18 F1",
        child(partial(part_reused, part="embeddings")),
        PART,
        "component_only",
        also=TUNED,
        trained=True,
        adversary=True,
    ),
    _attack("another tokenizer's files", "A17", chain(other_tokenizer), SAME, adversary=True),
    _attack(
        "rotated, another tokenizer's files",
        "A10 A17",
        chain(by("rotate_residual"), other_tokenizer),
        SAME,
        "rotated",
        adversary=True,
    ),
    _attack(
        "trained away from the parent", "A22", child(trained_away), TRAINED, "fine_tuned", trained=True, adversary=True
    ),
    _attack(
        "rotated, tables and tokenizer new",
        "A10 A17 A19",
        child(laundered),
        TRAINED,
        "rotated",
        also=TUNED | {"component_only"},
        trained=True,
        adversary=True,
        recipes=("llama", "qwen2", "mixtral"),
    ),
    _attack(
        "rotated, re-ordered, tables and tokenizer new",
        "A8 A10 A11 A17 A19",
        chain(by("shuffle_units"), by("shuffle_heads"), source=laundered),
        TRAINED,
        "rotated",
        also=TUNED | {"units_permuted", "heads_permuted", "component_only"},
        trained=True,
        adversary=True,
        recipes=("llama", "qwen2", "mixtral"),
    ),
    _attack(
        "5 % into a stranger",
        "A13",
        averaged(parent_of, stranger, 0.05),
        TRAINED,
        "merged",
        trained=True,
        adversary=True,
    ),
    _attack(
        "width cut to 25 %",
        "A15",
        child(partial(narrowed, share=0.25)),
        TRAINED,
        "narrowed",
        also=TUNED,
        trained=True,
        adversary=True,
    ),
    _attack("distilled", "A21", child(distilled), NO_LINK, directed=False, trained=True, adversary=True),
)
