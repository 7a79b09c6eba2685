"""The page: a chat about two models and the evidence beside it. Assembles; computes nothing."""

from __future__ import annotations

import os

# Read by the libraries at import: no analytics, no telemetry, nothing sent from here.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.chatbot import ExampleMessage
from starlette.middleware import Middleware

from agent.settings import badge, only_exhibits
from page import card, markup
from page.conversation import Notice
from page.exhibits import Exhibit, lessons_offered, read_exhibits, starters
from page.programs import compare
from page.safety import ClosedDoors
from page.visits import LONGEST_MESSAGE, LONGEST_TOKEN, Assistant, LateAssistant, Visit, Visits
from page.words import LANGUAGE_NAMES, Language, choose_language, say

log = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parent / "page"

# Comparisons share two cores with the page: two run at a time, sixteen wait, the rest is told to come back.
AT_ONCE = 2
IN_LINE = 16

# The files of a lesson, in the order of Visits.sheets.
SHEETS = ("lesson_markdown", "lesson_teacher", "lesson_students")

THEME = gr.themes.Base(
    primary_hue="blue",
    neutral_hue="slate",
    radius_size="md",
    font=[
        "system-ui",
        "-apple-system",
        "Segoe UI",
        "Noto Sans",
        "PingFang SC",
        "Microsoft YaHei",
        "sans-serif",
    ],
    font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"],
)


