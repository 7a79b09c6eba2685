"""What is wrong with a question."""

from __future__ import annotations

ASKED: dict[str, dict[str, tuple[str, str]]] = {
    "stress_too_large": {
        "en": (
            "“{name}” is larger than {limit}; disguising it whole in every known way would take hours and much memory.",
            "Try a smaller model of the same family, or compare this one with an unrelated one: copies are planted in "
            "it then, and the answer says how loud a disguise would have been noticed.",
        ),
        "zh": (
            "“{name}”超过 {limit}，若把它整个按每种已知方式逐一伪装，要花几个小时，也很占内存。",
            "请换同一系列中较小的模型来试；想知道在这个模型上多大的改动还能被发现，可以拿它与一个无关的模型比较：比较时会在其中埋下副本来检验。",
        ),
    },
    "adapter_alone": {
        "en": (
            "“{name}” is only an adapter, a small change to a base model, and cannot be held against a whole model.",
            "Name it together with the base it was trained on, as BASE+ADAPTER.",
        ),
        "zh": (
            "“{name}”只是一个适配器（对基座模型的小改动），无法与完整的模型相比。",
            "请把它与训练时所用的基座一起写出，格式为 基座+适配器。",
        ),
    },
    "bad_adapter": {
        "en": (
            "The adapter “{file}” cannot be joined to “{name}”: {why}.",
            "Name the base it was trained on and a LoRA adapter, as BASE+ADAPTER.",
        ),
        "zh": (
            "适配器“{file}”无法与“{name}”合并：{why}。",
            "请写出训练时所用的基座和一个 LoRA 适配器，格式为 基座+适配器。",
        ),
    },
    "different_kinds": {
        "en": (
            "No two tensors of “{a}” and “{b}” can be compared, because the models are of different kinds.",
            "Choose two models of the same kind, for example two language models.",
        ),
        "zh": (
            "“{a}”和“{b}”没有任何可以相互比较的张量，因为它们不是同一类模型。",
            "请选择两个同类的模型，例如两个语言模型。",
        ),
    },
    "not_a_language_model": {
        "en": (
            "“{name}” cannot be run as a language model here.",
            "Choose a language model with its tokenizer, or compare the weights, which needs no running.",
        ),
        "zh": (
            "“{name}”无法在此作为语言模型运行。",
            "请选择带有分词器的语言模型，或改为比较权重，那不需要运行模型。",
        ),
    },
    "two_models_needed": {
        "en": (
            "A comparison needs two models.",
            "Name both, as in: python -m tools compare MODEL_X MODEL_Y.",
        ),
        "zh": ("比较需要两个模型。", "请写出两个模型，例如：python -m tools compare MODEL_X MODEL_Y。"),
    },
    "too_many_parents": {
        "en": (
            "The possible parents must be a list of at most {limit} models.",
            "Name only those of which the first model may be a merge.",
        ),
        "zh": ("可能的母模型要以列表给出，最多 {limit} 个。", "请只写第一个模型可能由哪些模型合并而成。"),
    },
    "bad_pairs_file": {
        "en": (
            "The list of pairs “{file}” cannot be used.",
            "Give a CSV file in UTF-8 with the columns a, b and, where known, base and parents, one pair on each line.",
        ),
        "zh": (
            "模型对列表“{file}”无法使用。",
            "请给出 UTF-8 编码的 CSV 文件，列名为 a、b，以及已知时的 base 和 parents，每行一对。",
        ),
    },
    "broken": {
        "en": (
            "Something broke on our side, so there is no result.",
            "Try again; if it happens twice, the log of the server says why.",
        ),
        "zh": ("我们这边出了故障，因此没有结果。", "请再试一次；若再次发生，服务器的日志会写明原因。"),
    },
}
