"""Files that cannot or may not be opened."""

from __future__ import annotations

FILES: dict[str, dict[str, tuple[str, str]]] = {
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
            "Give a .safetensors, .gguf, .onnx or PyTorch file (.bin, .pt, .pth, .th, .ckpt, .jit), or the model's "
            "folder.",
        ),
        "zh": (
            "“{file}”的格式无法在此读取。",
            "请给出 .safetensors、.gguf、.onnx 或 PyTorch 文件（.bin、.pt、.pth、.th、.ckpt、.jit），"
            "或模型所在的文件夹。",
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
}
