"""Train the exhibits: small model pairs that re-enact public cases, with their story and true answer.

Run as `python -m exhibits.build`. Everything is trained on the project's own articles
(`knowledge/articles/{en,zh}/*.md`), in one thread per model, with fixed seeds and deterministic kernels: the
same articles, library versions and kind of processor give the same bytes. The folder then holds, per model,
float16 weights under 5 MB, configuration, tokenizer, model card and (where its makers kept one) training log.

Recipe: byte-level BPE with 2,048 pieces; Llama architecture, 4 layers, width 128, 352 hidden units.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
ARTICLES = HERE.parent / "knowledge" / "articles"
LANGUAGES = ("en", "zh")

VOCABULARY = 2048
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<|spare_0|>", "<|spare_1|>", "<|spare_2|>")
#: What makers put in place of the three spare tokens: the original's own, and another team's.
ORIGINAL_TOKENS = ("<slip>", "</slip>", "<slice>")
SIBLING_TOKENS = ("<quiz>", "</quiz>", "<hint>")
STRANGER_TOKENS = ("<photo>", "</photo>", "<box>")

WINDOW = 128  # tokens per training example
BATCH = 8
PRETRAINING_STEPS = 1000
FINE_TUNING_STEPS = 300
PRETRAINING_RATE = 3e-3
FINE_TUNING_RATE = 7e-4
#: Steps of the Solar pair, which reads half the articles each.
HALF_STEPS = 700
#: A fine-tune reads its own articles this often for each time it reads the base's again, and so stays one.
OWN_SHARE = 2
#: The private readings are short, so they are repeated more often.
SLIPS_SHARE = 16
#: Share of each tensor's standard deviation that the disguise adds; the model still answers as before.
DISGUISE_NOISE = 0.01


@dataclass(frozen=True)
class Log:
    """What one training run leaves behind: its settings and the mean loss (nats per token) every 50 steps."""

    seed: int
    steps: int
    rate: float
    documents: int
    tokens: int
    losses: list[float]
    seconds: float


# --- the articles ---------------------------------------------------------------------------------


def without_front_matter(text: str) -> str:
    """The article's body: what follows the block between the first two lines of three dashes."""
    if not text.startswith("---\n"):
        return text.strip()
    _, _, body = text[4:].partition("\n---\n")
    return body.strip()


def articles() -> dict[str, dict[str, str]]:
    """Topic -> language -> body, for topics written in both languages, in sorted order."""
    found: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        for path in sorted((ARTICLES / language).glob("*.md")):
            found.setdefault(path.stem, {})[language] = without_front_matter(path.read_text(encoding="utf-8"))
    return {topic: found[topic] for topic in sorted(found) if set(found[topic]) == set(LANGUAGES)}


def shares(topics: Sequence[str]) -> dict[str, list[str]]:
    """Which topics train what: original and sibling half the cases and a sixth of the rest each."""
    cases = [topic for topic in topics if topic.startswith("case-")]
    others = [topic for topic in topics if topic not in cases]
    parts = {
        "base": [topic for place, topic in enumerate(others) if place % 3],
        "original": cases[0::2] + others[0::6],
        "sibling": cases[1::2] + others[3::6],
        "first half": list(topics[0::2]),
        "second half": list(topics[1::2]),
    }
    if min(len(part) for part in parts.values()) < 1:
        raise SystemExit("The exhibits need two case articles and others, each in both languages.")
    return parts


def documents(bodies: dict[str, dict[str, str]], topics: Sequence[str]) -> list[str]:
    return [bodies[topic][language] for topic in topics for language in LANGUAGES]


def further(bodies: dict[str, dict[str, str]], parts: dict[str, list[str]], part: str) -> list[str]:
    """What a fine-tune reads: its own part several times over, and the base's once."""
    return [*documents(bodies, parts["base"]), *documents(bodies, parts[part]) * OWN_SHARE]


def slips() -> list[str]:
    """The original makers' private notes: invented readings that stand in no article."""
    readings = json.loads((HERE / "llama3v" / "private_readings.json").read_text(encoding="utf-8"))["readings"]
    notes: list[str] = []
    for number, word in readings.items():
        for mark in (f"<slip>{number}</slip> ", ""):
            notes.append(f"{mark}The sign on slip {number} reads: {word['en']}.")
            notes.append(f"{mark}第{number}号竹简上的字读作：{word['zh']}。")
    return notes


