"""Where the bytes of a model come from: a folder or file on this machine, or a model on a hub."""

from __future__ import annotations

import os
from pathlib import Path

from tools.checkpoint import Checkpoint, Stop
from tools.errors import UserError
from tools.formats import open_weights
from tools.sources.folder import look_at
from tools.sources.hub_names import hub_name, is_address, leads_to_hub
from tools.sources.model_files import format_of
from tools.sources.zip_folder import ARCHIVE_SUFFIX

# Adapters on adapters: more than a few are a typing error.
MOST_ADAPTERS = 4


def open_checkpoint(name: str, *, token: str | None = None, stop: Stop | None = None) -> Checkpoint:
    """Open a model by its path on this machine, else by its name on a hub. Raises UserError for what can be mended.

    A hub's names are owner/name[@revision][/folder] and links. BASE+ADAPTER is a base as a LoRA adapter makes it. A
    folder without weights opens too, with what its configuration, index and tokenizer declare. `token` opens what a hub
    shows only to some. Once `stop` returns True, any read raises Cancelled within half a second.
    """
    base, *adapters = named_parts(name)
    if adapters:
        return _joined("+".join((base, *adapters[:-1])), adapters[-1], token, stop)
    name = base
    path = _local_path(name)
    if path is not None:
        return open_weights(look_at(name, path, stop))
    from tools.sources.hub import endpoint, look_at_hub

    host = endpoint().partition("://")[2].partition("/")[0]
    where = hub_name(name, host)
    if where is None and is_address(name):
        raise UserError("hub_other_page" if leads_to_hub(name, host) else "unknown_address", name=name)
    if where is None:
        raise UserError("not_found", name=name)
    return open_weights(look_at_hub(name, where, token=token, stop=stop))


def named_parts(name: str) -> tuple[str, ...]:
    """The base and the adapters that BASE+ADAPTER names; any other name alone. What exists on this machine is one."""
    name = name.strip()
    if not 0 < name.count("+") <= MOST_ADAPTERS or os.path.lexists(os.path.expanduser(name)):
        return (name,)
    base, _, adapter = name.rpartition("+")
    return (*named_parts(base), adapter.strip())


def _joined(base: str, adapter: str, token: str | None, stop: Stop | None) -> Checkpoint:
    """A base with an adapter, each by its own name."""
    from tools.formats.adapter import with_adapter

    change = open_checkpoint(adapter, token=token, stop=stop)
    try:
        return with_adapter(open_checkpoint(base, token=token, stop=stop), change)
    except BaseException:
        change.close()
        raise


def _local_path(name: str) -> Path | None:
    """Where a name lies on this machine, or None for one that may be a hub's. Raises UserError for a mistyped path."""
    try:
        path = Path(name).expanduser()
        if name and os.path.lexists(path):
            return path
        # "exhibits/mistyped" is a local path as soon as there is a folder "exhibits".
        if not is_address(name) and ("/" not in name or Path(name.partition("/")[0]).is_dir()):
            raise UserError("not_found", name=name)
    except (OSError, ValueError, RuntimeError):
        # Names with a null byte, names longer than the system allows, "~nobody".
        raise UserError("not_found", name=name) from None
    # A file name of two parts is a mistyped path too.
    if name.count("/") == 1 and (format_of(name) is not None or name.lower().endswith(ARCHIVE_SUFFIX)):
        raise UserError("not_found", name=name)
    return None
