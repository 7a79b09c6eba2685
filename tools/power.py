"""What would have been caught: copies of the same shapes, planted and looked for.

"No sign of copying" is worth what the search was worth. Before anything is called independent, one of the two models is
disguised in memory, and the same probes are asked whether they know it again (spike-in, method 5.4).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.perturbations import NotApplicable, add_noise, generator, shuffle_units
from tools.probes import unit_order, unit_partners
from tools.roles import Layout
from tools.view import SeenCheckpoint, changed, unchanged

# Noise as a share of each tensor's standard deviation, largest first; a model with noise of its own size is ruined.
NOISE_LEVELS = (2.0, 1.0, 0.5, 0.2, 0.05)
LAYERS_PLANTED = 4

Links = Callable[[str, Finding], bool]


def measure_power(comparison: Comparison, links: Links) -> dict[str, Any]:
    """The largest noise at which a planted copy is still recognised, in order and re-ordered; None where none is.

    `links(probe name, finding)` is the rule's own judgement, so that power is that of the rule and not of a statistic.
    """
    parent, planted = _planted(comparison)
    layout = Layout(parent)
    found: dict[str, Any] = {"largest_noise_caught": None, "largest_noise_caught_reordered": None}
    found["narrowed"] = planted is not parent
    if layout.hidden_units:
        for key, probe, shuffled in (
            ("largest_noise_caught", unit_order, False),
            ("largest_noise_caught_reordered", unit_partners, True),
        ):
            name = probe.__name__.rpartition(".")[2]
            for level in NOISE_LEVELS:
                comparison.check()
                copy = _disguised(planted, layout if planted is parent else None, level, comparison.seed, shuffled)
                if copy is None:
                    break
                finding = probe.measure(_pair(copy, parent, layout, planted is parent, comparison))
                if links(name, finding):
                    found[key] = level
                    break
                if not isinstance(finding, Evidence):
                    break
    found["unit"] = "noise as a share of each tensor's standard deviation"
    return found


def _pair(
    copy: Checkpoint, parent: Checkpoint, layout: Layout, same_shapes: bool, comparison: Comparison
) -> Comparison:
    # Noise and order change neither names nor shapes, so the roles need not be found again.
    layouts = (_borrowed(layout, copy), layout) if same_shapes else None
    return Comparison(
        copy, parent, layouts=layouts, most_layers=LAYERS_PLANTED, seed=comparison.seed, stop=comparison.stop
    )


def _borrowed(layout: Layout, checkpoint: Checkpoint) -> Layout:
    """The roles of one checkpoint for another of the same names and shapes."""
    borrowed = Layout(checkpoint)
    borrowed.__dict__.update(learned=layout.learned, hidden_units=layout.hidden_units, embedding=layout.embedding)
    return borrowed


def _disguised(
    checkpoint: Checkpoint, layout: Layout | None, level: float, seed: int, shuffled: bool
) -> Checkpoint | None:
    try:
        copy = shuffle_units.apply(checkpoint, "all", seed) if shuffled else checkpoint
    except NotApplicable:
        return None
    tensors = unchanged(copy)
    for name in (layout or Layout(checkpoint)).learned:
        if len(checkpoint.shapes[name]) >= 2:
            tensors[name] = changed(tensors[name], partial(add_noise.noisy, share=level, seed=seed, name=name))
    return SeenCheckpoint(copy, tensors)


def _planted(comparison: Comparison) -> tuple[Checkpoint, Checkpoint]:
    """The model to copy, and the copy's model: itself, or itself narrowed to the other's widths where those differ."""
    if comparison.unit_pairs:
        return comparison.b, comparison.b
    sides = [(comparison.a, comparison.layout_a), (comparison.b, comparison.layout_b)]
    sizes = [_widths(layout) for _, layout in sides]
    if sizes[0] is None or sizes[1] is None or sizes[0] == sizes[1]:
        return comparison.b, comparison.b
    big = 0 if sizes[0] >= sizes[1] else 1
    wide, narrow = sizes[big], sizes[1 - big]
    assert wide is not None and narrow is not None
    kept = {
        size: torch.sort(torch.randperm(size, generator=generator(comparison.seed, str(size)))[:smaller])[0]
        for size, smaller in zip(wide, narrow, strict=True)
        if smaller < size
    }
    parent = sides[big][0]
    return parent, _narrowed(parent, kept)


def _widths(layout: Layout) -> tuple[int, int] | None:
    """Residual width and hidden units of a layer."""
    units = layout.hidden_units
    return (units[0].features, units[0].width) if units and units[0].kind == "mlp" else None


def _narrowed(checkpoint: Checkpoint, kept: dict[int, torch.Tensor]) -> Checkpoint:
    """The model with only some of its units and coordinates, as width pruning leaves it."""
    tensors = unchanged(checkpoint)
    for name, shape in checkpoint.shapes.items():
        if not any(size in kept for size in shape):
            continue

        def narrow(values: torch.Tensor, shape: tuple[int, ...] = shape) -> torch.Tensor:
            for axis, size in enumerate(shape):
                if size in kept:
                    values = values.index_select(axis, kept[size])
            return values

        smaller = tuple(len(kept[size]) if size in kept else size for size in shape)
        tensor = changed(tensors[name], narrow)
        tensors[name] = type(tensor)(smaller, tensor.dtype, tensor.read)
    return SeenCheckpoint(checkpoint, tensors)
