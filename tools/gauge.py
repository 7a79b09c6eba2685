"""The coordinates of the residual stream: a network computes the same in any of them.

RMS norms commute with rotations once their gains are folded into the weights behind them, so a checkpoint can be seen
in other coordinates without a change of its function (Zhu et al., ICML 2025, T3 and T5; SliceGPT, ICLR 2024).
"""

from __future__ import annotations

import re
from functools import partial

import torch

from tools.checkpoint import Checkpoint
from tools.names import block_of, has_role, in_tower
from tools.roles import Layout
from tools.units import lies_transposed
from tools.view import SeenCheckpoint, changed, unchanged

# A map is fitted on half as many directions as there are tokens at most, or it fits anything.
TOKENS_PER_DIRECTION = 2
# A rotation whose largest entry in each row is nearly one only re-orders and flips coordinates.
PERMUTATION_ENTRY = 0.9

# Wider matrices than this are not decomposed for their polar factor, but iterated, until a step moves this little.
WIDEST_DECOMPOSED, NEWTON_STEPS, NEWTON_MOVED = 2048, 16, 0.01

READS = ("query", "key", "value", "gate", "up", "in")
READS_FUSED = re.compile(r"c_attn|qkv|query_key_value")
# What stands where others have attention, in networks with states or short convolutions.
MIXER = re.compile(r"\bmamba\b|\bconv\b|\bmixer\b|temporal_block|\brg_lru\b")
# In front of a tied token table some encoders transform the stream once more, into the same coordinates.
READS_AND_WRITES = re.compile(r"\btransform\.dense\b")


class NoGauge(Exception):
    """The coordinates of this model cannot be changed without changing what it computes; the text says why."""


def in_coordinates(checkpoint: Checkpoint, rotation: torch.Tensor | None) -> Checkpoint:
    """The model with folded gains and, where given, a residual stream rotated by an orthogonal (width, width).

    Raises NoGauge for networks without RMS norms, or whose tensors' roles are not known.
    """
    layout = Layout(checkpoint)
    width, table = layout.residual_width, layout.embedding
    gains = reading_gains(layout)
    assert width is not None and table is not None
    norms, biases = _vectors(checkpoint, width)
    tensors = unchanged(checkpoint)
    for name, shape in checkpoint.shapes.items():
        writes = _only_writes(name) and not in_tower(name)
        # A tower of another width has a stream of its own.
        if writes and len(shape) == 2 and shape[0] == width and name not in gains:
            tensors[name] = changed(tensors[name], partial(_written, rotation=rotation))
        elif writes and name in biases:
            tensors[name] = changed(tensors[name], partial(in_stream, gain=torch.ones(width), rotation=rotation))
    if not _heads(layout, width):
        # A head that shares the token table cannot take in the last norm's gain, so it becomes a tensor of its own.
        gain = layout.gain(_final_norm(norms))
        tensors["lm_head.weight"] = changed(tensors[table], partial(in_stream, gain=gain, rotation=rotation))
    for name, gain in gains.items():
        tensors[name] = changed(tensors[name], partial(in_stream, gain=gain, rotation=rotation))
    for name in norms:
        tensors[name] = changed(tensors[name], partial(torch.full_like, fill_value=1.0 - layout.stored_gain_offset))
    return SeenCheckpoint(checkpoint, tensors)


def reading_gains(layout: Layout) -> dict[str, torch.Tensor]:
    """What the rows of each matrix that reads the residual stream are multiplied with once gains are folded, (width,).

    Token tables and heads are among them. Raises NoGauge as `in_coordinates` does.
    """
    checkpoint, width, table = layout.checkpoint, layout.residual_width, layout.embedding
    norms, _ = _vectors(checkpoint, width)
    if table is None or width is None or not norms or any(name.endswith("bias") for name in norms):
        raise NoGauge("only networks with RMS norms can be rotated without changing what they compute")
    if any(has_role(name, "output_norm") for name in norms):
        raise NoGauge("the model scales what its layers put out, coordinate by coordinate")
    if any(len(shape) > 2 and width in shape for shape in checkpoint.shapes.values()):
        raise NoGauge("tensors with more than two axes are not known well enough to be rotated")
    if any(m.part == "out" and m.axis == 0 for units in layout.hidden_units for m in units.members):
        raise NoGauge("experts that lie transposed are not rotated")
    heads = _heads(layout, width)
    final = _final_norm(norms)
    if len(heads) > 1:
        raise NoGauge("the last norm of the model could not be told apart")
    found = {table: torch.ones(width), **{name: layout.gain(final) for name in heads}}
    for name, shape in checkpoint.shapes.items():
        reads = not _only_writes(name) and not in_tower(name)
        if len(shape) == 2 and name not in found and reads and shape[1] == width:
            found[name] = layout.gain(_norm_before(name, norms))
    return found


