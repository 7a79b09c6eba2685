"""What stands around answers and findings: headings, columns, strength, power and cost."""

from __future__ import annotations

from tools.words.forms import Words

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
    "power_copy": {
        "en": "A copy would have been recognised with any of these: {list}.",
        "zh": "如果是副本，即使经过下面任何一种改动，也会被认出来：{list}。",
    },
    "power_copy_one": {
        "en": "A copy with {list} would have been recognised.",
        "zh": "如果是副本，即使{list}，也会被认出来。",
    },
    "power_in_order": {
        "en": "noise of {percent} of the weights' spread",
        "zh": "加上权重波动幅度 {percent} 的噪声",
    },
    "power_reordered": {
        "en": "units in another order and noise of {percent}",
        "zh": "打乱隐藏单元的次序，再加 {percent} 的噪声",
    },
    "power_turned": {
        "en": "turned coordinates, new token tables and noise of {percent}",
        "zh": "转动坐标、换掉词元表，再加 {percent} 的噪声",
    },
    "power_turned_reordered": {
        "en": "all of that at once and noise of {percent}",
        "zh": "以上全都做了，再加 {percent} 的噪声",
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
    "fewer_coordinates": {
        "en": "the residual stream of one side is {amount} as wide as the other's",
        "zh": "一方残差流的宽度是另一方的 {amount}",
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
