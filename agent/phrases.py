"""Every sentence of the assistant's own, in English and Chinese side by side. Verdicts are worded by tools.report."""

from __future__ import annotations

from collections.abc import Mapping

TEXTS: Mapping[str, tuple[str, str]] = {
    # --- questions back ---
    "ask_other": (
        "You named one model, {name}. Which model should I hold it against? Give me its folder or file.",
        "你只说了一个模型：{name}。要拿它和哪个模型比？请给出那个模型的文件夹或文件。",
    ),
    "ask_other_from": (
        "You named one model, {name}. Which model should I hold it against? For example {choices}.",
        "你只说了一个模型：{name}。要拿它和哪个模型比？例如 {choices}。",
    ),
    "ask_other_behave": (
        "To compare how models behave I need two. I have {name}. Which is the other one?",
        "比较行为需要两个模型。现在有 {name}，另一个是哪个？",
    ),
    "ask_models": (
        "Gladly. Which two models? Give me two folders or files, for example: Is {a} a copy of {b}?",
        "好的。是哪两个模型？请给出两个文件夹或文件，例如：{a} 是 {b} 的复制品吗？",
    ),
    "ask_model": (
        "Gladly. Which model? Give me its folder or file, for example {a}.",
        "好的。是哪个模型？请给出它的文件夹或文件，例如 {a}。",
    ),
    "ask_which": (
        "Which one do you mean: {choices}?",
        "你指的是哪一个：{choices}？",
    ),
    "ask_wish": (
        "Yes to what? Name two models to compare, or ask about the last result.",
        "你想要我做什么？可以说出两个模型来比较，也可以问上一个结果。",
    ),
    "nothing_measured": (
        "Nothing has been measured in this conversation yet. Name two models and I will compare them.",
        "这次对话里还没有测量过什么。说出两个模型，我就来比较。",
    ),
    # --- the conversation ---
    "hello": (
        "Hello. Name two AI models, and I will find out whether one was made from the other. "
        "For example: Is {a} a copy of {b}?",
        "你好。说出两个 AI 模型，我来查一个是不是由另一个做出来的。例如：{a} 是 {b} 的复制品吗？",
    ),
    "thanks": (
        "You're welcome. Ask on whenever you like.",
        "不客气。想到什么随时再问。",
    ),
    "bye": ("Goodbye.", "再见。"),
    "fine": (
        "I'm a program, and I'm running well. Which two models are you wondering about?",
        "我是一个程序，运行正常。你想了解哪两个模型？",
    ),
    "cancelled": (
        "All right, I run nothing. Say so when you want something measured.",
        "好，什么都不运行。想测的时候再告诉我。",
    ),
    "no_thanks": (
        "All right, we leave it at that. You can still ask how sure I am, why, or what the result does not mean.",
        "好，那就到这里。你还可以问：有多大把握、为什么、这个结果不能说明什么。",
    ),
    "help": (
        "I compare two AI models by the numbers inside them, their *weights*, and say whether one was made from the "
        "other, how sure that is, and what it does not mean. You can ask:\n\n"
        "- Is {a} a copy of {b}?\n"
        "- Describe {b}.\n"
        "- Which disguises would you see through with {b}?\n"
        "- What does \"wrapper\" mean? What happened in the Llama3-V case?\n"
        "- Afterwards: How sure are you? Why? And compared with another one? Give me the report.\n\n"
        "I need the model files on this computer. I cannot say who did something, why, or whether it was allowed. "
        "{who}",
        "我比较两个 AI 模型里面的数字，也就是*权重*，然后告诉你：一个是不是由另一个做出来的，有多大把握，"
        "以及这不能说明什么。你可以问：\n\n"
        "- {a} 是不是抄了 {b}？\n"
        "- 介绍一下 {b}。\n"
        "- 给 {b} 做压力测试：怎样伪装还认得出？\n"
        "- “套壳”是什么意思？Llama3-V 事件是怎么回事？\n"
        "- 得到结果之后：有多大把握？为什么？和另一个比呢？给我一份报告。\n\n"
        "模型文件要在这台电脑上。谁做的、为什么做、允许不允许，我说不了。{who}",
    ),
    "examples": (
        "These models are shipped with me, so you can try at once:\n\n{list}\n\nFor example: Is {a} a copy of {b}?",
        "这些模型随本工具提供，可以马上试：\n\n{list}\n\n例如：{a} 是 {b} 的复制品吗？",
    ),
    "no_examples": (
        "No example models are installed here. Name two model folders of your own.",
        "这里没有安装示例模型。请给出你自己的两个模型文件夹。",
    ),
    "language_now": (
        "From now on I answer in English.",
        "从现在起我用中文回答。",
    ),
    "foreign": (
        "I speak English and Chinese, so here is my answer in English.",
        "我只会中文和英文，下面用中文回答。",
    ),
    "off_topic": (
        "That is outside what I know: no article of mine covers it. I can compare two AI models, or explain what "
        "wrapping, fine-tuning or a p-value is.",
        "这超出了我的范围，我的文章里没有讲到。我可以比较两个 AI 模型，也可以解释什么是套壳、微调或 p 值。",
    ),
    "no_article": (
        "No article of mine covers this question, and I would rather not guess. If you mean two models whose files "
        "you have, give me their folders, for example {a}, and I will measure them.",
        "我的文章里没有讲到这个问题，我不想瞎猜。如果你说的是两个手头有文件的模型，请给出它们的文件夹，"
        "例如 {a}，我就来测量。",
    ),
    "empty": (
        "Your message was empty. Ask me, for example: Is {a} a copy of {b}?",
        "你的消息是空的。可以这样问：{a} 是 {b} 的复制品吗？",
    ),
    "unreadable": (
        "I could not read a question in that. Ask me, for example: Is {a} a copy of {b}?",
        "我没有看出你的问题。可以这样问：{a} 是 {b} 的复制品吗？",
    ),
    "too_long": (
        "That is a long message; I read questions of up to {limit} characters. Please ask in a few sentences.",
        "这条消息太长了，我最多读 {limit} 个字符。请用几句话来问。",
    ),
    "code": (
        "I don't run or review code; I compare models by their weights. Name two model folders, for example {a} "
        "and {b}.",
        "我不运行也不评审代码，我比较的是模型的权重。请给出两个模型文件夹，例如 {a} 和 {b}。",
    ),
    # --- fairness ---
    "quoted_word": (
        "You wrote “{word}”. That is a word about people and rules; I can only say what the numbers in the files show.",
        "你用了“{word}”这个词。那是对人和规则的评判；我只能说文件里的数字显示了什么。",
    ),
    "pressed": (
        "I can't choose the answer, and neither can you or I by asking for it: a fixed rule reads it off the "
        "measurements.",
        "答案不是我能挑的，谁要求也不行：它由一条固定的规则从测量结果中得出。",
    ),
    "pressed_result": (
        "What was measured stays the same: {headline}",
        "测出来的结果不变：{headline}",
    ),
    "pressed_nothing": (
        "Nothing has been measured yet. Name two models and I will measure them.",
        "现在还没有测量过什么。说出两个模型，我就来测。",
    ),
    "people": (
        "I can't judge people. Weights show how two files are related. They do not show who did it, why, what they "
        "knew, or what was agreed.",
        "我不能评判人。权重能显示两个文件有什么关系，却显示不了是谁做的、为什么做、当事人知道什么、双方有过什么约定。",
    ),
    "people_next": (
        "If you think something is wrong, first ask the other side, keep the files, and let someone neutral repeat "
        "the measurement.",
        "如果你觉得有问题，先问一问对方，把文件留好，再请中立的人重测一遍。",
    ),
    "closed": (
        "I can't check {name}. I compare weights, and those of {name} are not public, so there is nothing to measure.",
        "我查不了 {name}。我比较的是权重，而 {name} 的权重没有公开，也就没有东西可以测量。",
    ),
    "closed_next": (
        "If you have the files of two models, give me their folders.",
        "如果你手头有两个模型的文件，请把文件夹告诉我。",
    ),
    # --- a verdict ---
    "sure": ("**How sure:** {text}", "**有多大把握：**{text}"),
    "why": ("**Why:**", "**为什么：**"),
    "not_meaning": ("**What it does not mean:** {text}", "**这不意味着：**{text}"),
    "next": ("**What to do next:** {text}", "**下一步：**{text}"),
    "read_more": ("**Read more:** {list}", "**延伸阅读：**{list}"),
    "offer_behave": (
        "Shall I also run both models on a few prompts and see whether they answer, and fail, alike?",
        "要不要我再把两个模型都运行一下，看看它们答对和答错的地方是不是一样？",
    ),
    "offer_stress": (
        "Shall I try it on {name}: add the changes one by one and see which I still see through?",
        "要不要我拿 {name} 试一试：一种一种地加上改动，看看哪些我还认得出？",
    ),
    "compared": ("{a} and {b}: ", "{a} 与 {b}："),
    "several": (
        "I held {a} against {count} models, one after the other.",
        "我拿 {a} 依次和 {count} 个模型作了比较。",
    ),
    "instead": (
        "Corrected: I looked at {list} instead.",
        "已更正：改看 {list}。",
    ),
    # --- what was measured, again ---
    "about_pair": ("About {a} and {b}:", "关于 {a} 和 {b}："),
    "scale": (
        "The strength is read on a scale of five words: weak, moderate, strong, very strong, extremely strong. "
        "Here it is **{word}**.",
        "证据强度用五个词来表示：弱、中等、强、很强、极强。这里是**{word}**。",
    ),
    "chance": (
        "Could it be chance? If the two had been trained apart, agreement this good would come up {odds}. {cite}",
        "会是巧合吗？如果两个模型是各自训练的，碰巧相符到这个程度的机会{odds}。{cite}",
    ),
    "chance_fits": (
        "The deciding checks found no more agreement than chance gives. {cite}",
        "参与判断的检查所见，并不比偶然的相符更多。{cite}",
    ),
    "chance_none": (
        "No chance is given here, because nothing that decides could be tested.",
        "这里没有给出偶然的概率，因为没有哪项能作判断的检查可以进行。",
    ),
    "not_percent": (
        "This is not the percentage of being right: it says how hard the numbers would be to explain between strangers.",
        "这不是“答对的百分比”，而是说：假如两者毫无关系，这些数字有多难解释。",
    ),
    "sure_limits": ("What keeps it from being certain: {text}", "为什么仍不是绝对的：{text}"),
    "power": (
        "What would have been caught: {list}.",
        "什么样的改动本来会被发现：{list}。",
    ),
    "power_unknown": (
        "This result does not say how large a change would have been caught.",
        "这个结果没有说明多大的改动会被发现。",
    ),
    "abstained": (
        "{count} checks could not be made here and were left out.",
        "有 {count} 项检查在这里做不了，没有计入。",
    ),
    "abstained_one": ("One check could not be made here and was left out.", "有一项检查在这里做不了，没有计入。"),
    "context": (
        "Equal settings, tokenizers or names never decide; unrelated models often share them.",
        "配置、分词器或名称相同从不作为判断依据，毫无关系的模型也常常相同。",
    ),
    "number_found": (
        "{number} is what this check measured: {question} (unit: {unit}). {cite}",
        "{number} 是这项检查测得的数值：{question}（单位：{unit}）。{cite}",
    ),
    "number_p": (
        "{number} is a logarithm of a chance: it says that two strangers would agree this well {odds}. {cite}",
        "{number} 是概率的对数，意思是：两个毫无关系的模型碰巧相符到这个程度的机会{odds}。{cite}",
    ),
    "number_other": (
        "{number} stands among the measurements, but not as the main number of a check. The main numbers are:",
        "{number} 在测量记录里，但不是某项检查的主要数值。主要数值如下：",
    ),
    "numbers": ("These are the numbers that the answer rests on:", "答案所依据的数字如下："),
    "number_line": ("{question} Measured: {number} ({unit}).", "{question}测得：{number}（{unit}）。"),
    "number_line_p": (
        "{question} Measured: {number} ({unit}); two strangers would do as well {odds}.",
        "{question}测得：{number}（{unit}）；毫无关系的两个模型碰巧如此的机会{odds}。",
    ),
    "plot": (
        "The picture shows, layer by layer, how well the two models agree. 1 means the same; strangers lie near 0.",
        "这张图一层一层地显示两个模型有多一致。1 表示相同，毫无关系的模型在 0 附近。",
    ),
    "plot_series": (
        "{name}: over {count} layers the agreement lies between {low} and {high}; the middle one is {middle}. {cite}",
        "{name}：在 {count} 层里，一致程度在 {low} 到 {high} 之间，中间的一层是 {middle}。{cite}",
    ),
    "plot_one": ("{name}: in the one layer it looked at, the agreement is {middle}. {cite}", "{name}：所看的一层里，一致程度是 {middle}。{cite}"),
    "plot_none": (
        "This result has no picture: no check could be made layer by layer.",
        "这个结果没有图：没有哪项检查能够逐层进行。",
    ),
    "series_unit_order": ("Order of the hidden units", "隐藏单元的次序"),
    "series_unit_partners": ("Hidden units after matching", "配对之后的隐藏单元"),
    "direction_a_from_b": ("{a} comes from {b}, not the other way round.", "{a} 来自 {b}，而不是反过来。"),
    "direction_b_from_a": ("{b} comes from {a}, not the other way round.", "{b} 来自 {a}，而不是反过来。"),
    "direction_unknown": (
        "The weights do not say which came first. Dates of release, training logs or a common base can.",
        "权重看不出谁先谁后。发布日期、训练日志或共同的底座才能说明。",
    ),
    "direction_none": (
        "There is no direction to find, because no link was found.",
        "没有发现两者有联系，也就谈不上谁来自谁。",
    ),
    "change_mind_linked": (
        "Three things would. A common base: if both were made from a third model, name it and I compare again with it. "
        "A stranger of the same recipe that agrees as well: then the agreement would mean little. And a second "
        "measurement, by someone else, that does not come out the same.",
        "有三件事会。一是共同的底座：如果两者都由第三个模型做成，请说出它，我把它加进来重新比。"
        "二是同样配方、毫无关系的模型也这样相符：那么这种相符就说明不了什么。三是别人重测一遍，得不到同样的结果。",
    ),
    "change_mind_independent": (
        "A named base or a part of the models that I did not look at could. So could a change larger than those I would "
        "have caught, or training that replaced nearly everything. Learning from the other model's replies "
        "(distillation) leaves no trace in the weights.",
        "有可能：比如你说出一个共同的底座，或者有我没看到的部件；又比如改动比我能发现的更大，或者训练把几乎所有数字都换掉了。"
        "另外，向另一个模型的回答学习（蒸馏）不会在权重里留下痕迹。",
    ),
    "change_mind_undecided": (
        "More evidence would: the weights themselves where they are missing, or the base that both may come from.",
        "更多的证据会：缺少权重的话补上权重，或者说出两者可能共同的底座。",
    ),
    "what_if_linked": (
        "This pair was recognised as it is. The checks do not depend on names, and matching the units undoes a new "
        "order. I have not tried further changes on this pair.",
        "这一对在现在的样子下已经认出来了。检查不看名称，单元打乱了次序也能重新配对。再加别的改动，我还没有在这一对上试过。",
    ),
    "what_if_noise": (
        "As for noise: the largest amount that would have been caught here is {amount}, as a share of the spread of the "
        "weights.",
        "说到噪声：在这一对上能够发现的最大噪声是 {amount}（以权重自身的起伏为 1）。",
    ),
    "what_if_measured": (
        "I tried that on {name}: of {count} changes I still recognised {kept}.",
        "我在 {name} 上试过：{count} 种改动里，还认得出的有 {kept} 种。",
    ),
    "what_if_independent": (
        "Nothing links these two as they are.",
        "这两个模型在现在的样子下没有联系。",
    ),
    "report_intro": ("Here is the report. You can copy it whole.", "这是报告，可以整篇复制。"),
    "trouble": ("The last check did not come through: {text}", "上一次检查没有完成：{text}"),
    # --- other tools ---
    "described": ("**{name}**", "**{name}**"),
    "d_parameters": ("{count} learned numbers in {tensors} tables", "{count} 个学到的数字，分在 {tensors} 张表里"),
    "d_no_weights": ("no weights here, only descriptions", "这里没有权重，只有说明文件"),
    "d_size": ("{size} on disk", "文件大小 {size}"),
    "d_format": ("stored as {format}", "存储格式 {format}"),
    "d_types": ("number types: {types}", "数值类型：{types}"),
    "d_layers": ("{layers} layers", "{layers} 层"),
    "d_width": ("width {width}", "宽度 {width}"),
    "d_units": ("{units} hidden units per layer", "每层 {units} 个隐藏单元"),
    "d_vocabulary": ("knows {count} tokens (pieces of words)", "词表有 {count} 个词元（字词的碎片）"),
    "d_architecture": ("declared design: {architecture}", "自称的结构：{architecture}"),
    "d_claims": (
        "The design is what the files declare. It says nothing about where the weights come from.",
        "结构是文件自己写的，说明不了权重从哪里来。",
    ),
    "stressed": (
        "I changed {name} in {count} ways and asked each time whether it is still the same model. I recognised it "
        "{kept} times.",
        "我用 {count} 种方式改动了 {name}，每次都问：还是同一个模型吗？认出来的有 {kept} 次。",
    ),
    "recognised": ("recognised", "认出来了"),
    "not_applicable": ("does not apply to this model", "不适用于这个模型"),
    "missed": ("not recognised", "没认出来"),
    "stressed_note": (
        "“Not recognised” shows a limit of this tool: such a disguise could hide a copy from it.",
        "“没认出来”是本工具的局限：这样的伪装可能让复制品躲过去。",
    ),
    "behaved": (
        "I ran {a} and {b}, and a control model beside them, on the same {count} short prompts.",
        "我让 {a}、{b} 和一个作对照的模型回答了同样的 {count} 道小题。",
    ),
    "behaved_same": (
        "Same answer: the two in {pair} of cases; the control and {b} in {control}.",
        "答案相同：这两个模型有 {pair}；对照与 {b} 有 {control}。",
    ),
    "behaved_wrong": (
        "Same mistake, where both were wrong: the two in {pair} of cases; the control and {b} in {control}.",
        "都答错时错得一样：这两个模型有 {pair}；对照与 {b} 有 {control}。",
    ),
    "behaved_noise": (
        "With the same noise of {noise} added to both, they still give the same answer in {pair} of cases; the control in {control}.",
        "给双方加上同样的 {noise} 噪声之后，答案仍相同的有 {pair}；对照有 {control}。",
    ),
    "behaved_divergence": (
        "Guesses of the next piece of text, 0 for the same and 1 for nothing in common: {pair} apart; the control {control}.",
        "对下一个词的猜测（0 为相同，1 为毫无共同之处）：相差 {pair}；对照相差 {control}。",
    ),
    "behaved_closer": (
        "On each of these the two are closer to each other than the control is.",
        "在每一项上，这两个模型彼此都比对照更接近。",
    ),
    "behaved_not_closer": (
        "They are not closer to each other than the control on all of these.",
        "并不是每一项上这两个模型都比对照更接近。",
    ),
    "nothing_to_count": ("nothing to count", "没有可数的"),
    "behaved_note": (
        "Behaviour is a weaker sign than weights: models that read the same texts also answer alike.",
        "行为是比权重弱的迹象：读过同样文章的模型，回答也会相像。",
    ),
    "limits": ("Limits: {text}", "局限：{text}"),
    # --- tools at work ---
    "tool_compare": ("Comparing {a} with {b}", "正在比较 {a} 和 {b}"),
    "tool_compare_base": ("Comparing {a} with {b}, base {base}", "正在比较 {a} 和 {b}，底座是 {base}"),
    "tool_describe": ("Reading {name}", "正在读取 {name}"),
    "tool_stress": ("Changing {name} step by step to see what is still recognised", "正在一步步改动 {name}，看还认不认得出"),
    "tool_behave": ("Running {a} and {b} on the same prompts", "正在让 {a} 和 {b} 回答同样的题目"),
    "tool_search": ("Looking up the articles", "正在查阅文章"),
    "step_open": ("Opening the models", "打开模型"),
    "step_power": ("Planting a copy to see whether it would be found", "埋一个副本，看看能不能查出来"),
    "step_run_a": ("Running the first model", "运行第一个模型"),
    "step_run_b": ("Running the second model", "运行第二个模型"),
    "step_run_control": ("Running the control", "运行对照模型"),
    "step_compare": ("Comparing the answers", "比较答案"),
    "step_done": ("done", "完成"),
    "step_abstained": ("cannot be made here", "在这里做不了"),
    "stopped": ("Stopped. No verdict was reached.", "已停止，没有得出结论。"),
    "stopped_tool": ("Stopped by you.", "已按你的要求停止。"),
    "broken": (
        "Something went wrong on my side, so there is no result. Please ask again; the log says why.",
        "我这边出了问题，所以没有结果。请再问一次；原因记在日志里。",
    ),
    "busy": (
        "Your last question is still being finished. Please ask again in a moment.",
        "上一个问题还在收尾，请稍后再问。",
    ),
    "not_named": (
        "I only open models that you named in this conversation.",
        "我只打开你在这次对话里说过的模型。",
    ),
    "withheld": (
        "I could not word this without going beyond the evidence, so I leave it unsaid. The evidence itself is unchanged.",
        "这段话我没法在不超出证据的前提下说清楚，所以不说了。证据本身没有变化。",
    ),
    "badge_guide": (
        "My sentences come from fixed rules; no language model is used.",
        "我的句子来自固定的规则，没有使用语言模型。",
    ),
    "badge_model": (
        "My sentences are worded by {name} and checked against the evidence; where a check fails, fixed rules speak.",
        "我的句子由 {name} 撰写，并对照证据检查；检查不通过时，由固定的规则来说。",
    ),
    "badge_missing": (
        "The language model set in AGENT_MODEL is not available ({why}), so fixed rules word the text.",
        "AGENT_MODEL 里设置的语言模型用不了（{why}），所以由固定的规则来写。",
    ),
    "why_extra": ("install the package {package}", "请安装软件包 {package}"),
    "why_failed": ("it could not be started", "无法启动"),
    # --- chips: each is a message that intent.py understands ---
    "chip_sure": ("How sure are you?", "有多大把握？"),
    "chip_why": ("Why?", "为什么？"),
    "chip_limits": ("What does it not mean?", "这不能说明什么？"),
    "chip_simple": ("Explain it like I'm twelve", "请说得通俗一点"),
    "chip_engineer": ("Show all the numbers", "给我看所有数字"),
    "chip_report": ("Give me the report", "给我一份报告"),
    "chip_behave": ("Yes, run both models", "好的，运行两个模型"),
    "chip_change_mind": ("What would change your mind?", "什么情况会推翻这个结论？"),
    "chip_what_if": ("What if they had added more noise?", "如果他们加了更多噪声呢？"),
    "chip_stress": ("Stress test {name}", "给 {name} 做压力测试"),
    "chip_describe": ("Describe {name}", "介绍一下 {name}"),
    "chip_compare": ("Is {a} a copy of {b}?", "{a} 是 {b} 的复制品吗？"),
    "chip_help": ("What can you do?", "你能做什么？"),
    "chip_examples": ("Which examples are there?", "有哪些例子？"),
    "chip_wrapping": ("What does wrapping mean?", "套壳是什么意思？"),
    "chip_case": ("What happened in the Llama3-V case?", "Llama3-V 事件是怎么回事？"),
    # --- like I'm twelve ---
    "child_picture": (
        "A model is a very long list of numbers. Training starts from dice and then changes every number a little, "
        "millions of times. So two models that grew up apart look as different as two people's fingerprints.",
        "一个模型就是一长串数字。训练从掷骰子开始，再把每个数字一点一点地改上许许多多遍。"
        "所以，各自长大的两个模型，就像两个人的指纹一样不同。",
    ),
    "child_identical": ("Here the two lists are the same, number for number.", "这里的两串数字，一个一个都一样。"),
    "child_disguised_copy": (
        "Here the two lists are the same once you clear away a disguise, like a photo with some static over it.",
        "这里的两串数字，去掉一层伪装之后就一样了，好比一张照片上撒了点雪花。",
    ),
    "child_derived": (
        "Here one list was the start of the other: somebody took it and trained it further.",
        "这里一串数字是另一串的起点：有人拿来接着训练了。",
    ),
    "child_shared_part": (
        "Here one piece of the two lists matches, and the rest does not.",
        "这里两串数字只有一部分对得上，其余的对不上。",
    ),
    "child_common_origin": (
        "Here both lists grew from the same parent, like two brothers. Neither was made from the other.",
        "这里两串数字出自同一个“父母”，像兄弟俩，谁也不是由谁做出来的。",
    ),
    "child_independent": (
        "Here the two lists have no more in common than strangers do.",
        "这里的两串数字，并不比陌生人之间更像。",
    ),
    "child_undecided": (
        "Here I could not look closely enough to tell.",
        "这里我看得不够清楚，说不准。",
    ),
    # --- our own words ---
    "word_identical": (
        "“Identical” means: the same numbers. File names or packing may differ.",
        "“完全相同”的意思是：数字都一样，文件名或打包方式可以不同。",
    ),
    "word_disguised_copy": (
        "“Disguised copy” means: the same weights, once a change that needs no training is undone, such as noise, "
        "rounding or a new order. It names the change; it does not say that anyone meant to hide.",
        "“改头换面的复制品”的意思是：撤销一种不用训练的改动（加噪声、取整、打乱次序）之后，权重是一样的。"
        "它说的是改动的种类，不是说有人存心隐瞒。",
    ),
    "word_derived": (
        "“Derived” means: one model was trained or edited on from the other.",
        "“衍生而来”的意思是：一个模型是在另一个的基础上继续训练或修改的。",
    ),
    "word_shared_part": (
        "“Shared part” means: only some parts of the two models are related.",
        "“部分相同”的意思是：两个模型只有一部分有关系。",
    ),
    "word_common_origin": (
        "“Common origin” means: both come from a third model or from one start, and neither from the other.",
        "“同出一源”的意思是：两者都来自第三个模型或同一个起点，彼此并无先后。",
    ),
    "word_independent": (
        "“Independent” means: no sign of shared weights was found, and the report adds what would have been caught.",
        "“相互独立”的意思是：没有发现共用权重的迹象，并且写明什么样的改动本来会被发现。",
    ),
    "word_undecided": (
        "“Undecided” means: the findings do not carry an answer. It is no suspicion.",
        "“无法判断”的意思是：证据不足以给出答案。这不等于可疑。",
    ),
    "word_same_values": (
        "“Same values” asks: do the two files hold the same numbers, under whatever names?",
        "“数值相同”这项检查问的是：不管叫什么名字，两个文件里的数字一样吗？",
    ),
    "word_unit_order": (
        "“Unit order” asks: do both models number their hidden units in the same order? The order is settled by dice at "
        "the start of training, so strangers do not share it.",
        "“单元次序”问的是：两个模型给隐藏单元编号的次序一样吗？这个次序在训练开始时由掷骰子决定，毫无关系的模型不会相同。",
    ),
    "word_unit_partners": (
        "“Unit partners” asks: if each hidden unit looks for its double in the other model, do different tables agree on "
        "who that is? It works even after the units were put in a new order.",
        "“单元配对”问的是：让每个隐藏单元到另一个模型里找自己的搭档，不同的表选出的搭档一致吗？单元被打乱次序之后也管用。",
    ),
    "word_difference_shape": (
        "“Shape of the difference” asks what is left when one model is subtracted from the other: nothing, rounding, "
        "noise, or traces of training.",
        "“差异的形状”问的是：两个模型相减之后剩下什么：什么也没有、取整、噪声，还是训练的痕迹。",
    ),
    "word_shared_additions": (
        "“Shared additions” asks whether both models changed the common base in the same way.",
        "“共同的改动”问的是：两个模型对共同底座的改动是不是一样。",
    ),
    "word_same_tokenizer": (
        "“Same tokenizer” asks whether both models cut text into the same pieces. Many unrelated models do.",
        "“分词器相同”问的是：两个模型把文字切成碎片的方式一样吗？许多毫无关系的模型也一样。",
    ),
    "word_same_configuration": (
        "“Same configuration” asks whether both models declare the same design. Many unrelated models do.",
        "“配置相同”问的是：两个模型写明的结构一样吗？许多毫无关系的模型也一样。",
    ),
    "word_tensor_names": (
        "“Tensor names” asks whether the tables inside carry the same names. Names can be changed in a minute.",
        "“张量名称”问的是：里面的表格名字一样吗？名字一分钟就能改掉。",
    ),
    "word_hidden_unit": (
        "A hidden unit is one small part of a layer; it reacts to some pattern in the text. Its number in the list is "
        "arbitrary, which is what makes an equal order telling.",
        "隐藏单元是一层里的一个小部件，会对文字中的某种模式作出反应。它排在第几号是随意的，所以次序相同才说明问题。",
    ),
    "word_log10": (
        "“log10 p” counts zeros: minus three means once in a thousand, minus six once in a million.",
        "“log10 p”数的是有多少个零：负三就是千分之一，负六就是百万分之一。",
    ),
    "word_layer": (
        "A layer is one floor of a model: text goes in at the bottom, and each floor works on what the one below hands up.",
        "层就像模型的楼层：文字从底层进去，每一层都在下面一层的结果上继续加工。",
    ),
    # --- the checks and changes by name ---
    "unit_same_values": ("share of the learned numbers found on the other side, 1 is all", "在对方那里找得到的数字所占的比例，1 为全部"),
    "unit_unit_order": ("agreement of the order, 1 is the same, strangers near 0", "次序的一致程度，1 为相同，毫无关系时接近 0"),
    "unit_unit_partners": ("share of units with one partner, 1 is all", "搭档唯一的单元所占的比例，1 为全部"),
    "unit_difference_shape": ("size of the difference beside the weights, 0 is none", "差异相对于权重的大小，0 为没有差异"),
    "unit_shared_additions": ("agreement of the changes, 1 is the same", "改动的一致程度，1 为相同"),
    "unit_same_tokenizer": ("share of tokens that both have, 1 is all", "双方都有的词元所占的比例，1 为全部"),
    "unit_same_configuration": ("share of equal settings, 1 is all", "相同设置所占的比例，1 为全部"),
    "unit_tensor_names": ("share of equal names after renaming, 1 is all", "改名之后相同的名称所占的比例，1 为全部"),
    "change_add_noise": ("noise added", "加入噪声"),
    "change_cast": ("stored in a coarser number type", "改用较粗的数值类型"),
    "change_rename_tensors": ("tables renamed", "给表格改名"),
    "change_shuffle_units": ("hidden units put in another order", "打乱隐藏单元的次序"),
    "change_shuffle_heads": ("attention heads put in another order", "打乱注意力头的次序"),
    "change_rotate_residual": ("inner coordinates rotated", "旋转内部坐标"),
    "change_prune": ("small weights set to zero", "把小的权重置零"),
    "change_round_weights": ("weights rounded", "给权重取整"),
    "decides": ("decides", "参与判断"),
    "only_context": ("context only", "仅作背景"),
    "engineer_line": ("{id} `{probe}`, {role}: {number}{chance}, n = {n}", "{id} `{probe}`，{role}：{number}{chance}，n = {n}"),
    "engineer_chance": ("; log10 p = {log10}", "；log10 p = {log10}"),
    "engineer_abstained": ("{id} `{probe}`, {role}: could not be made here", "{id} `{probe}`，{role}：在这里做不了"),
    "engineer": ("**All findings:**", "**全部发现：**"),
    "layer_series": ("per layer: {values}", "逐层：{values}"),
    "strength_none": ("none", "无"),
    "strength_weak": ("weak", "弱"),
    "strength_moderate": ("moderate", "中等"),
    "strength_strong": ("strong", "强"),
    "strength_very strong": ("very strong", "很强"),
    "strength_extremely strong": ("extremely strong", "极强"),
    "odds_power": ("less than once in 10^{power}", "不到 10^{power} 分之一"),
    "odds_plain": ("about once in {times}", "大约 {times} 分之一"),
    "odds_often": ("more often than once in ten", "超过十分之一"),
    "power_noise": ("added noise up to {amount} of the weights' own spread", "大小不超过权重自身起伏 {amount} 倍的噪声"),
    "power_reordered": ("re-ordered units with noise up to {amount} of the weights' own spread", "单元次序打乱、再加上大小不超过权重自身起伏 {amount} 倍的噪声"),
    "comma": (", ", "、"),
    "or": (" or ", "还是 "),
}


def say(language: str, key: str, **facts: object) -> str:
    """The sentence `key` with its facts filled in; raises KeyError for an unknown key. Other languages read English."""
    text = TEXTS[key][1 if language == "zh" else 0]
    return text.format(**facts) if facts else text


def knows(key: str) -> bool:
    """Whether there is a sentence of that name."""
    return key in TEXTS
