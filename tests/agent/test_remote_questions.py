"""What people ask of models that lie elsewhere: how much is read, how long, tokens, versions, starting anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_doubles import SHELF, Audit, Visit, result
from test_intent import CONTEXTS, X, Y, Z

from agent.intent import Intent
from agent.memory import Memory
from agent.naming import find_names
from agent.phrases import say
from agent.reading import read
from agent.settings import shelf
from agent.shelf import Shelf
from agent.turns import Done, remember
from tools.limits import TEXTS

SAMPLED = replace(CONTEXTS["result"], results=({"limits": [TEXTS["sampled"]["en"]], "numbers": []},))


@pytest.mark.parametrize(
    ("context", "message", "kind", "about"),
    [
        ("result", "How much did you read?", "cost", ""),
        ("result", "how many bytes of each file did you actually look at?", "cost", ""),
        ("result", "两个文件你各看了多少", "cost", ""),
        ("result", "did you read everything?", "cost", ""),
        ("result", "你全部读完了吗", "cost", ""),
        ("new", "how long will it take?", "cost", "ahead"),
        ("new", "比一次要多久", "cost", "ahead"),
        ("new", f"how long will it take to compare {X} with {Y}?", "cost", "ahead"),
        ("new", "要下载整个模型吗", "cost", "ahead"),
        ("result", "read everything this time", "cost", "whole"),
        ("result", "完整比较一次", "cost", "whole"),
        ("result", "don't do a full comparison", "cancel", ""),
        ("result", "start again", "compare", "again"),
        ("result", "try again", "compare", "again"),
        ("result", "重新开始", "compare", "again"),
        ("result", "再来一次", "compare", "again"),
        ("result", "英文再来一遍", "language", "again"),
        ("new", "how do I give you my token?", "token", ""),
        ("new", "can you check private models?", "token", ""),
        ("result", "my model is gated, what now", "token", ""),
        ("new", "令牌填在哪", "token", ""),
        ("new", "能查私有模型吗", "token", ""),
        ("new", "what is a token", "article", ""),
        ("new", "do you store what I type?", "article", "privacy"),
        ("result", "what do you do with my files", "article", "privacy"),
        ("new", "我输入的内容会保存吗", "article", "privacy"),
        ("result", "会泄露我的模型吗", "article", "privacy"),
        ("result", "save it as a file", "report", ""),
        ("result", "保存结果", "report", ""),
        ("new", "how does a model read tokens", "article", ""),
    ],
)
def test_what_is_asked(context: str, message: str, kind: str, about: str) -> None:
    intent = read(message, CONTEXTS[context], shelf=SHELF)
    assert (intent.kind, intent.about) == (kind, about)


@pytest.mark.parametrize(
    "message",
    [
        "read everything this time",
        "full comparison please",
        "don't just sample, read all of it",
        "全部读取，再比一次",
        "不要抽样",
        say("en", "chip_full"),
        say("zh", "chip_full"),
    ],
)
def test_where_only_a_sample_was_read_all_of_it_can_be_asked_for(message: str) -> None:
    intent = read(message, SAMPLED, shelf=SHELF)
    assert (intent.kind, intent.models, intent.full) == ("compare", (X, Y), True)


@pytest.mark.parametrize(
    ("message", "full"),
    [
        (f"fully compare {X} with {Y}", True),
        (f"compare {X} {Y} --full", True),
        (f"{X}和{Y}完整比一下", True),
        (f"compare {X} with {Y}", False),
        (f"{X}和{Y}比一下，不用全部读", False),
        (f"compare {X} with {Y}, no need to read everything", False),
    ],
)
def test_all_of_both_in_the_question_itself(make: Any, audit: Audit, message: str, full: bool) -> None:
    Visit(make()).ask(message)
    assert audit.calls == [("compare in full" if full else "compare", (X, Y, None))]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_read_of_a_sample_is_told_with_the_way_to_more(make: Any, audit: Audit, language: str) -> None:
    made = result(X, Y)
    made["limits"] = [TEXTS["sampled"]["en"]]
    audit.compare = lambda a, b, base=None, **more: made  # type: ignore[method-assign]
    visit = Visit(make())
    visit.ask(f"Is {X} a copy of {Y}?" if language == "en" else f"{X}是不是抄了{Y}？")
    reply = visit.ask("How much did you read?" if language == "en" else "你读了多少？")
    assert say(language, "cost_sampled") in reply.text
    assert say(language, "chip_full") in (reply.artifact or {})["options"]


@pytest.mark.parametrize("message", [f"and {X}@v2?", f"那{X}@v2呢"])
def test_another_version_takes_the_place_of_the_first(message: str) -> None:
    memory = replace(CONTEXTS["result"], models=("o/model@v1.0", "o/original"))
    intent = read(message.replace(X, "o/model"), memory, shelf=SHELF)
    assert (intent.kind, intent.models) == ("compare", ("o/model@v2", "o/original"))


@pytest.mark.parametrize(
    "message",
    [
        "same question for the stranger",
        "ask the same about the stranger",
        "the stranger, same question",
        "那个陌生模型也来一遍",
        "陌生模型呢，同样的问题",
    ],
)
def test_the_same_question_is_about_another_suspect(message: str) -> None:
    intent = read(message, CONTEXTS["result"], shelf=SHELF)
    assert (intent.kind, intent.models) == ("compare", (Z, Y))


@pytest.mark.parametrize(
    ("context", "message", "about"),
    [
        ("result", "which is bigger?", "size"),
        ("result", "which has more parameters", "size"),
        ("result", "哪个更大？", "size"),
        ("result", "谁的参数多", "size"),
        ("new", f"which is bigger, {X} or {Y}", "size"),
        ("new", f"{X}和{Y}哪个大", "size"),
        ("new", f"{X}和{Y}分别是什么样的", ""),
        ("new", f"what are {X} and {Y} like", ""),
    ],
)
def test_two_models_are_described(context: str, message: str, about: str) -> None:
    intent = read(message, CONTEXTS[context], shelf=SHELF)
    assert (intent.kind, intent.models, intent.about) == ("describe", (X, Y), about)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_which_is_larger_is_answered_first(make: Any, audit: Audit, language: str) -> None:
    sizes = {X: 900, Y: 1200}
    audit.describe = lambda name, **how: {"name": name, "parameters": sizes[name], "tensors": 3}  # type: ignore[method-assign]
    visit = Visit(make())
    visit.ask(f"Is {X} a copy of {Y}?" if language == "en" else f"{X}是不是抄了{Y}？")
    text = visit.ask("which is bigger?" if language == "en" else "哪个更大？").text
    told = say(language, "d_larger", larger=f"`{Y}`", smaller=f"`{X}`", count="1,200", fewer="900")
    assert text.startswith(told)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("/数据/甲、/数据/乙是同一个吗", ["/数据/甲", "/数据/乙"]),
        ("模型：/数据/甲，来源：/数据/乙", ["/数据/甲", "/数据/乙"]),
        ("/数据/我们的/大模型-7B被/数据/他们的/小模型抄了吗", ["/数据/我们的/大模型-7B", "/数据/他们的/小模型"]),
        ("/数据/模型/跟/数据/原作/比", ["/数据/模型", "/数据/原作"]),
        ("拿/数据/模型跟/数据/原作对比一下", ["/数据/模型", "/数据/原作"]),
        ("/数据/模型分别和/数据/甲比一下", ["/数据/模型", "/数据/甲"]),
        ("优点/缺点各是什么", []),
    ],
)
def test_more_chinese_paths(text: str, names: list[str]) -> None:
    assert [named.name for named in find_names(text)] == names


def test_a_chinese_folder_below_this_one_is_one_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("模型甲", "模型乙"):
        (tmp_path / "数据" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = find_names("请比较数据/模型甲和数据/模型乙，看优点/缺点", Shelf({}, shelf().exists))
    assert [named.name for named in found] == ["数据/模型甲", "数据/模型乙"]
    monkeypatch.setenv("WHOSE_WEIGHTS_ONLY_EXHIBITS", "1")
    # Which folders there are is nobody's business on a public page.
    assert find_names("请比较数据/模型甲和数据/模型乙", Shelf({}, shelf().exists)) == []


@pytest.mark.parametrize(
    "message",
    [
        f"people claim we ripped off {Y}. Our model is {X}",
        f"someone re-uploaded my model {Y} under the name {X}, can you confirm?",
        f"有人把我的{Y}换个名字{X}重新上传了，帮我确认一下",
    ],
)
def test_the_one_that_is_said_to_be_the_copy_is_the_suspect(message: str) -> None:
    intent = read(message, shelf=SHELF)
    assert (intent.kind, intent.models) == ("compare", (X, Y))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("為什麼", "why"),
        ("您有多大把握", "sure"),
        ("這張圖怎麼看", "plot"),
        (f"{X}是不是抄襲了{Y}", "compare"),
        (f"請問{X}是不是{Y}的複製品", "compare"),
    ],
)
def test_traditional_characters_and_a_polite_you(message: str, kind: str) -> None:
    intent = read(message, CONTEXTS["result"], shelf=SHELF)
    assert (intent.kind, intent.language) == (kind, "zh")


def test_trying_again_after_a_busy_hub_asks_the_same() -> None:
    error = {"kind": "hub_busy", "message": "The hub at hub is busy.", "names": ["o/model"]}
    done = Done("1", "describe", {"name": "o/model"}, {"error": error})
    memory = remember(Memory(), Intent("describe", models=("o/model",), named=("o/model",)), [done])
    intent = read("try again", memory, shelf=SHELF)
    assert (intent.kind, intent.models) == ("describe", ("o/model",))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_of_exhibits_asks_for_no_token(make: Any, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("WHOSE_WEIGHTS_ONLY_EXHIBITS", "1")
    assert Visit(make()).ask(say(language, "chip_token")).text == say(language, "token_exhibits")


@pytest.mark.parametrize("message", ["can I say on air that they copied?", "节目里可以直接说他们抄了吗"])
def test_asking_what_may_be_said_is_no_pressure(message: str) -> None:
    intent = read(message, CONTEXTS["result"], shelf=SHELF)
    assert (intent.kind, intent.pressed) == ("next", False)
