"""Every sentence of the page itself, in English and Chinese; tools.report words the answers."""

from __future__ import annotations

from typing import Literal

from tools.words import ABSTENTIONS

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
LANGUAGE_NAMES: tuple[tuple[str, str], ...] = (("English", "en"), ("中文", "zh"))

TEXTS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Whose Weights?",
        "promise": "Ask whether one AI model is a copy of another. The answer is measured on the weights "
        "themselves, and comes with its evidence and its limits.",
        "language": "Language",
        "chat": "Conversation",
        "start_title": "Is model X a copy of model Y?",
        "start_text": "Name two models, or begin with one of these. Every pair below is shipped with the page.",
        "box": "Your question",
        "box_placeholder": "Is … a copy of …?",
        "token": "Your read token for private or gated models (optional)",
        "token_info": "Sent to the model hub alone; kept while this tab is open, never shown, stored or logged.",
        "send": "Send",
        "stop": "Stop",
        "new": "New conversation",
        "thinking": "Reading the question",
        "waiting": "Waiting for the stopped check to end",
        "stopped": "Stopped. No verdict was reached.",
        "failed": "Something broke on our side, so there is no verdict. Please ask again; "
        "if it happens twice, the log of the server says why.",
        "too_long": "This message has {length} characters; the limit is {limit}. Please ask in fewer words.",
        "reply_sources": "Sources",
        "sources_count": "where this article has it from ({count})",
        "step_stopped": "stopped",
        "step_failed": "no result",
        "tab_evidence": "Evidence",
        "tab_exhibits": "Exhibits",
        "tab_lessons": "Lessons",
        "lessons_intro": "Lessons of 45 minutes for a class. Each runs comparisons on the exhibits now and fills its "
        "cards, quiz and answers with what was measured. The two sheets open in a browser and print on A4.",
        "lesson_markdown": "Lesson (Markdown)",
        "lesson_teacher": "Teacher's sheet (print)",
        "lesson_students": "Students' sheet (print)",
        "tab_method": "How it decides",
        "evidence_title": "All findings",
        "evidence_empty": "Nothing has been compared yet. After a comparison this table lists every check, "
        "what it measured, and how often chance alone would do as well.",
        "evidence_about": "{a} and {b}",
        "evidence_base": "against the named base {base}",
        "column_question": "Check",
        "column_value": "Measured",
        "column_chance": "Chance",
        "column_role": "Use",
        "decides": "decides",
        "context": "context",
        "abstained": "no finding",
        "leaned_on": "basis",
        "chance_unknown": "not counted",
        "chance_about": "● basis: the answer rests on this check. Chance: how often two models trained "
        "apart would agree this well. "
        "Context never decides: unrelated models often share it.",
        "raw": "The result as JSON",
        "download_markdown": "Report (Markdown)",
        "download_json": "Report (JSON)",
        "no_exhibits": "No exhibits are installed beside this page. Name two model folders instead.",
        "exhibits_intro": "Small models that re-enact public disputes. Choose a question to ask it.",
        "card_pair": "{a} compared with {b}",
        "card_base": "Base named: {base}",
        "card_strength": "Strength of the evidence",
        "card_scale": "step {step} of 5",
        "card_chance_none": "no chance is given: nothing here was decided by a test",
        "card_reasons": "Why",
        "card_changes": "What was changed",
        "card_direction": "Direction",
        "card_components": "Parts",
        "component_name": "Part",
        "component_answer": "Answer",
        "component_share": "Share of the weights",
        "card_power": "What would have been noticed",
        "card_cost": "What was read",
        "cost": "{read_a} from {a} (size {total_a}) and {read_b} from {b} (size {total_b}), in {seconds}.",
        "cost_nothing": "No weights were read, in {seconds}.",
        "cost_earlier": "Measured earlier, on {date} (UTC). Read then: ",
        "cost_again": " Nothing was read for this answer. To measure anew, write: measure again.",
        "card_limits": "What this does not mean",
        "card_next": "Next",
        "card_background": "More details, which decide nothing",
        "plot_title": "Agreement per layer",
        "plot_x": "layer",
        "plot_y": "agreement",
        "twin_intro": "Agreement per layer, as in the plot below (1 is the same, strangers lie near 0).",
        "twin_layer": "layer {layer}: {value}",
        "comma": ", ",
        "twin_many": "between {low} and {high} over {count} layers, median {middle}",
        "meaning_identical": "The same values. Names, files or container may differ.",
        "meaning_disguised_copy": "The same weights, once a change that needs no training is undone: "
        "re-ordering, noise, rounding.",
        "meaning_derived": "Trained or edited on from the other model.",
        "meaning_shared_part": "Only some parts are related.",
        "meaning_common_origin": "Both come from a third model or one random start, neither from the other.",
        "meaning_independent": "No sign of common weights; the card says what would have been noticed.",
        "meaning_undecided": "The evidence does not suffice for any answer.",
        "stress_title": "Which disguises are still seen through?",
        "stress_about": "{name} was changed in each of these ways in memory and compared with itself.",
        "stress_count": "{seen} of {all} recognised",
        "stress_disguise": "Change",
        "stress_recognised": "Recognised",
        "stress_answer": "Answer",
        "stress_probes": "Seen best by",
        "yes": "✓ yes",
        "no": "✗ no",
        "behave_title": "How alike the two answer",
        "behave_about": "{a} and {b} were given the same prompts, as they are and with noise on their "
        "weights. "
        "Beside them stands a control: {control}.",
        "behave_untrained": "{name} (untrained)",
        "behave_control": "Control with {b}",
        "behave_pair": "{a} with {b}",
        "behave_agreement": "Same answer",
        "behave_agreement_where_b_is_right": "Same answer where the second is right",
        "behave_same_wrong_answer": "Same wrong answer, of those where both are wrong",
        "behave_flip_overlap": "Same answers flipped by noise",
        "behave_divergence_bits": "Distance of their next-token probabilities, in bits",
        "behave_of": "{part} of {whole}",
        "behave_mistakes": "Mistakes that both make and the control does not",
        "behave_mistake": "“{prompt}” – both say “{said}”, right would be “{right}”",
        "behave_plot_title": "Same answers while noise grows",
        "behave_plot_x": "noise, as a share of each tensor's standard deviation",
        "behave_plot_y": "same answers",
        "behave_twin": "Share of prompts answered alike at each strength of noise, as in the plot below.",
        "behave_twin_point": "noise {noise}: {value}",
        "stress_not_applicable": "does not apply",
        "took": "Took {seconds}.",
        "method_title": "How an answer is reached",
        "method_1": "Both models are opened and read piece by piece. Nothing inside them is run as code.",
        "method_2": "Each check asks one question of the two sets of weights, such as: do both number their "
        "hidden "
        "units in the same order? For every check that decides, it is known how often two models trained "
        "apart "
        "agree as well by chance.",
        "method_3": "One fixed rule turns the findings into an answer. No language model takes part in it, "
        "and "
        "“cannot say” is one of the answers.",
        "method_answers": "The seven answers",
        "method_limits": "What no comparison of weights can tell",
        "method_limit_1": "Who was first, what a licence allows, or what anyone intended.",
        "method_limit_2": "Whether one model learned from the other's replies (distillation): that leaves "
        "the "
        "weights unrelated.",
        "method_privacy": "Results belong to this tab and are forgotten when it is closed.",
    },
    "zh": {
        "title": "谁的权重？",
        "promise": "问一问：某个 AI 模型是不是另一个模型的复制品？答案直接从两份权重上测量得出，并附上证据和局限。",
        "language": "语言",
        "chat": "对话",
        "start_title": "模型 X 是模型 Y 的复制品吗？",
        "start_text": "写出两个模型的名字，或者从下面的问题开始。这些模型都随本页提供。",
        "box": "你的问题",
        "box_placeholder": "……是……的复制品吗？",
        "token": "读取私有或受限模型用的只读令牌（可选）",
        "token_info": "只发给模型平台；仅在本标签页打开期间保留，不显示、不存盘、不写入日志。",
        "send": "发送",
        "stop": "停止",
        "new": "新对话",
        "thinking": "正在读题",
        "waiting": "正在等待已停止的检查结束",
        "stopped": "已停止，没有得出结论。",
        "failed": "我们这边出了故障，所以没有结论。请再问一次；如果再次发生，服务器日志里有原因。",
        "too_long": "这条消息有 {length} 个字符，上限是 {limit} 个。请写短一些。",
        "reply_sources": "来源",
        "sources_count": "这篇文章的出处（{count}）",
        "step_stopped": "已停止",
        "step_failed": "没有结果",
        "tab_evidence": "证据",
        "tab_exhibits": "展品",
        "tab_lessons": "教案",
        "lessons_intro": "45分钟的课。每一课都当场比较展品，把量到的数字填进卡片、测验和答案。"
        "两张页用浏览器打开，可打印在A4纸上。",
        "lesson_markdown": "教案（Markdown）",
        "lesson_teacher": "教师页（打印）",
        "lesson_students": "学生页（打印）",
        "tab_method": "如何判断",
        "evidence_title": "全部发现",
        "evidence_empty": "还没有比较过任何模型。比较之后，这张表会列出每一项检查、测得的数值，"
        "以及仅凭偶然达到同样程度的机会。",
        "evidence_about": "{a} 与 {b}",
        "evidence_base": "并参照所给的基座 {base}",
        "column_question": "检查",
        "column_value": "测得",
        "column_chance": "偶然概率",
        "column_role": "用途",
        "decides": "参与判断",
        "context": "仅作背景",
        "abstained": "没有发现",
        "leaned_on": "依据",
        "chance_unknown": "不计算",
        "chance_about": "● 依据：结论依据此项检查。偶然概率：两个分别训练的模型达到这种一致程度的机会。"
        "背景项从不决定结论："
        "互不相关的模型也常常相同。",
        "raw": "JSON 格式的结果",
        "download_markdown": "报告（Markdown）",
        "download_json": "报告（JSON）",
        "no_exhibits": "本页旁边没有安装展品。请直接写出两个模型文件夹。",
        "exhibits_intro": "一些小模型，重现公开的争议。点一个问题就会提问。",
        "card_pair": "{a} 与 {b} 比较",
        "card_base": "所给的基座：{base}",
        "card_strength": "证据强度",
        "card_scale": "第 {step} 级，共 5 级",
        "card_chance_none": "没有给出概率：这里没有靠检验作出的判断",
        "card_reasons": "理由",
        "card_changes": "做过的改动",
        "card_direction": "方向",
        "card_components": "组成部分",
        "component_name": "部分",
        "component_answer": "答案",
        "component_share": "占权重的比例",
        "card_power": "什么样的改动会被发现",
        "card_cost": "读取了什么",
        "cost": "从 {a} 读取 {read_a}（大小 {total_a}），从 {b} 读取 {read_b}（大小 {total_b}），用时 {seconds}。",
        "cost_nothing": "没有读取权重，用时 {seconds}。",
        "cost_earlier": "这一结果此前已于 {date}（UTC）测得。当时",
        "cost_again": "这次没有读取权重。想重新测量，请输入：重新测一次。",
        "card_limits": "这不意味着什么",
        "card_next": "下一步",
        "card_background": "更多细节（不参与判断）",
        "plot_title": "逐层的一致程度",
        "plot_x": "层",
        "plot_y": "一致程度",
        "twin_intro": "逐层的一致程度，与下图相同（1 为完全相同，互不相关时接近 0）。",
        "twin_layer": "第 {layer} 层 {value}",
        "comma": "，",
        "twin_many": "{count} 层，在 {low} 与 {high} 之间，中位数 {middle}",
        "meaning_identical": "数值相同；名称、文件或容器可以不同。",
        "meaning_disguised_copy": "撤销一种不需要训练的改动（重新排列、加噪声、取整）之后，是同一份权重。",
        "meaning_derived": "在另一个模型的基础上继续训练或修改。",
        "meaning_shared_part": "只有一部分有关联。",
        "meaning_common_origin": "两者都来自第三个模型或同一组随机初始值，彼此并无先后。",
        "meaning_independent": "没有共用权重的迹象；卡片会说明什么样的改动会被发现。",
        "meaning_undecided": "证据不足以给出任何答案。",
        "stress_title": "怎样伪装还认得出？",
        "stress_about": "在内存中对 {name} 逐一作这些改动，再与它自己比较。",
        "stress_count": "{all} 种中认出 {seen} 种",
        "stress_disguise": "改动",
        "stress_recognised": "认出",
        "stress_answer": "答案",
        "stress_probes": "主要由谁认出",
        "yes": "✓ 是",
        "no": "✗ 否",
        "behave_title": "两者的回答有多像",
        "behave_about": "给 {a} 和 {b} 同样的提示，先用原样的权重，再在权重上加噪声。旁边放一个对照：{control}。",
        "behave_untrained": "{name}（未经训练）",
        "behave_control": "对照与 {b}",
        "behave_pair": "{a} 与 {b}",
        "behave_agreement": "回答相同",
        "behave_agreement_where_b_is_right": "后者答对时回答相同",
        "behave_same_wrong_answer": "两者都答错时，错得一样",
        "behave_flip_overlap": "被噪声改变的回答相同",
        "behave_divergence_bits": "下一个词元概率的距离（比特）",
        "behave_of": "{whole} 个中有 {part} 个",
        "behave_mistakes": "两者都犯而对照没有犯的错误",
        "behave_mistake": "“{prompt}”——两者都答“{said}”，正确的是“{right}”",
        "behave_plot_title": "噪声增大时相同的回答",
        "behave_plot_x": "噪声（相对各张量的标准差）",
        "behave_plot_y": "相同的回答",
        "behave_twin": "每一档噪声下回答相同的提示所占的比例，与下图相同。",
        "behave_twin_point": "噪声 {noise}：{value}",
        "stress_not_applicable": "不适用",
        "took": "用时 {seconds}。",
        "method_title": "答案是怎样得出的",
        "method_1": "打开两个模型，一块一块地读取。其中的任何内容都不会被当作代码运行。",
        "method_2": "每项检查只对两份权重问一个问题，例如：两者隐藏单元的编号顺序相同吗？"
        "凡是参与判断的检查，都知道两个分别训练的模型仅凭偶然达到同样一致程度的机会有多大。",
        "method_3": "一条固定的规则把这些发现变成答案。语言模型不参与判断，“无法判断”也是答案之一。",
        "method_answers": "七种答案",
        "method_limits": "比较权重说明不了的事",
        "method_limit_1": "谁先谁后、许可证允许什么、当事人有什么意图。",
        "method_limit_2": "一个模型是否从另一个模型的回答中学习（蒸馏）：那样的两份权重并无关联。",
        "method_privacy": "结果只属于这个标签页，关闭后即被遗忘。",
    },
}


