"""What a message asks for: pure functions from a text, and what was said before, to an Intent. No model name is guessed."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from agent.memory import Memory
from agent.naming import Named, Shelf, find_names, visible

Language = Literal["en", "zh"]
Depth = Literal["ordinary", "one_sentence", "child", "engineer"]

KINDS = (
    # What is measured.
    "compare", "ask_other", "ask_models", "describe", "stress", "behave", "cancel", "no_thanks", "unclear",
    # What was measured, said again from the thread's memory.
    "result", "sure", "why", "number", "plot", "direction", "limits", "next", "change_mind", "what_if", "report",
    # What is written in the articles.
    "article", "lesson", "closed", "people",
    # The conversation itself.
    "pressure", "language", "help", "examples", "small_talk", "off_topic",
    "empty", "unreadable", "too_long", "code",
)  # fmt: skip

# Kinds that repeat or explain what was measured before, and need nothing run again.
FOLLOW_UPS = frozenset(
    "result sure why number plot direction limits next change_mind what_if report".split()
)

LONGEST_MESSAGE = 4000
# More candidates than this in one question would make the reader wait for minutes.
MOST_CANDIDATES = 4


@dataclass(frozen=True)
class Intent:
    """What one message asks for. `models`: for compare the suspect first, then each model it is held against."""

    kind: str
    language: Language = "en"
    models: tuple[str, ...] = ()
    base: str | None = None
    question: str = ""
    about: str = ""
    depth: Depth = "ordinary"
    choices: tuple[str, ...] = ()
    pressed: bool = False
    corrected: bool = False
    foreign: bool = False
    wish: Language | None = None
    named: tuple[str, ...] = ()
    exhibit: str | None = None


# --- language -------------------------------------------------------------------------------------------------------

_EN_WORDS = frozenset(
    "is are was were the a an of what does do did how why can could you i it this that to in on for with and or not "
    "me my your which who should would please tell explain mean about from be have has they them there compare".split()
)
_ZH_SIGNS = frozenset("是的吗么了什怎吧呢和有这那哪我你请为不能个在也都就")
_FOREIGN_WORDS = frozenset(
    "est une les des le dans pour avec quel quelle sont pourquoi comment ist ein eine der das und nicht wie warum kann "
    "bitte el los las es una del por qué como cuál para è della che perché não são uma você isto".split()
)
# Words that people of every language type; alone they do not say which language is wanted.
_NEUTRAL = frozenset("ok okay yes no y n hm hmm lol".split())
_WISH_EN = re.compile(
    r"(?:(?:answer|reply|respond|speak|talk|write|explain|say|repeat|tell|switch|change|use|continue|translate|put|give)\b"
    r"[^.?!]{0,40}?\b(?:in(?:to)?|to)?\s*|\bin |^|please )\b(chinese|mandarin|english)\b(?:\s*(?:please|from now on|now|again|instead))?"
    r"|(?:用|说|讲|换成|切换到|翻译成|改用|改成|以)\s*(中文|汉语|普通话|简体|英文|英语|english|chinese)",
    re.I,
)
_WISH_AGAIN = re.compile(
    r"\b(?:say|repeat|translate|put|give|tell|explain|once more|again)\b.*\b(?:that|this|it|again|me)\b|^(?:in )?(?:english|chinese|mandarin)"
    r"|再说|说一遍|重复|翻译|用(?:中文|英文|英语)(?:说|讲|解释)?一?(?:遍|下|次)?$|^(?:中文|英文|英语|汉语)",
    re.I,
)


def language_of(text: str) -> tuple[Language | None, bool]:
    """The language a text (its model names masked) is written in, None where it shows none; and whether it is a third one."""
    latin = re.findall(r"[^\W\d_]+", re.sub(r"[\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af]", " ", text.lower()))
    han = re.findall(r"[\u3400-\u9fff\uf900-\ufaff]", text)
    if re.search(r"[\u3040-\u30ff\uac00-\ud7af]", text):
        return None, True
    other = [word for word in latin if not word.isascii() and not re.match(r"[a-zà-ÿ]+$", word)]
    if len(other) > len(han) and len(other) * 2 >= len(latin):
        return None, True
    english = sum(word in _EN_WORDS for word in latin)
    if not han and sum(word in _FOREIGN_WORDS for word in latin) > english:
        return None, True
    if not han and not [word for word in latin if word not in _NEUTRAL]:
        return None, False
    signs = sum(character in _ZH_SIGNS for character in han)
    return ("zh" if len(han) + 2 * signs > len(latin) + 2 * english else "en"), False


def _wish(text: str) -> Language | None:
    match = _WISH_EN.search(text)
    if match is None:
        return None
    word = (match[1] or match[2]).lower()
    if match[1] and re.search(r"\b(?:chinese|english|mandarin)\s+(?:model|lab|compan|team|ai|version|word|article|start)", text, re.I):
        return None
    return "en" if word in ("english", "英文", "英语") else "zh"


# --- cues: one pattern for both languages -----------------------------------------------------------------------------


_CUES: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "cues.toml").read_text(encoding="utf-8"))


def _pattern(lists: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    # ASCII: a word boundary lies between a Latin word and the Chinese around it.
    joined = "|".join(pattern for language in lists.values() for pattern in language)
    return re.compile(joined.replace("MODEL", r"\x02\d+\x02"), re.IGNORECASE | re.ASCII)


def _cue(name: str) -> re.Pattern[str]:
    """The pattern of that name in cues.toml, both languages in one."""
    return _pattern(_CUES[name])


_COPY = _cue("copy")
_BEHAVE = _cue("behave")
_STRESS = _cue("stress")
_DESCRIBE = _cue("describe")
_NEGATED = _cue("negated")
_CORRECTION = _cue("correction")
_BASE_BEFORE = re.compile(
    r"(?:\bbase(?: model| checkpoint)?(?: is| was| =|:)?|\bcommon (?:base|ancestor|origin|root)(?: model)?(?: is| was|:|,)?|\bboth (?:[\w-]+ ){0,3}?(?:from|on|of)|"
    r"\bbase(?:d)? (?:named|called)|\btheir (?:shared |common )?(?:base|ancestor|parent)(?: model)?(?: is| was)?|\bstarting (?:point|from)(?: is)?|\bwith the base|"
    r"(?:基座|底座|底模|基础模型|基底|共同(?:来源|起点|祖先)|起点|母模型)(?:模型)?(?:是|为|用|:|：|=|叫)?|都(?:可能|应该|是)*(?:来自|源自|基于|从)|以)"
    r"(?:\s|,|，|the|model|of)*$",
    re.I,
)
_BASE_AFTER = re.compile(
    r"^\s*(?:\)|）)?\s*(?:as (?:the |their |a )?(?:common |shared )?(?:base|ancestor|starting point)|is (?:the|their) (?:common |shared )?base"
    r"|(?:作为|为|当|做|是(?:它们|两者|他们|共同)?的?)\s*(?:共同的?)?\s*(?:基座|底座|底模|基础模型|基底|起点))",
    re.I,
)
_PASSIVE = _cue("passive")
_SOURCE_FIRST = _cue("source_first")
_WHICH_OF = _cue("which_of")
_JOINS = re.compile(r"^\s*(?:,|，|、|/|;|；|\band\b|\bor\b|\bnor\b|和|与|跟|及|或|或者|还是|以及|,\s*and|,\s*or|\s)*\s*$", re.I)
_AND_THIS = _cue("and_this")
_IT = _cue("it")
_THEM = _cue("them")
_FIRST = _cue("first")
_SECOND = _cue("second")
_AGAIN = _cue("again")
_SWAP = _cue("swap")

_YES = re.compile(
    r"^(?:(?:yes|yeah|yep|yup|sure|ok(?:ay)?|please|of course|go ahead|do (?:it|that|so)|let'?s (?:do (?:it|that)|go)|run (?:it|that)|why not|sounds good|i'?d like that|"
    r"absolutely|definitely|good idea|y|please do|go|that would be (?:good|great|nice)|with pleasure|"
    r"好(?:的|啊|呀|吧|呢|滴|嘞)?|行(?:啊|吧|的)?|可以(?:的|啊|呀)?|是(?:的|啊)?|嗯+|要(?:的)?|来吧|跑吧|运行吧|运行|没问题|试试(?:吧|看)?|麻烦(?:了|你)?|请(?:运行|开始|继续|便|吧)?|当然|对(?:的)?|需要|想|开始吧|那就跑吧|跑一下|运行两个模型|run both(?: models)?|run them)"
    r"[\s,，。.!！~、]*)+(?:thanks|thank you|谢谢)?[\s.!。！]*$",
    re.I,
)
_NO = re.compile(
    r"^(?:no|nope|nah|no,? thanks?(?: you)?|not (?:now|yet|really|needed|necessary)|later|maybe later|don'?t|n|never mind|skip it|"
    r"不(?:用|要|了|必|需要|想|行|好)?(?:了|谢谢|,?谢谢)?|算了|先不(?:用|要)?(?:了)?|没必要|以后再说|暂时不|下次|否)[\s,，。.!！]*(?:thanks?|thank you|谢谢)?[\s,，。.!！]*$",
    re.I,
)

# --- cues for what was measured -----------------------------------------------------------------------------------------

_ABOUT_US = r"\b(?:this|that|you|your|the (?:answer|result|verdict|finding|evidence|conclusion|comparison))\b"
_SURE = _cue("sure")
_WHY = _cue("why")
_NUMBER = _cue("number")
_PLOT = _cue("plot")
_DIRECTION = _cue("direction")
_LIMITS = _cue("limits")
_NEXT = _cue("next")
_CHANGE_MIND = _cue("change_mind")
_WHAT_IF = _cue("what_if")
_REPORT = _cue("report")
_RESULT = _cue("result")
_ONE_SENTENCE = _cue("one_sentence")
_CHILD = _cue("child")
_ENGINEER = _cue("engineer")

# --- cues for the conversation ---------------------------------------------------------------------------------------------

_PRESSURE = _cue("pressure")
_PEOPLE = _cue("people")
_LESSON = _cue("lesson")
_HELP = _cue("help")
_EXAMPLES = _cue("examples")
_SMALL_TALK = re.compile(
    r"^(?:(?:hi+|hello+|hey+|hiya|greetings|good (?:morning|evening|afternoon|day|night)|thanks?(?: you| a lot| so much| very much)*|thank you(?: very much| so much)?|thx|cheers|bye+|goodbye|see you|"
    r"how are you(?: today| doing)?|how'?s it going|nice(?: to meet you)?|great|cool|wow|awesome|well done|good (?:job|bot|work)|you(?:'re| are) (?:great|funny|nice|cool|helpful|awesome|welcome)|interesting|amazing|perfect|ok|okay|haha+|lol|there|all|everyone|that'?s (?:great|helpful|interesting|nice|cool|all)|got it|i see|understood|"
    r"你好(?:啊|呀|吗)?|您好|大家好|嗨|哈喽|在吗|早上好|早安|下午好|晚上好|晚安|谢谢(?:你|您|啦|了)?|多谢|感谢|辛苦(?:了|你了)?|再见|拜拜|哈哈+|厉害|真棒|太棒了|不错|好厉害|真好|原来如此|明白了?|懂了|知道了|收到|好吧|挺好|有意思|牛)"
    r"[\s,，。.!！?？~、:)(]*)+$",
    re.I,
)
_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|evening|afternoon)|thanks?(?: you)?(?: a lot| so much| very much)?|great|cool|nice|ok(?:ay)?|well|so|please|"
    r"你好|您好|嗨|谢谢(?:你|您)?|多谢|好的|请问|麻烦)[\s,，。.!！~、:：]+)+",
    re.I,
)
_OFF_TOPIC = _cue("off_topic")
_CLOSED = re.compile(
    r"\bchat ?gpt\b|\bgpt-?[345](?:\.\d)?o?\b(?:[- ]?(?:turbo|mini))?|\bopenai(?:'s)?(?: o\d)?\b|\bclaude\b|\bgemini\b|\bbard\b|\bcopilot\b|\bgrok\b|\bmidjourney\b|\bperplexity\b|\bsiri\b|\balexa\b|\bernie bot\b|\bdoubao\b|\bpi\.ai\b|\bsora\b|\bcharacter\.?ai\b|\bpoe\b|\bwenxin\b|\bspark desk\b|\bkimi chat\b"
    r"|文心(?:一言)?|豆包|讯飞星火|星火大模型|通义千问(?:app|网页版)?|元宝|智谱清言|天工ai|海螺ai|百小应|商量|秘塔|小爱同学|小度",
    re.I,
)
_CHECK = _cue("check")
_CLOSED_STORY = _cue("closed_story")
# Names of public cases and models: a question with one of them is about what is written, not about files.
_CASES = _cue("cases")
_DOMAIN = _cue("domain")
_ASKS_WHAT = _cue("asks_what")
_ASKS_HOW = _cue("asks_how")
_CODE = re.compile(r"```|^\s*(?:def |class |import |from \w+ import |#include|function |const |let |var |public |SELECT |<\?php|<html|<script)", re.M)

# Our own vocabulary, as people say it: the key that explain.py has a sentence for.
_OUR_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (key, _pattern(lists)) for key, lists in _CUES["word"].items()
)


# --- reading -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Message:
    """A message made ready: its models in order, and its text with \\x02i\\x02 in the place of each name."""

    text: str
    masked: str
    names: tuple[str, ...]
    occurrences: tuple[Named, ...]
    exhibit: str | None = None
    unclear: tuple[str, ...] = ()

    def has(self, cue: re.Pattern[str]) -> bool:
        return cue.search(self.masked) is not None


def read(message: str, memory: Memory | None = None, *, shelf: Shelf | None = None, hint: str | None = None) -> Intent:
    """What `message` asks for, given what was said before. `hint`: the page's language, used when a text shows none."""
    memory, shelf = memory or Memory(), shelf or Shelf()
    text = visible(message[: LONGEST_MESSAGE + 1]).strip()
    ready = _ready(text, memory, shelf)
    language, foreign = language_of(re.sub(r"\x02\d+\x02", " ", ready.masked))
    wish = _wish(ready.masked)
    settled = wish or memory.wish or language or memory.language or _hinted(hint)
    if foreign:
        settled = wish or memory.wish or memory.language or _hinted(hint)
    intent = _decide(ready, memory, shelf, len(message) > LONGEST_MESSAGE, wish)
    return replace(
        intent,
        language=cast(Language, settled),
        foreign=foreign,
        wish=wish,
        named=tuple(dict.fromkeys((*ready.names, *intent.models, *((intent.base,) if intent.base else ())))),
        exhibit=ready.exhibit or intent.exhibit,
        question=intent.question or text[:400],
        pressed=intent.pressed or ready.has(_PRESSURE),
    )