def build(assistant: Assistant | None = None) -> gr.Blocks:
    """The page around an assistant; without one, the real one is made when it is first needed."""
    visits = Visits(assistant or LateAssistant())
    exhibits = read_exhibits()

    # gr.HTML would need 'unsafe-eval'; Markdown keeps HTML of ours, and sanitises it once more.
    as_written: dict[str, Any] = {"latex_delimiters": [], "container": False}

    page = gr.Blocks(
        title="Whose Weights? 谁的权重？", analytics_enabled=False, fill_width=True, delete_cache=(3600, 7200)
    )
    with page:
        with gr.Row(elem_id="top"):
            heading = gr.Markdown(_heading("en"), **as_written, elem_id="heading")
            new = gr.Button(say("en", "new"), size="sm", elem_id="new")
            language = gr.Radio(
                list(LANGUAGE_NAMES),
                value="en",
                label=say("en", "language"),
                elem_id="language",
                container=False,
            )
        with gr.Row(elem_id="desk"):
            with gr.Column(scale=7, min_width=300, elem_id="talk"):
                chat = gr.Chatbot(
                    layout="panel",
                    label=say("en", "chat"),
                    show_label=False,
                    elem_id="chat",
                    height="calc(100vh - 252px)",
                    min_height=440,
                    autoscroll=False,
                    buttons=[],
                    feedback_options=None,
                    latex_delimiters=[],
                    allow_file_downloads=False,
                    placeholder=_placeholder("en"),
                    examples=_examples(exhibits, "en"),
                )
                with gr.Row(elem_id="composer"):
                    box = gr.Textbox(
                        label=say("en", "box"),
                        placeholder=say("en", "box_placeholder"),
                        lines=1,
                        max_lines=6,
                        max_length=LONGEST_MESSAGE,
                        autofocus=True,
                        container=False,
                        elem_id="box",
                    )
                    send = gr.Button(say("en", "send"), variant="primary", elem_id="send")
                    stop = gr.Button(say("en", "stop"), interactive=False, elem_id="stop")
            with gr.Column(scale=5, min_width=300, elem_id="side"), gr.Tabs(selected="method") as tabs:
                with gr.Tab(say("en", "tab_evidence"), id="evidence") as tab_evidence:
                    findings = gr.Markdown(card.findings(None, "en"), **as_written, elem_id="findings")
                    with gr.Row(visible=False) as downloads:
                        report = gr.DownloadButton(say("en", "download_markdown"), size="sm", elem_id="report-md")
                        data = gr.DownloadButton(say("en", "download_json"), size="sm", elem_id="report-json")
                    with gr.Accordion(say("en", "raw"), open=False, visible=False, elem_id="raw") as raw_fold:
                        raw = gr.JSON(show_label=False, max_height=420)
                with gr.Tab(say("en", "tab_exhibits")) as tab_exhibits:
                    intro = gr.Markdown(**as_written)
                    stories, questions = [], []
                    for exhibit in exhibits:
                        stories.append((gr.Markdown(**as_written, elem_classes="story"), exhibit))
                        for question in exhibit.questions:
                            questions.append((gr.Button(question["en"], size="sm", elem_classes="ask"), question))
                with gr.Tab(say("en", "tab_lessons"), id="lessons") as tab_lessons:
                    lessons_intro = gr.Markdown(**as_written)
                    with gr.Row(visible=False, elem_id="sheets") as sheets:
                        lesson_markdown = gr.DownloadButton(
                            say("en", "lesson_markdown"), size="sm", elem_id="lesson-md"
                        )
                        lesson_teacher = gr.DownloadButton(
                            say("en", "lesson_teacher"), size="sm", elem_id="lesson-teacher"
                        )
                        lesson_students = gr.DownloadButton(
                            say("en", "lesson_students"), size="sm", elem_id="lesson-students"
                        )
                    chips = [(gr.Button(chip["en"], size="sm", elem_classes="ask"), chip) for chip in lessons_offered()]
                with gr.Tab(say("en", "tab_method"), id="method") as tab_method:
                    method = gr.Markdown(card.method("en", badge("en")), **as_written)
                    token = gr.Textbox(
                        type="password",
                        label=say("en", "token"),
                        info=say("en", "token_info"),
                        max_lines=1,
                        max_length=LONGEST_TOKEN,
                        elem_id="token",
                        # Where only the exhibits are open, there is nothing that a token could open.
                        visible=not only_exhibits(),
                    )

        buttons = [send, stop]
        lesson_files = [lesson_markdown, lesson_teacher, lesson_students]
        evidence = [tabs, findings, raw, downloads, raw_fold, report, data, sheets, *lesson_files]

        def buttons_now(visit: Visit) -> list[Any]:
            return [gr.update(interactive=not visit.busy), gr.update(interactive=visit.busy)]

        def evidence_now(visit: Visit) -> list[Any]:
            has_result = visit.result is not None
            paths = visits.downloads(visit) or (None, None)
            printed = visits.sheets(visit)
            return [
                gr.Tabs(selected=visit.tab),
                card.findings(visit.result, visit.language),
                dict(visit.result) if visit.result is not None else None,
                gr.update(visible=has_result),
                gr.update(visible=has_result),
                gr.update(value=paths[0]),
                gr.update(value=paths[1]),
                gr.update(visible=printed is not None),
                *(gr.update(value=path) for path in printed or (None, None, None)),
            ]

        def ask(message: str, chosen: Language, request: gr.Request) -> list[Any]:
            visit = visits.of(request.session_hash)
            visit.assume(chosen)
            visits.ask(visit, message)
            return ["", visit.conversation.shown(visit.language), *buttons_now(visit)]

        def ask_shown(chosen: Language, request: gr.Request, event: gr.SelectData) -> list[Any]:
            value = event.value
            return ask(str(value["text"] if isinstance(value, dict) else value), chosen, request)

        def answer(request: gr.Request) -> Iterator[list[Any]]:
            visit = visits.of(request.session_hash)
            unchanged = [gr.skip()] * len(evidence)
            try:
                for result_is_new in visits.answer(visit):
                    news = evidence_now(visit) if result_is_new else unchanged
                    yield [visit.conversation.shown(visit.language), gr.skip(), gr.skip(), *news]
            except Exception:
                log.exception("the answer could not be shown")
                visit.conversation.settle("failed")
                visit.conversation.add(Notice("failed"))
                yield [visit.conversation.shown(visit.language), gr.skip(), gr.skip(), *unchanged]
            yield [gr.skip(), *buttons_now(visit), *unchanged]

        def end(request: gr.Request) -> list[Any]:
            visit = visits.of(request.session_hash)
            if visits.end(visit):
                return [visit.conversation.shown(visit.language), *buttons_now(visit)]
            return [gr.skip(), gr.skip(), gr.update(interactive=False)]

        def renew(request: gr.Request) -> list[Any]:
            visit = visits.of(request.session_hash)
            visits.renew(visit)
            return [[], "", gr.update(interactive=True), gr.update(interactive=False), *evidence_now(visit)]

        labels = [heading, language, chat, box, send, stop, new, tab_evidence, tab_exhibits, tab_method]
        labels += [raw_fold, intro, method, token, findings, report, data]
        labels += [part for part, _ in stories] + [part for part, _ in questions]
        labels += [tab_lessons, lessons_intro, *lesson_files] + [part for part, _ in chips]

        def relabel(chosen: Language, request: gr.Request) -> list[Any]:
            visit = visits.of(request.session_hash)
            visit.speak(chosen)
            paths = visits.downloads(visit) or (None, None)
            printed = visits.sheets(visit) or (None, None, None)
            told = say(chosen, "exhibits_intro" if exhibits else "no_exhibits")
            taught = say(chosen, "lessons_intro" if exhibits else "no_exhibits")
            return [
                _heading(chosen),
                gr.update(value=chosen, label=say(chosen, "language")),
                gr.update(
                    value=visit.conversation.shown(chosen),
                    label=say(chosen, "chat"),
                    placeholder=_placeholder(chosen),
                    examples=_examples(exhibits, chosen),
                ),
                gr.update(label=say(chosen, "box"), placeholder=say(chosen, "box_placeholder")),
                *(gr.update(value=say(chosen, key)) for key in ("send", "stop", "new")),
                *(gr.update(label=say(chosen, key)) for key in ("tab_evidence", "tab_exhibits", "tab_method", "raw")),
                markup.block("intro", [f"<p>{told}</p>"]),
                card.method(chosen, badge(chosen)),
                gr.update(label=say(chosen, "token"), info=say(chosen, "token_info")),
                card.findings(visit.result, chosen),
                gr.update(label=say(chosen, "download_markdown"), value=paths[0]),
                gr.update(label=say(chosen, "download_json"), value=paths[1]),
                *(card.story(exhibit.title[chosen], exhibit.story[chosen]) for _, exhibit in stories),
                *(gr.update(value=question[chosen]) for _, question in questions),
                gr.update(label=say(chosen, "tab_lessons")),
                markup.block("intro", [f"<p>{taught}</p>"]),
                *(gr.update(label=say(chosen, key), value=path) for key, path in zip(SHEETS, printed, strict=True)),
                *(gr.update(value=chip[chosen]) for _, chip in chips),
            ]

        def greet(request: gr.Request) -> list[Any]:
            wanted = dict(request.query_params).get("lang")
            return relabel(choose_language(wanted, request.headers.get("accept-language")), request)

        def keep_token(given: str, request: gr.Request) -> None:
            given = "" if only_exhibits() else given.strip()
            visits.of(request.session_hash).token = given[:LONGEST_TOKEN] or None

        def leave(request: gr.Request) -> None:
            visits.leave(request.session_hash)

        at_once: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}
        asked = [box, chat, *buttons]
        starts = [
            box.submit(ask, [box, language], asked, **at_once),
            send.click(ask, [box, language], asked, **at_once),
            chat.example_select(ask_shown, [language], asked, **at_once),
            chat.option_select(ask_shown, [language], asked, **at_once),
            *(part.click(ask, [part, language], asked, **at_once) for part, _ in [*questions, *chips]),
        ]
        for start in starts:
            start.then(
                answer,
                None,
                [chat, *buttons, *evidence],
                api_visibility="private",
                show_progress="hidden",
                concurrency_id="heavy",
                concurrency_limit=AT_ONCE,
            )
        stop.click(end, None, [chat, *buttons], **at_once)
        new.click(renew, None, [chat, box, *buttons, *evidence], **at_once)
        language.input(relabel, [language], labels, **at_once)
        # Not at every key, and never in a message: a token is no part of the conversation.
        token.blur(keep_token, [token], None, **at_once)
        token.submit(keep_token, [token], None, **at_once)
        page.load(greet, None, labels, **at_once)
        page.unload(leave)
        gr.api(  # type: ignore[attr-defined]
            compare, api_name="compare", concurrency_id="heavy", concurrency_limit=AT_ONCE
        )

    page.queue(max_size=IN_LINE)
    return page


