"""Models that can be run: built from classes that ship with Transformers, from no code a model brings along.

A configuration is data from a stranger. Only its numbers and plain switches reach a class that Transformers
itself lists for that model type; `auto_map`, kernels, quantisation backends and whatever else could fetch or
run code is dropped, and nothing is built that is much larger than the checkpoint beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tools.behaviour.prompts import MOST_PIECES, items, pieces_of
from tools.behaviour.renaming import Fit, fit_names
from tools.checkpoint import Checkpoint
from tools.errors import Cancelled, UserError

Stop = Callable[[], bool] | None

# Above this a run takes minutes and tens of gigabytes; the weights can be compared without running.
MAX_PARAMETERS = 1_000_000_000
# Below this a second thread gains little on a free machine and, waiting for its turn, loses tenfold on a busy one.
ONE_THREAD_PARAMETERS = 50_000_000
# Causal masks of the older designs are square in the context length, one a layer: 32 layers at 2,048 tokens are half.
MAX_BUFFERS = 1 << 28
# No published model has more experts in a layer; more is a file that wants to keep the machine busy.
MAX_EXPERTS = 4_096
# What makes Transformers fetch, choose or run something beyond its own listed class.
_NOT_PLAIN = frozenset(
    [
        "auto_map",
        "quantization_config",
        "compression_config",
        "use_kernels",
        "kernel_config",
        "name_or_path",
        "device_map",
        "dtype",
        "torch_dtype",
        "custom_pipelines",
        "use_pretrained_backbone",
        "use_timm_backbone",
    ]
)
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
# How often a running model asks whether the user has pressed Stop.
_STOP_EVERY = 0.1


@dataclass
class Runnable:
    """A language model in float32, its tokenizer, the prompts cut by it, and how its tensors were placed."""

    name: str
    model: Any
    tokenizer: Any
    prompts: list[list[int]]
    fit: Fit
    in_other_code: bool


def open_runnable(checkpoint: Checkpoint, other: Checkpoint | None = None, stop: Stop = None) -> Runnable:
    """The checkpoint as a running model: under its own names, else in the code of `other` (rename-and-run).

    The tokenizer is its own, or that of `other` where it has none. Raises UserError("not_a_language_model")
    where the model cannot be run, and Cancelled.
    """
    check(stop)
    refusal = UserError("not_a_language_model", name=checkpoint.ref.name)
    tokenizer = read_tokenizer(checkpoint) or (None if other is None else read_tokenizer(other))
    if tokenizer is None or not checkpoint.has_weights or (checkpoint.parameters or 0) > MAX_PARAMETERS:
        raise refusal
    fit: Fit | None = Fit({name: name for name in checkpoint.shapes}, len(checkpoint.shapes), 0, None)
    model = _build(checkpoint, checkpoint, {name: name for name in checkpoint.shapes}, stop)
    in_other_code = False
    if model is None and other is not None:
        fit = fit_names(checkpoint, other, stop)
        model = None if fit is None else _build(other, checkpoint, fit.names, stop)
        in_other_code = model is not None
    if model is None or fit is None:
        raise refusal
    try:
        prompts = [pieces_of(tokenizer, item.prompt) for item in items()]
        sound = _reads_forward_only(model, max(map(len, prompts)) + MOST_PIECES, max(map(max, prompts)))
    except Exception:  # a tokenizer without a piece for the unknown, a design that fails once it runs
        raise refusal from None
    if not sound:
        raise refusal
    _listen(model, stop)
    return Runnable(checkpoint.ref.name, model, tokenizer, prompts, fit, in_other_code)


def untrained(like: Checkpoint, code: Checkpoint, runnable: Runnable, seed: int) -> Runnable:
    """A model of `code`'s design with fresh random weights, to stand beside `like`, which runs as `runnable`."""
    import torch

    plan = _plan(code)
    if plan is None:
        raise UserError("not_a_language_model", name=like.ref.name)
    model_class, config = plan
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model = model_class(config).float().eval()
    name = f"{like.ref.name} (untrained)"
    return Runnable(name, model, runnable.tokenizer, runnable.prompts, Fit({}, 0, 0, None), False)


def check(stop: Stop) -> None:
    """Raises Cancelled once the user has pressed Stop."""
    if stop is not None and stop():
        raise Cancelled


