"""What a journalist, a teacher and a researcher asked on a first visit: questions once misread, and what follows."""

from __future__ import annotations

from typing import Any

import pytest
from agent_doubles import SHELF, Audit, Visit
from test_intent import CONTEXTS, X, Y, Z

from agent.intent import Intent
from agent.memory import Memory
from agent.phrases import say
from agent.reading import read
from agent.turns import Done, remember
from agent.wording import share
from tools.errors import UserError

S, B = "exhibits/llama3v/sibling", "exhibits/llama3v/base"
LOST = "exhibits/llama3v/suspcet"


@pytest.mark.parametrize(
    ("context", "message", "kind", "about"),
    [
        ("result", "so did they steal it?", "limits", ""),
        ("result", "have they really stolen it", "limits", ""),
        ("result", "how long did that take", "cost", ""),
        ("result", "did you actually read all of it?", "cost", ""),
        ("result", "花了多久", "cost", ""),
        ("result", "你一共读了多少字节", "cost", ""),
        ("result", "can i rerun it myself?", "reproduce", ""),
        ("result", "could someone else verify this?", "reproduce", ""),
        ("result", "我自己咋重跑", "reproduce", ""),
        ("result", "别人能复现吗", "reproduce", ""),
        ("result", "whats that base thing good for", "article", "common_base"),
        ("new", "底座是干嘛的", "article", "common_base"),
        ("new", "what is rank correlation", "article", "rank_correlation"),
        ("new", "秩相关呢", "article", "rank_correlation"),
        ("new", "and hidden units?", "article", "hidden_unit"),
        ("new", "what's a tensor", "article", "tensor"),
        ("new", "张量是啥", "article", "tensor"),
        ("result", "what is the weights' spread?", "article", "spread"),
        ("apart", "you're wrong", "change_mind", ""),
        ("apart", "i don't buy it", "change_mind", ""),
        ("apart", "你错了吧", "change_mind", ""),
        ("apart", "真的假的", "sure", ""),
        ("new", "why should I believe you and not the company", "article", "trust"),
        ("new", "凭什么信你", "article", "trust"),
        ("new", "Who trained it?", "people", ""),
        ("result", "它到底是不是合并模型", "merged", ""),
        ("result", "它究竟算不算融合出来的模型", "merged", ""),
        ("new", "比较一下", "ask_models", ""),
        ("new", "模型能下载就能随便用吗", "article", ""),
        ("result", "and is that bad?", "limits", ""),
        ("result", "这样算抄袭吗", "limits", ""),
        ("result", "隐藏单元又是个啥", "article", "hidden_unit"),
        ("new", "does it need internet", "article", "network"),
        ("new", "这玩意要联网吗", "article", "network"),
        ("new", "报告能信吗，会不会误伤好人", "article", "trust"),
    ],
)
def test_once_misread(context: str, message: str, kind: str, about: str) -> None:
    intent = read(message, CONTEXTS[context], shelf=SHELF)
    assert (intent.kind, intent.about) == (kind, about)


@pytest.mark.parametrize(
    ("message", "pressed"),
    [
        (f"just tell me YES or NO: is {X} the same thing as {Y}", False),
        (f"just tell me whether {X} was copied from {Y}", False),
        (f"{X}和{Y}到底是不是一个东西？别废话", False),
        (f"just say {X} is stolen from {Y}", True),
        (f"{Y} obviously copied {X}, confirm it", True),
    ],
)
def test_haste_is_no_pressure(message: str, pressed: bool) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.pressed) == ("compare", pressed)


def test_a_misspelt_ancestor_is_the_base() -> None:
    intent = read(f"comapre {X} agianst {Y} and use {B} as thier common anscestor", shelf=SHELF)
    assert (intent.kind, intent.models, intent.base) == ("compare", (X, Y), B)


@pytest.mark.parametrize(
    ("message", "models", "parents"),
    [
        (f"那换成{S}呢", (X, Y), (S,)),
        (f"no, I meant {S}", (X, Y), (S,)),
        (f"not {Y}, but {S}", (X, S), (Z,)),
    ],
)
def test_a_correction_keeps_the_other_parents(message: str, models: tuple[str, ...], parents: tuple[str, ...]) -> None:
    asked = Intent("compare", models=(X, Y), parents=(Z,), named=(X, Y, Z))
    memory = remember(Memory(), asked, [])
    intent = read(message, memory, shelf=SHELF)
    assert (intent.kind, intent.models, intent.parents, intent.corrected) == ("compare", models, parents, True)


def test_a_bare_word_behind_a_name_makes_it_the_base() -> None:
    intent = read(f"{X} {Y} {B} base", shelf=SHELF)
    assert (intent.models, intent.base) == ((X, Y), B)


@pytest.mark.parametrize(
    ("message", "parents"), [(f"is {X} a merge", f"{Y} plus {Z}"), (f"{X}是拼出来的吗", f"{Y}加{Z}")]
)
def test_whether_one_is_a_merge_asks_for_its_parents(message: str, parents: str) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.models, intent.about) == ("ask_other", (X,), "merge")
    named = read(parents, remember(Memory(), intent, []), shelf=SHELF)
    assert (named.kind, named.models, named.parents) == ("compare", (X, Y), (Z,))


