"""The page as served: what programs may call, which doors are closed, what is checked on the server."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import gradio as gr
import httpx
import pytest
from fake_assistant import FakeAssistant, comparison
from gradio_client import Client

import app
from page.safety import LARGEST_REQUEST
from page.visits import LONGEST_MESSAGE
from page.words import TEXTS


@pytest.fixture(scope="module")
def assistant() -> FakeAssistant:
    return FakeAssistant(pace=0.01)


@pytest.fixture(scope="module")
def address(assistant: FakeAssistant) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = app.build(assistant)
    _, url, _ = app.launch(page, prevent_thread_lock=True, server_port=port, quiet=True)
    yield url.rstrip("/")
    page.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def event(address: str, name: str, trigger: str) -> int:
    """The number of the event that `trigger` on the component with this elem_id starts."""
    config = httpx.get(f"{address}/config").json()
    component = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == name)
    return next(
        one["id"] for one in config["dependencies"] if any(list(t) == [component, trigger] for t in one["targets"])
    )


def press(address: str, number: int, data: list[Any], session: str) -> httpx.Response:
    body = {"fn_index": number, "data": data, "session_hash": session, "event_data": None, "trigger_id": None}
    return httpx.post(f"{address}/gradio_api/run/predict", json=body, timeout=20)


def test_programs_may_call_compare_and_nothing_else(client: Client) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == {"/compare"}
    assert info["unnamed_endpoints"] == {}
    parameters = info["named_endpoints"]["/compare"]["parameters"]
    assert [one["parameter_name"] for one in parameters] == ["a", "b", "base", "parents", "language"]
    assert [one["parameter_has_default"] for one in parameters] == [False, False, True, True, True]


def test_every_event_of_the_page_is_private(address: str) -> None:
    visible = [
        one["api_name"]
        for one in httpx.get(f"{address}/config").json()["dependencies"]
        if one.get("api_visibility") != "private"
    ]
    assert visible == ["compare"]


def test_compare_hands_on_the_result(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Any, ...]] = []

    def measure(a: str, b: str, base: str | None = None, *, parents: list[str], **options: Any) -> dict[str, Any]:
        heard.append((a, b, base, *parents))
        return comparison(a, b)

    monkeypatch.setattr("tools.audit.compare", measure)
    assert client.predict(a="x", b="y", api_name="/compare") == comparison("x", "y")
    assert client.predict(a="x", b="y", base="z", api_name="/compare") == comparison("x", "y")
    assert client.predict(a="x", b="y", parents=["p", "q"], api_name="/compare") == comparison("x", "y")
    assert heard == [("x", "y", None), ("x", "y", "z"), ("x", "y", None, "p", "q")]


def test_compare_says_what_can_be_mended(client: Client) -> None:
    for a, b in (("no/such/folder-at-all", "nor/this"), ("", "y"), ("x" * 5000, "y")):
        answer = client.predict(a=a, b=b, api_name="/compare")
        assert set(answer) == {"error"} and set(answer["error"]) == {"kind", "message", "remedy"}
        assert len(answer["error"]["message"]) < 300


@pytest.mark.parametrize(("language", "is_chinese"), [("en", False), ("zh", True), ("fr", False), (3, False)])
def test_compare_words_errors_in_the_callers_language(
    client: Client, monkeypatch: pytest.MonkeyPatch, language: object, is_chinese: bool
) -> None:
    def breaks(*names: str, **options: Any) -> dict[str, Any]:
        raise RuntimeError

    def words(a: str) -> str:
        error = client.predict(a=a, b="y", language=language, api_name="/compare")["error"]
        return str(error["message"] + error["remedy"])

    said = [words("no/such/folder-at-all")]
    monkeypatch.setattr("tools.audit.compare", breaks)
    said.append(words("x"))
    assert [bool(re.search(r"[\u4e00-\u9fff]", text)) for text in said] == [is_chinese] * 2


@pytest.mark.parametrize(
    ("parents", "kind"), [("p", "too_many_parents"), (["p"] * 9, "too_many_parents"), ([3], "not_found")]
)
def test_what_is_no_list_of_parents(
    client: Client, monkeypatch: pytest.MonkeyPatch, parents: object, kind: str
) -> None:
    monkeypatch.setattr("tools.audit.compare", lambda *names, **options: pytest.fail("it was opened"))
    assert client.predict(a="x", b="y", parents=parents, api_name="/compare")["error"]["kind"] == kind


def test_compare_obeys_the_same_rule_as_the_chat(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.settings.allowed", lambda name: False)
    monkeypatch.setattr("tools.audit.compare", lambda *names, **options: pytest.fail("it was opened"))
    answer = client.predict(a="/etc", b="exhibits/llama3v/original", api_name="/compare")
    assert answer["error"]["kind"] == "not_allowed"


def test_compare_hides_what_breaks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*names: str, **options: Any) -> dict[str, Any]:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr("tools.audit.compare", breaks)
    answer = client.predict(a="x", b="y", api_name="/compare")
    assert answer["error"]["kind"] == "broken" and "secret" not in json.dumps(answer)


def test_a_message_is_measured_on_the_server(address: str, assistant: FakeAssistant) -> None:
    send = event(address, "send", "click")
    heard = len(assistant.heard)
    answer = press(address, send, ["x" * (LONGEST_MESSAGE + 1), "en"], "long-one")
    assert answer.status_code == 200
    assert str(LONGEST_MESSAGE) in answer.text and "xxxxx" not in answer.text
    assert len(assistant.heard) == heard


def test_what_one_visitor_asks_no_other_sees(address: str) -> None:
    send, new = event(address, "send", "click"), event(address, "new", "click")
    assert "my secret model" in press(address, send, ["my secret model", "en"], "visitor-one").text
    assert "my secret model" not in press(address, send, ["another one", "en"], "visitor-two").text
    assert "my secret model" not in press(address, new, [], "visitor-one").text


def test_an_unknown_language_is_refused(address: str, assistant: FakeAssistant) -> None:
    answer = press(address, event(address, "send", "click"), ["x and y?", "klingon"], "odd-language")
    assert answer.status_code != 200 or "error" in answer.json()
    assert not any(message == "x and y?" for _, message in assistant.heard)


def test_a_hostile_message_comes_back_as_text(address: str) -> None:
    send = event(address, "send", "click")
    answer = press(address, send, ["<img src=x onerror=alert(1)> ![a](https://evil.example/x)", "en"], "hostile")
    shown = json.dumps(answer.json()["data"][1])
    assert "<img" not in shown and "![a]" not in shown and "https://evil" not in shown and "&lt;img" in shown


def test_headers_keep_the_page_to_itself(address: str) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        headers = httpx.get(address + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "'unsafe-eval'" not in policy and "http:" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.org/a.png",
        "/gradio_api/file=HTTPS://example.org/a.png",
        "/gradio_api/proxy=https://example.org",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=app.py",
        "/gradio_api/runs",
        "/gradio_api/run-history/records",
        "/gradio_api/deep_link",
        "/monitoring",
        "/monitoring/summary",
    ],
)
def test_closed_doors(address: str, path: str) -> None:
    assert httpx.get(address + path).status_code in (403, 404)


def test_nothing_can_be_uploaded(address: str) -> None:
    answer = httpx.post(f"{address}/gradio_api/upload", files={"files": ("a.txt", b"hello")})
    assert answer.status_code == 403


def test_large_requests_are_refused_declared_or_not(address: str) -> None:
    body = b'{"data": ["' + b"x" * (LARGEST_REQUEST + 1) + b'"]}'
    url = f"{address}/gradio_api/run/predict"
    assert httpx.post(url, content=body, headers={"content-type": "application/json"}).status_code == 413

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    try:
        answer = httpx.post(url, content=chunks(), headers={"content-type": "application/json"})
    except httpx.HTTPError:
        return
    assert answer.status_code >= 400


def test_no_mcp_and_no_share(address: str) -> None:
    assert httpx.get(f"{address}/gradio_api/mcp/schema").status_code in (403, 404, 405)
    config = httpx.get(f"{address}/config").json()
    assert not config.get("mcp_server") and not config.get("share")


def test_the_page_names_no_foreign_host(address: str) -> None:
    page = httpx.get(f"{address}/").text
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"'](https?://[^\"']+)", page)
    assert [url for url in loaded if not url.startswith(address)] == []


def test_both_languages_are_there_before_javascript(address: str) -> None:
    config = json.dumps(httpx.get(f"{address}/config").json(), ensure_ascii=False)
    assert TEXTS["en"]["promise"] in config and "中文" in config


def test_build_takes_another_assistant() -> None:
    assert isinstance(app.build(FakeAssistant()), gr.Blocks)


def test_a_token_reaches_the_assistant_and_nothing_that_is_shown(
    address: str, assistant: FakeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = next(
        part for part in httpx.get(f"{address}/config").json()["components"] if part["props"].get("elem_id") == "token"
    )
    assert field["props"]["type"] == "password" and field["props"]["visible"]
    kept = press(address, event(address, "token", "blur"), ["  hf_of_a_visitor "], "with-token")
    assert kept.status_code == 200 and "hf_of_a_visitor" not in kept.text
    assert "hf_of_a_visitor" not in httpx.get(f"{address}/config").text
    shown = press(address, event(address, "box", "submit"), ["x and y?", "en"], "with-token")
    assert shown.status_code == 200 and "hf_of_a_visitor" not in shown.text
    # Where only the exhibits are open, none is kept.
    monkeypatch.setenv("WHOSE_WEIGHTS_ONLY_EXHIBITS", "1")
    assert press(address, event(address, "token", "submit"), ["hf_another"], "with-token").status_code == 200
