"""A real browser on the real page: what a person sees, in both languages, on a desk and on a phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.phrases import say as phrase
from page.exhibits import read_exhibits, starters
from page.words import LANGUAGES, Language, say
from tests.timing import least
from tools.words import ANSWERS

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENSHOTS = ROOT / "tests" / "output"
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which(CHROMIUM), reason="there is no /usr/bin/chromium on this machine"),
    pytest.mark.skipif(not read_exhibits(), reason="the exhibits have not been built"),
]

# A small machine may run other tests beside this one; the figures a reader should get are in MEASURED's file.
PATIENCE_MS = 90_000
MEASURED: dict[str, float] = {}


@dataclass
class Sight:
    """One open tab and what went wrong in it."""

    page: Any
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def photograph(self, name: str, whole: bool = False) -> None:
        self.page.screenshot(path=str(SCREENSHOTS / f"{name}.png"), full_page=whole)


def processor_seconds(process: int) -> float:
    """What a process has computed so far, as Linux counts it; other work on the machine does not lengthen it."""
    words = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def settles(page: Any, seen: Callable[[], bool]) -> bool:
    """Whether something becomes so while the page moves, fades and is written anew."""
    ends = time.monotonic() + PATIENCE_MS / 1000
    while not seen() and time.monotonic() < ends:
        page.wait_for_timeout(100)
    return seen()


def is_within(page: Any, width: int) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth") <= width)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The real page, started as a person would start it."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = (SCREENSHOTS / "server.log").open("w", encoding="utf-8")
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "OMP_NUM_THREADS": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        while True:
            assert server.poll() is None, (SCREENSHOTS / "server.log").read_text(encoding="utf-8")
            try:
                if httpx.get(url, timeout=10).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
            assert time.monotonic() - began < PATIENCE_MS / 1000, "the page is not up"
        MEASURED["page up after start"] = time.monotonic() - began
        MEASURED["page up after start, processor time"] = processor_seconds(server.pid)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(PATIENCE_MS / 1000)
        log.close()
        text = json.dumps({name: round(seconds, 2) for name, seconds in MEASURED.items()}, indent=1)
        (SCREENSHOTS / "seconds.json").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture()
def look(browser: Any, address: str) -> Iterator[Callable[..., Sight]]:
    """Opens tabs; when the test is over none may have called elsewhere or logged an error."""
    sights: list[Sight] = []
    contexts = []

    def open_tab(
        language: Language = "en", width: int = 1280, height: int = 900, dark: bool = False, query: str = ""
    ) -> Sight:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            locale="zh-CN" if language == "zh" else "en-US",
        )
        contexts.append(context)
        sight = Sight(context.new_page())
        sight.page.on(
            "request",
            lambda one: None if one.url.startswith((address, "data:", "blob:")) else sight.foreign.append(one.url),
        )
        sight.page.on("console", lambda one: sight.errors.append(one.text) if one.type == "error" else None)
        sight.page.on("pageerror", lambda error: sight.errors.append(str(error)))
        sights.append(sight)
        sight.page.goto(f"{address}/{query}")
        sight.page.get_by_role("heading", name=say(language, "title"), exact=True).wait_for(timeout=PATIENCE_MS)
        return sight

    yield open_tab
    for context in contexts:
        context.close()
    for sight in sights:
        assert sight.foreign == []
        assert sight.errors == []


def heading(sight: Sight, language: Language) -> Any:
    return sight.page.get_by_role("heading", name=say(language, "title"), exact=True)


def ask_first_example(sight: Sight, language: Language, name: str = "") -> None:
    """Press the first example, wait for card and reply, note the seconds."""
    question = starters(read_exhibits(), language)[0]
    example = sight.page.locator("#chat .example").first
    example.wait_for(timeout=PATIENCE_MS)
    assert " ".join(question.split()) in " ".join(example.inner_text().split())
    began = time.monotonic()
    example.click()
    sight.page.locator("#chat .thought-group").first.wait_for(timeout=PATIENCE_MS)
    MEASURED[f"{name}: first visible step"] = time.monotonic() - began
    sight.page.locator("#chat .card").first.wait_for(timeout=PATIENCE_MS)
    MEASURED[f"{name}: card"] = time.monotonic() - began
    sight.page.locator("#chat .reply").first.wait_for(timeout=PATIENCE_MS)
    MEASURED[f"{name}: reply"] = time.monotonic() - began
    sight.page.locator("#send:not([disabled])").wait_for(timeout=PATIENCE_MS)


def type_question(sight: Sight, text: str) -> None:
    box = sight.page.locator("#box textarea")
    box.fill(text)
    box.press("Enter")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_example_is_answered(look: Callable[..., Sight], language: Language) -> None:
    first = not any("card" in name for name in MEASURED)
    sight = look(language)
    sight.photograph(f"start-{language}")
    ask_first_example(sight, language, f"{'cold' if first else 'warm'} {language}")
    page = sight.page

    steps = page.locator("#chat .thought-group").first.inner_text()
    assert "exhibits/llama3v/suspect" in steps and re.search(r"\(\d+\.\d+s\)", steps)
    card = page.locator("#chat .card").first.inner_text()
    assert ANSWERS["disguised_copy"]["word"][language] in card
    assert say(language, "card_reasons") in card and say(language, "card_limits") in card
    assert "log10 p = \u2212" in card and re.search(r"\d(?:\.\d)? MB", card)
    assert page.locator("#chat .card .card-icon").first.inner_text().strip()

    page.locator("#chat .js-plotly-plot .barlayer .point").nth(3).wait_for(timeout=PATIENCE_MS)
    twin = page.locator("#chat .twin").first.inner_text()
    assert re.search(r"[01]\.\d{3}", twin)
    rows = page.locator("#findings tbody tr")
    assert rows.count() >= 5
    assert say(language, "leaned_on") in page.locator("#findings").inner_text()
    assert page.evaluate("document.documentElement.lang") == ("zh-CN" if language == "zh" else "en")
    page.wait_for_timeout(400)
    sight.photograph(f"answer-{language}")
    page.locator("#chat").hover()
    page.mouse.wheel(0, 100_000)
    page.wait_for_timeout(300)
    sight.photograph(f"reply-{language}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_on_a_phone_in_the_dark(look: Callable[..., Sight], language: Language) -> None:
    sight = look(language, width=390, height=844, dark=True)
    sight.photograph(f"phone-start-{language}")
    ask_first_example(sight, language, f"phone {language}")
    sight.page.wait_for_timeout(400)
    assert settles(sight.page, lambda: is_within(sight.page, 390))
    sight.photograph(f"phone-answer-{language}")
    sight.photograph(f"phone-whole-{language}", whole=True)
    assert say(language, "column_chance") in sight.page.locator("#findings tbody tr").nth(1).inner_text()
    # A long line of code, here the command of the run, leaves the page as narrow as it is.
    type_question(sight, phrase(language, "chip_reproduce"))
    sight.page.locator("#chat pre").wait_for(timeout=PATIENCE_MS)
    sight.page.wait_for_timeout(400)
    assert settles(sight.page, lambda: is_within(sight.page, 390))
    assert sight.page.locator("#side").bounding_box()["x"] < 40


def test_stop_within_a_second(look: Callable[..., Sight]) -> None:
    sight = look("en")
    model = "exhibits/llama3v/original"

    def stopped() -> float:
        notices = sight.page.locator("#chat").get_by_text(say("en", "stopped"))
        before = notices.count()
        type_question(sight, f"Stress test {model}")
        sight.page.locator("#chat .thought-group", has_text=model).nth(before).wait_for(timeout=PATIENCE_MS)
        sight.page.locator("#stop:not([disabled])").wait_for(timeout=PATIENCE_MS)
        began = time.monotonic()
        sight.page.locator("#stop").click()
        notices.nth(before).wait_for(timeout=PATIENCE_MS)
        took = time.monotonic() - began
        sight.page.locator("#send:not([disabled])").wait_for(timeout=PATIENCE_MS)
        return took

    MEASURED["stopped after"] = least(stopped, 2.0)
    assert MEASURED["stopped after"] < 2.0
    assert sight.page.locator("#chat .card").count() == 0
    sight.photograph("stopped")
    sight.page.locator("#send:not([disabled])").wait_for(timeout=PATIENCE_MS)
    ask_again = sight.page.locator("#box textarea")
    ask_again.fill("hello")
    ask_again.press("Enter")
    sight.page.locator("#chat .reply").first.wait_for(timeout=PATIENCE_MS)


def test_the_language_switch_rewords_everything(look: Callable[..., Sight]) -> None:
    sight = look("en")
    ask_first_example(sight, "en", "switch")
    sight.page.locator("#language label", has_text="中文").click()
    heading(sight, "zh").wait_for(timeout=PATIENCE_MS)
    sight.page.locator("#chat .card", has_text=say("zh", "card_reasons")).wait_for(timeout=PATIENCE_MS)
    keys = ("send", "stop", "new", "tab_evidence", "tab_exhibits", "tab_method", "column_question", "card_limits")

    def english() -> list[str]:
        whole = sight.page.locator("body").inner_text()
        return [key for key in keys if say("zh", key) not in whole or say("en", key) in whole]

    settles(sight.page, lambda: english() == [])
    assert english() == []
    assert settles(sight.page, lambda: "lang=zh" in sight.page.url)
    assert settles(sight.page, lambda: sight.page.evaluate("document.documentElement.lang") == "zh-CN")


def test_the_address_chooses_the_language(look: Callable[..., Sight]) -> None:
    sight = look("zh", query="?lang=zh")
    assert say("zh", "promise") in sight.page.locator("#heading").inner_text()


def test_a_hostile_name_is_only_text(look: Callable[..., Sight]) -> None:
    sight = look("en")
    picture = "https://evil.example/x.png"
    evil = f'<img src="{picture}" onerror="document.title=1">![x]({picture})'
    type_question(sight, f"Is {evil} a copy of exhibits/llama3v/original?")
    sight.page.locator("#chat .reply").first.wait_for(timeout=PATIENCE_MS)
    assert sight.page.locator("#chat img, #chat iframe, #chat form").count() == 0
    assert sight.page.title() != "1"
    assert "<img src=" in sight.page.locator("#chat .said").inner_text()


def test_the_keyboard_reaches_everything(look: Callable[..., Sight]) -> None:
    sight = look("en")
    sight.page.locator("#chat .example").first.wait_for(timeout=PATIENCE_MS)
    reached = set()
    for _ in range(30):
        sight.page.keyboard.press("Tab")
        reached.add(sight.page.evaluate("() => (document.activeElement.closest('[id]') || {id: ''}).id"))
    assert {"new", "send", "chat"} <= reached
    unnamed = sight.page.evaluate(
        """() => [...document.querySelectorAll('button, textarea, input, [role=button]')]
            .filter(e => e.offsetParent !== null && e.getAttribute('aria-hidden') !== 'true')
            .filter(e => !(e.innerText || '').trim() && !e.getAttribute('aria-label'))
            .filter(e => !e.title && !e.labels?.length)
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []


CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  function light(c) {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  function ground(e) {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  }
  const weak = [];
  const walker = document.createTreeWalker(document.querySelector('.gradio-container'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || e.offsetParent === null) continue;
    if (e.closest('svg, script, style')) continue;
    const a = light(rgba(getComputedStyle(e).color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push(ratio.toFixed(2) + ' ' + walker.currentNode.textContent.trim().slice(0, 40));
  }
  return weak;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(look: Callable[..., Sight], dark: bool) -> None:
    sight = look("en", dark=dark)
    sight.page.locator("#chat .example").first.wait_for(timeout=PATIENCE_MS)
    settles(sight.page, lambda: sight.page.evaluate(CONTRAST) == [])
    assert sight.page.evaluate(CONTRAST) == []
    ask_first_example(sight, "en", "contrast")
    sight.page.wait_for_timeout(600)
    settles(sight.page, lambda: sight.page.evaluate(CONTRAST) == [])
    assert sight.page.evaluate(CONTRAST) == []
    sight.photograph(f"answer-{'dark' if dark else 'light'}")


def test_the_report_can_be_taken_home(look: Callable[..., Sight]) -> None:
    sight = look("en")
    ask_first_example(sight, "en", "download")
    for button, name in (("#report-md", "report.md"), ("#report-json", "report.json")):
        with sight.page.expect_download(timeout=PATIENCE_MS) as waiting:
            sight.page.locator(button).click()
        path = SCREENSHOTS / name
        waiting.value.save_as(path)
        assert waiting.value.suggested_filename == name
    assert json.loads((SCREENSHOTS / "report.json").read_text(encoding="utf-8"))["answer"] == "disguised_copy"
    assert "exhibits/llama3v/suspect" in (SCREENSHOTS / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lesson_runs_and_is_taken_home(look: Callable[..., Sight], browser: Any, language: Language) -> None:
    sight = look(language)
    sight.page.get_by_role("tab", name=say(language, "tab_lessons"), exact=True).click()
    sight.page.locator("button.ask:visible").first.click()
    sight.page.locator("#chat .lesson summary").wait_for(timeout=PATIENCE_MS)
    sight.page.locator("#chat .reply").first.wait_for(timeout=PATIENCE_MS)
    sight.page.locator("#send:not([disabled])").wait_for(timeout=PATIENCE_MS)
    work = sight.page.locator("#chat .thought-group").first
    answer = work.get_by_text(ANSWERS["disguised_copy"]["word"][language]).first
    answer.wait_for(state="hidden", timeout=PATIENCE_MS)  # the work folds itself away once it is done
    work.locator(".title").click()
    answer.wait_for(timeout=PATIENCE_MS)
    sight.page.locator("#chat .lesson summary").click()
    assert sight.page.locator("#chat .lesson .slip:visible").count() == 8
    sight.photograph(f"lesson-{language}")
    for button, ending in (
        ("#lesson-md", ".md"),
        ("#lesson-teacher", "-teacher.html"),
        ("#lesson-students", "-students.html"),
    ):
        with sight.page.expect_download(timeout=PATIENCE_MS) as waiting:
            sight.page.locator(button).click()
        path = SCREENSHOTS / f"mirror-cases-{language}{ending}"
        waiting.value.save_as(path)
        assert waiting.value.suggested_filename == path.name
    printed = browser.new_page()
    printed.goto((SCREENSHOTS / f"mirror-cases-{language}-students.html").as_uri())
    assert printed.locator(".slip").count() == 8
    printed.emulate_media(media="print")
    assert not printed.locator("button").is_visible()
    printed.close()


def test_a_new_conversation_is_empty(look: Callable[..., Sight]) -> None:
    sight = look("en")
    ask_first_example(sight, "en", "renew")
    sight.page.locator("#new").click()
    sight.page.locator("#chat .example").first.wait_for(timeout=PATIENCE_MS)
    assert sight.page.locator("#chat .card").count() == 0


def test_the_page_is_quick(look: Callable[..., Sight]) -> None:
    """The targets, with room for a machine that runs other things too; seconds.json has what was measured."""
    ask_first_example(look("en"), "en", "last")
    assert MEASURED["page up after start, processor time"] < 20
    steps = [seconds for name, seconds in MEASURED.items() if name.endswith("first visible step")]
    assert min(steps) < 1.0
    cards = {name: seconds for name, seconds in MEASURED.items() if name.endswith(": card")}
    assert min(cards.values()) < 6.0