def launch(page: gr.Blocks, **changes: Any) -> tuple[Any, str, str]:
    """Serve a page with the settings that keep it closed; `changes` go to Blocks.launch."""
    port = os.environ.get("PORT") or os.environ.get("GRADIO_SERVER_PORT")
    settings: dict[str, Any] = {
        "server_name": os.environ.get("HOST") or ("0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"),
        "server_port": int(port) if port else None,
        "theme": THEME,
        "css_paths": [FOLDER / "style.css"],
        "head_paths": [FOLDER / "head.html"],
        "allowed_paths": [],
        "blocked_paths": [],
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "strict_cors": True,
        "ssr_mode": False,
        "mcp_server": False,
        "share": False,
        "max_file_size": 0,
        "footer_links": ["api"],
        "app_kwargs": {"middleware": [Middleware(ClosedDoors)]},
    }
    return page.launch(**{**settings, **changes})


def _heading(language: Language) -> str:
    return markup.block("heading", [f"<h1>{say(language, 'title')}</h1><p>{say(language, 'promise')}</p>"])


def _placeholder(language: Language) -> str:
    return markup.block("start", [f"<h2>{say(language, 'start_title')}</h2><p>{say(language, 'start_text')}</p>"])


def _examples(exhibits: list[Exhibit], language: Language) -> list[ExampleMessage]:
    return [{"text": question} for question in starters(exhibits, language)]


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    late = LateAssistant()
    page = build(late)
    launch(page, prevent_thread_lock=True)
    # The page is up; what is slow to import is fetched while the first visitor still reads.
    threading.Thread(target=late.warm_up, daemon=True).start()
    page.block_thread()


if __name__ == "__main__":
    main()