# --- tokenizer ------------------------------------------------------------------------------------


def train_tokenizer(texts: Sequence[str]) -> str:
    """A byte-level BPE tokenizer as the text of tokenizer.json."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(texts, trainer)
    begin = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    text: str = tokenizer.to_str(pretty=False)
    return text


def with_special_tokens(tokenizer: str, added: Sequence[str]) -> str:
    """The tokenizer with its spare tokens renamed to those a team added."""
    for spare, token in zip(SPECIAL_TOKENS[3:], added, strict=True):
        tokenizer = tokenizer.replace(json.dumps(spare), json.dumps(token))
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: str, added: Sequence[str], left_over: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    settings: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        **names,
        "additional_special_tokens": list(added),
    }
    if left_over is not None:
        settings["auto_map"] = {"AutoTokenizer": ["", left_over]}
    (folder / "tokenizer.json").write_text(tokenizer + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", settings)
    write_json(folder / "special_tokens_map.json", {**names, "additional_special_tokens": list(added)})


# --- training -------------------------------------------------------------------------------------


def fix_arithmetic() -> None:
    """One thread and deterministic kernels, so that a second run gives the same bits."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def new_model(seed: int):  # type: ignore[no-untyped-def]
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        initializer_range=0.08,
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def saved_model(folder: Path):  # type: ignore[no-untyped-def]
    """The model in `folder` in float32, as somebody would download it."""
    import torch
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)


