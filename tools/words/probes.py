"""Each probe's name for a reader, and the question it asks."""

from __future__ import annotations

from tools.words.forms import Words

PROBES: dict[str, dict[str, Words]] = {
    "same_values": {
        "label": {"en": "Same numbers", "zh": "数值是否相同"},
        "question": {
            "en": "Do the two files hold the same numbers, under whatever names?",
            "zh": "不管叫什么名字，两个文件里存的是不是同一组数字？",
        },
    },
    "unit_order": {
        "label": {"en": "Order of hidden units", "zh": "隐藏单元的顺序"},
        "question": {
            "en": "Do the hidden units stand in the same order in both models?",
            "zh": "两个模型里隐藏单元的排列顺序一样吗？",
        },
    },
    "unit_places": {
        "label": {"en": "Units at one place", "zh": "同一位置的单元"},
        "question": {
            "en": "Does each hidden unit resemble the one that stands at its place in the other model?",
            "zh": "一个模型的每个隐藏单元，和另一个模型里同一位置上的单元相像吗？",
        },
    },
    "unit_partners": {
        "label": {"en": "Partners of hidden units", "zh": "隐藏单元的配对"},
        "question": {
            "en": "Does each hidden unit of one model have one and the same partner in the other, wherever it stands?",
            "zh": "一个模型里的每个隐藏单元，无论排在哪里，在另一个模型里是否总有同一个对应者？",
        },
    },
    "unit_relations": {
        "label": {"en": "Units among themselves", "zh": "单元之间的关系"},
        "question": {
            "en": "Do the hidden units stand to each other, in the order of the file, as those of the other model do?",
            "zh": "按文件里的顺序，一个模型的隐藏单元彼此之间的关系，和另一个模型的一样吗？",
        },
    },
    "turned_partners": {
        "label": {"en": "Partners in turned coordinates", "zh": "转回坐标后的配对"},
        "question": {
            "en": "Does each hidden unit have one and the same partner in coordinates that the layers alone tell, without any tokens?",
            "zh": "只凭各层本身（不用词元）把坐标转到一起之后，每个隐藏单元是否总有同一个对应者？",
        },
    },
    "value_order": {
        "label": {"en": "Order in attention heads", "zh": "注意力头内的顺序"},
        "question": {
            "en": "Do the numbers that attention heads carry stand in the same order in both models?",
            "zh": "两个模型的注意力头里，数值的排列顺序一样吗？",
        },
    },
    "coordinate_order": {
        "label": {"en": "Order of coordinates", "zh": "坐标的顺序"},
        "question": {
            "en": "Do the coordinates of the token vectors stand in the same order in both models?",
            "zh": "两个模型里，词元向量的坐标排列顺序一样吗？",
        },
    },
    "difference_shape": {
        "label": {"en": "Shape of the difference", "zh": "差异的形态"},
        "question": {
            "en": "What lies between the two models: rounding, noise, a few directions, or training?",
            "zh": "两个模型之间差的是什么：舍入、噪声、少数几个方向，还是训练？",
        },
    },
    "shared_additions": {
        "label": {"en": "Additions to the base", "zh": "在基座上的改动"},
        "question": {
            "en": "Does one model also hold what the other added to the base they share?",
            "zh": "一个模型是否也含有另一个模型在共同基座上添加的改动？",
        },
    },
    "shared_start": {
        "label": {"en": "Common start", "zh": "共同的起点"},
        "question": {
            "en": "Do the models share what training built, or only the random numbers that both started from?",
            "zh": "两个模型共有的是训练形成的东西，还是只有出发时的那组随机数？",
        },
    },
    "same_tokenizer": {
        "label": {"en": "Tokenizer", "zh": "分词器"},
        "question": {
            "en": "Do the two models cut text into the same tokens?",
            "zh": "两个模型切分文字的方式一样吗？",
        },
    },
    "same_configuration": {
        "label": {"en": "Configuration", "zh": "配置"},
        "question": {
            "en": "Do the two models declare the same design?",
            "zh": "两个模型声明的结构一样吗？",
        },
    },
    "norm_gains": {
        "label": {"en": "Norm gains", "zh": "归一化增益"},
        "question": {
            "en": "Do the gains of the norm layers rise and fall in the same places?",
            "zh": "归一化层的增益在相同的位置起伏吗？",
        },
    },
    "spectra": {
        "label": {"en": "Singular values", "zh": "奇异值"},
        "question": {
            "en": "Do the layers at one depth stretch space alike?",
            "zh": "同一深度的层对空间的拉伸方式相像吗？",
        },
    },
    "token_geometry": {
        "label": {"en": "Likeness between tokens", "zh": "词元之间的相似关系"},
        "question": {
            "en": "Do the tokens stand to each other as they do in the other model?",
            "zh": "词元彼此之间的远近关系，在两个模型里一样吗？",
        },
    },
    "head_space": {
        "label": {"en": "Space of answers", "zh": "回答的空间"},
        "question": {
            "en": "Can the two models' last layers say the same things?",
            "zh": "两个模型的最后一层能给出的回答范围一样吗？",
        },
    },
    "code_likeness": {
        "label": {"en": "Programs beside the weights", "zh": "权重旁边的程序"},
        "question": {
            "en": "Do the programs beside the weights do the same, beyond what the framework brings?",
            "zh": "除去框架自带的部分，权重旁边的程序做的是同样的事吗？",
        },
    },
    "tensor_names": {
        "label": {"en": "Tensor names", "zh": "张量名称"},
        "question": {
            "en": "Do the tensors have the same names once a few prefixes are renamed?",
            "zh": "把几个前缀换个名字之后，张量的名称是否一致？",
        },
    },
}