def _hinted(hint: str | None) -> Language:
    return "zh" if hint == "zh" else "en"


def _ready(text: str, memory: Memory, shelf: Shelf) -> _Message:
    occurrences = find_names(text, shelf)
    names: list[str] = []
    pieces, at = [], 0
    for named in occurrences:
        if named.name not in names:
            names.append(named.name)
        pieces += [text[at : named.start], f" \x02{names.index(named.name)}\x02 "]
        at = named.end
    masked = unicodedata.normalize("NFKC", "".join(pieces) + text[at:])
    masked = re.sub(r"[ \t]+", " ", masked.replace("’", "'").replace("‘", "'")).strip()
    masked = _GREETING.sub("", masked) if not _SMALL_TALK.match(masked) and not _YES.match(masked) else masked
    masked, names, exhibit, unclear = _shipped(masked, names, memory, shelf)
    return _Message(text, masked, tuple(names), tuple(occurrences), exhibit, unclear)


# How people call the models of an exhibit, by the name of the folder.
_ROLES = {
    "suspect": r"\b(?:the |that |this )suspect(?:ed)?(?: model| checkpoint)?\b|\bsuspect model\b|(?:被怀疑的|可疑的?|嫌疑)(?:那个)?(?:模型|者|方)|嫌疑人",
    "original": r"\bthe original(?: model| checkpoint| one)?(?! (?:question|answer|result|of|for|behind|source|author|weights))\b|原(?:版|作)(?:模型)?|原(?:来的|始)?模型",
    "stranger": r"\b(?:the |that )stranger(?: model)?\b|\bstranger model\b|陌生(?:的)?模型|陌生人|局外(?:的)?模型",
    "sibling": r"\b(?:the |that )sibling(?: model)?\b|兄弟模型|同胞模型",
    # The word is also how one names a base, so it stands for the folder only behind a preposition.
    "base": r"(?<=with )the (?:common |shared )?base(?: model)?\b|(?<=from )the (?:common |shared )?base(?: model)?\b|(?<=and )the (?:common |shared )?base(?: model)?\b|(?<=to )the (?:common |shared )?base(?: model)?\b|(?<=of )the (?:common |shared )?base(?: model)?\b|(?<=[和跟与从以])(?:共同的?)?(?:底座|基座|底模)(?:模型)?",
}
# 'Which is the original?' asks for it; 'the base X' and 'X的原版' have a name beside them already.
_NO_ALIAS_BEFORE = re.compile(r"(?:\b(?:which|who|what)(?: one| model)? (?:is|was) |哪(?:个|一个)?(?:才|会)?是|谁(?:才)?是|\x02 ?的|\x02 )$", re.I | re.A)
_NO_ALIAS_AFTER = re.compile(r"^ ?(?:is|was|=|:|是|为|,)? ?\x02", re.I | re.A)


