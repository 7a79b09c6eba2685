"""What a language model says is held against the evidence; what cannot be seen to be right is not shown."""

from __future__ import annotations

from typing import Any

import pytest
from agent_doubles import SHELF, Audit, Report, Visit, result
from langchain_core.messages import AIMessage, HumanMessage
from misbehaving_models import LIES_IN_CHINESE, LIES_OF_APART, TRUTH, Scripted, call, scripted
from test_intent import X, Y, Z

from agent.evidence import numbered
from agent.guard import Facts, numbers_of, own_faults, wording_faults
from agent.guide import Guide
from agent.turns import recall
from agent.wording import sentences
from benchmarks.explained import as_explanation

ASK = {"en": f"Is {X} a copy of {Y}?", "zh": f"{X}是不是抄了{Y}？"}


def _visit(make: Any, model: Scripted) -> Visit:
    return Visit(make(model=model))


@pytest.fixture
def clean(visit: Visit) -> dict[str, str]:
    """The guide's replies, by language."""
    texts = {}
    for language, message in ASK.items():
        texts[language] = visit.ask(message).text
    return texts


@pytest.mark.parametrize("stance", ["supports", "against"])
@pytest.mark.parametrize("lie", LIES_OF_APART)
def test_a_lie_never_reaches_the_reader(make: Any, clean: dict[str, str], lie: str, stance: str) -> None:
    model = scripted(lambda messages: as_explanation(lie, stance))
    visit = _visit(make, model)
    step = visit.ask(ASK["en"])
    assert step.text == clean["en"]
    assert len(model.seen) == 3
    assert (step.artifact or {})["worded_by"] == "guide"


@pytest.mark.parametrize("lie", LIES_IN_CHINESE)
def test_a_chinese_lie_never_reaches_the_reader(make: Any, clean: dict[str, str], lie: str) -> None:
    visit = _visit(make, scripted(lambda messages: as_explanation(lie)))
    assert visit.ask(ASK["zh"]).text == clean["zh"]


@pytest.mark.parametrize(
    "lie", ["Both models hold the same weights. [E1]", "The stranger is a copy. [E1]", "It was derived. [E2]"]
)
def test_independence_is_not_denied_either(make: Any, lie: str) -> None:
    question = f"Is {Z} a copy of {Y}?"
    honest = Visit(make()).ask(question).text
    assert _visit(make, scripted(lambda messages: as_explanation(lie, "against"))).ask(question).text == honest


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_truthful_wording_is_shown_between_verdict_and_limits(make: Any, language: str) -> None:
    model = scripted(lambda messages: as_explanation(TRUTH[language]))
    step = _visit(make, model).ask(ASK[language])
    assert (step.artifact or {})["worded_by"] == "model"
    assert (step.artifact or {})["answer"] == "disguised_copy"
    assert {"en": "Disguised copy", "zh": "改头换面的复制品"}[language] in step.text
    assert {"en": "in the same order. [E1]", "zh": "隐藏单元次序相同。 [E1]"}[language] in step.text
    assert {"en": "It does not say who was first", "zh": "这不说明谁先谁后"}[language] in step.text
    if language == "en":
        assert "0.998" in step.text and "{E1" not in step.text


def test_a_lie_is_corrected_when_the_model_takes_the_hint(make: Any) -> None:
    def speak(messages: Any) -> str:
        corrected = "Correct these faults" in str(messages[-1].content)
        return as_explanation(TRUTH["en"] if corrected else "They are independent. [E1]")

    model = scripted(speak)
    step = _visit(make, model).ask(ASK["en"])
    assert (step.artifact or {})["worded_by"] == "model" and len(model.seen) == 2
    assert "contradicts the measured answer" in str(model.seen[1][-1].content)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (TRUTH["en"], "not the wanted JSON"),
        ("{", "not the wanted JSON"),
        ('{"sentences": []}', "not the wanted JSON"),
        ('{"sentences": "x", "verdict": "independent"}', "not the wanted JSON"),
        ("x" * 30_000, "too long"),
        (as_explanation("Both models number their hidden units in the same order. [E1]", "against"), "not against"),
        (as_explanation("Both models number their hidden units in the same order. [E1]", "neutral"), "not neutral"),
        (as_explanation("The measured agreement is 0.998. [E1]"), "type no number"),
        (as_explanation("The measured agreement is {E2.value}. [E1]"), "E2 is used but not cited"),
        (as_explanation("The measured agreement is {E1.answer}. [E1]"), "has no answer"),
        (as_explanation("The measured agreement is {0}. [E1]"), "no braces"),
    ],
)
def test_what_is_no_explanation_is_sent_back(make: Any, clean: dict[str, str], answer: str, fault: str) -> None:
    model = scripted(lambda messages: answer)
    assert _visit(make, model).ask(ASK["en"]).text == clean["en"]
    assert len(model.seen) == 3 and fault in str(model.seen[1][-1].content)


