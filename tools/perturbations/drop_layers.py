"""Some layers left out at even places and the rest renumbered, as in depth pruning (Men et al., ShortGPT, 2024)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from tools.checkpoint import Checkpoint
from tools.perturbations import Amount, NotApplicable
from tools.view import SeenCheckpoint, unchanged

KEEPS_FUNCTION = False
DISGUISE = "layers_removed"
UNIT = "share of the layers left out"
AMOUNTS: tuple[Amount, ...] = (0.25,)

FEWEST_LAYERS = 3
NUMBERED = re.compile(r"^(.*?)(?<![a-zA-Z0-9])(\d+)(?![a-zA-Z0-9])(.*)$")
LayerChoice = Callable[[int], list[int]]
DEPTH_ENTRIES = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")


def apply(checkpoint: Checkpoint, amount: Amount, seed: int) -> Checkpoint:
    step = max(2, round(1 / float(amount)))
    return with_layers(checkpoint, lambda depth: [layer for layer in range(depth) if layer % step != step // 2])


def with_layers(checkpoint: Checkpoint, chosen: LayerChoice) -> Checkpoint:
    """The model with the layers that `chosen(depth)` lists, in that order. Raises NotApplicable where they are few."""
    stacks: dict[str, set[int]] = defaultdict(set)
    for name in checkpoint.shapes:
        if found := NUMBERED.match(name):
            stacks[found[1]].add(int(found[2]))
    deep = {prefix: len(layers) for prefix, layers in stacks.items() if layers == set(range(len(layers)))}
    deep = {prefix: depth for prefix, depth in deep.items() if depth >= FEWEST_LAYERS}
    if not deep:
        raise NotApplicable("the model has no stack of numbered layers that is deep enough")
    tensors = {}
    for name, tensor in unchanged(checkpoint).items():
        found = NUMBERED.match(name)
        if found is None or found[1] not in deep:
            tensors[name] = tensor
            continue
        for place, layer in enumerate(chosen(deep[found[1]])):
            if layer == int(found[2]):
                tensors[f"{found[1]}{place}{found[3]}"] = tensor
    seen = SeenCheckpoint(checkpoint, tensors)
    for entry in DEPTH_ENTRIES:
        depth = seen.config.get(entry)
        if isinstance(depth, int) and depth in deep.values():
            seen.config[entry] = len(chosen(depth))
    kinds = seen.config.get("layer_types")
    if isinstance(kinds, list) and len(kinds) in deep.values():
        seen.config["layer_types"] = [kinds[layer] for layer in chosen(len(kinds))]
    return seen
