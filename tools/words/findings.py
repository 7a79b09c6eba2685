"""One sentence for what each probe found; some are told only where the answer leans on them."""

from __future__ import annotations

from collections.abc import Callable

from tools.words.background import BACKGROUND_REASONS
from tools.words.forms import Finding, Words, code, correlation, percent


def _same_values(finding: Finding, language: str, leaned_on: bool) -> str:
    where = finding["where"]
    share = max(where["share_of_a"], where["share_of_b"])
    if where.get("equal_files"):
        return {
            "en": "The weight files are the same ones, by the SHA-256 digests that the hub states: {n}.",
            "zh": "按平台给出的 SHA-256 摘要，双方的权重文件完全相同，共 {n} 个。",
        }[language].format(n=where["equal_files"])
    if share == 0.0:
        return {
            "en": "No tensor of one model has the values of a tensor of the other.",
            "zh": "没有任何一个张量在两个模型里数值相同。",
        }[language]
    if not leaned_on and share < 0.01:
        return ""
    rounded = {
        "en": " after rounding both to " + ", ".join(where["rounded_to"]),
        "zh": "（都舍入到 " + "、".join(where["rounded_to"]) + " 之后）",
    }[language]
    return {
        "en": "{share} of the learned numbers are equal{rounded}: {n} tensors.",
        "zh": "{share} 的学习参数{rounded}完全相同，共 {n} 个张量。",
    }[language].format(
        share=percent(share), rounded=rounded if where["rounded_to"] else "", n=where["tensors_equal"]
    )  # fmt: skip


def _counted(layers: int, language: str) -> str:
    """So many of the layers; what stands between "in" and "of", or between 中 and what is said of them."""
    if language == "zh":
        return f"有 {layers} 层的" if layers else "没有一层的"
    return str(layers) if layers else "none"


def _unit_order(finding: Finding, language: str, leaned_on: bool) -> str:
    rows = finding["where"]
    same = sum(row["log10_pvalue"] <= -4 for row in rows)
    units = finding["n"]
    return {
        "en": "Hidden units stand in the same order in {same} of {layers} layers ({units} units, rank correlation {r}; "
        "strangers lie near 0).",
        "zh": "{layers} 层中{same}隐藏单元排列顺序一致（共 {units} 个单元，秩相关 {r}；毫无关系时接近 0）。",
    }[language].format(
        same=_counted(same, language), layers=len(rows), units=units, r=correlation(finding["statistic"])
    )


def _unit_places(finding: Finding, language: str, leaned_on: bool) -> str:
    rows = finding["where"]
    seen = sum(row["log10_pvalue"] <= -4 for row in rows)
    if not seen:
        return {
            "en": "In no layer are hidden units at one place clearly more alike than those at different places.",
            "zh": "没有哪一层里，同一位置的隐藏单元明显比不同位置的更相像。",
        }[language]
    return {
        "en": "Hidden units at one place are more alike than those at different places, by {excess:z.3f} on average (a copy: "
        "about 1); clearly so in {seen} of {layers} layers.",
        "zh": "同一位置的隐藏单元比不同位置的更相像，平均高出 {excess:z.3f}（副本约为 1）；{layers} 层中有 {seen} 层明显如此。",
    }[language].format(excess=finding["statistic"], seen=seen, layers=len(rows))


def _unit_partners(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "Matched in two separate ways, {share} of {units} hidden units find the same partner.",
        "zh": "用两种互不相干的方式配对，{units} 个隐藏单元中有 {share} 找到的是同一个对应者。",
    }[language].format(share=percent(finding["statistic"]), units=finding["n"])


def _unit_relations(finding: Finding, language: str, leaned_on: bool) -> str:
    rows = finding["where"]
    same = sum(row["log10_pvalue"] <= -4 for row in rows)
    return {
        "en": "Told by how they stand to each other, in any coordinates and without tokens, hidden units are in the same "
        "order in {same} of {layers} layers ({units} units, rank correlation {r}).",
        "zh": "只看单元彼此之间的关系（不管坐标怎样转动，也不用词元），{layers} 层中{same}隐藏单元顺序一致（共 {units} 个单元，"
        "秩相关 {r}）。",
    }[language].format(
        same=_counted(same, language), layers=len(rows), units=finding["n"], r=correlation(finding["statistic"])
    )


