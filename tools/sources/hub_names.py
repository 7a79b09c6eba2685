"""Names of models on a hub: owner/name, owner/name@revision, owner/name@revision/folder, and links to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# Hosts that serve, or forward to, one and the same hub; a link to any is read from the endpoint that is set.
HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"})

_OWNER = r"[A-Za-z0-9][\w.-]{0,95}"
_REVISION = r"refs/[\w-]{1,40}/[\w.-]{1,95}|[\w.-]{1,95}"
_NAME = re.compile(
    rf"(?P<repository>{_OWNER}/{_OWNER})(?:@(?P<revision>{_REVISION}))?(?:/(?P<path>[^\s\\?#@]{{1,400}}))?", re.ASCII
)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
# Beside the models a hub has pages of its own and other things than models.
_NOT_MODELS = frozenset({"datasets", "spaces", "docs", "blog", "papers", "collections", "api", "models", "settings"})


@dataclass(frozen=True)
class HubName:
    """A model on a hub. `revision` is a branch, tag or commit, or None for the main branch; `path` lies inside."""

    repository: str
    revision: str | None = None
    path: str = ""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.repository}{revision}" + (f"/{self.path}" if self.path else "")


def hub_name(text: str, host: str | None = None) -> HubName | None:
    """Return the model that a name or link stands for, or None; `host` is the hub's own beside the known ones."""
    text = text.strip()
    if _ADDRESS.match(text):
        return _from_link(text, host)
    found = _NAME.fullmatch(text.rstrip("/"))
    if found is None or found["repository"].partition("/")[0] in _NOT_MODELS:
        return None
    return _checked(found["repository"], found["revision"], found["path"] or "")


def leads_to_hub(link: str, host: str | None = None) -> bool:
    """Whether a link leads to a hub, to a model or to another page of it; `host` as in `hub_name`."""
    try:
        place = urlsplit(link.strip()).netloc.lower()
    except ValueError:
        return False
    return place in HUB_HOSTS or place == (host or "").lower()


def is_address(text: str) -> bool:
    """Whether a text is an address of the web rather than a name or a path."""
    return re.match(r"[A-Za-z][\w+.-]*://", text) is not None


def _from_link(link: str, host: str | None) -> HubName | None:
    if not leads_to_hub(link, host):
        return None
    # A slash inside a revision is written %2F, so the path is taken apart before it is decoded.
    pieces = [unquote(piece) for piece in urlsplit(link).path.split("/") if piece]
    if len(pieces) < 2 or pieces[0] in _NOT_MODELS:
        return None
    repository, rest = "/".join(pieces[:2]), pieces[2:]
    if not rest:
        return _checked(repository, None, "")
    if rest[0] not in ("tree", "blob", "resolve", "raw"):
        return None
    revision, path = (rest[1] if len(rest) > 1 else None), rest[2:]
    if revision == "refs" and len(path) >= 2:
        revision, path = "/".join([revision, *path[:2]]), path[2:]
    return _checked(repository, revision, "/".join(path))


def _checked(repository: str, revision: str | None, path: str) -> HubName | None:
    plain = f"{repository}@{revision}" if revision else repository
    if _NAME.fullmatch(plain) is None or any(part in ("", ".", "..") for part in path.split("/") if path):
        return None
    if any(ord(sign) < 32 or sign in "\\?#" for sign in path):
        return None
    return HubName(repository, revision, path)
