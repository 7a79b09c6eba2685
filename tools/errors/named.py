"""What is wrong with a model that was named: it is not there, or not whole."""

from __future__ import annotations

NAMED: dict[str, dict[str, tuple[str, str]]] = {
    "not_found": {
        "en": (
            "There is no file or folder called “{name}”.",
            "Check the spelling, or give the full path of the model's folder.",
        ),
        "zh": ("找不到名为“{name}”的文件或文件夹。", "请检查拼写，或给出模型文件夹的完整路径。"),
    },
    "unknown_address": {
        "en": (
            "“{name}” is not the address of a model that can be read here.",
            "Give the link to a model on Hugging Face, its name as owner/name, or the path of a folder of yours.",
        ),
        "zh": (
            "“{name}”不是此处能够读取的模型地址。",
            "请给出模型在 Hugging Face 上的链接、形如 owner/name 的名称，或本机文件夹的路径。",
        ),
    },
    "hub_other_page": {
        "en": (
            "“{name}” leads to a page of the hub that is not a model's, such as a data set or a Space.",
            "Give the link to the model's own page, or its name as owner/name.",
        ),
        "zh": (
            "“{name}”指向平台上的其他页面（例如数据集或 Space），不是模型。",
            "请给出模型自己的页面链接，或形如 owner/name 的名称。",
        ),
    },
    "not_allowed": {
        "en": (
            "This page compares only the exhibits, so “{name}” was not opened.",
            "Choose one of the exhibits, or run the tool on your own computer to compare your own files.",
        ),
        "zh": (
            "本页面只比较展品，因此没有打开“{name}”。",
            "请从展品中选择，或在自己的电脑上运行本工具来比较自己的文件。",
        ),
    },
    "empty_folder": {
        "en": (
            "The folder “{name}” is empty.",
            "Give the folder that holds the model's files, such as model.safetensors and config.json.",
        ),
        "zh": (
            "文件夹“{name}”是空的。",
            "请给出存放模型文件（例如 model.safetensors 和 config.json）的文件夹。",
        ),
    },
    "no_model_here": {
        "en": (
            "The folder “{name}” holds no weights, configuration or tokenizer of a model.",
            "Give the folder with .safetensors or PyTorch files, perhaps one inside it, or name the file itself.",
        ),
        "zh": (
            "文件夹“{name}”里没有模型的权重、配置或分词器。",
            "请给出含有 .safetensors 或 PyTorch 文件的文件夹（可能是它的子文件夹），或直接给出权重文件。",
        ),
    },
    "several_models": {
        "en": (
            "“{name}” holds {count} weight files, among them “{file}” and “{other}”, and nothing says which is meant.",
            "Add the file's name, as in “{address}/{file}”; parts of one model need the index that lists them.",
        ),
        "zh": (
            "文件夹“{name}”里有 {count} 个权重文件，其中有“{file}”和“{other}”，无法判断指的是哪一个。",
            "请加上所指文件的名称，例如“{address}/{file}”；如果它们是同一个模型的分片，请补上列出各分片的索引文件。",
        ),
    },
    "several_in_archive": {
        "en": (
            "“{name}” holds {count} weight files, among them “{file}” and “{other}”, and nothing says which is meant.",
            "Unpack it and give the path of the file you mean; parts of one model need the index that lists them.",
        ),
        "zh": (
            "压缩包“{name}”里有 {count} 个权重文件，其中有“{file}”和“{other}”，无法判断指的是哪一个。",
            "请先解压，再给出所指文件的路径；如果它们是同一个模型的分片，请补上列出各分片的索引文件。",
        ),
    },
    "tensor_twice": {
        "en": (
            "“{file}” and “{other}” lie there as parts of one model, but both hold the tensor “{tensor}”.",
            "Download the model anew into an empty folder, or put files of other models elsewhere.",
        ),
        "zh": (
            "“{file}”和“{other}”看起来是同一个模型的分片，但两者都含有张量“{tensor}”。",
            "请把模型重新下载到空文件夹，或把其他模型的文件移到别处。",
        ),
    },
    "no_weights": {
        "en": (
            "“{name}” comes without weights, so no values can be read from it.",
            "Download its weight files into the same folder and try again.",
        ),
        "zh": ("“{name}”没有附带权重，因此读不到任何数值。", "请把权重文件下载到同一文件夹后重试。"),
    },
    "missing_shard": {
        "en": (
            "“{name}” is incomplete: {count} of its {total} weight files are missing, first “{file}”.",
            "Download the missing files into the same folder and try again.",
        ),
        "zh": (
            "模型“{name}”不完整：{total} 个权重文件里缺少 {count} 个，首先缺少的是“{file}”。",
            "请把缺少的文件下载到同一文件夹后重试。",
        ),
    },
}