@contextmanager
def fitting_threads(parameters: int) -> Iterator[None]:
    """One thread for small models, as many as set for others."""
    import torch

    before = torch.get_num_threads()
    if parameters < ONE_THREAD_PARAMETERS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Transformers' progress bars and load reports off the screen."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def plain(config: Mapping[str, object]) -> dict[str, Any]:
    """The configuration without what could fetch or run anything."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key.startswith(("_", "backbone")) or key.endswith("implementation") or key in _NOT_PLAIN:
            continue
        kept[key] = plain(value) if isinstance(value, Mapping) else value
    return kept


def _plan(checkpoint: Checkpoint) -> tuple[Any, Any] | None:
    """The class that Transformers lists for this model type, and its configuration; None without one."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    )

    kind = checkpoint.config.get("model_type")
    listed = isinstance(kind, str) and kind in CONFIG_MAPPING_NAMES and kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if not listed or not _modest(checkpoint.config, max(64, len(checkpoint.shapes))):
        return None
    try:
        with quiet():
            config = CONFIG_MAPPING[kind].from_dict(plain(checkpoint.config))
            return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], config
    except Exception:  # a stranger's configuration can fail anywhere inside another library
        return None


def _modest(value: object, tensors: int, key: str = "") -> bool:
    """False for a count of layers or experts that these tensors cannot fill."""
    if isinstance(value, Mapping):
        return all(_modest(inner, tensors, str(name)) for name, inner in value.items())
    if isinstance(value, list):
        return len(value) <= 1_000_000
    if isinstance(value, int):
        if "layer" in key or "block" in key or "depth" in key:
            return value <= tensors
        return "expert" not in key or value <= MAX_EXPERTS
    return True


def _build(code: Checkpoint, weights: Checkpoint, names: Mapping[str, str], stop: Stop) -> Any:
    """A model of `code`'s design with `weights`' tensors, `names` mapping the former's names to the latter's.

    None where the tensors do not fill the design.
    """
    import torch

    plan = _plan(code)
    if plan is None or any(weights.dtypes[name] not in _FLOATS | {"bool"} for name in names.values()):
        return None
    model_class, config = plan
    try:
        with quiet(), torch.device("meta"):
            empty = model_class(config)
    except Exception:  # sizes that do not divide, switches that exclude each other: the library's own refusals
        return None
    needed = sum(tensor.numel() for tensor in empty.parameters())
    # Tied tensors are counted once by a file and may be counted twice by the design.
    if needed > 2 * (weights.parameters or 0) or sum(b.numel() for b in empty.buffers()) > MAX_BUFFERS:
        return None
    tensors = {}
    for target, source in names.items():
        check(stop)
        values = weights.read(source)
        tensors[target] = values.float() if values.is_floating_point() else values
    try:
        with quiet():
            model, found = model_class.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                dtype=torch.float32,
                attn_implementation="eager",
                local_files_only=True,
                output_loading_info=True,
            )
    except Exception:  # as above; shapes that do not fit are refused here
        return None
    return None if found["missing_keys"] or found["mismatched_keys"] else model.eval()


def read_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer beside the weights: tokenizer.json, or vocab.json and merges.txt; None if unreadable."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    text, vocabulary, merges = (checkpoint.side_file(n) for n in ("tokenizer.json", "vocab.json", "merges.txt"))
    try:
        if text is not None:
            tokenizer = Tokenizer.from_str(text.decode("utf-8"))
        elif vocabulary is not None and merges is not None:
            import json

            rules = [line.split(" ") for line in merges.decode("utf-8").splitlines() if not line.startswith("#version")]
            pairs = [(rule[0], rule[1]) for rule in rules if len(rule) == 2]
            tokenizer = Tokenizer(models.BPE(vocab=json.loads(vocabulary), merges=pairs))
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
        else:
            return None
        tokenizer.no_padding()
        tokenizer.no_truncation()
    except Exception:  # whatever the parser finds wrong with a stranger's file
        return None
    return tokenizer


def _reads_forward_only(model: Any, length: int, last_piece: int) -> bool:
    """True where rows of this length can be read and a token changes no prediction before it, unlike an encoder's."""
    import torch

    size = model.get_input_embeddings().weight.shape[0]
    row = [index * 7 % size for index in range(1, length + 1)]
    rows = torch.tensor([row, [*row[:-1], (row[-1] + 1) % size]])
    with torch.inference_mode():
        logits = model(input_ids=rows, use_cache=False).logits[:, :-1].float()
    spread = float(logits.std())
    changed = float((logits[0] - logits[1]).abs().max())
    return last_piece < size and math.isfinite(spread) and changed <= 1e-5 * max(spread, 1e-6)


def _listen(model: Any, stop: Stop) -> None:
    """Let every part of the model ask whether to stop, so that a long pass ends within a second."""
    if stop is None:
        return
    asked = time.monotonic()

    def ask(*_: object) -> None:
        nonlocal asked
        if time.monotonic() - asked >= _STOP_EVERY:
            check(stop)
            asked = time.monotonic()

    for part in model.modules():
        part.register_forward_pre_hook(ask)
