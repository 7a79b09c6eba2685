"""No verdict, number or citation that the evidence does not hold; no model opened that was not named."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ExtendedModelResponse
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command

from agent.cues import cue, plain_words
from agent.evidence import LINKED, Cited, for_model, passages_for_model
from agent.explain import framed
from agent.explanation import parsed, rendered, stance_of, structure_faults, typed_number
from agent.fairness import heated_words
from agent.guide import Guide
from agent.language import language_of
from agent.memory import numbers_in
from agent.phrases import say
from agent.phrases import sentences as our_sentences
from agent.toolbox import MEASURING, models_of
from agent.turns import Turn, recall
from agent.verdicts import Spoken
from agent.wording import sentences
from tools.errors import printable

log = logging.getLogger(__name__)

MOST_RETRIES = 2
# A conversation keeps this many questions; what was measured before them is forgotten.
TURNS_KEPT = 60
LONGEST_WORDING = 3000
# No further attempt is begun after this; the guide has its text ready.
WORDING_WITHIN_SECONDS = 60.0
# Share of a sentence's telling words that must stand in what it cites, and share of its three-word runs that must
# stand in a cited passage: single words can be put together to say the opposite, runs hardly.
LEAST_SUPPORT = 0.8
LEAST_QUOTED = 0.6

_CITE = re.compile(r"\[([EK]\d{1,3})\]")
_NUMBER = re.compile(r"(?<![\w.^])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w^]|\.\d)")
_POWER = re.compile(r"(?<!\w)10\s*\^\s*\{?([-−]?\d+)\}?")
_OF = re.compile(r"\b(\d+) (?:of|out of) (\d+)\b|(\d+)\s*[层个项]中的?\s*(\d+)|(?<![\d.])(\d+)/(\d+)(?![\d.])")
# "Code, weights and data: three licences" is a title; an address goes on without a space.
_MARKUP = re.compile(r"<\s*[a-zA-Z/!?]|!\[|\]\(|https?://|www\.|\bdata:(?=\S)|javascript:", re.IGNORECASE)
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]")
_CODE = re.compile(r"`[^`\n]{0,200}`")

# Which answers may be called by which word of cues.toml; every answer but these is called by its own.
_ALSO_CALLED = {"copy": frozenset({"identical", "disguised_copy"})}
_CALLED = ("identical", "disguised_copy", "copy", "derived", "shared_part", "common_origin", "independent", "undecided")
_STRENGTH_ZH = {"极强": "extremely strong", "很强": "very strong", "中等": "moderate", "较弱": "weak", "很弱": "weak"}


@dataclass(frozen=True)
class Facts:
    """What a text is held against: the results and passages it may speak of, and what code has worded from them."""

    language: str
    results: Sequence[Mapping[str, Any]] = ()
    passages: Sequence[Mapping[str, Any]] = ()
    said: Sequence[str] = ()
    worded: str = ""
    names: frozenset[str] = frozenset()
    cited: Sequence[Cited] = ()
    numbers: frozenset[float] = field(default_factory=frozenset)

    @classmethod
    def of(cls, turn: Turn, worded: str = "", report_text: str = "") -> Facts:
        """The facts of a turn. `worded`: the guide's reply; `report_text`: what tools.report says of the results."""
        more = [*turn.before.described, turn.before.stressed or {}, turn.before.behaved or {}]
        records = [*turn.results, *more, *(done.artifact for done in turn.done)]
        held = {number for record in records for number in numbers_in(record)}
        lengths = {float(len(row)) for record in records for row in _lists(record)}
        spoken = {value for text in (report_text, *_texts(turn.passages), *turn.said) for value in numbers_of(text)}
        held |= {float(len(turn.results)), float(sum(bool(r.get("recognised")) for r in _rows(turn)))}
        return cls(
            language=turn.intent.language,
            results=turn.results,
            passages=turn.passages,
            said=turn.said,
            worded=worded,
            names=turn.named,
            cited=turn.cited,
            numbers=frozenset(held | lengths | spoken),
        )

    def without_names(self, text: str) -> str:
        """The text without code and without the models' names: neither are words of ours."""
        text = _CODE.sub(" ", text)
        for name in sorted({*self.names, *map(printable, self.names)}, key=len, reverse=True):
            text = text.replace(name, " ") if len(name) > 3 else text
        return text