def _shipped(
    masked: str, names: list[str], memory: Memory, shelf: Shelf
) -> tuple[str, list[str], str | None, tuple[str, ...]]:
    """Put the shipped models in the place of 'the suspect', where only one can be meant; say which where several can."""
    exhibit = next((e for e in shelf.exhibits if _mentions(e, masked)), None)
    context = exhibit or next((e for e in map(shelf.of, names) if e), None) or (memory.exhibit if memory.models else None)
    unclear: tuple[str, ...] = ()
    roles = {role for models in shelf.exhibits.values() for role in models}
    for role in sorted(roles, key=lambda role: (-len(role), role)):
        pattern = re.compile(_ROLES.get(role) or rf"\b(?:the |model ){re.escape(role)}\b", re.I | re.A)
        match = next((m for m in pattern.finditer(masked) if _stands_alone(m, masked)), None)
        if match is None:
            continue
        homes = [e for e, models in shelf.exhibits.items() if role in models]
        home = context if context in homes else homes[0] if len(homes) == 1 else None
        if home is None:
            unclear = tuple(shelf.exhibits[e][role] for e in homes)
            continue
        # An ordinary word, unless something else in the conversation is about the exhibits.
        if role in ("original", "base") and not context and not re.search(_ROLES["suspect"], masked, re.I | re.A):
            continue
        path = shelf.exhibits[home][role]
        if path not in names:
            names.append(path)
        exhibit = exhibit or home
        masked = f"{masked[: match.start()]} \x02{names.index(path)}\x02 {masked[match.end() :]}"
    names, masked = _in_order(names, masked)
    return re.sub(r"[ \t]+", " ", masked).strip(), names, exhibit or (context if names else None), unclear