def test_an_explanation_may_stand_in_a_code_block(make: Any) -> None:
    fenced = f"<think>hm</think>\n```json\n{as_explanation(TRUTH['en'])}\n```"
    step = _visit(make, scripted(lambda messages: fenced)).ask(ASK["en"])
    assert (step.artifact or {})["worded_by"] == "model"


def test_a_broken_model_is_replaced_by_the_guide(make: Any, clean: dict[str, str]) -> None:
    def speak(messages: Any) -> str:
        raise TimeoutError("no answer")

    assert _visit(make, scripted(speak)).ask(ASK["en"]).text == clean["en"]


def test_a_model_that_only_calls_tools_is_replaced_by_the_guide(make: Any, audit: Audit, clean: dict[str, str]) -> None:
    visit = _visit(make, scripted(lambda messages: call("compare", a=Z, b=Y)))
    audit.calls.clear()
    assert visit.ask(ASK["en"]).text == clean["en"]
    assert audit.calls == [("compare", (X, Y, None))]


def test_a_model_sees_numbers_and_ids_but_no_names(make: Any) -> None:
    model = scripted(lambda messages: as_explanation(TRUTH["en"]))
    _visit(make, model).ask("Is ./my_secret_suspect a copy of ./the_other?")
    shown = "\n".join(
        str(message.content) for messages in model.seen for message in messages if message.type != "system"
    )
    # The user's own question is shown; nothing else brings names.
    assert shown.count("my_secret_suspect") == 1
    assert '"check": "unit_order"' in shown and "language model" not in shown


def test_a_model_may_plan_only_with_names_that_the_user_wrote(make: Any, audit: Audit) -> None:
    visit = _visit(make, scripted(lambda messages: call("describe", name="/etc/passwd")))
    visit.ask("zorb the flimflam")
    assert audit.calls == []


def test_a_tool_call_with_a_foreign_name_is_refused(make: Any, audit: Audit) -> None:
    """Even a call that got past the plan opens nothing that was not named."""
    assistant = make()
    assistant._agent.update_state(
        assistant._config("a"),
        {"messages": [HumanMessage(f"describe {X}"), call("describe", name="/etc/passwd")]},
        as_node="model",
    )
    assistant._agent.invoke(None, assistant._config("a"))
    assert audit.calls == []


def test_a_tool_call_with_a_foreign_parent_is_refused(make: Any, audit: Audit) -> None:
    assistant = make()
    assistant._agent.update_state(
        assistant._config("a"),
        {"messages": [HumanMessage(ASK["en"]), call("compare", a=X, b=Y, parents=["/etc/passwd"])]},
        as_node="model",
    )
    assistant._agent.invoke(None, assistant._config("a"))
    assert not any("/etc/passwd" in names for _, names in audit.calls)


def _facts(answer: str = "disguised_copy") -> Facts:
    made = result(X, Y, answer=answer)
    turn = recall([HumanMessage(ASK["en"])], SHELF)
    summary = Report().summary(made, "en")
    words = " ".join([summary["headline"], summary["strength"], *summary["reasons"]])
    return Facts(
        language="en",
        results=[made],
        said=turn.said,
        worded=words,
        names=turn.named,
        cited=numbered([made]),
        numbers=frozenset({352.0, 4.0, 0.998, -290.4, 0.96, 1408.0}),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Both models number their 352 hidden units in the same order in 4 of 4 layers. [E1]",
        "The hidden units stand in the same order. [E1]",
        "The order of the hidden units agrees: 0.998. [E1]",
        "`exhibits/llama3v/suspect` holds the same weights. [E1] [E2]",
    ],
)
def test_true_sentences_pass(text: str) -> None:
    assert wording_faults(text, _facts()) == []


