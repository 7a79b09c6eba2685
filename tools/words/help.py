"""What --help says of the commands and of what they take."""

from __future__ import annotations

from tools.words.forms import Words

HELP: dict[str, Words] = {
    "tools": {"en": "Is model X a copy of model Y?", "zh": "模型 X 是不是模型 Y 的复制品？"},
    "compare": {"en": "compare two models, or many pairs", "zh": "比较两个模型，或许多对模型"},
    "describe": {"en": "say what a model's files hold", "zh": "说明模型文件里有什么"},
    "stress": {
        "en": "disguise a model in every known way and try to recognise it",
        "zh": "用每种已知方式伪装一个模型，看能否认出来",
    },
    "behave": {
        "en": "run two language models on the same prompts, clean and with noise",
        "zh": "让两个语言模型回答同样的提示，包括加入噪声之后",
    },
    "cache": {
        "en": "show what was kept of models on a hub and of comparisons, and where",
        "zh": "显示保存了哪些平台模型的数据和比较结果，以及保存在哪里",
    },
    "base": {"en": "a model that both may come from", "zh": "两者可能共同来自的模型"},
    "parents": {"en": "X may be a merge of Y and of these models", "zh": "X 可能由 Y 和这些模型合并而成"},
    "pairs": {
        "en": "columns a, b, base, parents; one JSON object a line",
        "zh": "列名为 a、b、base、parents；每行输出一个 JSON 对象",
    },
    "behave_too": {"en": "also run both models and fill `behaviour`", "zh": "同时运行两个模型，并填写 `behaviour`"},
    "full": {"en": "read all layers and values of large models", "zh": "读取大模型的所有层和所有数值"},
    "fresh": {"en": "measure anew what was measured and kept before", "zh": "以前测过并保存的结果也重新测量"},
    "control": {"en": "a stranger to hold them against", "zh": "作为对照的无关模型"},
    "clear": {"en": "remove it", "zh": "全部删除"},
    "json": {"en": "print JSON", "zh": "输出 JSON"},
    "lang": {"en": "language of the text", "zh": "文字所用的语言"},
    "seed": {"en": "number that fixes what is drawn by chance", "zh": "固定随机抽取的种子"},
}