def _mentions(exhibit: str, masked: str) -> bool:
    name = re.escape(exhibit)
    return bool(
        re.search(rf"(?<![\w/-]){name}(?![\w/-])\s*(?:example|exhibit|demo|sample|pair|models?|的?(?:例子|示例|展品|样例|演示|模型|那组|这组|里))", masked, re.I | re.A)
        or re.search(rf"(?:example|exhibit|demo|展品|例子|示例)\s*[“\"']?{name}(?![\w/-])", masked, re.I | re.A)
    )  # fmt: skip


def _stands_alone(match: re.Match[str], masked: str) -> bool:
    return not _NO_ALIAS_BEFORE.search(masked[: match.start()]) and not _NO_ALIAS_AFTER.match(masked[match.end() :])


def _in_order(names: list[str], masked: str) -> tuple[list[str], str]:
    """Number the names by where they stand in the sentence."""
    order = list(dict.fromkeys(int(i) for i in re.findall(r"\x02(\d+)\x02", masked)))
    order += [i for i in range(len(names)) if i not in order]
    renumbered = re.sub(r"\x02(\d+)\x02", lambda m: f"\x02{order.index(int(m[1]))}\x02", masked)
    return [names[i] for i in order], renumbered


def _decide(message: _Message, memory: Memory, shelf: Shelf, too_long: bool, wish: Language | None) -> Intent:
    text, masked = message.text, message.masked
    if too_long:
        return Intent("too_long")
    if not text:
        return Intent("empty")
    if not re.search(r"[^\W_]", text):
        return Intent("help") if text in ("?", "？") else Intent("unreadable")
    depth = _depth(message)
    if message.unclear and not message.names:
        return Intent("unclear", choices=message.unclear, about="which")
    if message.names:
        return replace(_with_names(message, memory, shelf), depth=depth)
    if _CODE.search(text) and not re.search(r"\?|？", text.splitlines()[0] if text else ""):
        return Intent("code")
    intent = _from_thread(message, memory, wish) or _from_memory(message, memory, depth) or _without_models(message, memory)
    return intent if intent.depth != "ordinary" else replace(intent, depth=depth)


