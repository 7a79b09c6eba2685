"""What was moved in large models is named with its amounts; small models stand in for them, as in test_sampling."""

from __future__ import annotations

import pytest
import torch

from tests.sampled_models import DEEP, Counted, answer, disguised, measured
from tests.small_models import tensors_of, trained, tuned
from tools.audit import stress
from tools.changes import changes
from tools.checkpoint import Checkpoint
from tools.errors import UserError
from tools.evidence import Evidence
from tools.measuring import Measured
from tools.perturbations.drop_layers import with_layers

pytestmark = pytest.mark.usefixtures("everything_is_large")

Steps = tuple[tuple[str, float | str], ...]
NOISE = ("add_noise", 0.02)


def told(found: Measured) -> dict[str, dict[str, object]]:
    listed = changes(found.models, found.findings, answer(found), part=found.part)  # type: ignore[arg-type]
    return {change["kind"]: change for change in listed}


@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize(
    ("steps", "kinds"),
    [
        ((("shuffle_units", "all"),), {"units_permuted"}),
        ((("shuffle_heads", "all"),), {"heads_permuted"}),
        ((("shuffle_units", "all"), ("shuffle_heads", "all")), {"units_permuted", "heads_permuted"}),
        ((("rotate_residual", "all"),), {"rotated"}),
        ((("permute_residual", "all"),), {"residual_permuted"}),
        ((("shuffle_units", "all"), ("rotate_residual", "all")), {"units_permuted", "rotated"}),
        ((("shuffle_heads", "all"), ("rotate_residual", "all")), {"heads_permuted", "rotated"}),
    ],
    ids=str,
)
def test_what_was_moved_is_named(steps: Steps, kinds: set[str], noisy: bool) -> None:
    model = trained(DEEP, 1).held()
    found = measured(disguised(model, *steps, *([NOISE] if noisy else [])), model)
    changed = told(found)
    assert answer(found) == "disguised_copy"
    assert set(changed) == kinds | ({"noise"} if noisy else set())
    if noisy:
        assert changed["noise"]["amount"] == pytest.approx(0.02, rel=0.1)


def test_layers_are_followed_that_the_sample_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.sampling.LAYERS_SAMPLED", 2)
    model = trained(DEEP, 1).held()
    found = measured(disguised(model, ("shuffle_units", "all"), NOISE), model)
    shape = found.findings["difference_shape"]
    assert isinstance(shape, Evidence) and found.part is not None
    followed = {row["a"] for row in shape.where["tensors"] if row["reordered"]}
    assert followed - found.part.a.shapes.keys()
    assert answer(found) == "disguised_copy" and set(told(found)) == {"units_permuted", "noise"}


@pytest.mark.parametrize("swapped", [False, True], ids=["suspect first", "suspect second"])
def test_a_grid_is_seen_behind_a_rotation_on_either_side(swapped: bool) -> None:
    model = trained(DEEP, 1).held()
    pair = [disguised(model, ("rotate_residual", "all"), ("quantise", "int8")), model]
    found = measured(*(reversed(pair) if swapped else pair))
    changed = told(found)
    # So narrow a model leaves the rotation a little blurred, and some tensors with it.
    assert "rotated" in changed and changed["quantised"]["amount"] == 8
    where = changed["quantised"]["where"]
    assert isinstance(where, dict) and where["share_of_numbers"] > 0.5


def test_training_under_another_order_is_still_training() -> None:
    child = disguised(tuned(DEEP, 1, 1).held(), ("shuffle_units", "all"), ("shuffle_heads", "all"))
    found = measured(child, trained(DEEP, 1).held())
    assert answer(found) == "derived"
    assert "fine_tuned" in told(found) and "noise" not in told(found)


def test_swapped_sides_tell_the_same() -> None:
    model = trained(DEEP, 1).held()
    copy = disguised(model, ("shuffle_units", "all"), ("rotate_residual", "all"), NOISE)
    one, other = measured(copy, model), measured(model, copy)
    assert answer(one) == answer(other) and set(told(one)) == set(told(other))


def test_moved_heads_cost_one_row_of_each_and_one_block() -> None:
    model = trained(DEEP, 1)
    kept, moved = (
        Counted(model),
        Counted(model.with_tensors(tensors_of(disguised(model.held(), ("shuffle_heads", "all"))))),
    )
    assert answer(measured(moved, kept)) == "disguised_copy"
    for name in kept.shapes:
        if "q_proj" in name:
            heads = int(model.config["num_attention_heads"])
            assert kept.values[name] <= (16 + heads + 16) * kept.shapes[name][1], name


@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize(
    ("kind", "chosen"), [("layers_removed", [0, 2, 3]), ("layers_repeated", [0, 1, 1, 2, 3, 3])], ids=str
)
def test_layers_are_mapped_by_a_few_rows(kind: str, chosen: list[int], noisy: bool) -> None:
    model = trained(DEEP, 1)
    other = with_layers(model.held(), lambda depth: chosen)
    a = Counted(model.with_tensors(tensors_of(disguised(other, NOISE) if noisy else other)))
    b = Counted(model)
    found = measured(a, b)
    change = told(found)[kind]
    where = change["where"]
    assert isinstance(where, dict)
    assert [list(pair) for pair in where["pairs"]] == [list(pair) for pair in enumerate(chosen)]
    assert answer(found) == "derived"
    assert not any(b.values[name] >= b.tensors[name].numel() for name in b.shapes if "mlp" in name), "read in part"


def narrowed(model: Checkpoint) -> dict[str, torch.Tensor]:
    """The model without a quarter of the hidden units of every layer."""
    kept = torch.arange(next(shape[0] for name, shape in model.shapes.items() if "gate_proj" in name) * 3 // 4)
    axes = {"gate_proj": 0, "up_proj": 0, "down_proj": 1}
    found = tensors_of(model)
    for name in found:
        axis = next((axis for part, axis in axes.items() if part in name), None)
        if axis is not None:
            found[name] = found[name].index_select(axis, kept).contiguous()
    return found


def test_a_model_with_fewer_units_is_no_copy_in_disguise() -> None:
    model = trained(DEEP, 1)
    found = measured(model.with_tensors(narrowed(model.held())).held(), model.held())
    assert answer(found) == "derived"
    assert told(found)["narrowed"]["amount"] == pytest.approx(0.75)


def test_strangers_are_not_turned_into_relatives() -> None:
    found = measured(trained(DEEP, 1).held(), trained(DEEP, 2).held())
    assert answer(found) == "independent" and not isinstance(found.findings.get("difference_shape"), Evidence)


def test_stress_of_a_large_model_says_the_way_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = trained("llama", 1).saved(tmp_path_factory.mktemp("models") / "large")
    with pytest.raises(UserError) as refused:
        stress(folder)
    assert refused.value.kind == "stress_too_large"