def _turned_partners(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "In coordinates that the layers alone tell, without tokens and in any order of units, {share} of {units} hidden "
        "units find the same partner in two separate ways.",
        "zh": "只凭各层本身把坐标转到一起（不用词元，也不看单元次序），再用两种互不相干的方式配对，{units} 个隐藏单元中有 {share} "
        "找到的是同一个对应者。",
    }[language].format(share=percent(finding["statistic"]), units=finding["n"])


def _value_order(finding: Finding, language: str, leaned_on: bool) -> str:
    rows = finding["where"]
    same = sum(row["log10_pvalue"] <= -4 for row in rows)
    return {
        "en": "Values stand in the same order in {same} of {heads} attention heads (rank correlation {r}).",
        "zh": "{heads} 个注意力头中有 {same} 个的数值排列顺序一致（秩相关 {r}）。",
    }[language].format(same=same, heads=len(rows), r=correlation(finding["statistic"]))


def _coordinate_order(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "Over {tokens} common tokens, the {n} coordinates stand in the same order with rank correlation {r}.",
        "zh": "在 {tokens} 个共同词元上，{n} 个坐标排列顺序的秩相关为 {r}。",
    }[language].format(tokens=finding["where"]["tokens"], n=finding["n"], r=correlation(finding["statistic"]))


def _difference_shape(finding: Finding, language: str, leaned_on: bool) -> str:
    shares = {kind: share for kind, share in finding["where"]["shares"].items() if share > 0.02}
    names = {
        "equal": {"en": "nothing", "zh": "毫无差别"},
        "recast": {"en": "no more than rounding", "zh": "不超过舍入的差别"},
        "rescaled": {"en": "another scale", "zh": "缩放"},
        "quantised": {"en": "quantisation", "zh": "量化"},
        "quantised_loosely": {
            "en": "quantisation with larger errors than rounding to the nearest has",
            "zh": "误差比就近舍入更大的量化",
        },
        "noise": {"en": "evenly spread Gaussian noise", "zh": "均匀分布的高斯噪声"},
        "pruned": {"en": "values set to zero", "zh": "数值置零"},
        "low_rank": {"en": "a low-rank change", "zh": "低秩改动"},
        "trained": {"en": "the uneven change that training leaves", "zh": "训练留下的不均匀变化"},
        "unrelated": {"en": "no likeness", "zh": "看不出相似"},
    }
    joint, brackets = {"en": (", ", " ({})"), "zh": ("、", "（{}）")}[language]
    listed = [
        names[kind][language] + brackets.format(percent(share))
        for kind, share in sorted(shares.items(), key=lambda i: -i[1])
    ]
    return {
        "en": "Between the two lies: {what} (shares of the compared numbers); size of the difference {size}.",
        "zh": "两者之间的差别是：{what}（括号内为占比较数字的比例）；差异大小为 {size}。",
    }[language].format(what=joint.join(listed), size=percent(finding["statistic"]))


def _shared_additions(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "Of what one model changed in the base, the other holds {share}; honest siblings hold about half at most.",
        "zh": "一个模型对基座所做的改动，另一个含有其中的 {share}；各自微调的兄弟模型至多含有一半左右。",
    }[language].format(share=percent(max(0.0, finding["statistic"])))


TOKENIZERS: dict[str, Words] = {
    "same": {
        "en": "Both tokenizers have the same tokens under the same numbers{merges}; strangers often share one.",
        "zh": "两个分词器的词元和编号都相同{merges}；没有关系的模型也常常共用一个。",
    },
    "nearly_same": {
        "en": "Both tokenizers have nearly all tokens in common, under the same numbers{merges}; strangers often share one.",
        "zh": "两个分词器的词元几乎全都相同，编号也相同{merges}；没有关系的模型也常常共用一个。",
    },
    "contained": {
        "en": "One tokenizer has the tokens of the other under the same numbers, and {more} more{merges}; strangers often "
        "build on one.",
        "zh": "一个分词器包含另一个的全部词元，编号也相同，另外多出 {more} 个{merges}；没有关系的模型也常常这样沿用。",
    },
    "inserted": {
        "en": "One tokenizer is the other with {more} tokens inserted, so those behind moved by {step}{merges}; strangers "
        "often build on one.",
        "zh": "一个分词器是在另一个当中插入了 {more} 个词元，后面的编号移动了 {step} 位{merges}；"
        "没有关系的模型也常常这样沿用。",
    },
    "shifted": {
        "en": "Both tokenizers have the same tokens, all numbers moved by {step}{merges}; strangers often build on one.",
        "zh": "两个分词器的词元相同，所有编号都移动了 {step} 位{merges}；没有关系的模型也常常这样沿用。",
    },
    "renumbered": {
        "en": "The tokenizers share {share} of their tokens, under other numbers{merges}; strangers do that too.",
        "zh": "两个分词器共有 {share} 的词元，编号却不同{merges}；没有关系的模型也会这样。",
    },
    "partly": {
        "en": "The tokenizers share {share} of their tokens{merges}, as any two may.",
        "zh": "两个分词器共有 {share} 的词元{merges}；任何两个分词器都可能如此。",
    },
    "merges": {"en": " ({share} of the merges)", "zh": "（合并规则 {share} 相同）"},
}


