"""What turns the residual coordinates of one large model into the other's: an order told by tokens, else a rotation.

A few hundred tokens tell another order of coordinates, and which unit is whose partner. A rotation has as many unknowns
as rows of four times the width have numbers, so it is fitted on the paired units, whose layer was read whole already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from tools.comparison import Basis
from tools.gauge import nearest_rotation
from tools.progress import stoppable
from tools.reading import AlignedComparison
from tools.sides import SIDES, Side
from tools.tensor_pairs import MOVED_ALIKE

# Rows on which a rotation is fitted, for each coordinate, and the fewest; wider models are not turned, for the time.
ROWS_PER_COORDINATE, FEWEST_ROWS_PER_COORDINATE, WIDEST_TURNED = 8, 2, 4096
# Likenesses between tokens are the same in any coordinates; below this nobody turned them.
SAME_TOKENS = 0.5


@dataclass(frozen=True)
class Turn:
    """What turns a's residual coordinates into b's, (width, width), and the side that is turned to meet the other."""

    rotation: torch.Tensor
    side: Side = "a"

    def of(self, side: Side) -> torch.Tensor | None:
        """What this side's rows are turned by; None for the side that stays."""
        if side != self.side:
            return None
        return self.rotation if side == "a" else self.rotation.T


def same_tokens(aligned: AlignedComparison, basis: Basis) -> bool:
    """Whether the tokens stand to each other in one model as in the other, in coordinates of one width."""
    tokens = [aligned.token_vectors(side, by_row=basis == "rows") for side in SIDES]
    if tokens[0].shape[1] != tokens[1].shape[1]:
        return False
    grams = [(side @ side.T).flatten() for side in tokens]
    return float(torch.nn.functional.cosine_similarity(grams[0], grams[1], dim=0)) >= SAME_TOKENS


def order_by_tokens(aligned: AlignedComparison, basis: Basis) -> torch.Tensor | None:
    """The order of coordinates, with signs, that turns a's into b's, (width, width); None where no order does."""
    tokens = [aligned.token_vectors(side, by_row=basis == "rows") for side in SIDES]
    width = tokens[0].shape[1]
    columns = [side / side.norm(dim=0, keepdim=True).clamp_min(1e-30) for side in tokens]
    likeness = columns[0].T @ columns[1]
    aligned.check()
    best, places = likeness.abs().max(dim=1)
    if float(best.median()) < MOVED_ALIKE or len(places.unique()) < width:
        return None
    signs = likeness[torch.arange(width), places].sign()
    return torch.zeros(width, width).scatter_(1, places[:, None], signs[:, None])


def rotation_by_rows(
    width: int, pairs: Iterable[tuple[torch.Tensor, torch.Tensor]], check: Callable[[], None]
) -> torch.Tensor | None:
    """The rotation that best turns rows of a into their partners of b, (rows, width) each; None where they are few."""
    if width > WIDEST_TURNED:
        return None
    products, count = torch.zeros(width, width), 0
    for mine, theirs in pairs:
        check()
        products += mine.T @ theirs
        count += len(mine)
        if count >= ROWS_PER_COORDINATE * width:
            break
    if count < FEWEST_ROWS_PER_COORDINATE * width:
        return None
    return stoppable(lambda: nearest_rotation(products), check)
