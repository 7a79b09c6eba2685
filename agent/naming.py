"""Which models a text names: paths, hub ids, hub links, quoted names. Nothing is guessed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from agent.cues import cue, ending, plain_words
from agent.shelf import Shelf
from tools.sources import named_parts
from tools.sources.hub_names import hub_name

# Letters of scripts that are written without spaces: an unquoted name ends where one of them begins.
UNSPACED = "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_LETTER = rf"(?:(?![{UNSPACED}]|->)[\w.\-+@~%#]|(?<=\w)=(?=\w))"
_PART = rf"(?:(?![{UNSPACED}]|->)[\w.\-+@~%#\\/]|(?<=\w)=(?=\w))"
# A name begins where a run of its signs does: looking from every sign anew would take minutes on a long run.
_START = rf"(?:(?<=[{UNSPACED}])|(?<![\w.\-+@~%#]))"
_WEIGHT_FILE = r"(?:safetensors|gguf|ckpt|bin|pth|pt|th)"

_HUB_LINK = re.compile(
    r"(?:https?://)?((?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com)"
    r"/(?!datasets/|spaces/|docs/|blog/|papers/)[\w.\-]+/[\w.\-]+(?:/(?:tree|blob|resolve|files|summary)(?:/[\w.\-/%]*)?)?)/?",
    re.ASCII,
)
_LINK = re.compile(rf"https?://(?:(?![{UNSPACED}，。？！；、（）《》“”])[^\s<>\"'`|)\]}}])+")
_QUOTED = re.compile(
    r"`([^`\n]{1,400})`|“([^“”\n]{1,400})”|\"([^\"\n]{1,400})\"|「([^「」\n]{1,400})」|『([^『』\n]{1,400})』"
    r"|《([^《》\n]{1,400})》|‘([^‘’\n]{1,400})’|(?<!\w)'([^'\n]{1,400})'(?!\w)"
)
_UNQUOTED = re.compile(
    rf"(?<![A-Za-z0-9_])[A-Za-z]:[\\/](?:{_PART}+|(?=[{UNSPACED}]))"  # C:\models\x
    rf"|\\\\{_PART}+"
    rf"|(?:(?<=[{UNSPACED}])|(?<![\w.\-~/\\]))(?:(?:~|\.{{1,2}})[\\/]{_PART}*|[\\/]{_PART}+)"  # /x, ./x, ../x, ~/x
    rf"|(?<![\w.\-~/\\])/(?=[{UNSPACED}])"  # /数据/模型
    rf"|(?<=[{UNSPACED}])/(?=[{UNSPACED}\w.\-]+/[{UNSPACED}\w])"  # 比较/数据/模型, behind words that a path may follow
    rf"|{_START}{_LETTER}++(?:[\\/]{_LETTER}++)+/?"  # owner/name, folder/sub/model
    rf"|{_START}{_LETTER}+\.{_WEIGHT_FILE}(?![\w])",
    re.IGNORECASE,
)
_ROOTED = re.compile(r"^(?:[A-Za-z]:[\\/]|~?[\\/]|\.{1,2}[\\/]|\\\\)")
_WEIGHTS_ENDING = re.compile(rf"\.{_WEIGHT_FILE}$", re.IGNORECASE)
_SENTENCE_WORDS = re.compile(r"\b(?:is|are|was|were|do|does|did|say|what|why|how)\b|[?!,;:，。？！；：]", re.I)

_FAMILY = re.compile(
    r"^(?:chat)?gpt[\w.\-]*$|^claude[\w.\-]*$|^gemini[\w.\-]*$|^llama[\d.\-]*v?$|^qwen[\d.]*$|^mistral$|^deepseek$|^kimi$|^grok$|^gemma$",
    re.IGNORECASE,
)
_ABBREVIATIONS = frozenset(("n/a", "w/o", "i/o", "km/h", "m/s", "tokens/s", "open/closed", "old/new", "before/after"))
_VERSION = re.compile(r"^v?\d[\d.\-]*[a-z%]?$", re.IGNORECASE)


# Nobody names more models in one message; a flood of them must not cost minutes.
MOST_NAMES = 40


@dataclass(frozen=True)
class Named:
    """A model name and the place in the text where it stands."""

    name: str
    start: int
    end: int


def visible(text: str) -> str:
    """The text without what hides, moves or reorders it: control, zero-width, bidirectional and private characters."""
    kept = []
    for character in text:
        if character in "\n\t\r":
            kept.append("\n" if character == "\n" else " ")
            continue
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Cs", "Co", "Cn") or "\ufe00" <= character <= "\ufe0f":
            continue
        kept.append(character)
    return "".join(kept)


def find_names(text: str, shelf: Shelf | None = None) -> list[Named]:
    """Every model the text names, in order; a name said twice is found twice. `text` went through `visible`."""
    shelf = shelf or Shelf()
    found: list[Named] = []

    def add(name: str, start: int, end: int) -> None:
        if name and len(found) < MOST_NAMES and not any(start < other.end and other.start < end for other in found):
            found.append(Named(name, start, end))

    for match in _HUB_LINK.finditer(text):
        add(_of_link(match[1].rstrip(".")), match.start(), match.end())
    for match in _LINK.finditer(text):
        add(match[0].rstrip(".,;:!?"), match.start(), match.start() + len(match[0].rstrip(".,;:!?")))
    for match in _QUOTED.finditer(text):
        inside = next(group for group in match.groups() if group is not None).strip()
        if not any(n.start >= match.start() and n.end <= match.end() for n in found) and _quoted_name(inside, shelf):
            add(inside.rstrip("/") or inside, match.start(), match.end())
    for match in _UNQUOTED.finditer(text):
        name = match[0]
        before = text[: match.start()]
        if name == "/" and re.match(f"[{UNSPACED}]", before[-1:]) and not ending("path_behind").search(before):
            continue
        tail = re.match(rf"[{UNSPACED}\w.\-\\/]+", text[match.end() :])
        if tail is not None:
            name += _existing_tail(name, tail[0], shelf) or _likely_tail(name, tail[0])
        name = _trimmed(name)
        if _plausible(name, shelf):
            add(name.rstrip("/") or name, match.start(), match.start() + len(name))
    # A folder below this one, named in Chinese letters: whether it is one, only the disk can tell.
    for match in re.finditer(rf"(?=[\w.\-\\/]*[{UNSPACED}])[\w.\-]{{1,40}}[\\/][\w.\-\\/]{{1,160}}", text):
        at = 0
        while (path := _existing_path(match[0], at, shelf)) is not None:
            start, name = path
            add(name, match.start() + start, match.start() + start + len(name))
            at = start + len(name)
    # A folder of this computer named without a slash, if its form is no ordinary word.
    for match in re.finditer(rf"{_LETTER}+", text):
        name = _trimmed(match[0])
        if re.search(r"[_\-.\d]", name) and re.search(r"[^\W\d_]", name) and shelf.exists(name):
            add(name, match.start(), match.start() + len(name))
    return sorted(found, key=lambda named: named.start)


def with_adapters(text: str, found: list[Named]) -> list[Named]:
    """The names with 'X with the adapter Y' and 'X + Y' as the one name X+Y."""
    joined: list[Named] = []
    for named in found:
        last = joined[-1] if joined else None
        between = text[last.end : named.start] if last else ""
        ahead = text[max(0, last.start - 20) : last.start] if last else ""
        if last and cue("with_adapter").fullmatch(between):
            joined[-1] = Named(f"{last.name}+{named.name}", last.start, named.end)
        elif last and cue("adapter_of").fullmatch(between) and (before := ending("adapter_first").search(ahead)):
            joined[-1] = Named(f"{named.name}+{last.name}", last.start - len(before[0]), named.end)
        else:
            joined.append(named)
    return joined


def parted(found: list[Named]) -> list[Named]:
    """The names with each X+Y as the two names that it consists of."""
    pieces: list[Named] = []
    for named in found:
        at = named.start
        for part in named_parts(named.name):
            pieces.append(Named(part, at, at + len(part)))
            at += len(part) + 1
    return pieces


def _of_link(link: str) -> str:
    """The name of the model that a link to a hub leads to, with its revision and folder where it says them."""
    found = hub_name(f"https://{link}")
    if found is None:
        return "/".join(link.split("/")[1:3])
    return str(replace(found, revision=None) if found.revision == "main" else found)


def _trimmed(name: str) -> str:
    name = re.sub(r"['’]s$", "", name)
    return name.rstrip(".,;:!?~%=-") if not name.endswith("..") else name


def _quoted_name(inside: str, shelf: Shelf) -> bool:
    if _WEIGHTS_ENDING.search(inside) or (_ROOTED.match(inside) and len(inside) > 1):
        return True
    if shelf.exists(inside):
        return True
    if "/" not in inside and "\\" not in inside:
        return False
    if re.search(r"\s", inside):
        return not _SENTENCE_WORDS.search(inside) and not inside.startswith("<")
    return _plausible(inside, shelf)


def _plausible(name: str, shelf: Shelf) -> bool:
    """Whether what looks like a path is a name rather than 'and/or', '24/7' or 'GPT-4/Claude'."""
    if len(name) < 2 or "//" in name.lstrip("\\/") or name.lower() in ("/help", "/start", "/s", "/帮助"):
        return False
    if _ROOTED.match(name):
        return bool(re.search(r"[^\W_]", name)) or name in ("..", "../..")
    if "/" not in name and "\\" not in name:
        return bool(_WEIGHTS_ENDING.search(name)) and len(name) > 4
    if shelf.exists(name):
        return True
    parts = [part for part in re.split(r"[\\/]", name) if part]
    real = [part for part in parts if part not in (".", "..")]
    if len(parts) < 2 or not real or not all(re.search(r"[^\W_]", part) for part in real):
        return False
    if all(_VERSION.match(part) for part in parts) or all(
        part.lower() in plain_words("both_sides_of_a_slash") for part in parts
    ):
        return False
    if all(_FAMILY.match(part) for part in parts):
        return False
    return name != "A/B" and name.lower() not in _ABBREVIATIONS


def _likely_tail(name: str, tail: str) -> str:
    """For a path that breaks off at its slash: the Chinese name behind it, up to a word that no name holds.

    It is only looked for under that name; where there is none, the reader is told which one was sought.
    """
    if not _ROOTED.match(name) or name[-1] not in "/\\":
        return ""
    # A folder may well begin with such a word: 和平, 微调模型.
    over = (match.start() for match in cue("behind_a_path").finditer(tail))
    over = (at for at in over if at and (tail[at - 1] not in "/\\" or tail[at + 1 : at + 2] in ("", "/", "\\")))
    return tail[: next(over, len(tail))]


def _existing_path(run: str, begin: int, shelf: Shelf) -> tuple[int, str] | None:
    """The next path in a run of letters and slashes that exists: at its beginning, or behind words that one may follow.

    Its place in the run and its name.
    """
    head = re.split(r"[\\/]", run[begin:])[0]
    for at in range(begin, begin + len(head)):
        if at == begin or ending("path_behind").search(run[begin:at]):
            name = _existing_tail("", run[at:], shelf).rstrip("/\\")
            if "/" in name or "\\" in name:
                return at, name
    return None


def _existing_tail(name: str, tail: str, shelf: Shelf) -> str:
    """The longest beginning of `tail` with which `name` exists: folders may have Chinese names."""
    for length in range(len(tail), 0, -1):
        if shelf.exists(name + tail[:length]):
            return tail[:length]
    return ""
