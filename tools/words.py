"""The words for answers, findings and changes, in English and Chinese. Both languages move together; a test holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tools.errors import printable

Words = dict[str, str]

ANSWERS: dict[str, dict[str, Any]] = {
    "identical": {
        "icon": "=",
        "word": {"en": "The same weights", "zh": "权重完全相同"},
        "headline": {
            "en": "{a} and {b} hold the same numbers; only names or packaging can differ.",
            "zh": "{a} 和 {b} 存的是同一组数字，差别至多在名称和打包方式。",
        },
    },
    "disguised_copy": {
        "icon": "≈",
        "word": {"en": "The same weights, disguised", "zh": "同一份权重，经过改头换面"},
        "headline": {
            "en": "{a} and {b} are the same weights once changes that need no training are undone.",
            "zh": "把那些不需要训练的改动还原之后，{a} 和 {b} 是同一份权重。",
        },
    },
    "derived": {
        "icon": "→",
        "word": {"en": "Built on the same weights", "zh": "建立在同一份权重之上"},
        "headline": {
            "en": "The weights of {a} and {b} are related: one was trained or edited further from the other, or both from a common parent.",
            "zh": "{a} 和 {b} 的权重有亲缘关系：其中一个是在另一个的基础上继续训练或修改而来，或者两者来自同一个母模型。",
        },
    },
    "shared_part": {
        "icon": "◐",
        "word": {"en": "A part is shared", "zh": "有一部分是共用的"},
        "headline": {
            "en": "Some parts of {a} and {b} have related weights; the rest shows no relation.",
            "zh": "{a} 和 {b} 有一部分权重相关联，其余部分没有关联的迹象。",
        },
    },
    "common_origin": {
        "icon": "Y",
        "word": {"en": "Siblings from one base", "zh": "同一基座的兄弟模型"},
        "headline": {
            "en": "{a} and {b} both come from {base}; neither holds what the other added to it.",
            "zh": "{a} 和 {b} 都来自 {base}，但谁也没有另一方后加的改动。",
        },
        "headline_without_base": {
            "en": "{a} and {b} were trained from the same first random numbers; neither holds what training built into the other.",
            "zh": "{a} 和 {b} 从同一组随机初始数值出发训练而成，谁也没有另一方在训练中形成的东西。",
        },
    },
    "independent": {
        "icon": "≠",
        "word": {"en": "No sign of copying", "zh": "没有复制的迹象"},
        "headline": {
            "en": "The weights of {a} and {b} show no relation; they look as two models trained apart do.",
            "zh": "{a} 和 {b} 的权重看不出关联，就像两个各自训练的模型一样。",
        },
    },
    "undecided": {
        "icon": "?",
        "word": {"en": "Cannot say", "zh": "无法判断"},
        "headline": {
            "en": "What could be measured does not decide whether {a} and {b} are related.",
            "zh": "能测到的东西还不足以判断 {a} 和 {b} 是否有关联。",
        },
    },
}

NEXT: dict[str, Words] = {
    "identical": {
        "en": "Look at both model cards and licences: re-uploading is often allowed, and often has to be named.",
        "zh": "看看双方的模型卡和许可证：重新上传往往是允许的，但往往也必须注明来源。",
    },
    "disguised_copy": {
        "en": "Ask the publisher how the model was made before you say anything in public; name the base if you know one.",
        "zh": "在公开说任何话之前，先向发布者了解模型是怎么做的；如果知道共同的基座，请把它告诉我再比一次。",
    },
    "derived": {
        "en": "Name the common base if there is one, and compare again: that tells a child from a sibling.",
        "zh": "如果有共同的基座，请告诉我再比一次：这样才能分清是“父子”还是“兄弟”。",
    },
    "shared_part": {
        "en": "Check whether the shared part is a published component that the model card names.",
        "zh": "查一查共用的部分是不是某个公开的组件，模型卡里有没有写明。",
    },
    "common_origin": {
        "en": "Both should name the base they started from; look for it in the model cards.",
        "zh": "双方都应当注明所用的基座，可以到模型卡里查看。",
    },
    "independent": {
        "en": "If you still have doubts, run the behaviour test, or name the exact file you suspect.",
        "zh": "如果仍有疑问，可以做行为测试，或者指出你怀疑的具体文件。",
    },
    "undecided": {
        "en": "Give the weights of both models, or models of the same kind, and ask again.",
        "zh": "请提供双方的权重文件，或者同类的模型，再问一次。",
    },
}

# Where something was measured, but not enough: by the reason for "undecided".
NEXT_IF_UNDECIDED: dict[str, Words] = {
    "suggestive": {
        "en": "Ask how both were made: a little of one mixed into the other, or a common start, can look like this. Compare "
        "each with other models it may come from: the larger parent of a merge is found.",
        "zh": "先问问两个模型是怎么做的：一个里面掺了少量的另一个，或者起点相同，都可能是这个样子。再拿它们分别和其他可能的来源比一比："
        "如果是合并出来的，占大头的母模型查得出来。",
    },
    "between_sibling_and_copy": {
        "en": "Compare each with other models made from the same base: that shows how much siblings usually share.",
        "zh": "再拿同一基座的其他模型分别和它们比一比，就能看出兄弟模型一般会共有多少。",
    },
}

SCALE: dict[str, Words] = {
    "none": {"en": "no", "zh": "没有"},
    "weak": {"en": "weak", "zh": "弱"},
    "moderate": {"en": "moderate", "zh": "中等"},
    "strong": {"en": "strong", "zh": "强"},
    "very strong": {"en": "very strong", "zh": "很强"},
    "extremely strong": {"en": "extremely strong", "zh": "极强"},
}

TEXT: dict[str, Words] = {
    "title": {"en": "Are these two models related?", "zh": "这两个模型有关联吗？"},
    "why": {"en": "Why", "zh": "依据"},
    "changes": {"en": "What was changed", "zh": "改动了什么"},
    "limits": {"en": "What this does not mean", "zh": "这不意味着什么"},
    "findings": {"en": "All findings", "zh": "全部检测结果"},
    "columns": {"en": "question|value|log10 p|role", "zh": "问题|数值|log10 p|作用"},
    "decides": {"en": "decides", "zh": "可下结论"},
    "context": {"en": "context only", "zh": "仅供参考"},
    "background": {"en": "Background, which decides nothing", "zh": "背景（不参与判断）"},
    "strangers": {
        "en": "; {pairs} pairs of strangers reached {low:z.2f} to {high:z.2f}",
        "zh": "；{pairs} 对互不相关的模型测得 {low:z.2f} 到 {high:z.2f}",
    },
    "span": {
        "en": "{file_a} lines {first_a}-{last_a} and {file_b} lines {first_b}-{last_b}",
        "zh": "{file_a} 第 {first_a}-{last_a} 行与 {file_b} 第 {first_b}-{last_b} 行",
    },
    "models": {"en": "Models", "zh": "模型"},
    "parameters": {"en": "parameters", "zh": "个参数"},
    "reproduce": {"en": "Reproduce", "zh": "重现方法"},
    "cost": {
        "en": "{read} of {total} bytes read in {seconds} s.",
        "zh": "共 {total} 字节，读取 {read} 字节，用时 {seconds} 秒。",
    },
    "cost_earlier": {
        "en": "Measured on {date} (UTC): {read} of {total} bytes were read then, in {seconds} s. No weights were read for "
        "this answer, which took {now} s; `--fresh` measures anew.",
        "zh": "这一结果于 {date}（UTC）测得：共 {total} 字节，当时读取 {read} 字节，用时 {seconds} 秒。"
        "这次没有读取权重，用时 {now} 秒；加上 `--fresh` 可以重新测量。",
    },
    "strength": {
        "en": "This is {words} evidence: two models trained apart would agree like this by chance {chance}.",
        "zh": "这是{words}证据：两个各自训练的模型碰巧这样一致的可能性{chance}。",
    },
    "no_strength": {
        "en": "Nothing was measured that could be called evidence either way.",
        "zh": "没有测到可以算作证据的东西，无论支持哪一边。",
    },
    "unsettled": {
        "en": "Two models trained apart would agree like this by chance {chance}, but that does not settle how these two "
        "are related.",
        "zh": "两个各自训练的模型碰巧这样一致的可能性{chance}，但这还不足以断定它们是什么关系。",
    },
    "chance_rare": {"en": "less than once in 10^{power}", "zh": "不到 10^{power} 分之一"},
    "chance_common": {"en": "in {percent} of cases", "zh": "约为 {percent}"},
    "recognised": {"en": "recognised", "zh": "认出"},
    "not_recognised": {"en": "not recognised", "zh": "未认出"},
    "not_applicable": {"en": "does not apply", "zh": "不适用"},
    "describe_title": {"en": "What the files of {name} hold", "zh": "{name} 的文件里有什么"},
    "files": {"en": "Files", "zh": "文件"},
    "stress_columns": {"en": "disguise|amount|result|answer", "zh": "伪装|程度|结果|回答"},
    "stress_title": {"en": "Which disguises of {name} are seen through", "zh": "{name} 的哪些伪装会被识破"},
    "behaviour_title": {
        "en": "How alike {a} and {b} behave ({items} prompts), beside a stranger",
        "zh": "{a} 与 {b} 的行为有多像（{items} 道题），并与一个无关模型对照",
    },
    "behaviour_columns": {
        "en": "noise|alike where b is right|control|same mistakes, of both wrong|control|divergence, bits|control",
        "zh": "噪声|b 答对时一致|对照|错得一样 / 都错|对照|分布差异（比特）|对照",
    },
    "ran_in_other_code": {
        "en": "Renamed tensor by tensor, one model ran in the other's code.",
        "zh": "逐个改回张量的名称之后，一个模型在另一个模型的代码里跑了起来。",
    },
    "power_in_order": {
        "en": "A copy with noise of {percent} of the weights' spread would have been recognised.",
        "zh": "如果是副本，即使加上权重波动幅度 {percent} 的噪声，也会被认出来。",
    },
    "power_reordered": {
        "en": "Even with its units re-ordered and noise of {percent}, it would have been recognised.",
        "zh": "即使隐藏单元被重新排序、再加 {percent} 的噪声，也会被认出来。",
    },
    "power_turned": {
        "en": "So would one with turned coordinates, new token tables and noise of {percent}.",
        "zh": "即使转动了坐标、换了词元表、再加 {percent} 的噪声，也会被认出来。",
    },
    "power_turned_reordered": {
        "en": "So would one with all of these, its units re-ordered as well, and noise of {percent}.",
        "zh": "即使这些全都做了、隐藏单元也被重新排序、再加 {percent} 的噪声，也会被认出来。",
    },
    "power_merge": {
        "en": "Had {caught} of one model been mixed into the other, it would have been noticed; with {missed} it would not.",
        "zh": "如果其中一个模型掺了另一个的 {caught}，本来会被注意到；只掺 {missed} 就发现不了。",
    },
    "power_least_merge": {
        "en": "Had {caught} of one model been mixed into the other, it would have been noticed; less was not tried.",
        "zh": "如果其中一个模型掺了另一个的 {caught}，本来会被注意到；更小的比例没有试过。",
    },
    "power_no_merge": {
        "en": "Even {missed} of one model mixed into the other would not have been noticed.",
        "zh": "即使其中一个模型掺了另一个的 {missed}，也发现不了。",
    },
    "merged_parts": {
        "en": "a merge of parts of changes to the base (as {method} makes), with {amount} of the other model's",
        "zh": "由对基座的部分改动合并而成（像 {method} 的做法），其中另一方的改动占 {amount}",
    },
    "below_rounding": {
        "en": "{moved} of the numbers differ, all in all by less than the rounding of their own format: too little to say how "
        "that came about",
        "zh": "有 {moved} 的数值不同，总的差别比它们自身格式的舍入还小，看不出是怎么来的",
    },
    "power_merge_untried": {
        "en": "Their layers have different shapes, so that neither can be averaged into the other; no merge was tried.",
        "zh": "两个模型的层形状不同，没法互相加权平均，因此没有试过合并。",
    },
}

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
    "narrowed": {"en": "made narrower, to {amount} of the hidden units", "zh": "宽度缩小到 {amount} 的隐藏单元"},
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
        "it has some of the other's layers": {
            "en": "it has some of the other's layers", "zh": "它只有另一方的一部分层",
        },
        "it has some of the other's layers twice": {
            "en": "it has some of the other's layers twice", "zh": "它把另一方的一些层用了两次",
        },
        "it has some of the other's hidden units": {
            "en": "it has some of the other's hidden units", "zh": "它只有另一方的一部分隐藏单元",
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

# What `describe` says of a model, in this order, before its files.
DESCRIBED: dict[str, Words] = {
    "format": {"en": "File format", "zh": "文件格式"},
    "bytes": {"en": "Bytes", "zh": "字节数"},
    "parameters": {"en": "Numbers in the weights", "zh": "权重里的数值"},
    "tensors": {"en": "Tensors", "zh": "张量"},
    "learned_tensors": {"en": "Learned tensors", "zh": "其中学习得到的张量"},
    "dtypes": {"en": "Number formats and how many tensors have them", "zh": "数值格式（及张量个数）"},
    "architecture": {"en": "Architecture, as the files declare it", "zh": "文件自称的架构"},
    "hidden_size": {"en": "Width of the residual stream", "zh": "残差流的宽度"},
    "layers": {"en": "Layers of hidden units", "zh": "隐藏单元的层数"},
    "hidden_units": {"en": "Hidden units in the first of them", "zh": "其中第一层的隐藏单元"},
    "vocabulary": {"en": "Rows of the token table", "zh": "词元表的行数"},
}

DISGUISES: dict[str, Words] = {
    "add_noise": {"en": "noise on every tensor, in its standard deviations", "zh": "每个张量加噪声，以其标准差计"},
    "cast": {"en": "a coarser number format", "zh": "换成更粗的数值格式"},
    "drop_layers": {"en": "layers left out", "zh": "删去若干层"},
    "low_rank": {"en": "a low-rank change added, rank", "zh": "加上低秩改动，秩"},
    "permute_residual": {"en": "inner channels re-ordered", "zh": "内部通道重新排列"},
    "prune": {"en": "small weights set to zero", "zh": "较小的权重置零"},
    "quantise": {"en": "rounded to few levels", "zh": "取整到少数几级"},
    "rename_tensors": {"en": "other tensor names and order", "zh": "张量改名并打乱次序"},
    "repeat_layers": {"en": "layers placed twice", "zh": "若干层放两遍"},
    "rescale": {"en": "rescaled between tensors, by", "zh": "在张量之间缩放，以此为单位"},
    "rotate_residual": {"en": "inner space rotated", "zh": "内部空间旋转"},
    "shuffle_heads": {"en": "attention heads re-ordered", "zh": "注意力头重新排列"},
    "shuffle_units": {"en": "hidden units re-ordered", "zh": "隐藏单元重新排列"},
}

# What stands for an amount of a disguise that is a word.
AMOUNTS: dict[str, Words] = {
    "layer": {"en": "layer", "zh": "层"},
    "unit": {"en": "unit", "zh": "单元"},
}

PROBES: dict[str, dict[str, Words]] = {
    "same_values": {
        "label": {"en": "Same numbers", "zh": "数值是否相同"},
        "question": {
            "en": "Do the two files hold the same numbers, under whatever names?",
            "zh": "不管叫什么名字，两个文件里存的是不是同一组数字？",
        },
    },
    "unit_order": {
        "label": {"en": "Order of hidden units", "zh": "隐藏单元的顺序"},
        "question": {
            "en": "Do the hidden units stand in the same order in both models?",
            "zh": "两个模型里隐藏单元的排列顺序一样吗？",
        },
    },
    "unit_places": {
        "label": {"en": "Units at one place", "zh": "同一位置的单元"},
        "question": {
            "en": "Does each hidden unit resemble the one that stands at its place in the other model?",
            "zh": "一个模型的每个隐藏单元，和另一个模型里同一位置上的单元相像吗？",
        },
    },
    "unit_partners": {
        "label": {"en": "Partners of hidden units", "zh": "隐藏单元的配对"},
        "question": {
            "en": "Does each hidden unit of one model have one and the same partner in the other, wherever it stands?",
            "zh": "一个模型里的每个隐藏单元，无论排在哪里，在另一个模型里是否总有同一个对应者？",
        },
    },
    "unit_relations": {
        "label": {"en": "Units among themselves", "zh": "单元之间的关系"},
        "question": {
            "en": "Do the hidden units stand to each other, in the order of the file, as those of the other model do?",
            "zh": "按文件里的顺序，一个模型的隐藏单元彼此之间的关系，和另一个模型的一样吗？",
        },
    },
    "turned_partners": {
        "label": {"en": "Partners in turned coordinates", "zh": "转回坐标后的配对"},
        "question": {
            "en": "Does each hidden unit have one and the same partner in coordinates that the layers alone tell, without any tokens?",
            "zh": "只凭各层本身（不用词元）把坐标转到一起之后，每个隐藏单元是否总有同一个对应者？",
        },
    },
    "value_order": {
        "label": {"en": "Order in attention heads", "zh": "注意力头内的顺序"},
        "question": {
            "en": "Do the numbers that attention heads carry stand in the same order in both models?",
            "zh": "两个模型的注意力头里，数值的排列顺序一样吗？",
        },
    },
    "coordinate_order": {
        "label": {"en": "Order of coordinates", "zh": "坐标的顺序"},
        "question": {
            "en": "Do the coordinates of the token vectors stand in the same order in both models?",
            "zh": "两个模型里，词元向量的坐标排列顺序一样吗？",
        },
    },
    "difference_shape": {
        "label": {"en": "Shape of the difference", "zh": "差异的形态"},
        "question": {
            "en": "What lies between the two models: rounding, noise, a few directions, or training?",
            "zh": "两个模型之间差的是什么：舍入、噪声、少数几个方向，还是训练？",
        },
    },
    "shared_additions": {
        "label": {"en": "Additions to the base", "zh": "在基座上的改动"},
        "question": {
            "en": "Does one model also hold what the other added to the base they share?",
            "zh": "一个模型是否也含有另一个模型在共同基座上添加的改动？",
        },
    },
    "shared_start": {
        "label": {"en": "Common start", "zh": "共同的起点"},
        "question": {
            "en": "Do the models share what training built, or only the random numbers that both started from?",
            "zh": "两个模型共有的是训练形成的东西，还是只有出发时的那组随机数？",
        },
    },
    "same_tokenizer": {
        "label": {"en": "Tokenizer", "zh": "分词器"},
        "question": {
            "en": "Do the two models cut text into the same tokens?",
            "zh": "两个模型切分文字的方式一样吗？",
        },
    },
    "same_configuration": {
        "label": {"en": "Configuration", "zh": "配置"},
        "question": {
            "en": "Do the two models declare the same design?",
            "zh": "两个模型声明的结构一样吗？",
        },
    },
    "norm_gains": {
        "label": {"en": "Norm gains", "zh": "归一化增益"},
        "question": {
            "en": "Do the gains of the norm layers rise and fall in the same places?",
            "zh": "归一化层的增益在相同的位置起伏吗？",
        },
    },
    "spectra": {
        "label": {"en": "Singular values", "zh": "奇异值"},
        "question": {
            "en": "Do the layers at one depth stretch space alike?",
            "zh": "同一深度的层对空间的拉伸方式相像吗？",
        },
    },
    "token_geometry": {
        "label": {"en": "Likeness between tokens", "zh": "词元之间的相似关系"},
        "question": {
            "en": "Do the tokens stand to each other as they do in the other model?",
            "zh": "词元彼此之间的远近关系，在两个模型里一样吗？",
        },
    },
    "head_space": {
        "label": {"en": "Space of answers", "zh": "回答的空间"},
        "question": {
            "en": "Can the two models' last layers say the same things?",
            "zh": "两个模型的最后一层能给出的回答范围一样吗？",
        },
    },
    "code_likeness": {
        "label": {"en": "Programs beside the weights", "zh": "权重旁边的程序"},
        "question": {
            "en": "Do the programs beside the weights do the same, beyond what the framework brings?",
            "zh": "除去框架自带的部分，权重旁边的程序做的是同样的事吗？",
        },
    },
    "tensor_names": {
        "label": {"en": "Tensor names", "zh": "张量名称"},
        "question": {
            "en": "Do the tensors have the same names once a few prefixes are renamed?",
            "zh": "把几个前缀换个名字之后，张量的名称是否一致？",
        },
    },
}

ABSTENTIONS: dict[str, str] = {
    "At least one side declares no tensor names.": "至少有一方没有声明张量名称。",
    "At least one side has no configuration file.": "至少有一方没有配置文件。",
    "At least one side has no tokenizer file.": "至少有一方没有分词器文件。",
    "No common base was named.": "没有给出共同的基座。",
    "The models have no attention heads of equal size whose values could be told apart.": (
        "两个模型没有大小相同、能够分辨其数值的注意力头。"
    ),
    "The models have no table of common tokens.": "两个模型没有共同词元的表。",
    "At least one network may number its coordinates itself, so strangers could share their order.": (
        "至少有一个网络可能自带坐标编号，没有关系的模型也会有相同的顺序。"
    ),
    "The token vectors of the two models have different lengths.": "两个模型的词元向量长度不同。",
    "No tensor of one model resembles a tensor of the other, in any coordinates that could be found.": (
        "在能找到的任何坐标下，都没有一个张量与另一个模型的张量相像。"
    ),
    "No tensor of one model resembles a tensor of the other.": "没有一个张量与另一个模型的张量相像。",
    "One of the models changed too little of the base, or is no relative of it.": (
        "其中一个模型对基座的改动太小，或者与基座没有关系。"
    ),
    "The models have no layers of hidden units of equal shape.": "两个模型没有形状相同的隐藏单元层。",
    "The models have no layers of one width that two tensors describe and that were read whole.": (
        "两个模型没有宽度相同、由两个张量描述、并且完整读取过的层。"
    ),
    "The models have no feed-forward layers with equally many hidden units.": "两个模型没有隐藏单元数相同的前馈层。",
    "The models have no layers whose units two tensors describe in coordinates or tokens that both share.": (
        "找不到这样的层：隐藏单元由两个张量描述，并且坐标或词元为双方共有。"
    ),
    "Too few tensors lie as they were to tell a common start from a parent.": (
        "位置未变的张量太少，分不清是共同的起点还是母模型。"
    ),
    "The two configurations have no entry in common.": "两份配置没有任何相同的条目。",
    "The models have no learned norm gains of equal length.": "两个模型没有长度相同的归一化增益。",
    "The models do not have equally many layers of hidden units of equal shape.": (
        "两个模型的隐藏单元层，数目或形状不一样。"
    ),
    "A likeness of layers needs at least two of equal shape, one to hold the other against.": (
        "要说层与层相像，至少得有两个形状相同的层互为对照。"
    ),
    "All layers stretch space in one way, so they cannot be told apart.": "各层对空间的拉伸方式都一样，无从分辨。",
    "The tokens of at least one model all look alike.": "至少有一个模型的词元看上去全都一样。",
    "The models have too few common tokens for their width.": "相对于模型的宽度，共同的词元太少。",
    "The models are too wide for their spaces of answers to be compared at a small price.": (
        "模型太宽，比较回答的空间要花太多时间。"
    ),
    "The last layer of at least one model is empty.": "至少有一个模型的最后一层是空的。",
    "At least one side has no Python code beside its weights.": "至少有一方的权重旁边没有 Python 代码。",
    "The code beside at least one model is no Python that can be read within the limits.": (
        "至少有一方的代码不是能在限度之内读取的 Python。"
    ),
    "The code beside at least one model has too little beyond common framework code.": (
        "至少有一方的代码，除去通用的框架代码就所剩无几。"
    ),
    "There are no weights to compare on at least one side.": "至少有一方没有可比较的权重。",
}

Finding = Mapping[str, Any]


def percent(share: float) -> str:
    """A share as a percentage with as many digits as it deserves."""
    value = 100.0 * share
    if 0 < abs(value) < 1:
        return f"{value:.2g}%"
    return f"{value:.0f}%" if value >= 10 else f"{value:z.1f}".removesuffix(".0") + "%"


def correlation(value: float) -> str:
    """A correlation with two digits; what rounds to nothing has no sign."""
    return f"{value:z.2f}"


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


def code(name: str) -> str:
    """A foreign name as inline code that it cannot break out of."""
    return "`" + printable(name).replace("`", "'").replace("|", "/") + "`"


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


# Findings told under the answer's details, apart from its reasons.
BACKGROUND = ("norm_gains", "spectra", "token_geometry", "head_space", "code_likeness")
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
    "norm_gains": _norm_gains,
    "spectra": _spectra,
    "token_geometry": _token_geometry,
    "head_space": _head_space,
    "code_likeness": _code_likeness,
}