def _vectors(checkpoint: Checkpoint, width: int | None) -> tuple[set[str], set[str]]:
    """The norms' gains and the biases of the residual stream."""
    vectors = {
        name
        for name, shape in checkpoint.shapes.items()
        if shape == (width,) and not has_role(name, "inner_norm") and not in_tower(name)
    }
    biases = {name for name in vectors if _belongs_to_a_matrix(checkpoint, name)}
    return vectors - biases, biases


def _heads(layout: Layout, width: int) -> list[str]:
    return [n for n in layout.learned if has_role(n, "head") and layout.checkpoint.shapes[n][-1] == width]


def _final_norm(norms: set[str]) -> str:
    final = [name for name in norms if block_of(name) is None]
    if len(final) != 1:
        raise NoGauge("the last norm of the model could not be told apart")
    return final[0]


def in_order(checkpoint: Checkpoint, order: torch.Tensor, signs: torch.Tensor | None = None) -> Checkpoint:
    """The model with its residual coordinates in another order, (width,), and where given with other signs.

    Networks with LayerNorm compute the same in any order, but not with other signs. Raises NoGauge where a tensor's
    role is not known.
    """
    tensors = unchanged(checkpoint)
    ones = torch.ones(len(order))
    for name in checkpoint.shapes:
        # A norm's gain multiplies coordinates that carry the sign already.
        its_signs = ones if signs is None or _is_norm(checkpoint, name) else signs
        for axis in residual_axes(checkpoint, name, len(order)):
            tensors[name] = changed(tensors[name], partial(_reordered, axis=axis, order=order, signs=its_signs))
    return SeenCheckpoint(checkpoint, tensors)


def has_rms_norms(checkpoint: Checkpoint, width: int) -> bool:
    """Whether no norm of the model subtracts a mean, so that signs of coordinates may be flipped."""
    norms = [n for n in checkpoint.shapes if residual_axes(checkpoint, n, width) and _is_norm(checkpoint, n)]
    return not any(name.endswith("bias") for name in norms) and "rms_norm_eps" in checkpoint.config


def residual_axes(checkpoint: Checkpoint, name: str, width: int) -> tuple[int, ...]:
    """The axes of a tensor that run over the residual stream. Raises NoGauge where they cannot be told."""
    shape = checkpoint.shapes[name]
    if len(shape) == 1:
        if has_role(name, "inner_norm"):
            return ()
        matrix = _matrix_of(checkpoint, name)
        residual = shape[0] == width and (matrix is None or _writes(matrix))
        return (0,) if residual else ()
    if len(shape) != 2 or width not in shape:
        if len(shape) > 2:
            raise NoGauge("tensors with more than two axes are not known well enough to be re-ordered")
        return ()
    if block_of(name) is None:
        if shape[1] != width:
            return ()
        return (0, 1) if READS_AND_WRITES.search(name) else (1,)
    reads = any(has_role(name, role) for role in READS) or READS_FUSED.search(name) is not None
    if not _writes(name) and not reads:
        raise NoGauge("the model has tensors with names that are not known")
    axis = 0 if _writes(name) is not lies_transposed(checkpoint, name) else 1
    if shape[axis] != width:
        raise NoGauge("the model has tensors whose shapes do not fit their names")
    return (axis,)


def _only_writes(name: str) -> bool:
    return has_role(name, "attention_output") or has_role(name, "out")


def _writes(name: str) -> bool:
    return _only_writes(name) or READS_AND_WRITES.search(name) is not None


def _matrix_of(checkpoint: Checkpoint, name: str) -> str | None:
    """The matrix whose bias this is; None for a norm's gain or bias."""
    matrix = name.removesuffix("bias") + "weight" if name.endswith("bias") else None
    return matrix if matrix is not None and len(checkpoint.shapes.get(matrix, ())) >= 2 else None


def _is_norm(checkpoint: Checkpoint, name: str) -> bool:
    return len(checkpoint.shapes[name]) == 1 and _matrix_of(checkpoint, name) is None


