"""How a model goes on after short prompts, as it is and with noise on its weights."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.behaviour.prompts import MOST_PIECES, items
from tools.behaviour.running import Runnable, Stop, check

#: Noise on every tensor, as a share of its standard deviation: none, a disguise's, up to plain damage.
NOISE_LEVELS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
#: Draws of the noise at each level above zero; the same for every model.
DRAWS = 2
BATCH = 32
#: Values that get their noise at a time, so that Stop is heard between them.
NOISE_BLOCK = 1 << 22


@dataclass
class Answers:
    """What one model said, per noise level and draw; and its first pieces' probabilities (items, pieces)."""

    texts: list[list[list[str]]] = field(default_factory=list)
    probabilities: list[list[Any]] = field(default_factory=list)


def answer_all(runnable: Runnable, *, seed: int, stop: Stop) -> Answers:
    """Every item at every noise level. The model is left as it was. Raises Cancelled."""
    import torch

    clean = {name: values.detach().clone() for name, values in runnable.model.named_parameters()}
    answers = Answers()
    with torch.inference_mode():
        for level in NOISE_LEVELS:
            draws = 1 if level == 0 else DRAWS
            texts, probabilities = [], []
            for draw in range(draws):
                _add_noise(runnable.model, clean, level, f"{seed}/{level}/{draw}", stop)
                said, first = _go_on(runnable, stop)
                texts.append(said)
                probabilities.append(first)
            answers.texts.append(texts)
            # One draw of probabilities is kept: with large vocabularies they are the bulk of the memory.
            answers.probabilities.append(probabilities[:1])
        _add_noise(runnable.model, clean, 0.0, "", stop)
    return answers


def _add_noise(model: Any, clean: dict[str, Any], level: float, key: str, stop: Stop) -> None:
    """Set every tensor to its clean values plus noise that depends on the tensor's name and `key` alone."""
    import torch

    for name, values in model.named_parameters():
        check(stop)
        if level == 0:
            values.copy_(clean[name])
            continue
        draw = torch.Generator().manual_seed(zlib.crc32(f"{key}/{name}".encode()))
        size = level * float(clean[name].std(correction=0))
        rows, still = (x if x.dim() else x.unsqueeze(0) for x in (values, clean[name]))
        step = max(1, NOISE_BLOCK * len(rows) // max(1, rows.numel()))
        for start in range(0, len(rows), step):
            check(stop)
            some = slice(start, start + step)
            rows[some].copy_(still[some] + torch.randn(rows[some].shape, generator=draw) * size)


def _go_on(runnable: Runnable, stop: Stop) -> tuple[list[str], Any]:
    """The most likely continuation of every prompt, and the probabilities of its first piece, float16."""
    import torch

    prompts = runnable.prompts
    said = [""] * len(prompts)
    first: list[Any] = [None] * len(prompts)
    # Prompts of like length share a batch, so that little of it is padding.
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    for start in range(0, len(order), BATCH):
        open_items = order[start : start + BATCH]
        grown = {index: list(prompts[index]) for index in open_items}
        for step in range(MOST_PIECES):
            check(stop)
            logits = _last_logits(runnable.model, [grown[index] for index in open_items])
            still: list[int] = []
            for row, index in zip(logits, open_items, strict=True):
                if step == 0:
                    first[index] = torch.softmax(row, dim=0).half()
                grown[index].append(int(row.argmax()))
                added = grown[index][len(prompts[index]) :]
                text = runnable.tokenizer.decode(added, skip_special_tokens=True).lstrip()
                said[index] = text[: items()[index].window]
                # A cut character shows as U+FFFD until its last byte is there.
                if len(text.rstrip("\ufffd")) < items()[index].window:
                    still.append(index)
            open_items = still
            if not open_items:
                break
    return said, torch.stack(first)


def _last_logits(model: Any, rows: Sequence[Sequence[int]]) -> Any:
    """Logits after the last piece of each row, float32, (rows, pieces); padding comes later, unseen."""
    import torch

    longest = max(len(row) for row in rows)
    padded = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    last = torch.tensor([len(row) - 1 for row in rows])
    logits = model(input_ids=padded, use_cache=False).logits
    return logits[torch.arange(len(rows)), last].float()
