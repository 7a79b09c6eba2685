"""Why a probe could not measure: what it says in English, and the Chinese for it."""

from __future__ import annotations

ABSTENTIONS: dict[str, str] = {
    "At least one side declares no tensor names.": "至少有一方没有声明张量名称。",
    "At least one side has no configuration file.": "至少有一方没有配置文件。",
    "At least one side has no tokenizer file.": "至少有一方没有分词器文件。",
    "No common base was named.": "没有给出共同的基座。",
    "The hidden units stand in the same order in both models, so no partners had to be looked for.": (
        "两个模型的隐藏单元顺序一致，因此不需要再去寻找对应的单元。"
    ),
    "The models have no attention heads of equal size whose values could be told apart.": (
        "两个模型没有大小相同、能够分辨其数值的注意力头。"
    ),
    "The models have no table of common tokens.": "两个模型没有共同词元的表。",
    "At least one network may number its coordinates itself, so strangers could share their order.": (
        "至少有一个网络可能自带坐标编号，没有关系的模型也会有相同的顺序。"
    ),
    "The token vectors of the two models have different lengths.": "两个模型的词元向量长度不同。",
    "No tensor of one model resembles a tensor of the other, in any coordinates that could be found.": (
        "在能找到的任何坐标下，都没有一个张量与另一个模型的张量相像。"
    ),
    "No tensor of one model resembles a tensor of the other.": "没有一个张量与另一个模型的张量相像。",
    "One of the models changed too little of the base, or is no relative of it.": (
        "其中一个模型对基座的改动太小，或者与基座没有关系。"
    ),
    "The models have no layers of hidden units of equal shape.": "两个模型没有形状相同的隐藏单元层。",
    "The models have no layers of one width that two tensors describe and that were read whole.": (
        "两个模型没有宽度相同、由两个张量描述、并且完整读取过的层。"
    ),
    "The models have no feed-forward layers with equally many hidden units.": "两个模型没有隐藏单元数相同的前馈层。",
    "The models have no layers whose units two tensors describe in coordinates or tokens that both share.": (
        "找不到这样的层：隐藏单元由两个张量描述，并且坐标或词元为双方共有。"
    ),
    "Too few tensors lie as they were to tell a common start from a parent.": (
        "位置未变的张量太少，分不清是共同的起点还是母模型。"
    ),
    "The two configurations have no entry in common.": "两份配置没有任何相同的条目。",
    "The models have no learned norm gains of equal length.": "两个模型没有长度相同的归一化增益。",
    "The models do not have equally many layers of hidden units of equal shape.": (
        "两个模型的隐藏单元层，数目或形状不一样。"
    ),
    "A likeness of layers needs at least two of equal shape, one to hold the other against.": (
        "要说层与层相像，至少得有两个形状相同的层互为对照。"
    ),
    "All layers stretch space in one way, so they cannot be told apart.": "各层对空间的拉伸方式都一样，无从分辨。",
    "The tokens of at least one model all look alike.": "至少有一个模型的词元看上去全都一样。",
    "The models have too few common tokens for their width.": "相对于模型的宽度，共同的词元太少。",
    "The models are too wide for their spaces of answers to be compared at a small price.": (
        "模型太宽，比较回答的空间要花太多时间。"
    ),
    "The last layer of at least one model is empty.": "至少有一个模型的最后一层是空的。",
    "At least one side has no Python code beside its weights.": "至少有一方的权重旁边没有 Python 代码。",
    "The code beside at least one model is no Python that can be read within the limits.": (
        "至少有一方的代码不是能在限度之内读取的 Python。"
    ),
    "The code beside at least one model has too little beyond common framework code.": (
        "至少有一方的代码，除去通用的框架代码就所剩无几。"
    ),
    "There are no weights to compare on at least one side.": "至少有一方没有可比较的权重。",
}
