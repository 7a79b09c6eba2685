"""What would have been caught: copies of the same shapes, planted and looked for.

"No sign of copying" is worth what the search was worth. Before anything is called independent, one of the two models is
disguised in memory, and the same probes are asked whether they know it again (spike-in, method 5.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from tools.checkpoint import Checkpoint
from tools.comparison import Comparison
from tools.evidence import Evidence, Finding
from tools.perturbations import NotApplicable, add_noise, generator, shuffle_units
from tools.planted_merges import Notices, merge_power
from tools.probes import turned_partners, unit_order, unit_partners, unit_relations
from tools.roles import Layout
from tools.sampling import SampledLayout
from tools.sides import SIDES
from tools.units import HiddenUnits
from tools.view import SeenCheckpoint, changed, unchanged

# Noise as a share of each tensor's standard deviation, largest first; a model with noise of its own size is ruined.
NOISE_LEVELS = (2.0, 1.0, 0.5, 0.2, 0.05)
LAYERS_PLANTED = 4

Links = Callable[[str, Finding], bool]


@dataclass(frozen=True)
class Model:
    """A checkpoint and the roles of its tensors."""

    checkpoint: Checkpoint
    layout: Layout


def measure_power(
    comparison: Comparison, links: Links, notices: Notices, aligned: Comparison | None = None
) -> dict[str, Any]:
    """The largest noise at which a planted copy is still recognised; None where none is.

    Units in order; re-ordered; in turned coordinates with new tokens; all of it at once.

    And the smallest share of a planted merge that is noticed (`planted_merges`). `links(probe name, finding)` and
    `notices` are the rule's own judgement, so that power is that of the rule and not of a statistic.
    Units in another order are looked for where the models were aligned: in `aligned` where only parts were read.
    For turned coordinates with new tokens the copy is not turned: what is asked of it is the same in any coordinates.
    """
    found: dict[str, Any] = {
        "largest_noise_caught": None,
        "largest_noise_caught_reordered": None,
        "largest_noise_caught_turned": None,
        "largest_noise_caught_turned_reordered": None,
        "narrowed": False,
    }
    for shuffled, searched, asked in (
        (False, comparison, {"largest_noise_caught": unit_order, "largest_noise_caught_turned": unit_relations}),
        (
            True,
            aligned or comparison,
            {"largest_noise_caught_reordered": unit_partners, "largest_noise_caught_turned_reordered": turned_partners},
        ),
    ):
        model, planted = _planted(searched)
        layout = model.layout
        searched.forget(model.checkpoint)
        found["narrowed"] = found["narrowed"] or planted.checkpoint is not model.checkpoint
        for level in NOISE_LEVELS if layout.hidden_units else ():
            comparison.check()
            copy = _disguised(planted, level, comparison, shuffled) if asked else None
            if copy is None:
                break
            same = planted is model or isinstance(layout, SampledLayout)
            layouts = (_borrowed(planted.layout, copy), layout) if same else None
            beside = searched.beside(copy, model.checkpoint, layouts, LAYERS_PLANTED)
            for key, probe in list(asked.items()):
                finding = probe.measure(beside)
                caught = links(probe.__name__.rpartition(".")[2], finding)
                if caught:
                    found[key] = level
                if caught or not isinstance(finding, Evidence):
                    # A smaller level says nothing more of this probe.
                    del asked[key]
    found["unit"] = "noise as a share of each tensor's standard deviation"
    return found | merge_power(comparison, notices) | {"unit_of_merges": "share of one model in the other"}


def _borrowed(layout: Layout, checkpoint: Checkpoint) -> Layout:
    """The roles of one checkpoint for another of the same names and shapes: noise and order change neither."""
    borrowed = Layout(checkpoint)
    borrowed.__dict__.update(learned=layout.learned, hidden_units=layout.hidden_units, embedding=layout.embedding)
    return borrowed


def _disguised(planted: Model, level: float, comparison: Comparison, shuffled: bool) -> Checkpoint | None:
    checkpoint, layout, seed = planted.checkpoint, planted.layout, comparison.seed

    def noisy(values: torch.Tensor, name: str) -> torch.Tensor:
        return add_noise.noisy(values, share=level, seed=seed, name=name, check=comparison.check)

    try:
        copy = shuffle_units.shuffled(checkpoint, layout.hidden_units, seed) if shuffled else checkpoint
    except NotApplicable:
        return None
    tensors = unchanged(copy)
    for name in layout.learned:
        if len(checkpoint.shapes[name]) >= 2:
            tensors[name] = changed(tensors[name], partial(noisy, name=name))
    return SeenCheckpoint(copy, tensors)


def _planted(comparison: Comparison) -> tuple[Model, Model]:
    """The model to copy, and the copy's model: itself, or itself narrowed to the other's widths where those differ."""
    sides = [Model(comparison.a, comparison.layout_a), Model(comparison.b, comparison.layout_b)]
    shapes = [{(u.width, u.features, len(u.members)) for u in comparison.layers(side)} for side in SIDES]
    if not shapes[0].isdisjoint(shapes[1]):
        return sides[1], sides[1]
    sizes = [_widths(side.layout) for side in sides]
    if sizes[0] is None or sizes[1] is None or sizes[0] == sizes[1]:
        # Where one side shows fewer tensors of a layer, that is all there is to find a copy by.
        fewest = [min((len(u.members) for u in side.layout.hidden_units), default=0) for side in sides]
        model = sides[0] if fewest[0] < fewest[1] else sides[1]
        return model, model
    big = 0 if sizes[0] >= sizes[1] else 1
    wide, narrow = sizes[big], sizes[1 - big]
    assert wide is not None and narrow is not None
    kept = {
        size: torch.sort(torch.randperm(size, generator=generator(comparison.seed, str(size)))[:smaller])[0]
        for size, smaller in zip(wide, narrow, strict=True)
        if smaller < size
    }
    parent = sides[big]
    planted = _narrowed(parent.checkpoint, kept)
    if not isinstance(parent.layout, SampledLayout):
        return parent, Model(planted, Layout(planted))
    # The shapes of a part of a model do not tell roles; those of the whole are narrowed like the tensors.
    layout = _borrowed(parent.layout, planted)
    layout.__dict__["hidden_units"] = tuple(_narrowed_units(units, kept) for units in parent.layout.hidden_units)
    return parent, Model(planted, layout)


def _widths(layout: Layout) -> tuple[int, int] | None:
    """Residual width and hidden units of a layer."""
    units = layout.main_layers
    return (units[0].features, units[0].width) if units and units[0].kind == "mlp" else None


def _narrowed_units(units: HiddenUnits, kept: dict[int, torch.Tensor]) -> HiddenUnits:
    width, features = (len(kept[size]) if size in kept else size for size in (units.width, units.features))
    members = tuple(replace(member, stop=member.start + width * member.step) for member in units.members)
    return replace(units, width=width, features=features, members=members)


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
