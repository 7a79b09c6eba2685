"""What is wrong with a model on a hub, or with the hub."""

from __future__ import annotations

HUB: dict[str, dict[str, tuple[str, str]]] = {
    "hub_not_found": {
        "en": (
            "The hub shows no model called “{name}”: there is none, or it is private.",
            "Check the spelling; for a private model give a read token that may see it (HF_TOKEN; on the page, the "
            "field under “How it decides”).",
        ),
        "zh": (
            "平台上看不到名为“{name}”的模型：它不存在，或者是私有的。",
            "请检查拼写；若是私有模型，请提供有权查看它的账号的只读令牌（HF_TOKEN，或页面上“如何判断”里的输入框）。",
        ),
    },
    "hub_gated": {
        "en": (
            "The files of “{name}” are shown only to people who accepted its terms.",
            "Accept the terms on the model's page, then give a read token of that account (HF_TOKEN; on the page, the "
            "field under “How it decides”).",
        ),
        "zh": (
            "“{name}”的文件只向接受其条款的人开放。",
            "请先在该模型的页面上接受条款，再提供该账号的只读令牌（HF_TOKEN，或页面上“如何判断”里的输入框）。",
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
}
