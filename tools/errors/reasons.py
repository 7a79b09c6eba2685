"""What stands in the blanks of a sentence: why a file cannot be used, and what was not given."""

from __future__ import annotations

# What {why} can say; a word that is not listed here is shown as it was given.
REASONS: dict[str, dict[str, str]] = {
    "not_json": {"en": "it is not valid JSON", "zh": "不是有效的 JSON"},
    "not_object": {"en": "it is not a JSON object", "zh": "不是 JSON 对象"},
    "nested_too_deep": {"en": "it is nested too deep", "zh": "嵌套过深"},
    "too_many_entries": {"en": "it has too many entries", "zh": "条目过多"},
    "duplicate_name": {"en": "it names something twice", "zh": "有重复的名称"},
    "name_too_long": {"en": "a name in it is too long", "zh": "其中有过长的名称"},
    "bad_entry": {"en": "an entry lacks type, shape or place", "zh": "有条目缺少类型、形状或位置"},
    "absurd_shape": {"en": "a tensor has an impossible shape", "zh": "有张量的形状不可能存在"},
    "wrong_size": {"en": "the size of a tensor does not fit its shape", "zh": "有张量的大小与形状不符"},
    "bytes_without_owner": {"en": "some bytes belong to no tensor", "zh": "有些字节不属于任何张量"},
    "bad_weight_map": {"en": "its weight_map is unusable", "zh": "其中的 weight_map 无法使用"},
    "not_pytorch": {"en": "it is not a PyTorch file", "zh": "它不是 PyTorch 文件"},
    "no_adapter": {"en": "it is not a LoRA adapter", "zh": "它不是 LoRA 适配器"},
    "other_adapter": {"en": "it is of a kind that is not known here", "zh": "这里不支持这种适配器"},
    "does_not_fit": {"en": "its layers are not those of this model", "zh": "它的各层与该模型不符"},
    "not_gguf": {"en": "it is not a GGUF file of version 2 or 3", "zh": "它不是版本 2 或 3 的 GGUF 文件"},
    "not_onnx": {"en": "it is not an ONNX graph", "zh": "它不是 ONNX 计算图"},
    "damaged": {"en": "it is damaged", "zh": "文件已损坏"},
    "encrypted": {"en": "it is encrypted", "zh": "它被加密了"},
    "unknown_compression": {"en": "it is compressed in an unusual way", "zh": "它的压缩方式不常见"},
    "expands_too_far": {"en": "it expands to far more than a model would", "zh": "展开后远大于正常的模型"},
    "compressed": {"en": "its parts are compressed", "zh": "内部数据被压缩过"},
}  # fmt: skip

# What stands for a fact that was not given.
UNNAMED: dict[str, dict[str, str]] = {
    "name": {"en": "this model", "zh": "这个模型"},
    "a": {"en": "the first model", "zh": "第一个模型"},
    "b": {"en": "the second model", "zh": "第二个模型"},
    "file": {"en": "a file", "zh": "某个文件"},
    "other": {"en": "another file", "zh": "另一个文件"},
    "address": {"en": "the folder", "zh": "文件夹"},
    "tensor": {"en": "a tensor", "zh": "某个张量"},
    "why": {"en": "it is damaged", "zh": "文件已损坏"},
    "what": {"en": "an unlisted function", "zh": "未获许可的函数"},
    "limit": {"en": "amount", "zh": "限额"},
    "size": {"en": "too many", "zh": "过多"},
    "count": {"en": "some", "zh": "若干"},
    "total": {"en": "all", "zh": "全部"},
    "dtype": {"en": "an unknown type", "zh": "未知类型"},
    "argument": {"en": "an option", "zh": "某个选项"},
    "value": {"en": "this", "zh": "该值"},
    "choices": {"en": "those that --help lists", "zh": "--help 列出的各项"},
}
