"""Do two models behave alike, mistakes and reaction to noise included, and more alike than a stranger does?

Behaviour never decides: models that read the same texts can answer alike without sharing a weight. What is
measured here is support for, or doubt about, what the weights say.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import printable
from tools.limits import TEXTS

if TYPE_CHECKING:
    from tools.behaviour.answering import Answers
    from tools.behaviour.running import Runnable

EXHIBITS = Path(__file__).resolve().parents[2] / "exhibits"


def behave(
    a: str,
    b: str,
    control: str | None = None,
    *,
    seed: int = 0,
    token: str | None = None,
    on_finding: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run a, b and a control on the same prompts, clean and under the same noise; return plain JSON.

    A checkpoint that only carries other names runs in the other's code. Without `control`, an exhibit is
    compared with its story's stranger, any other model with an untrained one. Lists run over `noise_levels`
    (share of each tensor's standard deviation). `token`: see open_checkpoint.
    Raises UserError("not_a_language_model") and Cancelled.
    """
    from tools.behaviour import agreement
    from tools.behaviour.answering import NOISE_LEVELS, answer_all
    from tools.behaviour.prompts import same_pieces
    from tools.behaviour.running import check, fitting_threads, open_runnable, untrained
    from tools.sources import open_checkpoint

    began = time.monotonic()
    listener = _Listener(on_finding)
    stranger = control or _stranger_of(a, b)
    answers: dict[str, Answers] = {}
    runs: dict[str, Runnable] = {}
    with ExitStack() as files:
        with listener.step("open"):
            check(stop)
            open_one = partial(open_checkpoint, token=token, stop=stop)
            first, second = (files.enter_context(open_one(name)) for name in (a, b))
            third = files.enter_context(open_one(stranger)) if stranger is not None else None
            opened = [one for one in (first, second, third) if one is not None]
            files.enter_context(fitting_threads(max(one.parameters or 0 for one in opened)))

            def load(side: str) -> Runnable:
                one, other = {"a": (first, second), "b": (second, first), "control": (third, None)}[side]
                if one is None:
                    code = first if runs["b"].in_other_code else second
                    return untrained(second, code, runs["b"], seed)
                return open_runnable(one, other, stop)

            for side in ("b", "a", "control"):
                # All are tried before any is run, so that nobody waits for a refusal.
                runs[side] = load(side)
                runs[side].model = None
        for side in ("b", "a", "control"):
            with listener.step(f"run_{side}") as record:
                running = load(side)
                answers[side] = answer_all(running, seed=seed, stop=stop)
                del running  # only the model at work stays in memory
                record["finding"] = {"right": agreement.right_answers(answers[side])}
    answers = {side: answers[side] for side in ("a", "b", "control")}
    comparable = {side: same_pieces(runs[side].tokenizer, runs["b"].tokenizer) for side in ("a", "control")}
    with listener.step("compare") as record:
        pair, beside = (
            agreement.compare_answers(answers[side], answers["b"], name=side, same_pieces=comparable[side])
            for side in ("a", "control")
        )
        record["finding"] = agreement.findings(pair, beside)
    return {
        "items": agreement.what_was_said(answers),
        "noise_levels": list(NOISE_LEVELS),
        "models": {side: _model(runs[side], answers[side]) for side in answers},
        "pair": pair,
        "control": beside,
        "findings": agreement.findings(pair, beside),
        "shared_mistakes": agreement.shared_mistakes(answers),
        "limits": _limits(runs, comparable, untrained_control=third is None),
        "seconds": round(time.monotonic() - began, 3),
        "ran_in_the_other_models_code": runs["a"].in_other_code or runs["b"].in_other_code,
    }


def _model(runnable: Runnable, answers: Answers) -> dict[str, Any]:
    """What one model is called, how its tensors were placed, and how often it was right."""
    from tools.behaviour import agreement

    fit = runnable.fit
    return {
        "name": runnable.name,
        "ran_in_the_other_models_code": runnable.in_other_code,
        "tensors_fitted": len(fit.names),
        "tensors": fit.total,
        "settled_by_values": fit.settled_by_values,
        "lowest_correlation": None if fit.lowest_correlation is None else round(fit.lowest_correlation, 4),
        "right": agreement.right_answers(answers),
        "right_by_kind": agreement.right_by_kind(answers),
    }


def _limits(runs: dict[str, Runnable], comparable: dict[str, bool], *, untrained_control: bool) -> list[str]:
    """What these figures cannot tell."""
    keys = ["behaviour_decides_nothing", "few_prompts"]
    keys += ["weak_control"] if untrained_control else []
    keys += [] if all(comparable.values()) else ["texts_only"]
    moved = [printable(runs[side].name) for side in ("a", "b") if runs[side].in_other_code]
    return [TEXTS[key]["en"] for key in keys] + [TEXTS["other_code"]["en"].format(name=name) for name in moved]


class _Listener:
    """Tells `on_finding` when a step starts and ends."""

    def __init__(self, on_finding: Callable[[dict[str, Any]], None] | None) -> None:
        self._tell = on_finding or (lambda record: None)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        began = time.monotonic()
        self._tell({"step": name, "status": "started", "seconds": None, "finding": None})
        record: dict[str, Any] = {"finding": None}
        yield record
        seconds = round(time.monotonic() - began, 3)
        self._tell({"step": name, "status": "done", "seconds": seconds, **record})


def _stranger_of(a: str, b: str) -> str | None:
    """The first control that the exhibit's story names, other than a and b; None outside the exhibits."""
    folder_a, folder_b = Path(a).resolve(), Path(b).resolve()
    for one in (folder_b, folder_a):
        story = one.parent / "story.json"
        if one.parent.parent == EXHIBITS and story.is_file():
            for name in json.loads(story.read_text(encoding="utf-8"))["controls"]:
                folder = EXHIBITS.parent / name
                if folder not in (folder_a, folder_b) and folder.is_dir():
                    return str(name) if Path(name).is_dir() else str(folder)
    return None
