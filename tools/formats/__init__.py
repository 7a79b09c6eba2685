"""What the bytes of a weights file mean: one file per format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.checkpoint import Checkpoint, ModelRef, StoredFile


def open_weights(
    form: str,
    ref: ModelRef,
    *,
    config: Mapping[str, object],
    weight_files: Sequence[StoredFile],
    weight_map: Mapping[str, str],
    declared_bytes: int | None,
    side_files: Mapping[str, StoredFile],
) -> Checkpoint:
    """Open the weight files of one model in a format: safetensors, torch, gguf, onnx. Packed tensors are seen decoded.

    Raises UserError for files that do not keep to it, KeyError for a format of another name.
    """
    from tools.formats.gguf import GgufCheckpoint
    from tools.formats.onnx import OnnxCheckpoint
    from tools.formats.packed import unpacked
    from tools.formats.safetensors import SafetensorsCheckpoint
    from tools.formats.torch_zip import TorchCheckpoint

    kinds: dict[str, Callable[..., Checkpoint]] = {
        "safetensors": SafetensorsCheckpoint,
        "torch": TorchCheckpoint,
        "gguf": GgufCheckpoint,
        "onnx": OnnxCheckpoint,
    }
    opened = kinds[form](
        ref,
        config=config,
        weight_files=weight_files,
        weight_map=weight_map,
        declared_bytes=declared_bytes,
        side_files=side_files,
    )
    return unpacked(opened)
