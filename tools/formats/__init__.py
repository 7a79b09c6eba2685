"""What the bytes of a weights file mean: one file per format."""

from __future__ import annotations

from collections.abc import Callable

from tools.checkpoint import Checkpoint, MetadataCheckpoint, ModelFiles
from tools.formats.gguf import GgufCheckpoint
from tools.formats.onnx import OnnxCheckpoint
from tools.formats.packed import unpacked
from tools.formats.safetensors import SafetensorsCheckpoint
from tools.formats.torch_zip import TorchCheckpoint


def open_weights(model: ModelFiles) -> Checkpoint:
    """Open the files of one model in its format: safetensors, torch, gguf, onnx. Packed tensors are seen decoded.

    Without a format what it declares is all there is. Raises UserError for files that do not keep to their format,
    KeyError for a format of another name.
    """
    if model.format is None:
        return MetadataCheckpoint(model)
    kinds: dict[str, Callable[[ModelFiles], Checkpoint]] = {
        "safetensors": SafetensorsCheckpoint,
        "torch": TorchCheckpoint,
        "gguf": GgufCheckpoint,
        "onnx": OnnxCheckpoint,
    }
    return unpacked(kinds[model.format](model))
