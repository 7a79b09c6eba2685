"""`python -m agent ask "TURN" ["NEXT TURN" ...] [--json]`: one conversation, without a page."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from tools.arguments import Arguments, in_language, language_asked_for

# Nothing about a conversation leaves this computer; read by the libraries when they are imported.
for _switch in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_TRACING", "ANONYMIZED_TELEMETRY"):
    os.environ[_switch] = "false"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


HELP = {
    "agent": {"en": "Ask the assistant without a page.", "zh": "不用网页，直接向助手提问。"},
    "ask": {"en": "one conversation: each argument is one turn", "zh": "一次对话：每个参数是一句话"},
    "turns": {"en": "what you say, in English or Chinese", "zh": "要说的话，中文或英文"},
    "json": {"en": "print one JSON list with an object per turn", "zh": "输出一个 JSON 列表，每句话对应一个对象"},
    "lang": {"en": "language where a turn shows none", "zh": "看不出语言时所用的语言"},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    language = language_asked_for(arguments)
    told = in_language(HELP, language)
    parser = Arguments(prog="python -m agent", description=told["agent"], language=language)
    commands = parser.add_subparsers(dest="command", required=True)
    ask = commands.add_parser("ask", help=told["ask"], description=told["ask"])
    ask.add_argument("turns", nargs="+", metavar="TURN", help=told["turns"])
    ask.add_argument("--json", action="store_true", help=told["json"])
    ask.add_argument("--lang", choices=("en", "zh"), help=told["lang"])
    given = parser.parse_args(arguments)
    logging.basicConfig(level=os.environ.get("WHOSE_WEIGHTS_LOG", "CRITICAL"), stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    return _ask(given.turns, given.json, given.lang)


def _ask(turns: Sequence[str], as_json: bool, language: str | None) -> int:
    from agent.assistant import Assistant
    from agent.toolbox import Toolbox

    assistant = Assistant(toolbox=Toolbox(search=_search_by_meaning))
    records = []
    for turn in turns:
        if not as_json:
            print(f"> {turn[:400]}\n")
        record = _answer(assistant, turn, language, quiet=as_json)
        records.append(record)
        if not as_json:
            print(record["reply"] + "\n")
            for citation in record["citations"]:
                sources = "; ".join(citation.get("sources") or [])
                print(f"  [{citation['id']}] {citation['title']}" + (f" – {sources}" if sources else ""))
            print(flush=True)
    if as_json:
        print(json.dumps(records, ensure_ascii=False, indent=1))
    return 0


def _answer(assistant: Any, turn: str, language: str | None, quiet: bool) -> dict[str, Any]:
    """One turn as the record of design.md, section 5."""
    tools: list[dict[str, Any]] = []
    last = None
    token = os.environ.get("HF_TOKEN") or None
    for step in assistant.converse(turn, thread="command line", language=language, token=token):
        last = step
        if step.kind == "started":
            tools.append({"name": step.artifact["tool"], "arguments": step.artifact["arguments"]})
            if not quiet:
                print(f"  … {step.title}", file=sys.stderr, flush=True)
    artifact = (last.artifact if last is not None else None) or {}
    return {
        "reply": last.text if last is not None else "",
        "language": artifact.get("language", language or "en"),
        "tools": tools,
        "answer": artifact.get("answer"),
        "citations": artifact.get("citations", []),
        "asks": bool(artifact.get("asks", False)),
    }


def _search_by_meaning(question: str, language: Any, limit: int = 3) -> list[Any]:
    """The article search once it goes by meaning: one question here is worth the wait that a page spares itself."""
    from knowledge import library

    library.warm_up(wait=True)
    return library.search(question, language, limit)


if __name__ == "__main__":
    sys.exit(main())
