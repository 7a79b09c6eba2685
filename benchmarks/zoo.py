"""Small models with known parents, to measure the audit on: python -m benchmarks.zoo [--seeds N] [--recipe NAME].

Six recipes, several seeds of each. Every model is trained on the project's own English articles until its loss is
far below what word counts alone give, and kept as a Hugging Face folder under a cache outside the repository
(WHOSE_WEIGHTS_CACHE, else the user's cache folder). The zoo keeps the texts it was trained on beside it: it is a
measuring instrument, so later changes of the articles leave it alone until the folder is deleted.

The same texts, library versions and kind of processor give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

ARTICLES = Path(__file__).resolve().parents[1] / "knowledge" / "articles" / "en"
# Raised whenever a recipe changes, so that models of two recipes never meet in one folder.
EDITION = 1

VOCABULARY = 1024
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<mask>")
WINDOW, BATCH = 64, 8
WARM_UP = 20
FINE_TUNING_RATE = 5e-4

Part = Literal["general", "other"]
Model = Any  # a transformers model; the library is untyped


@dataclass(frozen=True)
class Recipe:
    """How a family of models is made; two models of one recipe differ by their seed alone."""

    name: str
    layers: int
    hidden: int
    units: int
    heads: int
    groups: int
    tied: bool
    dtype: str
    experts: int = 0
    head_size: int | None = None
    vocabulary: int = VOCABULARY
    steps: int = 300
    rate: float = 4e-3

    @property
    def encoder(self) -> bool:
        return self.name == "bert"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("llama", 4, 96, 256, 4, 4, False, "float32"),
        Recipe("qwen2", 4, 64, 192, 4, 2, True, "bfloat16"),
        Recipe("gpt2", 4, 96, 352, 4, 4, True, "float32", rate=2e-3),
        Recipe("gemma", 4, 64, 224, 4, 4, True, "bfloat16", head_size=16),
        Recipe("mixtral", 3, 64, 192, 4, 2, False, "bfloat16", experts=4),
        Recipe("bert", 3, 96, 320, 4, 4, True, "float32", rate=2e-3),
    )
}


def new_model(recipe: Recipe, seed: int) -> Model:
    """A model of this recipe before its first step."""
    import transformers as t

    torch.manual_seed(seed)
    common: dict[str, Any] = {"vocab_size": recipe.vocabulary, "tie_word_embeddings": recipe.tied}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {
        "hidden_size": recipe.hidden, "intermediate_size": recipe.units, "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads, "max_position_embeddings": 256,
    }  # fmt: skip
    grouped = {"num_key_value_heads": recipe.groups, "head_dim": recipe.head_size or recipe.hidden // recipe.heads}
    if recipe.name == "llama":
        return t.LlamaForCausalLM(t.LlamaConfig(**common, **ids, **sizes, **grouped))
    if recipe.name == "qwen2":
        return t.Qwen2ForCausalLM(t.Qwen2Config(**common, **ids, **sizes, **grouped))
    if recipe.name == "gemma":
        return t.GemmaForCausalLM(t.GemmaConfig(**common, **ids, **sizes, **grouped))
    if recipe.name == "mixtral":
        experts = {"num_local_experts": recipe.experts, "num_experts_per_tok": 2}
        return t.MixtralForCausalLM(t.MixtralConfig(**common, **ids, **sizes, **grouped, **experts))
    if recipe.name == "gpt2":
        quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return t.GPT2LMHeadModel(
            t.GPT2Config(
                **common, **ids, **quiet, n_embd=recipe.hidden, n_inner=recipe.units, n_layer=recipe.layers,
                n_head=recipe.heads, n_positions=256,
            )
        )  # fmt: skip
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return t.BertForMaskedLM(t.BertConfig(**common, **sizes, **quiet, pad_token_id=0, type_vocab_size=2))


def saved_model(folder: Path) -> Model:
    """The model in a folder, in float32, as somebody would download it."""
    import transformers as t

    encoder = "bert" in json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    kind = t.AutoModelForMaskedLM if encoder else t.AutoModelForCausalLM
    return kind.from_pretrained(folder, local_files_only=True, dtype=torch.float32)


def cache_folder() -> Path:
    """Where trained models are kept: WHOSE_WEIGHTS_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("WHOSE_WEIGHTS_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whose-weights"


class Zoo:
    """The models under one folder; each is trained when it is first asked for."""

    def __init__(self, folder: Path | None = None, texts: dict[str, str] | None = None) -> None:
        """`texts` are the articles to train on where the folder holds none yet."""
        self.folder = (folder or cache_folder()) / f"zoo-{EDITION}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._given = texts
        _fix_arithmetic()

    @cached_property
    def texts(self) -> dict[str, str]:
        """Article -> English text, as the zoo was trained on."""
        kept = self.folder / "texts.json"
        if not kept.exists():
            texts = self._given or {path.stem: _body(path.read_text("utf-8")) for path in sorted(ARTICLES.glob("*.md"))}
            kept.write_text(json.dumps(texts, ensure_ascii=False, indent=1), encoding="utf-8")
        found: dict[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        return found

    def part(self, part: Part) -> list[str]:
        """Two thirds of the articles ("general") or the remaining third ("other")."""
        return [text for place, text in enumerate(self.texts.values()) if (place % 3 == 2) == (part == "other")]

    def tokenizer(self, part: Literal["all", "other"] = "all") -> str:
        """The zoo's tokenizer, or the one of a maker who knew only some of the texts, as the text of tokenizer.json."""
        kept = self.folder / f"tokenizer-{part}.json"
        if not kept.exists():
            texts = list(self.texts.values()) if part == "all" else self.part("other")
            kept.write_text(_train_tokenizer(texts), encoding="utf-8")
        return kept.read_text(encoding="utf-8")

    def tokens(self, part: Part, tokenizer: str | None = None) -> torch.Tensor:
        """The articles of a part as one stream of token numbers, (tokens,)."""
        from tokenizers import Tokenizer

        encoder = Tokenizer.from_str(tokenizer or self.tokenizer())
        end = encoder.token_to_id("</s>")
        return torch.tensor([piece for text in self.part(part) for piece in (*encoder.encode(text).ids, end)])

    def model(self, recipe: str, seed: int, part: Part = "general", start: int | None = None) -> Path:
        """A model of a recipe; `start` is the seed of its first weights where that is another than its data's."""
        made = RECIPES[recipe]
        first = seed if start is None else start
        name = f"{recipe}/seed-{seed}" + (f"-{part}" if part != "general" else "") + (
            f"-start-{start}" if start is not None else ""
        )  # fmt: skip
        return self.keep(
            name, lambda: self.trained(new_model(made, first), part, seed, made.steps, made.rate), made.dtype
        )

    def trained(
        self, model: Model, part: Part, seed: int, steps: int, rate: float = FINE_TUNING_RATE, **how: Any
    ) -> Model:
        """The model after more steps on a part of the texts; see `train`."""
        train(model, self.tokens(part, how.pop("tokenizer", None)), seed=seed, steps=steps, rate=rate, **how)
        return model

    def keep(self, name: str, make: Callable[[], Model], dtype: str, tokenizer: str | None = None) -> Path:
        """The folder of that name; made and written first where it does not exist yet."""
        target = self.folder / name
        if target.exists():
            return target
        began = time.monotonic()
        model = make()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as room:
            work = Path(room) / "model"
            write_model(work, model, dtype, tokenizer or self.tokenizer())
            losses = getattr(model, "zoo_losses", [])
            record = {"seconds": round(time.monotonic() - began, 1), "losses": losses}
            (work / "training.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
            try:
                work.rename(target)
            except OSError:
                # Another process was first; the same arithmetic gave it the same model.
                if not target.exists():
                    raise
        return target

    def unigram_entropy(self, part: Part = "general") -> float:
        """Nats per token of a model that knows word counts alone."""
        counts = Counter(self.tokens(part).tolist())
        total = sum(counts.values())
        return -sum(count / total * math.log(count / total) for count in counts.values())


def train(
    model: Model,
    tokens: torch.Tensor,
    *,
    seed: int,
    steps: int,
    rate: float,
    teacher: Model | None = None,
    penalty: Callable[[Model], torch.Tensor] | None = None,
    only: Callable[[str], bool] | None = None,
    decay: float = 0.1,
) -> None:
    """Train in place on random windows drawn from `seed`: AdamW, warm-up, cosine schedule.

    With a teacher the model learns its distributions instead of the texts; `penalty` is added to the loss; `only`
    chooses which parameters move, `decay` is the weight decay of the matrices. The mean loss of every fiftieth is
    appended to `model.zoo_losses`.
    """
    draw = torch.Generator().manual_seed(seed)
    moving = [tensor for name, tensor in model.named_parameters() if only is None or only(name)]
    for _, tensor in model.named_parameters():
        tensor.requires_grad_(False)
    for tensor in moving:
        tensor.requires_grad_(True)
    groups = [
        {"params": [tensor for tensor in moving if tensor.dim() > 1], "weight_decay": decay},
        {"params": [tensor for tensor in moving if tensor.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), foreach=True)
    encoder = "ForMaskedLM" in type(model).__name__
    model.train()
    losses: list[float] = []
    for step in range(steps):
        warm = min(1.0, (step + 1) / min(WARM_UP, steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
        starts = torch.randint(len(tokens) - WINDOW, (BATCH,), generator=draw)
        window = torch.stack([tokens[start : start + WINDOW] for start in starts.tolist()])
        loss = _loss(model, window, encoder, teacher)
        total = loss if penalty is None else loss + penalty(model)
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(moving, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    means = [round(sum(part) / len(part), 3) for i in range(0, steps, 50) if (part := losses[i : i + 50])]
    model.zoo_losses = [*getattr(model, "zoo_losses", []), *means]


def write_model(folder: Path, model: Model, dtype: str, tokenizer: str) -> None:
    """A Hugging Face folder: safetensors in that number format, configuration, tokenizer."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_tokenizer(folder, tokenizer)


def write_tokenizer(folder: Path, tokenizer: str) -> None:
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>",
        "mask_token": "<mask>", "model_max_length": 256,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def narrower(recipe: Recipe, share: float) -> Recipe:
    """The recipe with that share of its residual width, hidden units and (where heads fill the width) heads."""
    fills = recipe.name in ("gpt2", "bert")
    return replace(
        recipe,
        hidden=round(recipe.hidden * share),
        units=round(recipe.units * share),
        heads=max(1, round(recipe.heads * share)) if fills else recipe.heads,
        head_size=None if fills else recipe.head_size or recipe.hidden // recipe.heads,
    )


def _loss(model: Model, window: torch.Tensor, encoder: bool, teacher: Model | None) -> torch.Tensor:
    inputs = {"input_ids": window}
    if encoder:
        # Filling in blanks takes an encoder thousands of steps before its loss moves at all; with the future hidden it
        # learns as fast as the others, and its weights are no less an encoder's.
        future = torch.ones(WINDOW, WINDOW).triu(1).bool()
        mask = torch.zeros(WINDOW, WINDOW).masked_fill(future, torch.finfo(torch.float32).min)
        inputs["attention_mask"] = mask.expand(len(window), 1, WINDOW, WINDOW)
    logits = model(**inputs).logits[:, :-1].flatten(0, 1)
    if teacher is None:
        return torch.nn.functional.cross_entropy(logits, window[:, 1:].flatten())
    with torch.no_grad():
        wanted = teacher(**inputs).logits[:, :-1].flatten(0, 1).log_softmax(-1)
    return torch.nn.functional.kl_div(logits.log_softmax(-1), wanted, reduction="batchmean", log_target=True)


def _body(text: str) -> str:
    if not text.startswith("---\n"):
        return text.strip()
    return text[4:].partition("\n---\n")[2].strip()


def _train_tokenizer(texts: Sequence[str]) -> str:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL_TOKENS), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    text: str = tokenizer.to_str(pretty=False)
    return text


def _fix_arithmetic() -> None:
    """One thread and deterministic kernels, so that a second run gives the same bits."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the models asked for and print their losses; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("--seeds", type=int, default=8, help="models of each recipe")
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="only this recipe; may be repeated")
    asked = parser.parse_args(arguments)
    zoo = Zoo()
    print(f"word counts alone: {zoo.unigram_entropy():.2f} nats per token")
    for recipe in asked.recipe or RECIPES:
        for seed in range(asked.seeds):
            folder = zoo.model(recipe, seed)
            record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
            print(f"{recipe:<8} seed {seed}  loss {record['losses'][-1]:.2f}  {record['seconds']:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
