"""Where the bytes of a model come from: in this version, local folders and files."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tools.checkpoint import Checkpoint, MetadataCheckpoint, Stop
from tools.errors import UserError
from tools.formats import open_weights
from tools.sources.folder import look_at
from tools.sources.model_files import ModelFiles, format_of

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w./-]{1,95})?")
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://")


def open_checkpoint(name: str, *, token: str | None = None, stop: Stop | None = None) -> Checkpoint:
    """Open the model in a local folder or weights file. Raises UserError for what the user can mend.

    A folder without weights opens too, with what its configuration, index and tokenizer declare. `token` opens what
    a hub shows only to some. Once `stop` returns True, any read raises Cancelled within half a second.
    """
    name = name.strip()
    return _opened(look_at(name, _located(name), stop))


def _opened(model: ModelFiles) -> Checkpoint:
    if model.format is None:
        return MetadataCheckpoint(
            model.ref,
            config=model.config,
            shapes={},
            dtypes={},
            declared_names=tuple(model.weight_map),
            declared_bytes=model.declared_bytes,
            weight_files=(),
            side_files=model.side_files,
        )
    return open_weights(
        model.format,
        model.ref,
        config=model.config,
        weight_files=model.weight_files,
        weight_map=model.weight_map,
        declared_bytes=model.declared_bytes,
        side_files=model.side_files,
    )


def _located(name: str) -> Path:
    try:
        path = Path(name).expanduser()
        if name and os.path.lexists(path):
            return path
    except (OSError, ValueError, RuntimeError):
        # Names with a null byte, names longer than the system allows, "~nobody".
        raise UserError("not_found", name=name) from None
    if _ADDRESS.match(name):
        raise UserError("hub_not_available", name=name)
    # "exhibits/mistyped" is a local path as soon as there is a folder "exhibits".
    if _HUB_NAME.fullmatch(name) and format_of(name) is None and not path.parent.is_dir():
        raise UserError("hub_not_available", name=name)
    raise UserError("not_found", name=name)
