"""Findings told under the answer's details: each with what strangers reach, so that nobody takes it for a sign."""

from __future__ import annotations

from collections.abc import Callable

from tools.words.forms import Finding, code, correlation, percent
from tools.words.headings import TEXT


def _strangers(finding: Finding, language: str) -> str:
    """What strangers reached, so that nobody takes a high value for a sign."""
    low, high, pairs = finding["where"]["strangers"]
    return TEXT["strangers"][language].format(low=low, high=high, pairs=pairs)


def _norm_gains(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "Norm gains, centred, correlate at {r}{strangers}. Their plain cosine, {cosine:.3f}, is near one for "
        "strangers too and tells nothing.",
        "zh": "归一化增益减去均值后的相关为 {r}{strangers}。不减均值的余弦为 {cosine:.3f}，"
        "没有关系的模型也接近 1，说明不了什么。",
    }[language].format(
        r=correlation(finding["statistic"]), cosine=finding["where"]["cosine"], strangers=_strangers(finding, language)
    )


def _spectra(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "By their singular values, layers at one place are {r} nearer than others (1 is equal){strangers}.",
        "zh": "按奇异值看，同一位置的层比其他层更接近，程度为 {r}（1 为相同）{strangers}。",
    }[language].format(r=correlation(finding["statistic"]), strangers=_strangers(finding, language))


def _token_geometry(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "Likenesses between {tokens} tokens correlate at {r}{strangers}.",
        "zh": "{tokens} 个词元两两之间的相似程度，在两个模型里的相关为 {r}{strangers}。",
    }[language].format(
        tokens=finding["where"]["tokens"], r=correlation(finding["statistic"]), strangers=_strangers(finding, language)
    )


def _head_space(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "The spaces of possible answers overlap by {r} beyond chance{strangers}.",
        "zh": "可能的回答所在的空间，超出偶然的重合为 {r}{strangers}。",
    }[language].format(r=correlation(finding["statistic"]), strangers=_strangers(finding, language))


def _code_likeness(finding: Finding, language: str, leaned_on: bool) -> str:
    spans = [
        TEXT["span"][language].format(
            file_a=code(span["file_a"]), first_a=span["lines_a"][0], last_a=span["lines_a"][1],
            file_b=code(span["file_b"]), first_b=span["lines_b"][0], last_b=span["lines_b"][1],
        )
        for span in finding["where"]["spans"][:3]
    ]  # fmt: skip
    if not spans:
        return {
            "en": "The programs beside the weights share nothing beyond common framework code.",
            "zh": "除去通用的框架代码，权重旁边的程序没有共同之处。",
        }[language]
    return {
        "en": "Of the program code beyond the framework's, {share} is the same but for names and layout: {spans}.",
        "zh": "除去框架代码，程序有 {share} 只在命名和排版上不同：{spans}。",
    }[language].format(share=percent(finding["statistic"]), spans={"en": "; ", "zh": "；"}[language].join(spans))


BACKGROUND_REASONS: dict[str, Callable[[Finding, str, bool], str]] = {
    "norm_gains": _norm_gains,
    "spectra": _spectra,
    "token_geometry": _token_geometry,
    "head_space": _head_space,
    "code_likeness": _code_likeness,
}
# Findings told under the answer's details, apart from its reasons.
BACKGROUND = tuple(BACKGROUND_REASONS)