def _depth(message: _Message) -> Depth:
    if message.has(_CHILD):
        return "child"
    if message.has(_ENGINEER):
        return "engineer"
    return "one_sentence" if message.has(_ONE_SENTENCE) else "ordinary"


def _with_names(message: _Message, memory: Memory, shelf: Shelf) -> Intent:
    """A message that names at least one model."""
    names, base = _base(message)
    negated = message.has(_NEGATED)
    if negated:
        kept = re.split(r"[,;.:]| but | just | only | instead|，|。|；|只|而是|就", message.masked, maxsplit=1)
        rest = kept[1] if len(kept) > 1 else ""
        for kind, cue in (("describe", _DESCRIBE), ("stress", _STRESS), ("behave", _BEHAVE), ("compare", _COPY)):
            if cue.search(rest) and not _NEGATED.search(rest):
                return _measure(kind, names, base, message, memory, shelf)
        return Intent("cancel", models=names)
    if message.has(_CORRECTION) and memory.models and (corrected := _corrected(message, names, memory)):
        return replace(corrected, base=base or memory.base)
    if base is not None and not names:
        if len(memory.models) > 1:
            return Intent("compare", models=memory.models[:2], base=base)
        return _one_model((base,), None, message, memory, shelf)
    if len(names) >= 2:
        if message.has(_BEHAVE) and not re.search(r"[Bb]ehaves? (?:as|like)", message.masked):
            return Intent("behave", models=names[:2])
        # "Describe X and Y": both, one after the other.
        if message.has(_DESCRIBE) and not message.has(_COPY):
            return Intent("describe", models=names[:MOST_CANDIDATES])
        if re.search(r"\bstress|压力测试|压测", message.masked, re.I):
            return Intent("stress", models=names[:2])
        return Intent("compare", models=_suspect_first(message, names), base=base)
    return _one_model(names, base, message, memory, shelf)


def _measure(
    kind: str, names: tuple[str, ...], base: str | None, message: _Message, memory: Memory, shelf: Shelf
) -> Intent:
    if kind in ("compare", "behave") and len(names) < 2:
        return _one_model(names, base, message, memory, shelf)
    return Intent(kind, models=names, base=base if kind == "compare" else None)


def _one_model(
    names: tuple[str, ...], base: str | None, message: _Message, memory: Memory, shelf: Shelf
) -> Intent:
    """A message that names exactly one model: is the other one plain from what was said, or must it be asked for?"""
    name = names[0]
    choices = tuple(dict.fromkeys((*shelf.siblings(name), *(m for m in memory.models if m != name))))[:MOST_CANDIDATES]
    copying, before = message.has(_COPY), memory.models
    if message.has(_STRESS) and not (copying and before):
        return Intent("stress", models=names)
    closed = _CLOSED.search(message.masked)
    if closed and (copying or message.has(_CHECK)):
        return Intent("closed", about=closed[0], models=names)
    if memory.waiting and not message.has(_DESCRIBE):
        if memory.waiting == "behave":
            return Intent("behave", models=(*memory.awaiting, name)[:2])
        if memory.waiting in ("describe", "stress"):
            return Intent(memory.waiting, models=names)
        if memory.awaiting and name not in memory.awaiting:
            return Intent("compare", models=(*memory.awaiting[:1], name), base=base)
        if not memory.awaiting:
            return Intent("ask_other", models=names, choices=choices, base=base)
    other = _pointed_at(message, memory, name)
    if other is not None and (copying or message.has(_AND_THIS)):
        pair = (other, name) if _pronoun_first(message) else (name, other)
        return Intent("behave", models=pair) if message.has(_BEHAVE) else Intent("compare", models=pair, base=base)
    if before and message.has(_AND_THIS) and not message.has(_DESCRIBE):
        if memory.last_kind in ("describe", "stress") and not copying:
            return Intent(memory.last_kind, models=names)
        if re.search(r"same question|同样的问题", message.masked, re.I) and len(before) > 1 and name != before[1]:
            return Intent("compare", models=(name, before[1]), base=base)
        if name != before[0]:
            return Intent("compare", models=(before[0], name), base=base)
    if message.has(_DESCRIBE) and not (copying and not re.search(r"\bshow me\b|看看|\bopen\b|\bread\b", message.masked)):
        if not copying:
            return Intent("describe", models=names)
    if message.has(_BEHAVE) and len(before) > 1 and name in before:
        return Intent("behave", models=before[:2])
    if message.has(_BEHAVE):
        return Intent("ask_other", models=names, choices=choices, about="behave")
    return Intent("ask_other", models=names, choices=choices, base=base)