def rotation_between(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The rotation that best turns a's token vectors into b's, both (tokens, width): the polar factor of a^T b."""
    return nearest_rotation(a.double().T @ b.double())


def nearest_rotation(products: torch.Tensor) -> torch.Tensor:
    """The polar factor of a square matrix: of a^T b, summed over pairs of rows, the rotation of a into b.

    By singular values; of wide matrices by Newton's iteration with scaling in single precision (Higham, 1986), exact to
    a thousandth in half the time.
    """
    if len(products) > WIDEST_DECOMPOSED and bool(torch.isfinite(found := _by_newton(products.float())).all()):
        return found
    left, _, right = torch.linalg.svd(products.double(), full_matrices=False)
    rotation: torch.Tensor = (left @ right).float()
    return rotation


def _by_newton(turned: torch.Tensor) -> torch.Tensor:
    for _ in range(NEWTON_STEPS):
        back, flaw = torch.linalg.inv_ex(turned)
        if int(flaw):
            return torch.full_like(turned, torch.nan)
        ratio = (back.norm() / turned.norm()).sqrt()
        before, turned = turned, (turned * ratio + back.T / ratio) / 2
        if float((turned - before).norm()) <= NEWTON_MOVED * float(turned.norm()):
            break
    # One step without an inverse wipes out what single precision left.
    return 1.5 * turned - 0.5 * turned @ (turned.T @ turned)


def common_coordinates(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What turns vectors of either model into coordinates that both share, (width of a, k) and (width of b, k).

    Fitted on the same tokens' centred vectors, (tokens, width) each: a rotation where the widths are equal, else the
    least-squares map of the wider model into the narrower one, which undoes a choice of coordinates (rectangular, as
    width pruning leaves it). Only the strongest directions are used where the tokens are few.
    """
    widths = a.shape[1], b.shape[1]
    # Which of two equal widths is turned is settled by content, so that the order of a and b does not matter.
    if (widths[0], float(a.double().square().sum())) < (widths[1], float(b.double().square().sum())):
        second, first = common_coordinates(b, a)
        return first, second
    (mine, turn), (theirs, other) = _strongest(a), _strongest(b)
    if widths[0] == widths[1]:
        return turn @ rotation_between(mine, theirs), other
    return turn @ torch.linalg.lstsq(mine, theirs).solution, other


def _strongest(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens in as many of their principal directions as they can tell apart, and those directions."""
    count, width = tokens.shape
    kept = count // TOKENS_PER_DIRECTION
    if kept >= width:
        return tokens, torch.eye(width)
    energy, left = torch.linalg.eigh(tokens.double() @ tokens.double().T)
    scale = energy[-kept:].clamp_min(1e-12 * float(energy[-1]) + 1e-300).sqrt()
    directions = (tokens.double().T @ left[:, -kept:] / scale).float()
    return tokens @ directions, directions


def is_permutation(rotation: torch.Tensor) -> bool:
    """True where the rotation only re-orders coordinates and flips their signs."""
    return bool((rotation.abs().amax(dim=1) > PERMUTATION_ENTRY).all())


def is_in_place(rotation: torch.Tensor) -> bool:
    """True where the rotation leaves every coordinate nearly where it was."""
    return bool((rotation.diagonal() > PERMUTATION_ENTRY).all())


def _belongs_to_a_matrix(checkpoint: Checkpoint, name: str) -> bool:
    """True for the bias of a matrix; the bias of a norm belongs to a vector."""
    matrix = name.removesuffix("bias") + "weight"
    return name.endswith("bias") and len(checkpoint.shapes.get(matrix, ())) == 2


def _norm_before(name: str, norms: set[str]) -> str:
    attention, block = has_role(name, "attention"), block_of(name) or ""
    if not attention and MIXER.search(name):
        raise NoGauge("the model has layers of a kind that is not known well enough to be rotated")
    # Experts lie one level below the norm that all of them share.
    near = [
        norm
        for norm in norms
        if block_of(norm) is not None
        and f"{block}.".startswith(f"{block_of(norm)}.")
        and has_role(norm, "mlp_norm") is not attention
    ]
    if len(near) != 1:
        raise NoGauge("the norm in front of a tensor could not be told apart")
    return near[0]


def in_stream(values: torch.Tensor, gain: torch.Tensor, rotation: torch.Tensor | None) -> torch.Tensor:
    """Rows that read the residual stream, behind its norm and in rotated coordinates."""
    scaled = values * gain
    return scaled if rotation is None else scaled @ rotation


def _written(values: torch.Tensor, rotation: torch.Tensor | None) -> torch.Tensor:
    return values if rotation is None else rotation.T @ values


def _reordered(values: torch.Tensor, axis: int, order: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    return (values.transpose(0, axis)[order].transpose(-1, 0) * signs).transpose(-1, 0).transpose(0, axis)
