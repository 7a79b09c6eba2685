"""What a result cannot tell: sentences in both languages, chosen by the answer.

The only facts worded here are how many tensors could not be looked at, the share of a merge that was noticed, and which
model ran in the other's code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tools.words import percent

TEXTS: dict[str, dict[str, str]] = {
    "no_weights": {
        "en": "At least one side has no weights here, so nothing could be measured; names and settings alone never decide.",
        "zh": "至少有一方没有权重文件，因此无法测量；单凭名称和设置永远不能下结论。",
    },
    "nothing_to_measure": {
        "en": "No test that may decide could run on these two files, so the tool cannot say.",
        "zh": "能够下结论的检测在这两个文件上都无法进行，因此本工具不能作答。",
    },
    "public_part": {
        "en": "A part that was published for all to use, such as a well-known vision encoder, is commonly and rightly found "
        "in models that have nothing else in common. Where the part comes from was not measured.",
        "zh": "公开发布、人人可用的部件（例如知名的视觉编码器）常常正当地出现在彼此毫无其他关系的模型里。部件最初出自哪里，本次没有测量。",
    },
    "suggestive": {
        "en": "Something was seen that strangers rarely show, but too little to speak of a relation.",
        "zh": "看到了一些无关模型之间很少出现的迹象，但还不足以说有关联。",
    },
    "no_power": {
        "en": "A copy planted for practice was not found in models of these shapes, so silence means nothing here.",
        "zh": "在这种形状的模型里，连我们自己埋下的副本都没有找到，因此“没发现”在这里不说明任何问题。",
    },
    "between_sibling_and_copy": {
        "en": "The models share the base and part of what was added to it, more than siblings usually do and less than a copy.",
        "zh": "两个模型共有同一个基座，也共有一部分后加的改动：比一般的同源模型多，又比副本少。",
    },
    "sampled": {
        "en": "Only a sample of these large models was read; a change in layers or rows outside it would not have been "
        "seen. A full comparison reads everything.",
        "zh": "这两个模型很大，只抽样读取了一部分；没有读到的层或行如果有改动，本次看不出来。完整比较会读取全部内容。",
    },
    "undecoded": {
        "en": "Tensors stored in a way that cannot be decoded here, of which nothing is said: {count}.",
        "zh": "有 {count} 个张量的存储方式在这里无法解码，结论不涉及它们。",
    },
    "names_code": {
        "en": "A file names code of other libraries beside its numbers, which other programs may run when they open it. Here "
        "only the numbers were read, and nothing was run.",
        "zh": "有文件除了数字，还点名了其他程序库的代码，别的程序打开它时可能会运行。这里只读取了数字，没有运行任何代码。",
    },
    "intent": {
        "en": "This compares numbers. It says nothing of intent, permission, licences or who is right.",
        "zh": "这里比较的是数字，不涉及意图、授权、许可证，也不评判谁对谁错。",
    },
    "siblings": {
        "en": "Without the common base, two models made from one third model cannot be told from parent and child.",
        "zh": "如果不指出共同的基座，就无法区分“一个来自另一个”和“两个都来自第三个模型”。",
    },
    "siblings_below_the_base": {
        "en": "Two models made from one that itself came from the named base cannot be told from parent and child.",
        "zh": "如果两者都来自由所给基座做成的同一个模型，就无法与“一个来自另一个”区分开。",
    },
    "nearly_the_parent": {
        "en": "The model that is taken for the parent may itself be a near copy of the true parent: a difference smaller than "
        "the rounding or noise between these two cannot be seen.",
        "zh": "被认作母模型的一方，本身也可能是真正母模型的副本：如果它和真正母模型的差别，比这两个模型之间的舍入或噪声还小，就看不出来。",
    },
    "same_start": {
        "en": "Models trained from one and the same random start look related, although neither was made from the other.",
        "zh": "从同一次随机初始化出发训练的两个模型也会显得有关联，尽管谁也不是由谁做成的。",
    },
    "one_start": {
        "en": "A model made from a parent that had hardly begun its training looks the same as two trained from one start.",
        "zh": "如果母模型才刚开始训练，由它做成的模型看起来就和“两个模型从同一起点出发”一样。",
    },
    "not_described": {
        "en": "The link was found among the hidden units alone: no tensor could be laid over its counterpart, so how much was "
        "changed, and in which parts, was not measured.",
        "zh": "这次的关联只在隐藏单元之间看到：没有哪个张量能和对应的张量对齐，因此改了多少、改在哪些部分，都没有测量。",
    },
    "distillation": {
        "en": "Learning from another model's answers (distillation) leaves no trace in the weights and is not seen here.",
        "zh": "用另一个模型的回答来学习（蒸馏）不会在权重里留下痕迹，这里看不出来。",
    },
    "parts_of_changes": {
        "en": "Merges that keep only parts of each parent's changes (TIES, DARE) are seen only with their base and all "
        "parents named, and a checkpoint between two others of one training can look like their mean.",
        "zh": "只保留各母模型一部分改动的合并（TIES、DARE），要同时给出基座和全部母模型才看得出来；"
        "同一次训练中，夹在两个检查点之间的检查点也可能像它们的平均。",
    },
    "parents_do_not_explain": {
        "en": "The models named as possible parents do not add up to either model closely enough, so no weights are named.",
        "zh": "列为可能的母模型的几个模型，怎么加权都不够接近任何一方，因此不给出权重。",
    },
    "not_searched": {
        "en": "Heavy re-training, and a copied part for which no check ran, can go unnoticed.",
        "zh": "大幅度的重新训练，以及没有检测到的部件被复制，都可能不被发现。",
    },
    "small_merges": {
        "en": "If one model holds less than {share} of the other, averaged into it, that can go unnoticed; so can more, if "
        "its units were put into another order.",
        "zh": "如果一个模型里按加权平均掺进的另一个不到 {share}，可能发现不了；掺得更多但打乱了隐藏单元的次序，也可能发现不了。",
    },
    "no_merge_power": {
        "en": "Whether a share of one model was mixed into the other would not have been noticed here.",
        "zh": "一个模型里是否掺了另一个，在这里是发现不了的。",
    },
    "no_turned_power": {
        "en": "In models of this kind a copy with turned coordinates and newly learned token tables would not have been "
        "noticed.",
        "zh": "在这类模型里，如果副本转动了坐标又重新学习了词元表，本次检测是发现不了的。",
    },
    "no_turned_reordered_power": {
        "en": "In models of this kind a copy with re-ordered units, turned coordinates and newly learned token tables, all "
        "at once, would not have been noticed.",
        "zh": "在这类模型里，如果副本既打乱了隐藏单元、又转动了坐标，还重新学习了词元表，本次检测是发现不了的。",
    },
    "no_reordered_power": {
        "en": "In models of this kind a copy whose units were put into another order would not have been noticed.",
        "zh": "在这类模型里，如果副本的隐藏单元被重新排过序，本次检测是发现不了的。",
    },
    "base_believed": {
        "en": "That the named base is the true common base was taken from the question and not tested.",
        "zh": "“所给的基座就是真正的共同基座”来自提问，本次没有检验。",
    },
    "behaviour_decides_nothing": {
        "en": "Behaviour alone decides nothing: models that read the same texts can answer alike without sharing a weight.",
        "zh": "行为本身不能下结论：读过同样文字的模型，权重毫无关系，也可能答得一样。",
    },
    "few_prompts": {
        "en": "The prompts are few, short and in two languages; other prompts may give other figures.",
        "zh": "题目不多、很短，只有两种语言；换一批题目，数字可能不同。",
    },
    "weak_control": {
        "en": "The control is an untrained model of the same design, which is weak: any two trained models "
        "agree more than that. For a fair control, name a model of the same size known to be unrelated.",
        "zh": "对照是一个同结构、没有训练过的模型，这个对照偏弱：任何两个训练过的模型都比它更像。"
        "想要公平的对照，请指定一个大小相同、已知无关的模型。",
    },
    "other_code": {
        "en": "{name} was run in the code and with the settings of the other model; its own settings were not used.",
        "zh": "{name} 是用另一个模型的代码和设置运行的，没有用它自己的设置。",
    },
    "texts_only": {
        "en": "Where tokenizers differ, only the text of the answers is compared, not the probabilities.",
        "zh": "分词器不同时，只比较回答的文字，不比较概率。",
    },
    "by_digest": {
        "en": "That the files are equal was taken from the digests that the hub states; no weights were read.",
        "zh": "“文件相同”是根据平台给出的摘要判断的，没有读取任何权重。",
    },
    "stress": {
        "en": "These disguises are the ones we know; others may exist.",
        "zh": "这里试的是我们已知的伪装方式，可能还有别的。",
    },
    "describe": {
        "en": "Roles are read from names, shapes and contents; an unusual network may be described in part only.",
        "zh": "各张量的角色由名称、形状和内容推断；结构特殊的网络可能只能描述一部分。",
    },
}

# What may stand in the blanks of a sentence; names are printable, and so on one line.
BLANKS = {"count": r"\d+", "share": r"[\d.]+%", "name": ".+"}


def limits(
    answer: str,
    *,
    reason: str | None = None,
    base: bool = False,
    power: Mapping[str, Any] | None = None,
    has_weights: bool = True,
    everything: bool = True,
    by_digest: bool = False,
    undecoded: int = 0,
    names_code: bool = False,
    parents: bool = False,
    merged: bool = False,
    described: bool = True,
    directed: bool = False,
) -> list[str]:
    """The English sentences that belong to an answer, most important first; see `translated` for the Chinese ones."""
    keys: list[str] = [reason] if reason in TEXTS else []
    if answer in ("stress", "describe"):
        keys = [answer] if has_weights else [answer, "no_weights"]
        keys += ["names_code"] if names_code else []
        return [TEXTS[key]["en"] for key in keys] + _undecoded(undecoded)
    if not everything:
        keys.append("sampled")
    if by_digest:
        keys.append("by_digest")
    if answer in ("disguised_copy", "derived", "shared_part"):
        # Only a child holds several models in the shares of a mean.
        siblings = "siblings_below_the_base" if base else "siblings"
        keys += ["base_believed"] if base else []
        keys += [] if merged else ["nearly_the_parent" if directed else siblings]
        keys += [] if merged else ["same_start"]
        keys += [] if described else ["not_described"]
    if answer == "shared_part":
        keys.append("public_part")
    if parents and answer in ("derived", "disguised_copy", "shared_part", "common_origin", "undecided"):
        keys += ["parts_of_changes"] if merged else ["parents_do_not_explain", "parts_of_changes"]
    if answer == "common_origin":
        keys.append("base_believed" if base else "one_start")
    if answer in ("independent", "undecided") and reason != "no_weights":
        if power is not None and power.get("largest_noise_caught_reordered") is None:
            keys.append("no_reordered_power")
        if power is not None and power.get("largest_noise_caught_turned") is None:
            keys.append("no_turned_power")
        if power is not None and power.get("largest_noise_caught_turned_reordered") is None:
            keys.append("no_turned_reordered_power")
        if answer == "independent" and power is not None:
            keys.append("no_merge_power" if power["smallest_merge_caught"] is None else "small_merges")
        keys += ["not_searched", "distillation"]
    keys += ["names_code"] if names_code else []
    caught = (power or {}).get("smallest_merge_caught")
    named = {} if caught is None else {"share": percent(caught)}
    first, *others = [TEXTS[key]["en"].format(**named) for key in [*dict.fromkeys(keys), "intent"]]
    return [first, *_undecoded(undecoded), *others]


def translated(sentence: str, language: str) -> str:
    """A sentence of `limits` in another language; the sentence itself where it is none of ours."""
    for text in TEXTS.values():
        pattern = re.escape(text["en"])
        for blank, filled in BLANKS.items():
            pattern = pattern.replace(rf"\{{{blank}\}}", f"(?P<{blank}>{filled})")
        if found := re.fullmatch(pattern, sentence):
            return text.get(language, text["en"]).format(**found.groupdict())
    return sentence


def _undecoded(count: int) -> list[str]:
    return [TEXTS["undecoded"]["en"].format(count=count)] if count else []