def test_numbers_in_a_text() -> None:
    assert numbers_of("10^40 and 0.93, 1,408 units, 5% of `x7`, Llama3 [E12]") == [40.0, 0.93, 1408.0, 5.0]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("A noisy copy is a model whose every weight was nudged. [K1]", False),
        ("It does not say that anyone did wrong. [K1]", False),
        ("It says that anyone did wrong. [K1]", True),
        ("A model whose copy was nudged is noisy, every weight did it wrong. [K1]", True),
        ("A noisy copy is a crime. [K1]", True),
        ("Every weight was nudged by 17. [K1]", True),
        ("A noisy copy is a model whose every weight was nudged a little. [K2]", True),
    ],
)
def test_passages_are_kept_close_to(text: str, fault: bool) -> None:
    passage = {
        "title": "What is a noisy copy?",
        "text": "A noisy copy is a model whose every weight was nudged a little. "
        "It does not say that anyone did wrong.",
    }
    assert bool(wording_faults(text, Facts("en", passages=[passage]))) is fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The agreement is 0.5. [E1]", False),
        ("The agreement is 17. [E1]", True),
        ("About 35 units. [E1]", True),
        ("Rounded: 1.0 [E1]", False),
        ("See [E99].", True),
        ("This is theft.", True),
        ("You wrote “theft”.", True),
        ("<script>alert(1)</script>", True),
        ("![a](b)", True),
        ("visit www.example.org", True),
        ("a\u202eb", True),
    ],
)
def test_code_is_checked_like_anyone(text: str, fault: bool) -> None:
    assert bool(own_faults(text, _facts())) is fault


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_article_is_withheld_by_its_own_words(language: str) -> None:
    from agent.wording import passage_text
    from knowledge import library

    # "Code, weights and data: three things" was taken for an address, and no question about licences was answered.
    for topic in library.topics():
        article = library.article(topic, language)  # type: ignore[arg-type]
        text = f"{article.title}\n{passage_text(article.body, language)}"
        assert not [fault for fault in own_faults(text, _facts()) if "markup" in fault], topic


@pytest.mark.parametrize("address", ["data:text/html,hello", "see data:;base64,AAAA", "https://a.example"])
def test_an_address_is_still_no_word(address: str) -> None:
    assert own_faults(address, _facts())


def test_a_heated_word_may_be_quoted_from_the_user_only() -> None:
    facts = Facts("en", said=["Was it stolen?"])
    assert own_faults("You wrote “stolen”.", facts) == []
    assert own_faults("It was stolen.", facts) != []
    assert own_faults("You wrote “guilty”.", facts) != []


def test_a_model_named_with_a_heated_word_is_still_answered(visit: Visit) -> None:
    step = visit.ask("Is ./stolen_model a copy of ./my_proof_2?")
    assert (step.artifact or {})["answer"] == "disguised_copy" and "./stolen_model" in step.text


def test_a_reply_that_fails_its_own_check_is_withheld(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Report):
        def summary(self, made: dict[str, Any], language: str) -> dict[str, Any]:
            return super().summary(made, language) | {"strength": "see https://example.org"}

    from agent.assistant import Assistant

    assistant = make()
    broken = Assistant(report=Broken(), shelf=lambda: SHELF, toolbox=None)
    broken._agent, broken._guide = assistant._agent, Guide(report=Broken(), shelf=lambda: SHELF)
    step = Visit(broken).ask(ASK["en"])
    assert "example.org" not in step.text


def test_the_guide_drives_the_same_graph_with_real_tool_calls() -> None:
    message = Guide(report=Report(), shelf=lambda: SHELF).invoke([HumanMessage(ASK["en"])])
    assert isinstance(message, AIMessage) and message.tool_calls[0]["name"] == "compare"
    chunks = list(Guide(report=Report(), shelf=lambda: SHELF).stream([HumanMessage(ASK["en"])]))
    assert chunks[0].tool_calls[0]["args"] == {"a": X, "b": Y}


def test_a_semicolon_inside_brackets_ends_no_sentence() -> None:
    assert sentences("4 层一致（秩相关 1.00；毫无关系时接近 0）。 另一句；第三句。") == [
        "4 层一致（秩相关 1.00；毫无关系时接近 0）。",
        " 另一句；",
        "第三句。",
    ]