def _pointed_at(message: _Message, memory: Memory, name: str) -> str | None:
    """The model that 'it', 'the first one', 'the other' stands for beside a named one."""
    if not memory.models:
        return None
    if message.has(_SECOND) and len(memory.models) > 1 and memory.models[1] != name:
        return memory.models[1]
    if (message.has(_FIRST) or message.has(_IT)) and memory.models[0] != name:
        return memory.models[0]
    return None


def _pronoun_first(message: _Message) -> bool:
    """Whether the pronoun stands before the name, and so is the model that is asked about."""
    places = [m.start() for cue in (_IT, _FIRST, _SECOND) if (m := cue.search(message.masked))]
    return bool(places) and min(places) < message.masked.find("\x02")


def _base(message: _Message) -> tuple[tuple[str, ...], str | None]:
    """Take the model that is named as the common base out of the others."""
    matches = list(re.finditer(r"\x02(\d+)\x02", message.masked))
    if len(message.names) < 2 and not (message.names and re.search(r"base|基|底", message.masked, re.I)):
        return message.names, None
    for match in reversed(matches):
        before, after = message.masked[: match.start()], message.masked[match.end() :]
        said = _BASE_BEFORE.search(before)
        # 'Are both copies of Z' and 'is X based on Y' are questions, not the naming of a base.
        if said and len(message.names) < 3 and re.search(r"都|both|以$|以\s*$", said[0], re.I):
            said = None
        if said or _BASE_AFTER.match(after):
            chosen = message.names[int(match[1])]
            return tuple(name for name in message.names if name != chosen), chosen
    return message.names, None


def _suspect_first(message: _Message, names: tuple[str, ...]) -> tuple[str, ...]:
    """Order the models: the one that is asked about, then those it is held against."""
    if len(names) == 2:
        turned = message.has(_PASSIVE) or message.has(_SOURCE_FIRST)
        return (names[1], names[0]) if turned else names
    places = [message.masked.find(f"\x02{message.names.index(name)}\x02") for name in names]
    between = [message.masked[a + 3 : b] for a, b in zip(places, places[1:], strict=False)]
    joined = [bool(_JOINS.match(piece)) for piece in between]
    if message.has(_WHICH_OF) and joined[0] and not joined[-1]:
        names = (names[-1], *names[:-1])
    return names[: MOST_CANDIDATES + 1]


def _corrected(message: _Message, names: tuple[str, ...], memory: Memory) -> Intent | None:
    """'No, I meant Z': the model named last before is replaced, or the one that is now said to be wrong."""
    before = list(memory.models[:2])
    kind = memory.last_kind if memory.last_kind in ("describe", "stress", "behave", "compare") else "compare"
    wrong = [name for name in names if name in before and re.search(
        rf"(?:\bnot|instead of|rather than|不是|而不是)\s*\x02{message.names.index(name)}\x02", message.masked, re.I)]  # fmt: skip
    new = [name for name in names if name not in wrong]
    if not new:
        return None
    if len(new) >= 2:
        return Intent(kind, models=tuple(new[:2]), corrected=True)
    if memory.waiting and memory.awaiting:
        plainly = re.search(r"^(?:no|nope|sorry|wait|oops|wrong)\b|\bnot \x02|不对|不是|错", message.masked, re.I | re.A)
        return Intent("ask_other", models=(new[0],), corrected=True) if plainly else None
    if kind in ("describe", "stress") or len(before) < 2:
        return Intent(kind if kind in ("describe", "stress") else "ask_other", models=(new[0],), corrected=True)
    place = before.index(wrong[0]) if wrong else 0 if message.has(_FIRST) else 1
    if new[0] in before:
        if not wrong:
            return None
        return Intent("ask_other", models=(new[0],), corrected=True)
    before[place] = new[0]
    return Intent(kind, models=tuple(before), corrected=True)


