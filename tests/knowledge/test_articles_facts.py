"""What nobody confirmed stands in no article.

The articles were written from notes that mark each fact as read, quoted or merely remembered. The remembered ones are
listed here by their words, in both languages, each beside a sentence in which a hurried writer might bring it back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from knowledge.reading import LANGUAGES, Article, read_articles

SHELVES = read_articles()
EVERY = [article for language in LANGUAGES for article in SHELVES[language].values()]


@dataclass(frozen=True)
class Remembered:
    """A claim without a source: how to know it, where it would stand (everywhere, if nothing is named), samples."""

    words: str
    samples: tuple[str, ...]
    topics: tuple[str, ...] = ()


CLAIMS = {
    "figures of the bamboo slips": Remembered(
        r"\b87 ?(%|percent\b|in 100\b)|百分之八十七|\b236 (errors|mistakes)|236 ?(处|个|条)"
        r"|\b194 (errors|mistakes)|194 ?(处|个|条)|\b182 (errors|mistakes|in common|of them)|182 ?(处|条)",
        ("The two agreed on 87% of the images.", "236 errors and 194 errors", "其中182处相同", "两边分别错了236处"),
    ),
    "number of bamboo images": Remembered(
        r"\b(1,?000|a thousand) (slips|images|character)|(一千|1000) ?(张|枚|幅)",
        ("about 1,000 character images", "约1000张图片"),
    ),
    "an unreleased web agent": Remembered(
        r"web[ -]agent|网页智能体|网页代理", ("It shared a web-agent ability too.", "还有未发布的网页智能体能力")
    ),
    "queries and positions of MiniCPM": Remembered(
        r"\b96 quer|96 ?个查询|70 ?[x×*] ?70", ("MiniCPM has 96 queries.", "位置表为70×70")
    ),
    "who asked 01.AI": Remembered(r"Hartford|哈特福德", ("It was Eric Hartford who asked.",)),
    "Yi's names were put back": Remembered(
        r"names? (were|was|have been|has been) (restored|put back|changed back)"
        r"|(已经?|后来)把?名字?改回|恢复了(原名|名字)",
        ("Then the names were restored.", "公司后来把名字改回"),
        ("case-yi",),
    ),
    "no retraction of the newspaper": Remembered(
        r"retract|更正|撤回", ("The paper never retracted it.", "报纸没有更正"), ("case-yi",)
    ),
    "an arrangement between Cursor and Moonshot": Remembered(
        r"authori[sz]ed|Fireworks AI\b|\bfounder|called (it|this) a mistake|授权|创始人",
        ("Moonshot called it an authorised use.", "创始人说是疏忽"),
        ("case-cursor",),
    ),
    "the base of SWE-1.5": Remembered(r"\bGLM|智谱|Zhipu", ("People say it is GLM-4.6.",), ("case-cognition",)),
    "date of the open-source definition": Remembered(
        r"October 2024|2024年10月",
        ("Version 1.0 of October 2024", "2024年10月的定义"),
        ("open-weights-vs-open-source",),
    ),
    "a ban of Llama 3 that was dropped": Remembered(
        r"\b(dropped|lifted|removed)\b|no longer (bans|forbids)|(取消|删去|去掉)了",
        ("This ban was dropped in 3.1.", "3.1取消了这一条"),
        ("llama-licence", "distillation-terms"),
    ),
    "wording of the Gemma notice": Remembered(
        r"provided under and subject to|names the Gemma Terms|里面提到Gemma",
        ("Gemma is provided under and subject to the terms", "里面提到Gemma使用条款"),
    ),
    "user limit of the Qwen License": Remembered(
        r"100 million|一亿|1亿", ("above 100 million users", "超过一亿用户"), ("qwen-licence",)
    ),
    "the EU rule for unknown computing power": Remembered(
        r"(unknown|not known)[^.]*(third|threshold)|算力(未知|不明)",
        ("If it is unknown, a third of the threshold counts.", "算力未知时"),
        ("eu-ai-act",),
    ),
    "licences as contracts": Remembered(
        r"licen[cs]es? (may |can |might )?binds?\b|许可证[^。]{0,8}(像|作为|当作)(约定|合同)",
        ("And a licence may bind people as a promise.", "许可证则可能像约定一样有约束力"),
    ),
    "Stanford's teaching pages": Remembered(
        r"Stanford[^.]{0,30}Embedded Ethics|斯坦福[^。]{0,12}嵌入式伦理", ("Stanford has Embedded Ethics pages.",)
    ),
    "the official text of the ACM code": Remembered(r"acm\.org/code", ("see acm.org/code-of-ethics",)),
    "the four stages in another magazine": Remembered(
        r"甲子光年[^。.]*Suki|Suki[^。.]*甲子光年", ("甲子光年也写过Suki的四个阶段",)
    ),
    "publishers and dates of reposts": Remembered(
        r"Global Times|InfoQ|WinBuzzer|ZDNet|A\. Heath|ImpactCS[^\n]*, 199\d|Educators and Librarians[^\n]*, 20\d\d,",
        ("Global Times, Stanford team apologizes, 4 June 2024", "ImpactCS (GWU), Role-playing and debates, 1995, x"),
    ),
    "money in the Rio case": Remembered(
        r"embezzl|misus|侵吞|贪污|挪用|钱款", ("claims about misuse of money", "关于钱款的说法"), ("case-rio",)
    ),
}


def found(claim: Remembered, text: str) -> str | None:
    """The words that state the claim."""
    match = re.search(claim.words, text, re.IGNORECASE)
    return match.group() if match else None


@pytest.mark.parametrize("name", CLAIMS)
def test_each_claim_would_be_known(name: str) -> None:
    claim = CLAIMS[name]
    assert claim.samples
    assert all(found(claim, sample) for sample in claim.samples)
    assert set(claim.topics) <= set(SHELVES["en"])


@pytest.mark.parametrize("article", EVERY, ids=lambda article: f"{article.language}/{article.topic}")
def test_what_is_only_remembered_is_left_out(article: Article) -> None:
    text = "\n".join([article.title, article.body, *article.asks, *article.sources])
    stated = {
        name: found(claim, text) for name, claim in CLAIMS.items() if not claim.topics or article.topic in claim.topics
    }
    assert {name: words for name, words in stated.items() if words} == {}