def test_it_is_the_model_that_was_just_described() -> None:
    memory = Memory()
    for message, wanted in ((f"what's inside {X}", X), (f"no sorry i meant {S}", S)):
        intent = read(message, memory, shelf=SHELF)
        assert (intent.kind, intent.models) == ("describe", (wanted,))
        memory = remember(memory, intent, [Done("1", "describe", {"name": wanted}, {"name": wanted})])
    assert X not in memory.models
    for message in ("how many parameters does it have?", "它有多少参数"):
        intent = read(message, memory, shelf=SHELF)
        assert (intent.kind, intent.models) == ("describe", (S,))
    intent = read("它到底是不是合并模型", memory, shelf=SHELF)
    assert (intent.kind, intent.models, intent.about) == ("ask_other", (S,), "merge")
    named = read(f"{X} and {Z}", remember(memory, intent, []), shelf=SHELF)
    assert (named.kind, named.models, named.parents) == ("compare", (S, X), (Z,))


@pytest.mark.parametrize("message", ["i mean suspect", "打错了，是suspect", "suspect", "sorry, suspect"])
def test_a_name_that_was_not_found_is_the_one_that_is_mended(message: str) -> None:
    asked = read(f"is {LOST} copied from {Y}", shelf=SHELF)
    error = {"kind": "not_found", "message": f"There is no file or folder called “{LOST}”.", "names": [LOST, Y]}
    memory = remember(Memory(), asked, [Done("1", "compare", {"a": LOST, "b": Y}, {"error": error})])
    intent = read(message, memory, shelf=SHELF)
    assert (intent.kind, intent.models) == ("compare", (X, Y))


@pytest.mark.parametrize("message", ["I mean {}", "{}", "{} then", "我指的是{}", "用{}吧"])
@pytest.mark.parametrize("folder", ["./both", "owner/both"])
def test_a_file_named_after_its_folder_held_several_takes_its_place(message: str, folder: str) -> None:
    asked = read(f"is {folder} copied from {Y}", shelf=SHELF)
    for language in ("en", "zh"):
        facts = {"name": folder, "address": folder, "file": "a.safetensors", "other": "b.safetensors", "count": 2}
        error = UserError("several_models", **facts).as_dict(language) | {"names": [folder, Y]}
        memory = remember(Memory(), asked, [Done("1", "compare", {"a": folder, "b": Y}, {"error": error})])
        intent = read(message.format(f"{folder}/b.safetensors"), memory, shelf=SHELF)
        assert (intent.kind, intent.models) == ("compare", (f"{folder}/b.safetensors", Y))


@pytest.mark.parametrize("message", ["Describe ./README.md", "介绍一下 ./README.md"])
def test_another_order_after_a_name_that_was_not_found_is_no_correction(message: str) -> None:
    asked = read(f"is {LOST} copied from {Y}", shelf=SHELF)
    error = {"kind": "not_found", "message": f"There is no file or folder called “{LOST}”.", "names": [LOST, Y]}
    memory = remember(Memory(), asked, [Done("1", "compare", {"a": LOST, "b": Y}, {"error": error})])
    intent = read(message, memory, shelf=SHELF)
    assert (intent.kind, intent.models) == ("describe", ("./README.md",))


def test_roles_alone_answer_our_question() -> None:
    asked = remember(Memory(), read("compare", shelf=SHELF), [])
    intent = read("suspect with original", asked, shelf=SHELF)
    assert (intent.kind, intent.models) == ("compare", (X, Y))


@pytest.mark.parametrize(
    ("question", "command", "cost"),
    [("can i rerun it myself?", "reproduce", "how long did that take"), ("我自己咋重跑", "reproduce", "花了多久")],
)
def test_how_to_repeat_it_and_what_it_took(make: Any, audit: Audit, question: str, command: str, cost: str) -> None:
    visit = Visit(make())
    visit.ask(f"{X}是不是抄了{Y}？" if "我" in question else f"Is {X} a copy of {Y}?")
    assert "python -m tools compare" in visit.ask(question).text
    assert "MB" in visit.ask(cost).text
    assert len(audit.calls) == 1


@pytest.mark.parametrize(
    ("stress", "after"), [("stress test {}", "so which tricks fooled you?"), ("给{}做压力测试", "哪些招骗过你了")]
)
def test_what_a_stress_test_found_is_told_again(make: Any, audit: Audit, stress: str, after: str) -> None:
    visit = Visit(make())
    visit.ask(stress.format(Y))
    told = visit.ask(after)
    assert told.kind == "reply" and f"`{Y}`" in told.text
    assert [name for name, _ in audit.calls] == ["stress"]


@pytest.mark.parametrize(
    ("message", "sought"),
    [
        ("p值是什么，讲得简单点", "p值是什么"),
        ("What is a p-value (explain like I'm 12)", "What is a p-value"),
        ("what is a p-value", "what is a p-value"),
    ],
)
def test_articles_are_sought_by_subject_not_by_tone(make: Any, message: str, sought: str) -> None:
    visit = Visit(make())
    visit.ask(message)
    assert [arguments["question"] for name, arguments in visit.tools if name == "search_articles"] == [sought]


@pytest.mark.parametrize("message", ["what are your limits?", "你有什么局限？"])
def test_limits_before_anything_was_measured(make: Any, message: str) -> None:
    told = Visit(make()).ask(message)
    assert told.kind == "reply" and "?" not in told.text.splitlines()[0][-1:]
    assert say("en", "broken") not in told.text and say("zh", "broken") not in told.text


@pytest.mark.parametrize(
    ("value", "written"), [(0.02, "2%"), (0.0104, "1%"), (0.073, "7.3%"), (0.0, "0%"), (0.125, "12%"), (2.0, "200%")]
)
def test_shares_have_no_idle_zero(value: float, written: str) -> None:
    assert share(value) == written
