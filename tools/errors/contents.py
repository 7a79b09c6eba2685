"""What is wrong with the bytes of a file."""

from __future__ import annotations

CONTENTS: dict[str, dict[str, tuple[str, str]]] = {
    "truncated": {
        "en": (
            "The file “{file}” ends too early: part of it is missing.",
            "Download it again and check its size against the one given where it is published.",
        ),
        "zh": ("文件“{file}”不完整，末尾有缺失。", "请重新下载，并与发布页面给出的文件大小核对。"),
    },
    "bad_header": {
        "en": (
            "The file “{file}” does not keep to the format that its name stands for: {why}.",
            "Download it again, or save the model anew as safetensors.",
        ),
        "zh": (
            "文件“{file}”不符合其后缀所表示的格式：{why}。",
            "请重新下载，或把该模型重新保存为 safetensors 格式。",
        ),
    },
    "too_many_tensors": {
        "en": (
            "“{file}” lists more than the {limit} tensors that one model may have here.",
            "Check that this is the weights file of one model, and download it again.",
        ),
        "zh": (
            "文件“{file}”列出的张量超过了此处单个模型的上限 {limit} 个。",
            "请确认它是单个模型的权重文件，并重新下载。",
        ),
    },
    "no_tensors": {
        "en": (
            "The file “{file}” holds no tensors, so there is nothing to compare.",
            "Give the file that holds the model's weights.",
        ),
        "zh": ("文件“{file}”中没有张量，因此无可比较。", "请给出存放模型权重的文件。"),
    },
    "header_too_large": {
        "en": (
            "The header of “{file}” claims {size} bytes, more than the {limit} that the format allows.",
            "Check that this is the weights file of a model, and download it again.",
        ),
        "zh": (
            "文件“{file}”的头部声称有 {size} 字节，超过了该格式允许的 {limit}。",
            "请确认这是模型的权重文件，并重新下载。",
        ),
    },
    "overlapping_tensors": {
        "en": (
            "In “{file}” the tensor “{tensor}” claims bytes that belong to another tensor.",
            "Download the file again, or save the model anew with the safetensors library.",
        ),
        "zh": (
            "文件“{file}”中，张量“{tensor}”占用了属于另一个张量的字节。",
            "请重新下载，或用 safetensors 库重新保存该模型。",
        ),
    },
    "unsafe_pickle": {
        "en": (
            "“{file}” opens only by running Python code ({what}), so it was refused and nothing was run.",
            "Use the model's safetensors files, or ask its publisher for a file that holds only the weights.",
        ),
        "zh": (
            "打开文件“{file}”需要运行 Python 代码（{what}），因此已拒绝打开，没有运行任何内容。",
            "请改用该模型的 safetensors 文件，或请发布者提供只含权重的文件。",
        ),
    },
    "unreadable_archive": {
        "en": (
            "The file “{file}” cannot be read as PyTorch weights: {why}.",
            "Download it again, or use the model's safetensors files.",
        ),
        "zh": (
            "文件“{file}”无法作为 PyTorch 权重读取：{why}。",
            "请重新下载，或改用该模型的 safetensors 文件。",
        ),
    },
    "bad_archive": {
        "en": (
            "The archive “{file}” cannot be opened as a model's folder: {why}.",
            "Unpack it with a program you trust and give the folder, or ask for the model's files themselves.",
        ),
        "zh": (
            "压缩包“{file}”无法作为模型文件夹打开：{why}。",
            "请用可信的程序解压后给出文件夹，或直接索取模型文件。",
        ),
    },
    "no_room": {
        "en": (
            "There is not enough room on the disk to expand “{file}”.",
            "Free some space, or unpack the archive elsewhere and give the folder.",
        ),
        "zh": ("磁盘空间不足，无法展开“{file}”。", "请腾出一些空间，或在别处解压后给出文件夹。"),
    },
    "bad_config": {
        "en": (
            "The file “{file}” beside the weights cannot be used: {why}.",
            "Download it again, or remove it and compare the weights alone.",
        ),
        "zh": ("权重旁边的文件“{file}”无法使用：{why}。", "请重新下载，或将它移走后只比较权重。"),
    },
    "unknown_tensor_type": {
        "en": (
            "The tensor “{tensor}” is stored as “{dtype}”, a type that cannot be read here.",
            "Convert the model to float32, float16 or bfloat16 and try again.",
        ),
        "zh": (
            "张量“{tensor}”以“{dtype}”类型存储，此处无法读取。",
            "请把模型转换为 float32、float16 或 bfloat16 后重试。",
        ),
    },
    "not_finite": {
        "en": (
            "The tensor “{tensor}” of “{name}” holds values that are infinite or not a number.",
            "Check that the file is complete, or use another version of the model.",
        ),
        "zh": ("“{name}”的张量“{tensor}”含有无穷大或非数值。", "请确认文件完整，或换用该模型的其他版本。"),
    },
}
