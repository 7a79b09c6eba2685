"""The seven answers, how strong the evidence for one is, and what to do next."""

from __future__ import annotations

from typing import Any

from tools.words.forms import Words

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

# Where the common base was named already.
NEXT_WITH_BASE: dict[str, Words] = {
    "disguised_copy": {
        "en": "Ask the publisher how the model was made before you say anything in public.",
        "zh": "在公开说任何话之前，先向发布者了解模型是怎么做的。",
    },
    "derived": {
        "en": "Read both model cards, and ask the publisher how the model was made before you say anything in public.",
        "zh": "先看看双方的模型卡；在公开说任何话之前，向发布者了解模型是怎么做的。",
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
# Weakest first.
STRENGTHS = tuple(words for words in SCALE if words != "none")
