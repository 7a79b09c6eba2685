"""What a user can mend: one sentence says what is wrong and one says the way out, in each language."""

from __future__ import annotations

import re
import string
import unicodedata

LANGUAGES = ("en", "zh")

# Letters and marks that draw nothing; a name made of them would look empty, or like another name.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
# Control, format (bidirectional, zero-width, tags), surrogate, private and unassigned characters.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})

TEXTS: dict[str, dict[str, tuple[str, str]]] = {
    # What was named.
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
            "Give the link to a model on the hub, its name as owner/name, or the path of a folder on this computer.",
        ),
        "zh": (
            "“{name}”不是此处能够读取的模型地址。",
            "请给出模型在 Hugging Face 上的链接、形如 owner/name 的名称，或本机文件夹的路径。",
        ),
    },
    # What a hub says, or does not.
    "hub_not_found": {
        "en": (
            "The hub shows no model called “{name}”: there is none, or it is private.",
            "Check the spelling; for a private model give a read token that may see it (HF_TOKEN, or on the page).",
        ),
        "zh": (
            "平台上看不到名为“{name}”的模型：它不存在，或者是私有的。",
            "请检查拼写；若是私有模型，请提供有权查看它的账号的只读令牌（HF_TOKEN 或页面上的输入框）。",
        ),
    },
    "hub_gated": {
        "en": (
            "The files of “{name}” are shown only to people who accepted its terms.",
            "Accept the terms on the model's page, then give a read token of that account (HF_TOKEN, or on the page).",
        ),
        "zh": (
            "“{name}”的文件只向接受其条款的人开放。",
            "请先在该模型的页面上接受条款，再提供该账号的只读令牌（HF_TOKEN 或页面上的输入框）。",
        ),
    },
    "hub_gated_token": {
        "en": (
            "The token that was given does not open the files of “{name}”.",
            "Accept the terms on the model's page with the token's account, and let the token read gated models.",
        ),
        "zh": (
            "所给的令牌无权读取“{name}”的文件。",
            "请用该令牌所属的账号在模型页面上接受条款，并允许令牌读取受限模型。",
        ),
    },
    "hub_token_refused": {
        "en": (
            "The hub did not accept the token that was given for “{name}”.",
            "Make a new read token in the settings of your account, or leave it out for a public model.",
        ),
        "zh": (
            "平台不接受为“{name}”提供的令牌。",
            "请在账号设置里新建一个只读令牌；若模型是公开的，则不必提供令牌。",
        ),
    },
    "hub_no_revision": {
        "en": (
            "“{name}” has no branch, tag or commit of that name on the hub.",
            "Check what follows the @, or leave it out to read the main branch.",
        ),
        "zh": (
            "“{name}”在平台上没有这个名字的分支、标签或提交。",
            "请检查 @ 后面的部分，或将其省略以读取主分支。",
        ),
    },
    "hub_no_file": {
        "en": (
            "On the hub “{name}” holds no file or folder “{file}”.",
            "Look up its list of files on the model's page and check the spelling.",
        ),
        "zh": ("平台上的“{name}”里没有名为“{file}”的文件或文件夹。", "请到模型页面查看文件列表，并检查拼写。"),
    },
    "hub_unreachable": {
        "en": (
            "The hub at {name} could not be reached, or broke off its answers.",
            "Check the connection and try again later, or download the models and give their folders.",
        ),
        "zh": (
            "无法连接到 {name} 上的平台，或它的回答中途断开。",
            "请检查网络后稍后重试，或先下载模型再给出其文件夹。",
        ),
    },
    "hub_offline": {
        "en": (
            "“{name}” lies on the hub, which is not asked because HF_HUB_OFFLINE is set.",
            "Unset HF_HUB_OFFLINE, or download the model and give its folder.",
        ),
        "zh": (
            "“{name}”在平台上，但由于设置了 HF_HUB_OFFLINE，没有去访问。",
            "请取消 HF_HUB_OFFLINE，或先下载该模型再给出其文件夹。",
        ),
    },
    "hub_busy": {
        "en": (
            "The hub at {name} is busy or has had enough requests from here for now.",
            "Try again in a few minutes; a read token of your own (HF_TOKEN) allows more requests.",
        ),
        "zh": (
            "{name} 上的平台正忙，或暂时不再接受来自此处的请求。",
            "请过几分钟再试；使用自己的只读令牌（HF_TOKEN）可以获得更多请求次数。",
        ),
    },
    "hub_no_ranges": {
        "en": (
            "The server {name} does not send parts of files, so nothing was read from it.",
            "Use the hub itself or another mirror (HF_ENDPOINT), or download the model and give its folder.",
        ),
        "zh": (
            "服务器 {name} 不支持只发送文件的一部分，因此没有从它那里读取任何内容。",
            "请改用平台本身或其他镜像（HF_ENDPOINT），或先下载模型再给出其文件夹。",
        ),
    },
    "hub_bad_answer": {
        "en": (
            "The server {name} answered with something that a model hub does not say.",
            "Check that HF_ENDPOINT is the address of a model hub, and try again later.",
        ),
        "zh": (
            "服务器 {name} 的回答不像是来自模型平台。",
            "请确认 HF_ENDPOINT 是模型平台的地址，稍后再试。",
        ),
    },
    "hub_refused_address": {
        "en": (
            "The address “{name}” was not asked: a hub is read over https and on the public internet only.",
            "Set HF_ENDPOINT to the https address of a model hub, or download the model and give its folder.",
        ),
        "zh": (
            "没有访问地址“{name}”：只通过 https 读取公共互联网上的平台。",
            "请把 HF_ENDPOINT 设为模型平台的 https 地址，或先下载模型再给出其文件夹。",
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
            "Give a folder with .safetensors or PyTorch files, or name the weights file itself.",
        ),
        "zh": (
            "文件夹“{name}”里没有模型的权重、配置或分词器。",
            "请给出含有 .safetensors 或 PyTorch 文件的文件夹，或直接给出权重文件。",
        ),
    },
    "several_models": {
        "en": (
            "The folder “{name}” holds several weight files that seem to be different models.",
            "Name the one weights file you mean, for example “{file}”.",
        ),
        "zh": (
            "文件夹“{name}”里有多个权重文件，看起来属于不同的模型。",
            "请指明要比较的那一个权重文件，例如“{file}”。",
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
    # Files that cannot or may not be opened.
    "unsafe_path": {
        "en": (
            "“{file}” leads outside the model's folder, so it was not opened.",
            "Put the real file into the folder instead of a link or a path to another place.",
        ),
        "zh": (
            "“{file}”指向模型文件夹之外，因此没有打开。",
            "请把真正的文件放进该文件夹，不要使用指向别处的链接或路径。",
        ),
    },
    "not_a_file": {
        "en": (
            "“{file}” is not an ordinary file, so it was not opened.",
            "Replace it with the real file, or give another folder.",
        ),
        "zh": ("“{file}”不是普通文件，因此没有打开。", "请换成真正的文件，或给出另一个文件夹。"),
    },
    "not_readable": {
        "en": (
            "The system does not let this program read “{file}”.",
            "Check the permissions of the file and of the disk, then try again.",
        ),
        "zh": ("系统不允许本程序读取“{file}”。", "请检查该文件的权限和磁盘状态，然后重试。"),
    },
    "changed_file": {
        "en": (
            "The file “{file}” changed while it was being read.",
            "Wait until nothing writes to it any more, then start again.",
        ),
        "zh": ("文件“{file}”在读取过程中发生了变化。", "请等到不再有程序写入它时重新开始。"),
    },
    "unknown_format": {
        "en": (
            "“{file}” is not in a format that can be read here.",
            "Give a .safetensors, .gguf, .onnx or PyTorch file (.bin, .pt, .pth, .th, .ckpt), or the model's folder.",
        ),
        "zh": (
            "“{file}”的格式无法在此读取。",
            "请给出 .safetensors、.gguf、.onnx 或 PyTorch 文件（.bin、.pt、.pth、.th、.ckpt），或模型所在的文件夹。",
        ),
    },
    "pointer_file": {
        "en": (
            "“{file}” is only a Git LFS pointer, a note that stands in for the weights.",
            "Run “git lfs pull” in the model's folder, or download the file itself.",
        ),
        "zh": (
            "“{file}”只是 Git LFS 的指针文件，并不是权重本身。",
            "请在模型文件夹中运行“git lfs pull”，或直接下载该文件。",
        ),
    },
    "too_large_file": {
        "en": (
            "The file “{file}” is larger than the {limit} that can be read here.",
            "Use a smaller file, or save the model as safetensors, which is read piece by piece.",
        ),
        "zh": (
            "文件“{file}”超过了此处可读取的上限 {limit}。",
            "请使用较小的文件，或把模型另存为可以逐块读取的 safetensors 格式。",
        ),
    },
    "too_large_tensor": {
        "en": (
            "The tensor “{tensor}” needs more memory than there is.",
            "Compare models with smaller tensors, or use a computer with more memory.",
        ),
        "zh": (
            "读取张量“{tensor}”所需的内存超过了可用内存。",
            "请比较张量较小的模型，或换用内存更大的电脑。",
        ),
    },
    # What the bytes say.
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
    # What was asked.
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
}

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
    "a_program": {"en": "it is a TorchScript program", "zh": "它是 TorchScript 程序"},
}  # fmt: skip

