"""A LoRA adapter with its base: the base's tensors with the adapter's change added as they are read.

Adapters follow https://huggingface.co/docs/peft: for a layer W there are A (rank, inputs) and B (outputs, rank), and
the model computes with W + scale B A. An adapter says which base it wants, but that is a stranger's text: a base is
only opened because the user named it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tools.checkpoint import Checkpoint, ModelRef, Wanted
from tools.errors import UserError
from tools.formats.json_text import NotAnObject, parse_object

if TYPE_CHECKING:
    import torch

_CONFIG = "adapter_config.json"
_PART = re.compile(r"(?P<module>.+)\.lora_(?P<table>embedding_)?(?P<half>[AB])(?:\.[\w-]+?)?(?:\.weight)?")
_PREFIX = "base_model.model."
# Beginnings that leave the base as it is; others (PiSSA, OLoRA, CorDA, LoftQ) are trained on a base less the beginning.
_LEAVES_BASE = (True, False, None, "gaussian", "eva", "orthogonal")


def is_adapter(checkpoint: Checkpoint) -> bool:
    """Whether these are the two thin halves of a change, and not a model."""
    return _CONFIG in checkpoint.side_files and any(_PART.fullmatch(name) for name in checkpoint.shapes)


@dataclass(frozen=True)
class Change:
    """What is added to one tensor of the base: scale B A, turned where the base stores the layer transposed."""

    a: str
    b: str
    scale: float
    turned: bool


def with_adapter(base: Checkpoint, adapter: Checkpoint) -> Checkpoint:
    """The base as the adapter makes it. Raises UserError where one does not belong to the other."""
    return _Joined(base, adapter, *_plan(base, adapter))


class _Joined(Checkpoint):
    """The base's tensors with changes added and some replaced; nothing is computed before it is read."""

    def __init__(
        self, base: Checkpoint, adapter: Checkpoint, changes: Mapping[str, Change], replaced: Mapping[str, str]
    ) -> None:
        both = base.ref, adapter.ref
        pinned = tuple(part for ref in both for part in ref.pinned) if all(ref.pinned for ref in both) else ()
        super().__init__(
            replace(
                base.model,
                ref=ModelRef(f"{base.ref.name}+{adapter.ref.name}", None, pinned),
                weight_files=(*base.weight_files, *adapter.weight_files),
                adapter_files=base.model.adapter_files + len(adapter.weight_files),
            ),
            shapes=base.shapes,
            dtypes=base.dtypes,
            declared_names=base.declared_names,
        )
        self.undecoded, self.stored_as = base.undecoded, base.stored_as
        self.names_code = base.names_code or adapter.names_code
        self._base, self._adapter = base, adapter
        self._changes, self._replaced = dict(changes), dict(replaced)

    @property
    def bytes_read(self) -> int:
        """Bytes of both looked at so far."""
        return self._base.bytes_read + self._adapter.bytes_read

    def read(self, name: str) -> torch.Tensor:
        """Return a tensor with the adapter's change, in the base's type."""
        own = self._replaced.get(name)
        values = self._base.read(name) if own is None else self._adapter.read(own)
        return self._changed(name, values, 0, len(values)) if name in self._changes else values

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return the rows from start up to stop of the first axis; reads these rows of the base and the thin halves."""
        own = self._replaced.get(name)
        values = self._base.read_rows(name, start, stop) if own is None else self._adapter.read_rows(own, start, stop)
        if name not in self._changes:
            return values
        first, _, _ = slice(start, stop).indices(self.shapes[name][0])
        return self._changed(name, values, first, first + len(values))

    def expect(self, wanted: Iterable[Wanted]) -> None:
        """These tensors, or rows of them, will be read soon; over a network they then come in few requests."""
        of_base: list[Wanted] = []
        of_adapter: list[Wanted] = []
        for name, start, stop in wanted:
            if name in self._replaced:
                of_adapter.append((self._replaced[name], start, stop))
            else:
                of_base.append((name, start, stop))
            if change := self._changes.get(name):
                of_adapter += [(change.a, None, None), (change.b, None, None)]
        self._base.expect(of_base)
        self._adapter.expect(of_adapter)

    def side_file(self, name: str) -> bytes | None:
        """Return the file of this name beside the base."""
        return self._base.side_file(name)

    def close(self) -> None:
        """Let go of the files of both."""
        self._base.close()
        self._adapter.close()

    def _changed(self, name: str, values: torch.Tensor, first: int, last: int) -> torch.Tensor:
        change = self._changes[name]
        a, b = self._adapter.read(change.a).float(), self._adapter.read(change.b).float()
        added = a.T[first:last] @ b.T if change.turned else b[first:last] @ a
        return (values.float() + change.scale * added).to(values.dtype)


def _plan(base: Checkpoint, adapter: Checkpoint) -> tuple[dict[str, Change], dict[str, str]]:
    """What the adapter changes in the base, and what it replaces."""

    def refused(why: str) -> UserError:
        return UserError("bad_adapter", name=base.ref.name, file=adapter.ref.name, why=why)

    if not is_adapter(adapter):
        raise refused("no_adapter")
    if not base.has_weights:
        raise UserError("no_weights", name=base.ref.name)
    try:
        settings = parse_object(adapter.side_file(_CONFIG) or b"", max_commas=100_000)
    except NotAnObject as error:
        raise UserError("bad_config", file=_CONFIG, why=error.why) from None
    if settings.get("peft_type", "LORA") != "LORA" or any("magnitude" in name for name in adapter.shapes):
        raise refused("other_adapter")
    if settings.get("init_lora_weights", True) not in _LEAVES_BASE:
        raise refused("other_adapter")
    halves: dict[tuple[str, bool], dict[str, str]] = {}
    replaced: dict[str, str] = {}
    for name, shape in adapter.shapes.items():
        if part := _PART.fullmatch(name):
            halves.setdefault((part["module"], part["table"] is not None), {})[part["half"]] = name
            continue
        # Beside the change of a table of tokens peft saves the table that it is added to.
        whole = name.removeprefix(_PREFIX).replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        target = _target(base, whole)
        if target is None or base.shapes[target] != shape:
            raise refused("does_not_fit")
        replaced[target] = name
    changes: dict[str, Change] = {}
    for (module, is_table), found in halves.items():
        target = _target(base, f"{module.removeprefix(_PREFIX)}.weight")
        if target is None or set(found) != {"A", "B"} or target in changes:
            raise refused("does_not_fit")
        a, b = (adapter.shapes[found[half]] for half in "AB")
        if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
            raise refused("does_not_fit")
        turned = is_table or settings.get("fan_in_fan_out") is True
        if base.shapes[target] != ((a[1], b[0]) if turned else (b[0], a[1])):
            raise refused("does_not_fit")
        scale = _scale(settings, module, a[0])
        if scale is None:
            raise refused("other_adapter")
        changes[target] = Change(found["A"], found["B"], scale, turned)
    return changes, replaced


def _target(base: Checkpoint, name: str) -> str | None:
    """The base's tensor of this name, whatever prefix either side puts before it; None where it is not one alone."""
    if name in base.shapes:
        return name
    found = [other for other in base.shapes if other.endswith(f".{name}") or name.endswith(f".{other}")]
    return found[0] if len(found) == 1 else None


def _scale(settings: Mapping[str, Any], module: str, rank: int) -> float | None:
    alpha: object = settings.get("lora_alpha", rank)
    patterns = settings.get("alpha_pattern")
    for key, value in (patterns if isinstance(patterns, dict) else {}).items():
        if module == key or module.endswith(f".{key}"):
            alpha = value
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not rank or not abs(alpha) < 1e6:
        return None
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") is True else rank)