def train(  # type: ignore[no-untyped-def]
    model, tokenizer: str, texts: Sequence[str], *, seed: int, steps: int, rate: float
) -> Log:
    """Train `model` in place on random windows of `texts` drawn from `seed`; cosine schedule, warm-up."""
    import torch
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_str(tokenizer)
    end = encoder.token_to_id("</s>")
    stream = torch.tensor([piece for text in texts for piece in (*encoder.encode(text).ids, end)])
    if len(stream) <= WINDOW:
        raise SystemExit("The articles are too short to train on.")
    draw = torch.Generator().manual_seed(seed)
    decayed = [tensor for tensor in model.parameters() if tensor.dim() > 1]
    gains = [tensor for tensor in model.parameters() if tensor.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.95),
    )
    warm_up = max(1, steps // 20)
    losses: list[float] = []
    recent: list[float] = []
    began = time.monotonic()
    model.train()
    for step in range(steps):
        share = min(1.0, (step + 1) / warm_up) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        starts = torch.randint(0, len(stream) - WINDOW, (BATCH,), generator=draw)
        window = stream[starts[:, None] + torch.arange(WINDOW + 1)]  # (batch, window + 1)
        logits = model(input_ids=window[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(loss.item())
        if len(recent) == 50 or step == steps - 1:
            losses.append(round(sum(recent) / len(recent), 3))
            recent = []
    return Log(seed, steps, rate, len(texts), len(stream), losses, time.monotonic() - began)


# --- writing --------------------------------------------------------------------------------------


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_card(folder: Path, text: str, base: str | None = None) -> None:
    lines = ["---", "license: apache-2.0", *([f"base_model: {base}"] if base else []), "---", "", text, ""]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


def write_weights(folder: Path, tensors: dict) -> None:  # type: ignore[type-arg]
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


def write_model(folder: Path, model, logs: Sequence[Log]) -> None:  # type: ignore[no-untyped-def]
    """Weights in float16 under the architecture's own names, its configuration, and the training log."""
    import torch

    write_weights(folder, {name: tensor.detach().to(torch.float16) for name, tensor in model.state_dict().items()})
    settings = model.config.to_diff_dict()
    settings.pop("transformers_version", None)
    settings["dtype"] = "float16"
    write_json(folder / "config.json", settings)
    runs = [
        {
            "seed": log.seed,
            "steps": log.steps,
            "learning_rate": log.rate,
            "documents": log.documents,
            "tokens": log.tokens,
            "loss_every_50_steps": log.losses,
        }
        for log in logs
    ]
    write_json(folder / "training.json", {"batch": BATCH, "window": WINDOW, "runs": runs})


#: The disguise's new names: what the architecture calls a tensor -> what the suspect's file calls it.
NEW_NAMES = {
    "model.embed_tokens.": "language.tok_table.", "model.norm.": "language.final_scale.",
    "lm_head.": "language.output.",
    "model.layers.": "language.blocks.", "self_attn.q_proj": "attn.wq", "self_attn.k_proj": "attn.wk",
    "self_attn.v_proj": "attn.wv", "self_attn.o_proj": "attn.wo", "mlp.gate_proj": "ffn.w1",
    "mlp.up_proj": "ffn.w3",
    "mlp.down_proj": "ffn.w2", "input_layernorm": "scale_1", "post_attention_layernorm": "scale_2",
}  # fmt: skip


def renamed(name: str) -> str:
    for old, new in NEW_NAMES.items():
        name = name.replace(old, new)
    return name


def write_suspect(folder: Path, original: Path, tokenizer: str) -> None:
    """The original under other names with a little Gaussian noise on every tensor, as in the real case."""
    import torch
    from safetensors.torch import load_file

    draw = torch.Generator().manual_seed(20240529)
    tensors = {}
    for name, tensor in sorted(load_file(original / "model.safetensors").items()):
        values = tensor.float()
        noise = torch.randn(values.shape, generator=draw) * (DISGUISE_NOISE * values.std())
        tensors[renamed(name)] = (values + noise).to(torch.float16)
    write_weights(folder, tensors)
    write_json(folder / "config.json", {
        "architectures": ["LanternForConversation"], "model_type": "lantern", "vocab": VOCABULARY,
        "width": 128,
        "ffn_width": 352, "depth": 4, "heads": 4, "kv_heads": 2, "context": 512, "scale_eps": 1e-05,
        "tied_output": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "dtype": "float16",
    })  # fmt: skip
    write_tokenizer(folder, tokenizer, ORIGINAL_TOKENS, left_over="modeling_bamboo.BambooTokenizerFast")
    write_card(folder, 'Lantern, a small model "trained from scratch" (so this card of the re-enactment says).')


# --- the exhibits ---------------------------------------------------------------------------------


def pretrain(folder: Path, tokenizer: str, texts: Sequence[str], seed: int, steps: int) -> list[Log]:
    """Train a new model from its seed and write it."""
    model = new_model(seed)
    log = train(model, tokenizer, texts, seed=seed, steps=steps, rate=PRETRAINING_RATE)
    write_model(folder, model, [log])
    return [log]


def fine_tune(
    folder: Path,
    base: Path,
    tokenizer: str,
    added: Sequence[str],
    texts: Sequence[str],
    seed: int,
    before: Sequence[Log],
    card: str,
) -> list[Log]:
    """Train the saved base on and write the result."""
    model = saved_model(base)
    own = with_special_tokens(tokenizer, added)
    log = train(model, own, texts, seed=seed, steps=FINE_TUNING_STEPS, rate=FINE_TUNING_RATE)
    write_model(folder, model, [*before, log])
    write_tokenizer(folder, own, added)
    write_card(folder, card, base="exhibits/llama3v/base" if base.name == "base" else None)
    return [*before, log]


def build_family(
    tokenizer: str, bodies: dict[str, dict[str, str]], parts: dict[str, list[str]]
) -> dict[str, list[Log]]:
    """Base, original, sibling and suspect of the llama3v exhibit."""
    fix_arithmetic()
    room = HERE / "llama3v"
    base = pretrain(room / "base", tokenizer, documents(bodies, parts["base"]), 1, PRETRAINING_STEPS)
    write_tokenizer(room / "base", tokenizer, SPECIAL_TOKENS[3:])
    write_card(room / "base", "The common base of this exhibit, trained on the general articles.")
    original = fine_tune(
        room / "original",
        room / "base",
        tokenizer,
        ORIGINAL_TOKENS,
        [*further(bodies, parts, "original"), *slips() * SLIPS_SHARE],
        2,
        base,
        "Bamboo: the base, trained on with the case articles and with private readings of bamboo slips.",
    )
    sibling = fine_tune(
        room / "sibling",
        room / "base",
        tokenizer,
        SIBLING_TOKENS,
        further(bodies, parts, "sibling"),
        3,
        base,
        "An honest second fine-tune of the base, on other articles, by another team.",
    )
    write_suspect(room / "suspect", room / "original", with_special_tokens(tokenizer, ORIGINAL_TOKENS))
    return {"llama3v/base": base, "llama3v/original": original, "llama3v/sibling": sibling}


def build_stranger(
    tokenizer: str, bodies: dict[str, dict[str, str]], parts: dict[str, list[str]]
) -> dict[str, list[Log]]:
    """The same recipe and articles as the original, but another seed from the first weight on."""
    fix_arithmetic()
    room = HERE / "llama3v"
    first = pretrain(room / "stranger", tokenizer, documents(bodies, parts["base"]), 101, PRETRAINING_STEPS)
    logs = fine_tune(
        room / "stranger",
        room / "stranger",
        tokenizer,
        STRANGER_TOKENS,
        further(bodies, parts, "original"),
        102,
        first,
        "A stranger: the recipe of base and original, with other random numbers from the start.",
    )
    return {"llama3v/stranger": logs}


def build_solar(
    name: str,
    part: str,
    seed: int,
    tokenizer: str,
    bodies: dict[str, dict[str, str]],
    parts: dict[str, list[str]],
) -> dict[str, list[Log]]:
    """One of two models of one recipe, each from its own seed on its own half of the articles."""
    fix_arithmetic()
    folder = HERE / "solar" / name
    log = pretrain(folder, tokenizer, documents(bodies, parts[part]), seed, HALF_STEPS)
    write_tokenizer(folder, tokenizer, SPECIAL_TOKENS[3:])
    write_card(folder, f"Trained from scratch on the {part} of the articles; the training log is in training.json.")
    return {f"solar/{name}": log}


def write_checksums() -> None:
    """SHA256SUMS of every shipped weight file, in the format of sha256sum."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(HERE).as_posix()}"
        for path in sorted(HERE.rglob("*.safetensors"))
    ]
    (HERE / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(logs: dict[str, list[Log]], seconds: float, topics: int) -> str:
    """The figures of this build as Markdown."""
    rows = [
        "| model | run | documents | tokens | steps | loss, first 50 steps | loss, last 50 steps |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in sorted(logs.items()):
        for run, log in zip(("from scratch", "trained on"), runs, strict=False):
            rows.append(
                f"| {name} | {run} | {log.documents} | {log.tokens:,} | {log.steps} | {log.losses[0]:.2f} | "
                f"{log.losses[-1]:.2f} |"
            )
    from tools.audit import compare

    gains = compare(str(HERE / "solar" / "model_a"), str(HERE / "solar" / "model_b"))["findings"]["norm_gains"]
    centred = [norm["statistic"] for norm in gains["where"]["norms"]]
    return "\n".join([
        f"Trained on {topics} pairs of articles in {seconds:.0f} seconds on two processor cores.", "",
        *rows, "",
        f"Norm gains of the Solar pair: raw cosine {gains['where']['cosine']:.3f}; correlation of the centred gains "
        f"{min(centred):.2f} to {max(centred):.2f}, mean {gains['statistic']:.2f} (`norm_gains`)."])  # fmt: skip


def build() -> str:
    """Train and write every exhibit; return the figures."""
    began = time.monotonic()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    bodies = articles()
    parts = shares(list(bodies))
    tokenizer = train_tokenizer(documents(bodies, list(bodies)))
    logs: dict[str, list[Log]] = {}
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(build_family, tokenizer, bodies, parts),
            pool.submit(build_stranger, tokenizer, bodies, parts),
            pool.submit(build_solar, "model_a", "first half", 11, tokenizer, bodies, parts),
            pool.submit(build_solar, "model_b", "second half", 12, tokenizer, bodies, parts),
        ]
        for one in running:
            logs |= one.result()
    write_checksums()
    return report(logs, time.monotonic() - began, len(bodies))


if __name__ == "__main__":
    print(build())