def _rows(turn: Turn) -> list[Mapping[str, Any]]:
    tried = [done.artifact for done in turn.done if done.tool == "stress"] or [turn.before.stressed or {}]
    return [row for record in tried for row in record.get("rows") or [] if isinstance(row, Mapping)]


def _lists(value: object) -> list[Sequence[Any]]:
    found: list[Sequence[Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            found.append(item)
            stack.extend(item)
    return found


def _texts(passages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{p.get('title', '')}\n{p.get('text', '')}\n{p.get('caveat', '')}\n{p.get('body', '')}" for p in passages]


def numbers_of(text: str) -> list[float]:
    """The numbers written in a text; 10^40 counts as 40, digits inside a name do not count."""
    plain = _CITE.sub(" ", _CODE.sub(" ", text))
    powers = [float(power.replace("−", "-")) for power in _POWER.findall(plain)]
    plain = _POWER.sub(" ", plain)
    return powers + [_value(found) for found in _NUMBER.findall(plain)]


def _value(written: str) -> float:
    return float(written.replace(",", "").replace("−", "-"))


def own_faults(text: str, facts: Facts) -> list[str]:
    """What is wrong with a text that code worded: markup, heated words, ids that do not exist, numbers from nowhere."""
    from agent.intent import LONGEST_MESSAGE

    faults = []
    plain = facts.without_names(text)
    if _MARKUP.search(plain) or _HIDDEN.search(text):
        faults.append("markup, a link, an image or hidden characters")
    faults += _heated(plain, facts)
    known = {item.id for item in facts.cited} | {f"K{n}" for n in range(1, len(facts.passages) + 1)}
    faults += [f"unknown citation [{mark}]" for mark in dict.fromkeys(_CITE.findall(text)) if mark not in known]
    unmarked = re.sub(r"^\s*\d+\. ", "", plain, flags=re.M)
    # The limit on a message's length is ours, not the evidence's.
    held_numbers = (*facts.numbers, LONGEST_MESSAGE)
    for value in numbers_of(unmarked):
        if abs(value) > 1 and value != 10 and not any(_rounds_to(value, held) for held in held_numbers):
            faults.append(f"number {value:g} is not in the evidence")
    return faults


def wording_faults(text: str, facts: Facts) -> list[str]:
    """What is wrong with a text that a language model worded, as sentences the model can act on; [] when nothing is.

    Every sentence must cite, keep to the words and numbers of what it cites, and say of the two models only what was
    decided. What cannot be seen to be right counts as wrong: the guide's text is always there to fall back on.
    """
    if not text.strip():
        return ["the text is empty"]
    faults = own_faults(text, facts)
    if len(text) > LONGEST_WORDING:
        faults.append("the text is too long")
    language, foreign = language_of(_CITE.sub(" ", _CODE.sub(" ", text)))
    if foreign or (language is not None and language != facts.language):
        faults.append(f"write in {'Chinese' if facts.language == 'zh' else 'English'}")
    for line in re.sub(r"([.!?。！？])\s*((?:\[[EK]\d{1,3}\]\s*)+)", r" \2\1 ", text).splitlines():
        for sentence in sentences(re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "", line)):
            if re.search(r"[^\W_]", _CITE.sub("", sentence)):
                faults += _sentence_faults(sentence, facts)
    return list(dict.fromkeys(faults))


def _sentence_faults(sentence: str, facts: Facts) -> list[str]:
    marks = _CITE.findall(sentence)
    bare = _CITE.sub(" ", sentence).replace("**", "")
    shown = bare.strip()[:80]
    if not marks:
        return [f"no citation in: {shown}"]
    # What was measured is told by the guide's own sentences alone; an article may ask what it does not claim.
    ours = facts.worded if any(mark[0] == "E" for mark in marks) else "\n".join((facts.worded, *_texts(facts.passages)))
    if _is_whole_sentence(_folded(bare).strip(" .!?。！？:："), "\n".join(map(_folded, ours.splitlines()))):
        return []
    faults = []
    cited = {item.id: item for item in facts.cited}
    sources = _folded(facts.worded) + " ".join(
        _folded(_texts([facts.passages[int(mark[1:]) - 1]])[0])
        for mark in marks
        if mark[0] == "K" and 0 < int(mark[1:]) <= len(facts.passages)
    )
    held = {
        number
        for mark in marks
        if mark in cited
        for number in numbers_in({k: cited[mark].finding.get(k) for k in ("statistic", "log10_pvalue", "n")})
    } | set(numbers_of(sources))
    faults += [
        f"number {value:g} is not in what is cited: {shown}"
        for value in numbers_of(bare)
        if not any(_rounds_to(value, number) for number in held)
    ]
    for match in _OF.finditer(bare):
        if re.sub(r"\s", "", _folded(match[0])) not in re.sub(r"\s", "", sources):
            faults.append(f"count not in the evidence: {match[0]}")
    if (word := cue("claim.number_word").search(bare)) and _folded(word[0]) not in sources:
        faults.append(f"number in words that is not in the evidence: {word[0]}")
    known = sources
    if any(mark[0] == "E" for mark in marks):
        faults += _stance_faults(bare, facts)
        ours = [text[facts.language] for key, text in our_sentences().items() if key.startswith(("unit_", "series_"))]
        known = _folded(" ".join((sources, *ours, *(str(item.finding.get("question", "")) for item in cited.values()))))
    elif _quoted(bare, sources) < LEAST_QUOTED:
        faults.append(f"keep closer to the words of the passage: {shown}")
    if _supported(bare, known) < LEAST_SUPPORT:
        faults.append(f"says more than what is cited: {shown}")
    return faults


def _is_whole_sentence(sentence: str, text: str) -> bool:
    """Whether the text says this, from one full stop to the next; a fragment of a question claims nothing."""
    ends = r"[.!?。！？:：\n]"
    return re.search(rf"(?:^|{ends})\s*{re.escape(sentence)}\s*(?:$|{ends})", text) is not None


def _stance_faults(sentence: str, facts: Facts) -> list[str]:
    """What a sentence says about the two models must be what was decided; a doubtful clause says something too."""
    answers = {str(result["answer"]) for result in facts.results}
    strengths = {str(result["strength"]["words"]) for result in facts.results}
    faults = []
    for clause in re.split(r"[,;:，；：]|\bbut\b|\bwhile\b|\balthough\b|但|而且|不过", sentence):
        # "No relation" and 不同 say apart by themselves; only what denies them counts as a negation.
        rest = cue("claim.apart").sub(" ", clause)
        negated = len(cue("claim.negation").findall(rest)) % 2 == 1
        apart, link = rest != clause, cue("claim.link").search(rest) is not None
        shown = clause.strip()[:80]
        if link and apart:
            faults.append(f"says two things at once: {shown}")
        elif link or apart:
            says_link = link != negated
            allowed = bool(answers & LINKED) if says_link else "independent" in answers
            if not allowed or len(answers) > 1:
                faults.append(f"contradicts the measured answer: {shown}")
        if "undecided" not in answers and cue("claim.unsure").search(clause):
            faults.append(f"more doubtful than the measured answer: {shown}")
        for name in _CALLED:
            said = cue(f"claim.called.{name}").search(clause)
            if said and not negated and not answers & _ALSO_CALLED.get(name, frozenset({name})):
                faults.append(f"not the measured answer: {said[0]}")
        for found in cue("claim.strength").findall(clause):
            if _STRENGTH_ZH.get(found, found.lower()) not in strengths:
                faults.append(f"not the measured strength: {found}")
    return faults


def _heated(text: str, facts: Facts) -> list[str]:
    """Accusing words, unless quoted from the user or standing in an article's quotation."""
    faults = [f"accusing word: {word}" for word in heated_words(text, quoted_is_fine=True)]
    quoted = heated_words(text)
    theirs = " ".join(
        (*facts.said, *_texts(facts.passages), *(str(p.get("title", "")) for p in facts.passages))
    ).lower()
    return faults + [f"accusing word: {word}" for word in quoted if word.lower() not in theirs]


def _rounds_to(written: float, held: float) -> bool:
    """Whether a number is a fair rounding of a held one: itself, its size, or its share in percent."""
    for scaled in (held, 100 * held, abs(held), 100 * abs(held), held / 1e3, held / 1e6, held / 1e9):
        if written == scaled or abs(written) == abs(scaled):
            return True
        # Rounding must not turn nearly all into all, or little into nothing.
        if written in (0, 1, 100):
            continue
        digits = len(f"{abs(written):g}".replace(".", "").lstrip("0"))
        if digits >= 2 and abs(abs(written) - abs(scaled)) <= 0.5 * 10 ** -_decimals(written) * 1.0001:
            return True
        if int(abs(scaled)) == abs(written) and abs(scaled) >= 3:
            return True
    return False


def _decimals(value: float) -> int:
    text = f"{value:g}"
    return len(text.partition(".")[2]) if "e" not in text else 0


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", _CITE.sub(" ", text).replace("**", "").replace("`", "")).lower().strip()


def _supported(sentence: str, sources: str) -> float:
    """Share of the telling words of a sentence that stand in the sources; Chinese by pairs of characters."""
    han = "".join(re.findall(r"[\u3400-\u9fff]+", sentence))
    pairs = [han[i : i + 2] for i in range(len(han) - 1)]
    words = [w for w in re.findall(r"[a-z]{4,}", _CODE.sub(" ", sentence).lower()) if w not in plain_words("common")]
    units = pairs if len(pairs) > len(words) else [word[:5] for word in words]
    return sum(unit in sources for unit in units) / len(units) if units else 1.0


def _quoted(sentence: str, sources: str) -> float:
    """Share of the runs of a sentence, three words or four Chinese characters, that stand in the sources."""

    def runs(text: str) -> list[str]:
        plain = _CODE.sub(" ", text).lower()
        han = re.findall(r"[\u3400-\u9fff]", plain)
        words = re.findall(r"[a-z0-9]+", plain)
        if len(han) > len(words):
            return ["".join(han[i : i + 4]) for i in range(max(1, len(han) - 3))]
        return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))]

    held = set(runs(sources))
    wanted = runs(sentence)
    return sum(run in held for run in wanted) / len(wanted) if wanted else 1.0


class Guard(AgentMiddleware[Any, Any, Any]):
    """Plans by fixed rules, lets a language model word what was found, checks it, and falls back to the guide."""

    def __init__(self, guide: Guide) -> None:
        """`guide` plans every measurement and words what no model words rightly."""
        super().__init__()
        self.guide = guide

    def before_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Forget the oldest turns of a very long conversation."""
        messages: list[AnyMessage] = state["messages"]
        places = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
        if len(places) <= TURNS_KEPT:
            return None
        return {"messages": [RemoveMessage(id=str(m.id)) for m in messages[: places[-TURNS_KEPT]]]}

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | AIMessage | ExtendedModelResponse[Any]:
        """The next call of the plan, or a checked reply."""
        turn = recall(request.messages, self.guide.shelf())
        planned = self.guide.next_message(request.messages)
        if isinstance(request.model, Guide):
            return self._checked(planned, turn)
        unsure = turn.intent.kind == "off_topic" and turn.intent.about != "sure" and not turn.done
        if unsure and (proposed := self._proposed(request, handler, turn)) is not None:
            return proposed
        if planned.tool_calls:
            return planned
        spoken = self.guide.spoken(turn)
        if any(done.stopped for done in turn.done) or spoken.asks or not (turn.results or turn.passages):
            return self._checked(planned, turn)
        if turn.intent.kind == "lesson":  # a plan with its times and answers is not for rewording
            return self._checked(planned, turn)
        worded = self._worded(request, handler, turn, spoken)
        return worded if worded is not None else self._checked(planned, turn)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Open only models that the user named; whatever breaks becomes a sentence."""
        call = request.tool_call
        turn = recall(request.state["messages"], self.guide.shelf())
        if call["name"] in MEASURING:
            asked = models_of(call["args"])
            if not asked or any(name not in turn.named for name in asked):
                return _refused(call, "not_named", say(turn.intent.language, "not_named"))
        try:
            return handler(request)
        except Exception:
            log.exception("the tool %s broke", call["name"])
            return _refused(call, "broken", say(turn.intent.language, "broken"))

    def _checked(self, message: AIMessage, turn: Turn) -> AIMessage:
        """The guide's own message, held against the evidence like any other."""
        if message.tool_calls:
            return message
        text = checked(message.text, turn, self.guide)
        return message if text == message.text else AIMessage(text)

    def _proposed(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]], turn: Turn
    ) -> AIMessage | None:
        """Where the rules find no meaning, a model may plan: from the user's words alone, with models they name."""
        message = _ask(handler, request.override(messages=[HumanMessage(turn.said[-1])]))
        if message is None or len(message.tool_calls) != 1:
            return None
        call = message.tool_calls[0]
        names = models_of(call["args"])
        known = {*MEASURING, "search_articles"}
        fits = (
            call["name"] in known
            and all(name in turn.named for name in names)
            and (names or call["name"] not in MEASURING)
        )
        return AIMessage("", tool_calls=[call]) if fits else None

    def _worded(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
        turn: Turn,
        spoken: Spoken,
    ) -> AIMessage | None:
        """A model's wording of what was found, framed by the verdict in code's words; None when it never passes."""
        facts = facts_of(turn, self.guide, spoken.text)
        prompt: list[AnyMessage] = [HumanMessage(_brief(turn))]
        begun = time.monotonic()
        for _ in range(MOST_RETRIES + 1):
            if time.monotonic() - begun > WORDING_WITHIN_SECONDS:
                return None
            message = _ask(handler, request.override(messages=prompt, tools=[], tool_choice=None))
            if message is None:
                return None
            if message.tool_calls:
                faults = ["answer in sentences; there is nothing left to call"]
            else:
                text, faults = _explained(message.text, facts)
                if not faults:
                    whole = framed(turn, text, self.guide.report)
                    if not own_faults(whole, facts):
                        return AIMessage(whole, additional_kwargs={"worded_by": "model"})
                    faults = ["the text cannot stand beside the evidence"]
            log.info("a wording was refused: %s", "; ".join(faults))
            prompt = [
                *prompt,
                AIMessage(message.text[:LONGEST_WORDING]),
                HumanMessage("Correct these faults:\n- " + "\n- ".join(faults[:8])),
            ]
        return None


def facts_of(turn: Turn, guide: Guide, worded: str) -> Facts:
    """What a reply to this turn is held against."""
    return Facts.of(turn, worded, guide.report_text(turn))


def checked(text: str, turn: Turn, guide: Guide) -> str:
    """The text if it may be shown; else the sentence that it is withheld."""
    faults = own_faults(text, facts_of(turn, guide, text))
    if not faults:
        return text
    log.error("a reply was withheld: %s", "; ".join(faults))
    return say(turn.intent.language, "withheld")


def _ask(handler: Callable[[ModelRequest[Any]], ModelResponse[Any]], request: ModelRequest[Any]) -> AIMessage | None:
    """What the model says; None when it fails, so that the guide speaks instead."""
    try:
        response = handler(request)
    except Exception:
        log.exception("the language model failed")
        return None
    last = response.result[-1] if response.result else None
    return last if isinstance(last, AIMessage) else None


def _explained(answer: str, facts: Facts) -> tuple[str, list[str]]:
    """A model's explanation written out by code, and everything that is wrong with it."""
    try:
        explanation = parsed(answer)
    except ValueError as faulty:
        return "", [str(faulty)]
    faults = structure_faults(explanation, facts.cited, len(facts.passages))
    if faults:
        return "", faults
    told = _folded(facts.worded)
    for sentence in explanation.sentences:
        # A sentence of the guide's own may keep its numbers.
        if (typed := typed_number(sentence)) and not _is_whole_sentence(_folded(sentence.text).strip(" .。"), told):
            faults.append(f"type no number like {typed}; write {{E1.value}} for what E1 measured: {sentence.text[:80]}")
    text = rendered(explanation, facts.cited)
    return text, faults or wording_faults(text, facts)


def _brief(turn: Turn) -> str:
    """All that a model gets to see: the question, numbers, our own ids, our own articles. Nothing from the suspect."""
    question = re.sub(r"\s+", " ", turn.said[-1])[:400]
    material: dict[str, Any] = {
        "question": question,
        "language": "Chinese" if turn.intent.language == "zh" else "English",
        "depth": turn.intent.depth,
        "results": [for_model("compare", result) for result in turn.results],
        "stances": {item.id: stance_of(item) for item in turn.cited},
    }
    if turn.passages:
        material |= passages_for_model(turn.passages)
    return json.dumps(material, ensure_ascii=False)


def _refused(call: Mapping[str, Any], kind: str, sentence: str) -> ToolMessage:
    return ToolMessage(
        json.dumps({"error": kind}),
        tool_call_id=str(call["id"]),
        name=cast(str, call["name"]),
        status="error",
        artifact={"error": {"kind": kind, "message": sentence, "remedy": ""}},
    )