# What stands for a fact that was not given.
_UNNAMED: dict[str, dict[str, str]] = {
    "name": {"en": "this model", "zh": "这个模型"},
    "a": {"en": "the first model", "zh": "第一个模型"},
    "b": {"en": "the second model", "zh": "第二个模型"},
    "file": {"en": "a file", "zh": "某个文件"},
    "tensor": {"en": "a tensor", "zh": "某个张量"},
    "why": {"en": "it is damaged", "zh": "文件已损坏"},
    "what": {"en": "an unlisted function", "zh": "未获许可的函数"},
    "limit": {"en": "amount", "zh": "限额"},
    "size": {"en": "too many", "zh": "过多"},
    "count": {"en": "some", "zh": "若干"},
    "total": {"en": "all", "zh": "全部"},
    "dtype": {"en": "an unknown type", "zh": "未知类型"},
}


class Cancelled(Exception):
    """The user pressed Stop."""


class UserError(Exception):
    """Something that the user can mend; `say` words it. Raises KeyError for a kind that has no text."""

    def __init__(self, kind: str, **facts: object) -> None:
        """Keep the kind and its facts; facts may be hostile, they are made printable when worded."""
        if kind not in TEXTS:
            raise KeyError(kind)
        super().__init__(kind, facts)
        self.kind = kind
        self.facts = facts

    def say(self, language: str = "en") -> tuple[str, str]:
        """Return what is wrong and the way out, one sentence each; English unless the language is "zh"."""
        language = language if language in LANGUAGES else "en"
        message, remedy = TEXTS[self.kind][language]
        return self._word(message, language), self._word(remedy, language)

    def as_dict(self, language: str = "en") -> dict[str, str]:
        """Return the record that the command line and the page hand on."""
        message, remedy = self.say(language)
        return {"kind": self.kind, "message": message, "remedy": remedy}

    def __str__(self) -> str:
        return " ".join(self.say())

    def _word(self, template: str, language: str) -> str:
        words = {}
        for _, field, _, _ in string.Formatter().parse(template):
            if field is None:
                continue
            fact = self.facts.get(field)
            if fact is None:
                words[field] = _UNNAMED[field][language]
            elif field == "why" and fact in REASONS:
                words[field] = REASONS[str(fact)][language]
            else:
                words[field] = printable(fact)
        return template.format(**words)


def printable(text: object, limit: int = 80) -> str:
    """Return the text on one line of at most `limit` characters, without what hides, moves or reorders text.

    Control, bidirectional, zero-width and unassigned characters go; any space becomes one plain space.
    A long text keeps its beginning and its end; an empty one becomes a question mark.
    """
    # The scan is bounded, so that a name of 100 MB costs no more than a long one.
    raw = str(text)
    raw = raw if len(raw) <= 8 * limit else raw[: 4 * limit] + "…" + raw[-4 * limit :]
    kept = []
    for character in raw:
        category = unicodedata.category(character)
        if category[0] == "Z" or character in "\t\n\r":
            kept.append(" ")
        elif category not in _UNPRINTABLE and not _INVISIBLE.match(character):
            kept.append(character)
    clean = " ".join("".join(kept).split())
    if len(clean) > limit:
        head = (limit - 1) // 2
        clean = clean[:head] + "…" + clean[len(clean) - (limit - 1 - head) :]
    return clean or "?"
