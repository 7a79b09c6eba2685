"""What turns the residual coordinates of one large model into the other's, told by the tokens that both know."""

from __future__ import annotations

import numpy as np
import torch

from tools.comparison import CHOSEN, MOVED_ALIKE, SIDES, Basis
from tools.gauge import rotation_between
from tools.matching import best_by_chance
from tools.progress import stoppable
from tools.reading import AlignedComparison, PartialComparison
from tools.sampling import token_range

# A rotation is fitted on so many tokens for each coordinate; of wider models it is not, for its cost and its bytes.
TOKENS_PER_COORDINATE, WIDEST_TURNED = 2, 2048
# Likenesses between tokens are the same in any coordinates; below this nobody turned them.
SAME_TOKENS = 0.5


def rotation_by_tokens(sample: PartialComparison, aligned: AlignedComparison, basis: Basis) -> torch.Tensor | None:
    """What turns a's residual coordinates into b's, (width, width); None where the tokens do not tell.

    Another order of coordinates, with signs, shows in few tokens; a rotation is fitted on more, up to WIDEST_TURNED.
    """
    by_row = basis == "rows"
    tokens = [aligned.token_vectors(side, by_row=by_row) for side in SIDES]
    width = tokens[0].shape[1]
    if width != tokens[1].shape[1]:
        return None
    grams = [(side @ side.T).flatten() for side in tokens]
    if float(torch.nn.functional.cosine_similarity(grams[0], grams[1], dim=0)) < SAME_TOKENS:
        return None
    aligned.check()
    columns = [side / side.norm(dim=0, keepdim=True).clamp_min(1e-30) for side in tokens]
    likeness = columns[0].T @ columns[1]
    best, places = likeness.abs().max(dim=1)
    clear = max(MOVED_ALIKE, CHOSEN * best_by_chance(width, len(tokens[0])))
    if float(best.median()) >= clear and len(places.unique()) == width:
        signs = likeness[torch.arange(width), places].sign()
        return torch.zeros(width, width).scatter_(1, places[:, None], signs[:, None])
    return _fitted(sample, by_row, width) if width <= WIDEST_TURNED else None


def _fitted(sample: PartialComparison, by_row: bool, width: int) -> torch.Tensor | None:
    whole = sample.whole
    names = [str(layout.embedding) for layout in (whole.layout_a, whole.layout_b)]
    height = min(whole.checkpoint(side).shapes[name][0] for side, name in zip(SIDES, names, strict=True))
    start, stop = token_range(height, min(height, TOKENS_PER_COORDINATE * width))
    rows = np.arange(start, stop)[:, None].repeat(2, axis=1)
    of_a, of_b = whole.vocabularies
    if not by_row and of_a is not None and of_b is not None:
        both = ((i, of_b.ids.get(token, -1)) for token, i in of_a.ids.items() if start <= i < stop)
        rows = np.array(sorted(pair for pair in both if start <= pair[1] < stop), dtype=np.int64).reshape(-1, 2)
    if len(rows) < width:
        return None
    tables = [
        whole.checkpoint(side).read_rows(name, start, stop)[torch.from_numpy(rows[:, k] - start)].float()
        for k, (side, name) in enumerate(zip(SIDES, names, strict=True))
    ]
    return stoppable(lambda: rotation_between(*tables), sample.check)