def say(language: Language, key: str, **facts: object) -> str:
    """The sentence `key` with its facts filled in. Raises KeyError for an unknown key."""
    text = TEXTS[language][key]
    return text.format(**facts) if facts else text


def choose_language(wanted: str | None, accepted: str | None) -> Language:
    """The first language of a visit: `?lang=` when it names one of ours, else the browser's "
    "Accept-Language."""
    if wanted in LANGUAGES:
        return wanted
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate((accepted or "").split(",")):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, place, tag.lower()))
    for _, _, tag in sorted(ranked):
        for language in LANGUAGES:
            if tag == language or tag.startswith(language + "-"):
                return language
    return "en"


# What tools say in English of a measure and of a model's parts, for readers of Chinese; tools.words has the rest.
CHINESE: dict[str, str] = {
    "vision part": "视觉部分",
    "audio part": "音频部分",
    "projector": "投影层",
    "embeddings": "嵌入层",
    "output head": "输出层",
    "attention": "注意力层",
    "experts": "专家",
    "feed-forward layers": "前馈层",
    "recurrent layers": "循环层",
    "convolutions": "卷积层",
    "other tensors": "其余张量",
    "share of hidden units whose two matchings agree, 0 to 1": "两次配对结果一致的隐藏单元所占比例，0 到 1",
    "share of the declared design entries that are equal, 0 to 1": "声明的结构设定中相同项所占比例，0 到 1",
    "share of one model's changes to the base that the other also holds, about 0 to 1": ""
    "一个模型对基座的改动中另一个也含有的比例，约 0 到 1",
    "share kept of strong directions over share kept of the rest, about 1 for parent and child": ""
    "强方向的保留比例与其余部分的保留比例之比，母子之间约为 1",
    "size of the difference relative to the weights, 0 for none": "差异相对于权重的大小，0 为没有差异",
    "share of tensor names that agree after renaming, 0 to 1": "换掉前缀后一致的张量名称所占比例，0 到 1",
    "share of the tokens of both vocabularies that both have, 0 to 1": "两份词表中共有词元所占比例，0 到 1",
    "mean correlation of the centred gains, layer by layer, -1 to 1": "各层增益减去均值后的平均相关，-1 到 1",
    "how much nearer layers at one place are than others, 1 for equal curves, 0 for no nearer": ""
    "同一位置的层比其他层更接近的程度，1 为曲线相同，0 为并不更近",
    "correlation of the two tables of likeness between tokens, -1 to 1": "两张词元相似表的相关，-1 到 1",
    "overlap of the two spaces beyond chance, 1 for the same, 0 for two random ones": ""
    "两个空间超出偶然的重合，1 为相同，0 相当于两个随机空间",
    "share of the smaller code's fingerprints beyond the framework that the other has, 0 to 1": ""
    "较小一方的代码指纹（除去框架代码）在另一方出现的比例，0 到 1",
    "rank correlation of the matching with the order in the file, -1 to 1": "配对结果与文件中次序的秩相关，-1 到 1",
    "mean likeness of units at one place above that of other units; strangers 0, copies about 1": ""
    "同一位置的单元比其他单元平均多出的相似度；陌生模型为 0，副本约为 1",
    "share of the learned numbers found on the other side, 0 to 1": "在另一方找到的学习参数所占比例，0 到 1",
}


def translated(sentence: str, language: Language) -> str:
    """What a tool says in English; as it is where it has no Chinese."""
    return CHINESE.get(sentence) or ABSTENTIONS.get(sentence, sentence) if language == "zh" else sentence
