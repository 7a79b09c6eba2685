"""What is wrong with the words of a command."""

from __future__ import annotations

COMMAND: dict[str, dict[str, tuple[str, str]]] = {
    "missing_arguments": {
        "en": ("The command needs more: {argument}.", "Write what is missing; --help says what the command takes."),
        "zh": ("命令还缺少：{argument}。", "请补上缺少的内容；加上 --help 可以查看该命令接受哪些参数。"),
    },
    "unknown_arguments": {
        "en": (
            "The command does not know what “{argument}” means.",
            "Check the spelling or leave it out; --help says what the command takes.",
        ),
        "zh": ("命令不认识“{argument}”。", "请检查拼写或将其去掉；加上 --help 可以查看该命令接受哪些参数。"),
    },
    "ambiguous_argument": {
        "en": ("“{argument}” may stand for several options: {choices}.", "Write the one that you mean in full."),
        "zh": ("“{argument}”可能是多个选项的缩写：{choices}。", "请写出所指选项的全名。"),
    },
    "unknown_choice": {
        "en": ("“{value}” cannot be chosen for {argument}.", "Give one of these: {choices}."),
        "zh": ("{argument} 不能取“{value}”。", "请从这些中选一个：{choices}。"),
    },
    "no_whole_number": {
        "en": ("{argument} needs a whole number, and “{value}” is none.", "Write it in digits, such as 7."),
        "zh": ("{argument} 需要一个整数，而“{value}”不是整数。", "请用数字书写，例如 7。"),
    },
    "argument_without_value": {
        "en": ("There is nothing behind {argument}.", "Write what it is to be, or leave {argument} out."),
        "zh": ("{argument} 后面没有内容。", "请写上它的值，或去掉 {argument}。"),
    },
    "argument_with_value": {
        "en": ("{argument} takes no value, so “{value}” has no meaning.", "Write {argument} alone."),
        "zh": ("{argument} 不带值，“{value}”没有意义。", "请只写 {argument}。"),
    },
    "bad_arguments": {
        "en": ("The command cannot be understood as it is written.", "Add --help to see what the command takes."),
        "zh": ("无法理解这条命令的写法。", "请加上 --help 查看该命令接受哪些参数。"),
    },
}
