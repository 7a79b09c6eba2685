"""How one model was made from the other, and which of them came first."""

from __future__ import annotations

from typing import Any

from tools.words.forms import Words

CHANGES: dict[str, Words] = {
    "renamed": {"en": "{amount} tensors renamed", "zh": "{amount} 个张量改了名"},
    "resharded": {"en": "the number of weight files differs by {amount}", "zh": "权重文件数相差 {amount} 个"},
    "recast": {
        "en": "rounded to a coarser number format ({amount} of the numbers)",
        "zh": "舍入到更粗的数值格式（占全部数字的 {amount}）",
    },
    "noise": {
        "en": "Gaussian noise of {amount} of each tensor's spread added",
        "zh": "加了幅度为各张量波动 {amount} 的高斯噪声",
    },
    "quantised": {"en": "quantised to about {amount} bits", "zh": "量化到约 {amount} 比特"},
    "units_permuted": {
        "en": "hidden units re-ordered in {amount} tensors",
        "zh": "{amount} 个张量里的隐藏单元被重新排序",
    },
    "heads_permuted": {
        "en": "attention heads or rows re-ordered in {amount} tensors",
        "zh": "{amount} 个张量里的注意力头或行被重新排序",
    },
    "residual_permuted": {"en": "coordinates re-ordered", "zh": "坐标被重新排列"},
    "rotated": {"en": "coordinates rotated", "zh": "坐标被旋转"},
    "rescaled": {"en": "weights rescaled ({amount} of the numbers)", "zh": "权重被重新缩放（占全部数字的 {amount}）"},
    "fine_tuned": {
        "en": "trained further (change of {amount} of the weights' size)",
        "zh": "继续训练过（改动幅度约为权重的 {amount}）",
    },
    "low_rank": {
        "en": "a low-rank change of rank {amount}, as LoRA leaves",
        "zh": "秩为 {amount} 的低秩改动，像 LoRA 留下的",
    },
    "pruned": {"en": "{amount} of the values set to zero", "zh": "{amount} 的数值被置零"},
    "layers_removed": {"en": "{amount} layers fewer on one side", "zh": "一方少了 {amount} 层"},
    "layers_repeated": {"en": "{amount} layers repeated", "zh": "重复了 {amount} 层"},
    "narrowed": {
        "en": "one side has {amount} of the other's hidden units",
        "zh": "一方的隐藏单元数是另一方的 {amount}",
    },
    "merged": {
        "en": "a weighted mean of models, with {amount} of the other one",
        "zh": "几个模型的加权平均，其中另一方占 {amount}",
    },
    "vocabulary_extended": {
        "en": "the vocabularies differ by {amount} tokens",
        "zh": "词表相差 {amount} 个词元",
    },
    "vocabulary_permuted": {"en": "tokens renumbered", "zh": "词元被重新编号"},
    "experts_from_dense": {"en": "experts made from a dense model", "zh": "由稠密模型拆成专家"},
    "component_only": {"en": "only {amount} of the numbers are related", "zh": "只有 {amount} 的数字有关联"},
}

# What `where` adds to a change, as far as it holds what the words need.
CHANGE_DETAILS: dict[str, tuple[Words, ...]] = {
    "merged": (
        {"en": "weights: {weights}", "zh": "权重：{weights}"},
        {"en": "kept of each change: {shares_kept}", "zh": "各自改动保留的比例：{shares_kept}"},
        {"en": "the mean of what was kept times {scale}", "zh": "保留部分的平均再乘以 {scale}"},
    ),
    "quantised": (
        {"en": "one step for every {group} values", "zh": "每 {group} 个数值共用一个步长"},
        {"en": "in {tensors} of {tensors_compared} tensors", "zh": "{tensors_compared} 个张量中有 {tensors} 个"},
        {
            "en": "in {loosely} of these with larger errors than rounding to the nearest has: GPTQ, AWQ and the like, two "
            "roundings, and a little training besides look the same here",
            "zh": "其中 {loosely} 个的误差比就近舍入更大：GPTQ、AWQ 之类的工具、双方各自量化、外加少量训练，在这里看起来都一样",
        },
    ),
    "low_rank": (
        {"en": "in {tensors} of {tensors_compared} tensors", "zh": "{tensors_compared} 个张量中有 {tensors} 个"},
    ),
    "fine_tuned": (
        {"en": "{share_moved} of the compared numbers moved", "zh": "所比较的数字中有 {share_moved} 变动过"},
    ),
    "vocabulary_extended": (
        {"en": "{share_kept} of the larger vocabulary in both", "zh": "较大词表的 {share_kept} 双方都有"},
    ),
    "component_only": (
        {"en": "of the {counted_in_a} of the first model", "zh": "就第一个模型的 {counted_in_a} 个数字而言"},
        {"en": "of the {counted_in_b} of the second model", "zh": "就第二个模型的 {counted_in_b} 个数字而言"},
        {"en": "shared: layers {shared}", "zh": "共用的层：{shared}"},
        {
            "en": "shared: layers {shared_of_a} of the first model, as layers {shared_of_b} of the second",
            "zh": "共用的层：第一个模型的 {shared_of_a}，依次对应第二个模型的 {shared_of_b}",
        },
        {"en": "the attention alone: layers {attention_only}", "zh": "只共用注意力部分的层：{attention_only}"},
        {
            "en": "the attention alone: layers {attention_only_of_a} of the first model, as layers {attention_only_of_b} of the second",
            "zh": "只共用注意力部分的层：第一个模型的 {attention_only_of_a}，依次对应第二个模型的 {attention_only_of_b}",
        },
        {"en": "the feed-forward part alone: layers {units_only}", "zh": "只共用前馈部分的层：{units_only}"},
        {
            "en": "the feed-forward part alone: layers {units_only_of_a} of the first model, as layers {units_only_of_b} of the second",
            "zh": "只共用前馈部分的层：第一个模型的 {units_only_of_a}，依次对应第二个模型的 {units_only_of_b}",
        },
        {"en": "shared: {tables_shared} token tables", "zh": "共用的词元表：{tables_shared} 个"},
        {"en": "no relation seen: layers {apart}", "zh": "看不出关联的层：{apart}"},
        {
            "en": "no relation seen: layers {apart_of_a} of the first model, layers {apart_of_b} of the second",
            "zh": "看不出关联的层：第一个模型的 {apart_of_a}，第二个模型的 {apart_of_b}",
        },
        {"en": "no relation seen: {tables_apart} token tables", "zh": "看不出关联的词元表：{tables_apart} 个"},
    ),
    "layers_removed": (
        {"en": "only the first model has layers {only_in_a}", "zh": "只有第一个模型有第 {only_in_a} 层"},
        {"en": "only the second model has layers {only_in_b}", "zh": "只有第二个模型有第 {only_in_b} 层"},
    ),
    "layers_repeated": (
        {"en": "layers {again_in_a} of the first model", "zh": "第一个模型的第 {again_in_a} 层"},
        {"en": "layers {again_in_b} of the second model", "zh": "第二个模型的第 {again_in_b} 层"},
    ),
}

