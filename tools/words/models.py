"""What `describe` says of a model, and the disguises that `stress` tries on it."""

from __future__ import annotations

from tools.words.forms import Words

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


def amount_word(amount: object, language: str) -> str:
    """How much of a disguise was tried, as a word where there is one; else as it came, for the reader to escape."""
    return AMOUNTS[str(amount)][language] if amount in AMOUNTS else str(amount)