def _shared_start(finding: Finding, language: str, leaned_on: bool) -> str:
    if not leaned_on:
        return ""
    return {
        "en": "In a quarter of the tensors at least, the directions that training made strong are shared only {share} as well as "
        "the rest, or less; a child keeps both alike nearly everywhere.",
        "zh": "至少在四分之一的张量里，训练中变强的那些方向，共有程度不超过其余部分的 {share}；由一方做成的另一方，几乎处处同样保留两者。",
    }[language].format(share=percent(finding["statistic"]))


def _same_tokenizer(finding: Finding, language: str, leaned_on: bool) -> str:
    where = finding["where"]
    configuration = where.get("configuration")
    if "tokens_shared" in where:
        merges = where["merges_shared"]
        swapped = where["relation"] == "contained" and not where["more_tokens"]
        return TOKENIZERS["nearly_same" if swapped else where["relation"]][language].format(
            share=percent(where["tokens_shared"]),
            more=where["more_tokens"],
            step=abs(where["moved_by"]),
            merges="" if merges is None else TOKENIZERS["merges"][language].format(share=percent(merges)),
        )
    if configuration and configuration["equal"]:
        same = {
            "en": "The tokenizer configurations are equal in all {keys} entries.",
            "zh": "两份分词器配置的全部 {keys} 项都相同。",
        }[language].format(keys=configuration["keys"])
        named = {
            "en": " Both name the same code class.", "zh": "两份都写着同一个代码类名。",
        }[language]  # fmt: skip
        return same + (named if configuration["same_code"] else "")
    return ""


def _same_configuration(finding: Finding, language: str, leaned_on: bool) -> str:
    return {
        "en": "{share} of {n} design entries in the configurations are equal; thousands of models share a design.",
        "zh": "配置中 {n} 项结构设定有 {share} 相同；成千上万的模型共用同一种结构。",
    }[language].format(share=percent(finding["statistic"]), n=finding["n"])


def _tensor_names(finding: Finding, language: str, leaned_on: bool) -> str:
    where = finding["where"]
    if finding["statistic"] < 0.5:
        return ""
    renames = ", ".join(f"{code(pair['a'])} → {code(pair['b'])}" for pair in where["renames"])
    after = ""
    if renames:
        after = {"en": f" after renaming {renames}", "zh": f"改名（{renames}）之后，"}[language]
    sizes = ""
    if where["declared_bytes_of_a"] is not None and where["declared_bytes_of_a"] == where["declared_bytes_of_b"]:
        sizes = {"en": " Both declare the same total size.", "zh": "双方声明的总大小也相同。"}[language]
    return {
        "en": "{agree} of {n} tensor names agree{after}; software fixes names.{sizes}",
        "zh": "{after}{n} 个张量名称中有 {agree} 个一致；名称由所用软件决定。{sizes}",
    }[language].format(after=after, agree=where["agree"], n=finding["n"], sizes=sizes)


REASONS: dict[str, Callable[[Finding, str, bool], str]] = {
    "same_values": _same_values,
    "unit_order": _unit_order,
    "unit_places": _unit_places,
    "unit_partners": _unit_partners,
    "unit_relations": _unit_relations,
    "turned_partners": _turned_partners,
    "value_order": _value_order,
    "coordinate_order": _coordinate_order,
    "difference_shape": _difference_shape,
    "shared_additions": _shared_additions,
    "shared_start": _shared_start,
    "same_tokenizer": _same_tokenizer,
    "same_configuration": _same_configuration,
    "tensor_names": _tensor_names,
    **BACKGROUND_REASONS,
}