def _from_thread(message: _Message, memory: Memory, wish: Language | None) -> Intent | None:
    """Answers to what we offered or asked, and orders about the models named before."""
    masked, models = message.masked, memory.models
    if wish is not None and len(re.sub(r"\W", "", _WISH_EN.sub("", masked))) <= (12 if wish == "zh" else 24):
        sticky = not _WISH_AGAIN.search(masked)
        return Intent("language", about="from_now_on" if sticky else "again")
    if _YES.match(masked):
        if memory.offer is not None:
            return Intent(memory.offer, models=memory.offer_models)
        return Intent("small_talk") if _SMALL_TALK.match(masked) else Intent("unclear", about="yes")
    if _NO.match(masked):
        return Intent("no_thanks")
    if memory.waiting and memory.choices and (picked := _picked(message, memory)) is not None:
        if memory.waiting in ("describe", "stress"):
            return Intent(memory.waiting, models=(picked,))
        if memory.awaiting:
            return Intent("behave" if memory.waiting == "behave" else "compare", models=(*memory.awaiting[:1], picked))
        return Intent("ask_other", models=(picked,), choices=tuple(c for c in memory.choices if c != picked))
    if message.has(_NEGATED) and len(masked) < 80:
        return Intent("cancel")
    if len(masked) > 160 or _CASES.search(masked):
        return None
    pronoun = message.has(_IT) or message.has(_THEM) or message.has(_FIRST) or message.has(_SECOND) or message.has(_AGAIN)
    if message.has(_SWAP) and len(models) > 1:
        return Intent("compare", models=(models[1], models[0]), base=memory.base)
    if _orders(_BEHAVE, message) and (pronoun or re.search(r"\btest\b|测试", masked, re.I)):
        return Intent("behave", models=models[:2]) if len(models) > 1 else Intent("ask_models", about="behave")
    if message.has(_STRESS) and not message.has(_WHAT_IF) and (pronoun or re.search(r"stress|压力测试|压测", masked, re.I)):
        if re.search(r"\bwhat(?:'s| is)\b|什么(?:是|叫|意思)|是什么", masked, re.I):
            return None
        return _on_one("stress", message, memory)
    if _orders(_DESCRIBE, message) and pronoun and models and not _RESULT.search(masked) and not message.has(_PLOT):
        return _on_one("describe", message, memory)
    if message.has(_AGAIN) and re.search(r"\bcompare|\bcheck|\brun\b|\bmeasure|比|查|测|跑", masked, re.I) and len(models) > 1:
        return Intent("compare", models=models[:2], base=memory.base)
    if not message.has(_ASKS_HOW) and re.search(r"^(?:please |can you |could you )?(?:compare|check) (?:them|both|these|the two)|(?:比较|对比|比一下|查一下)(?:一下)?(?:它们|这两个|两者|两个)", masked, re.I):
        return Intent("compare", models=models[:2], base=memory.base) if len(models) > 1 else Intent("ask_models")
    return None


def _picked(message: _Message, memory: Memory) -> str | None:
    """The choice that 'the first one' or a bare last part of a name stands for."""
    for name in memory.choices:
        tail = re.split(r"[\\/]", name)[-1]
        if re.fullmatch(rf"(?:the )?{re.escape(tail)}(?: one| model)?[.!。]?", message.masked, re.I):
            return name
    if len(message.masked) > 40:
        return None
    if message.has(_SECOND) and len(memory.choices) > 1:
        return memory.choices[1]
    if message.has(_FIRST):
        return memory.choices[0]
    third = re.search(r"\b(?:the )?third\b|第三个", message.masked, re.I)
    return memory.choices[2] if third and len(memory.choices) > 2 else None


def _orders(cue: re.Pattern[str], message: _Message) -> bool:
    """Whether the message asks for something to be done rather than tells of it."""
    if not message.has(cue):
        return False
    told = re.search(r"\bisn'?t\b|\bgiveaway\b|\bsomeone\b|\bwhat (?:is|are|does)\b.*\b(?:test|mean)\b|是什么|什么意思|说明什么|能说明", message.masked, re.I)
    return told is None


def _on_one(kind: str, message: _Message, memory: Memory) -> Intent:
    """Describe or stress a model that is only pointed at."""
    models = memory.models
    if not models:
        return Intent("ask_models", about=kind)
    if message.has(_THEM):
        return Intent(kind, models=models[:2])
    if message.has(_SECOND) and len(models) > 1:
        return Intent(kind, models=(models[1],))
    if message.has(_FIRST) or len(models) == 1:
        return Intent(kind, models=(models[0],))
    return Intent("unclear", about=kind, choices=models[:2])


