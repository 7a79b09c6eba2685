"""What two models' answers have in common: agreement, mistakes, reactions to noise, divergence."""

from __future__ import annotations

from typing import Any

from tools.behaviour.answering import Answers
from tools.behaviour.prompts import Item, items
from tools.errors import printable

#: Shared mistakes that are shown word for word.
MOST_EXAMPLES = 8


def is_right(item: Item, text: str) -> bool:
    return text.startswith(item.answer)


def share(part: int, whole: int) -> float | None:
    """part / whole, or None where there is nothing to share."""
    return round(part / whole, 4) if whole else None


def right_answers(answers: Answers) -> list[float | None]:
    """Share of items answered rightly, per noise level."""
    found = []
    for draws in answers.texts:
        marks = [is_right(item, text) for texts in draws for item, text in zip(items(), texts, strict=True)]
        found.append(share(sum(marks), len(marks)))
    return found


def right_by_kind(answers: Answers) -> dict[str, float | None]:
    """Share of items of each kind that the model, without noise, answered rightly."""
    marks: dict[str, list[bool]] = {}
    for item, text in zip(items(), answers.texts[0][0], strict=True):
        marks.setdefault(item.kind, []).append(is_right(item, text))
    return {kind: share(sum(found), len(found)) for kind, found in marks.items()}


def compare_answers(first: Answers, b: Answers, *, name: str, same_pieces: bool) -> dict[str, list[Any]]:
    """Per noise level, what `first` (called `name`: "a" or "control") and b have in common.

    Shares are between 0 and 1, over items and draws of the noise; None where there is nothing to count.
    `flip_overlap` is Jaccard's index of the items whose answer the noise changed. `divergence_bits` is the
    mean Jensen-Shannon divergence of the next piece's probabilities, 0 to 1; None unless pieces are the same.
    """
    table: dict[str, list[Any]] = {
        key: []
        for key in (
            "agreement", f"agreement_where_{name}_is_right", "agreement_where_b_is_right", "both_wrong",
            "same_wrong_answer", "share_of_wrong_the_same", f"flipped_{name}", "flipped_b", "flipped_in_both",
            "flip_overlap", "divergence_bits",
        )
    }  # fmt: skip
    for level in range(len(b.texts)):
        rows = _rows(first, b, level)
        same = [x == y for _, x, y, _, _ in rows]
        right_first = [is_right(item, x) for item, x, _, _, _ in rows]
        right_b = [is_right(item, y) for item, _, y, _, _ in rows]
        wrong = [not (p or q) for p, q in zip(right_first, right_b, strict=True)]
        flip_first = [x != clean for _, x, _, clean, _ in rows]
        flip_b = [y != clean for _, _, y, _, clean in rows]
        in_both, in_either = (
            _both(flip_first, flip_b),
            sum(p or q for p, q in zip(flip_first, flip_b, strict=True)),
        )
        divergences = [
            divergence(p, q)
            for p, q in zip(first.probabilities[level], b.probabilities[level], strict=True)
            if same_pieces
        ]
        values = (
            share(sum(same), len(same)),
            share(_both(same, right_first), sum(right_first)),
            share(_both(same, right_b), sum(right_b)),
            sum(wrong),
            _both(same, wrong),
            share(_both(same, wrong), sum(wrong)),
            sum(flip_first),
            sum(flip_b),
            in_both,
            share(in_both, in_either),
            round(sum(divergences) / len(divergences), 6) if divergences else None,
        )
        for key, value in zip(table, values, strict=True):
            table[key].append(value)
    return table


def _rows(first: Answers, b: Answers, level: int) -> list[tuple[Item, str, str, str, str]]:
    """(item, what each said, what each said without noise), over the draws at this level."""
    clean_first, clean_b = first.texts[0][0], b.texts[0][0]
    return [
        row
        for x, y in zip(first.texts[level], b.texts[level], strict=True)
        for row in zip(items(), x, y, clean_first, clean_b, strict=True)
    ]


def _both(p: list[bool], q: list[bool]) -> int:
    return sum(x and y for x, y in zip(p, q, strict=True))


def divergence(p: Any, q: Any) -> float:
    """Mean Jensen-Shannon divergence in bits of two tables of probabilities (items, pieces); 0 to 1."""
    import torch

    width = min(p.shape[1], q.shape[1])  # tables padded to a round number of rows differ in length only
    total = torch.zeros(p.shape[0], dtype=torch.float64)
    rows_p, rows_q = p[:, :width].double(), q[:, :width].double()
    middle = (rows_p + rows_q) / 2
    for rows in (rows_p, rows_q):
        total += torch.xlogy(rows, rows / middle.clamp_min(1e-300)).sum(dim=1) / 2
    return float(total.mean().clamp_min(0) / torch.log(torch.tensor(2.0)).double())


def what_was_said(answers: dict[str, Answers]) -> list[dict[str, Any]]:
    """Every item with what each model answered without noise; texts are made printable."""
    return [
        {
            "language": item.language,
            "kind": item.kind,
            "prompt": item.prompt,
            "answer": item.answer,
            "said": {side: printable(found.texts[0][0][place]) for side, found in answers.items()},
        }
        for place, item in enumerate(items())
    ]


def shared_mistakes(answers: dict[str, Answers]) -> list[int]:
    """Places in the list of items where a and b gave one wrong answer, and the control another."""
    said = {side: found.texts[0][0] for side, found in answers.items()}
    return [
        place
        for place, item in enumerate(items())
        if said["a"][place] == said["b"][place] != said["control"][place] and not is_right(item, said["a"][place])
    ][:MOST_EXAMPLES]


def findings(pair: dict[str, list[Any]], beside: dict[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """The figures that a reader needs first: without noise, but flips over all noise together."""
    measured = {}
    for name, table in (("pair", pair), ("control", beside)):
        flipped = sum(table["flipped_in_both"][1:])
        either = (
            sum(table[f"flipped_{'a' if name == 'pair' else 'control'}"][1:]) + sum(table["flipped_b"][1:]) - flipped
        )
        measured[name] = {
            "agreement": table["agreement"][0],
            "agreement_where_b_is_right": table["agreement_where_b_is_right"][0],
            "both_wrong": table["both_wrong"][0],
            "same_wrong_answer": table["same_wrong_answer"][0],
            "flip_overlap": share(flipped, either),
            "divergence_bits": table["divergence_bits"][0],
        }
    return {key: {name: measured[name][key] for name in measured} for key in measured["pair"]}