DIRECTIONS: dict[str, Any] = {
    "a_from_b": {"en": "The evidence points from {b} to {a}", "zh": "证据指向 {a} 来自 {b}"},
    "b_from_a": {"en": "The evidence points from {a} to {b}", "zh": "证据指向 {b} 来自 {a}"},
    "unknown": {"en": "Which of the two came first cannot be told.", "zh": "无法判断两者谁先谁后。"},
    "changed": {
        "en": "Which of the two came first cannot be told. {child} shows traces of a change ({reasons}), but they do not "
        "explain all that lies between the two, so both may come from a third model.",
        "zh": "无法判断两者谁先谁后。{child} 带有改动的痕迹（{reasons}），但这些痕迹解释不了两者之间的全部差别，因此两者也可能都来自第三个模型。",
    },
    "because": {
        "its values are the other's, rounded": {
            "en": "its values are the other's, rounded", "zh": "它的数值是另一方舍入后的结果",
        },
        "its values lie on a coarser grid": {
            "en": "its values lie on a coarser grid", "zh": "它的数值落在更粗的网格上",
        },
        "the few directions that differ were made for it": {
            "en": "the few directions that differ were made for it", "zh": "两者相差的少数几个方向是为它而加的",
        },
        "it was rescaled by factors that do not depend on the other's sizes": {
            "en": "it was rescaled by factors that do not depend on the other's sizes",
            "zh": "它被一些与另一方大小无关的系数缩放过",
        },
        "every tensor holds the same share of the other's, as a mean of models does": {
            "en": "every tensor holds the same share of the other's, as a mean of models does",
            "zh": "它的每个张量都含有同样比例的另一方，正如几个模型的加权平均",
        },
        "the models that were named as parents add up to it": {
            "en": "the models that were named as parents add up to it",
            "zh": "被列为母模型的几个模型按权重相加就得到它",
        },
        "its norms' gains are folded into the weights, as one does before a rotation": {
            "en": "its norms' gains are folded into the weights, as one does before a rotation",
            "zh": "它的归一化系数已并入权重，旋转坐标之前正要这样做",
        },
        "its tokens are not numbered in the order of its merges": {
            "en": "its tokens are not numbered in the order of its merges", "zh": "它的词元编号与自己的合并顺序不符",
        },
        "it lacks some of the other's tokens here and there": {
            "en": "it lacks some of the other's tokens here and there", "zh": "它在各处缺了另一方的一些词元",
        },
        "it has extra token rows at the end that were hardly trained": {
            "en": "it has extra token rows at the end that were hardly trained",
            "zh": "它的词表末尾多出一些几乎没有训练过的行",
        },
        "token rows that training did not touch have shrunk in it": {
            "en": "token rows that training did not touch have shrunk in it",
            "zh": "训练没有碰到的那些词元行在它里面变小了",
        },
        "it has each of the other's key and value heads several times": {
            "en": "it has each of the other's key and value heads several times",
            "zh": "它把另一方的每个键头和值头重复了几份",
        },
        "its key and value heads are means of several of the other's": {
            "en": "its key and value heads are means of several of the other's",
            "zh": "它的键头和值头是另一方几个头的平均",
        },
        "its values are the other's, some set to zero": {
            "en": "its values are the other's, some set to zero", "zh": "它的数值是另一方的，只是有些被置零",
        },
        "the difference is independent of the other's values and raises this one's variance": {
            "en": "the difference looks like something added to the other: it has nothing to do with the other's values, and "
            "makes the numbers of this one spread wider",
            "zh": "两者之差像是后来加在另一方上面的：它与另一方的数值毫无关联，只让这一方的数值更分散",
        },
        "it has some of the other's layers twice": {
            "en": "it has some of the other's layers twice", "zh": "它把另一方的一些层用了两次",
        },
        "its experts come from the other's layers": {
            "en": "its experts come from the other's layers", "zh": "它的专家来自另一方的层",
        },
        "it holds what the other added to the base, and more": {
            "en": "it holds what the other added to the base, and more",
            "zh": "它含有另一方在基座上添加的全部改动，并且更多",
        },
    },
}  # fmt: skip