def _from_memory(message: _Message, memory: Memory, depth: Depth) -> Intent | None:
    """Questions about what was measured; they are answered from the findings, nothing is run again."""
    masked = message.masked
    if not memory.results:
        return None
    # A question about a public case is no question about our result, even if it begins with 'why'.
    if _CASES.search(masked) and not re.search(_ABOUT_US, masked, re.I):
        return None
    if message.has(_LESSON) or message.has(_OFF_TOPIC):
        return None
    if message.has(_PRESSURE) and not _SURE.search(masked):
        return Intent("pressure", pressed=True)
    if message.has(_PEOPLE):
        return Intent("people")
    if message.has(_EXAMPLES) or message.has(_HELP):
        return None
    short = len(re.findall(r"[\u3400-\u9fff]|[^\W_]+", masked)) <= 24
    long_tale = not short and not re.search(_ABOUT_US, masked, re.I)
    if long_tale:
        return None
    word = _our_word(message)
    if word and message.has(_ASKS_WHAT):
        return Intent("article", about=word)
    if re.search(r"\bwhat (?:does|do|did|is) (?:this|that|it|all this|all that|the (?:answer|result|verdict))(?: all)? mean\b(?! for)|^这(?:个|句话)?(?:是|到底是)?什么意思", masked, re.I | re.A):
        return Intent("result")
    if depth == "engineer" and not message.has(_ASKS_WHAT):
        return Intent("why" if message.has(_WHY) and not re.search(r"\bshow\b|看", masked) else "result")
    if finding := re.search(r"\bE(\d{1,2})\b", masked):
        return Intent("number", about=finding[0].upper())
    if message.has(_NUMBER):
        if (number := _number_in(masked)) is None or memory.holds(number):
            return Intent("number", about="" if number is None else f"{number:g}")
    for kind, cue in (
        ("report", _REPORT),
        ("plot", _PLOT),
        ("direction", _DIRECTION),
        ("change_mind", _CHANGE_MIND),
        ("what_if", _WHAT_IF),
        ("sure", _SURE),
        ("limits", _LIMITS),
        ("next", _NEXT),
    ):
        if message.has(cue) and not (kind == "plot" and message.has(_CASES)):
            return Intent(kind)
    if message.has(_WHY):
        return Intent("why")
    if message.has(_RESULT):
        return Intent("result")
    if depth != "ordinary" and len(re.findall(r"[\u3400-\u9fff]|[^\W_]+", masked)) <= 12 and not _general_question(message):
        return Intent("result", depth=depth)
    return None


def _general_question(message: _Message) -> bool:
    topic = _CHILD.sub(" ", _ENGINEER.sub(" ", _ONE_SENTENCE.sub(" ", message.masked)))
    return bool(_DOMAIN.search(topic)) and bool(re.search(r"\?|？|\bwhat\b|\bhow\b|什么|怎么|如何|解释|\bexplain\b", topic, re.I))


def _our_word(message: _Message) -> str:
    return next((key for key, cue in _OUR_WORDS if message.has(cue)), "")


def _number_in(masked: str) -> float | None:
    if power := re.search(r"\b10 ?(?:\^|的负?) ?([-−]?\d+)", masked):
        return float(power[1].replace("−", "-"))
    found = re.search(r"(?<![\w\x02])-?\d+(?:\.\d+)?(?![\w\x02])", masked)
    return float(found[0]) if found else None


def _without_models(message: _Message, memory: Memory) -> Intent:
    """A message that names no model and is not about what was measured."""
    masked = message.masked
    story = message.has(_CASES)
    if _SMALL_TALK.match(masked):
        return Intent("small_talk")
    if message.has(_HELP) and not story:
        return Intent("help")
    if message.has(_EXAMPLES) and not story and not message.has(_LESSON):
        return Intent("examples")
    closed = _CLOSED.search(masked)
    if closed and message.has(_CHECK) and not story and not message.has(_CLOSED_STORY):
        return Intent("closed", about=closed[0])
    if message.has(_LESSON):
        return Intent("lesson")
    if message.has(_PRESSURE) and not story:
        return Intent("pressure", pressed=True)
    if message.has(_PEOPLE) and not story:
        return Intent("people")
    if message.has(_OFF_TOPIC) and not story and not re.search(r"套壳|\bmodels?\b|模型|\bcheckpoint", masked, re.I):
        return Intent("off_topic", about="sure")
    if message.has(_REPORT) and len(masked) < 40 and not message.has(_CASES):
        return Intent("ask_models", about="report")
    wants = re.search(
        r"^(?:please |can you |could you |i want (?:you )?to |i'?d like (?:you )?to |let'?s |help me )?(?:compare|check|measure|analy[sz]e)\b"
        r"(?: (?:two|the|some|my|these|a few|both))*(?: (?:\w+ )?(?:models?|checkpoints?|ais|them))?(?: for me| please)?[?.!]*$"
        r"|^(?:请|帮我|我想|能不能|可以|麻烦|能)*(?:你)?(?:帮我)?(?:比较|对比|比一下|检查|查一下|查查|鉴定)(?:一下)?(?:两个|这两个|几个|一些)?(?:模型)?(?:吗|吧|可以吗)?[?？。!！]*$"
        r"|^is (?:it|this|that|this model|my model|one model) (?:a )?(?:copy|copied|stolen|original)\b[^?]{0,20}[?.!]*$|^(?:它|这个|这个模型|我的模型)(?:是不是|是)(?:抄|套壳|复制)",
        masked, re.I)  # fmt: skip
    if wants:
        return Intent("ask_models")
    if _orders(_BEHAVE, message) and re.match(r"(?:please |can you )?(?:run|start)\b|(?:请|帮我)?(?:运行|跑)", masked, re.I):
        return Intent("ask_models", about="behave")
    if message.has(_CHECK) and re.search(r"\bmodel (?:x|a|1)\b.*\bmodel (?:y|b|2)\b|模型\s?(?:x|a|甲|1).*模型\s?(?:y|b|乙|2)", masked, re.I) and not re.search(r"rip-?off|publish|发文", masked, re.I):
        return Intent("ask_models")
    if story or message.has(_DOMAIN) or _our_word(message) or (message.has(_ASKS_WHAT) and len(masked) < 60):
        return Intent("article", about=_our_word(message) if message.has(_ASKS_WHAT) else "")
    return Intent("off_topic")
