"""What a message asks for: pure functions from a text, and what was said before, to an Intent. No model name is guessed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Literal, cast

from agent.memory import Memory
from agent.naming import Named, Shelf, find_names, visible

Language = Literal["en", "zh"]
Depth = Literal["ordinary", "one_sentence", "child", "engineer"]

KINDS = (
    # What is measured.
    "compare", "ask_other", "ask_models", "describe", "stress", "behave", "cancel", "no_thanks", "unclear",
    # What was measured, said again from the thread's memory.
    "result", "sure", "why", "number", "plot", "direction", "limits", "next", "change_mind", "what_if", "report",
    # What is written in the articles.
    "article", "lesson", "closed", "people",
    # The conversation itself.
    "pressure", "language", "help", "examples", "small_talk", "off_topic",
    "empty", "unreadable", "too_long", "code",
)  # fmt: skip

# Kinds that repeat or explain what was measured before, and need nothing run again.
FOLLOW_UPS = frozenset(
    "result sure why number plot direction limits next change_mind what_if report".split()
)

LONGEST_MESSAGE = 4000
# More candidates than this in one question would make the reader wait for minutes.
MOST_CANDIDATES = 4


@dataclass(frozen=True)
class Intent:
    """What one message asks for. `models`: for compare the suspect first, then each model it is held against."""

    kind: str
    language: Language = "en"
    models: tuple[str, ...] = ()
    base: str | None = None
    question: str = ""
    about: str = ""
    depth: Depth = "ordinary"
    choices: tuple[str, ...] = ()
    pressed: bool = False
    corrected: bool = False
    foreign: bool = False
    wish: Language | None = None
    named: tuple[str, ...] = ()
    exhibit: str | None = None


# --- language -------------------------------------------------------------------------------------------------------

_EN_WORDS = frozenset(
    "is are was were the a an of what does do did how why can could you i it this that to in on for with and or not "
    "me my your which who should would please tell explain mean about from be have has they them there compare".split()
)
_ZH_SIGNS = frozenset("是的吗么了什怎吧呢和有这那哪我你请为不能个在也都就")
_FOREIGN_WORDS = frozenset(
    "est une les des le dans pour avec quel quelle sont pourquoi comment ist ein eine der das und nicht wie warum kann "
    "bitte el los las es una del por qué como cuál para è della che perché não são uma você isto".split()
)
# Words that people of every language type; alone they do not say which language is wanted.
_NEUTRAL = frozenset("ok okay yes no y n hm hmm lol".split())
_WISH_EN = re.compile(
    r"(?:(?:answer|reply|respond|speak|talk|write|explain|say|repeat|tell|switch|change|use|continue|translate|put|give)\b"
    r"[^.?!]{0,40}?\b(?:in(?:to)?|to)?\s*|\bin |^|please )\b(chinese|mandarin|english)\b(?:\s*(?:please|from now on|now|again|instead))?"
    r"|(?:用|说|讲|换成|切换到|翻译成|改用|改成|以)\s*(中文|汉语|普通话|简体|英文|英语|english|chinese)",
    re.I,
)
_WISH_AGAIN = re.compile(
    r"\b(?:say|repeat|translate|put|give|tell|explain|once more|again)\b.*\b(?:that|this|it|again|me)\b|^(?:in )?(?:english|chinese|mandarin)"
    r"|再说|说一遍|重复|翻译|用(?:中文|英文|英语)(?:说|讲|解释)?一?(?:遍|下|次)?$|^(?:中文|英文|英语|汉语)",
    re.I,
)


def language_of(text: str) -> tuple[Language | None, bool]:
    """The language a text (its model names masked) is written in, None where it shows none; and whether it is a third one."""
    latin = re.findall(r"[^\W\d_]+", re.sub(r"[\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7af]", " ", text.lower()))
    han = re.findall(r"[\u3400-\u9fff\uf900-\ufaff]", text)
    if re.search(r"[\u3040-\u30ff\uac00-\ud7af]", text):
        return None, True
    other = [word for word in latin if not word.isascii() and not re.match(r"[a-zà-ÿ]+$", word)]
    if len(other) > len(han) and len(other) * 2 >= len(latin):
        return None, True
    english = sum(word in _EN_WORDS for word in latin)
    if not han and sum(word in _FOREIGN_WORDS for word in latin) > english:
        return None, True
    if not han and not [word for word in latin if word not in _NEUTRAL]:
        return None, False
    signs = sum(character in _ZH_SIGNS for character in han)
    return ("zh" if len(han) + 2 * signs > len(latin) + 2 * english else "en"), False


def _wish(text: str) -> Language | None:
    match = _WISH_EN.search(text)
    if match is None:
        return None
    word = (match[1] or match[2]).lower()
    if match[1] and re.search(r"\b(?:chinese|english|mandarin)\s+(?:model|lab|compan|team|ai|version|word|article|start)", text, re.I):
        return None
    return "en" if word in ("english", "英文", "英语") else "zh"


# --- cues: one pattern for both languages -----------------------------------------------------------------------------


def _cue(*patterns: str) -> re.Pattern[str]:
    # ASCII: a word boundary lies between a Latin word and the Chinese around it.
    return re.compile("|".join(patterns), re.IGNORECASE | re.ASCII)


_COPY = _cue(
    r"\bcop(?:y|ies|ied|ying)\b|\bclone|plagiar|\brip(?:ped)?[- ]?off|\bst(?:ole|olen|eal|ealing)\b|\bderiv|\bbased on\b",
    r"\b(?:made|built|taken|trained|tuned|train|came|come|comes|started?|adapted|distill?ed) (?:up )?(?:from|on|out of)\b",
    r"\bsame\b|\bidentical\b|\brelat(?:ed|ion)|\bcompar|\bversus\b|\bvs\b|\bagainst\b|\bdiffer|\bmatch|\bwrapp|\bindependent",
    r"\bsimilar|\blineage|\bancest|\bparent\b|\borigin(?:ate)?s? (?:from|in)\b|\bknock-?off|\bduplicat|\bdisguis|\brepackag|\brebrand|\bresk[iu]n",
    r"\bchecks?\b|\bcheckpoint of\b|\bversion of\b|\bfine-?tun\w+ (?:of|from|version)|\bcloser to\b|\bforg|\bborrow|\blook alike\b|\btwins?\b",
    r"抄|剽窃|套壳|换皮|换壳|借壳|复制|拷贝|克隆|一样|相同|同一|同源|来自|源自|源于|来源|出自|改自|改来|改成|改的|基于|衍生|派生|比较|对比|比对|比一|比比|比下",
    r"区别|不同|差别|关系|关联|相似|像|偷|盗|照搬|搬运|山寨|洗稿|血缘|亲缘|有关|独立|查一|查查|检查|鉴定|检测|验证|微调|翻版|副本|冒牌|重合|是不是",
)
_BEHAVE = _cue(
    r"\bbehav",
    r"\brun (?:both|them|the (?:two )?models|the two)\b|\bsame (?:mistakes|errors|answers|outputs|replies)\b|\b(?:outputs?|replies) (?:agree|match|alike)",
    r"\b(?:make|give|makes|gives) the same\b|\banswer alike\b|\bactually run\b|\bprompts?\b",
    r"行为|运行(?:两|这|一下|它|测试)|跑(?:一下|一跑|两个|两边|起来|跑)|(?:一样|同样|相同)的?(?:错|答|输出|回答)|回答.{0,8}(?:一样|一致|相同|像)|犯.{0,6}错|输出.{0,4}(?:一样|一致)|回答.{0,4}(?:一样|一致)",
)
_STRESS = _cue(
    r"\bstress|\brobust|\bperturb|\b(?:still|yet) (?:be )?recogni[sz]|\brecogni[sz]e .*\b(?:if|after|when|changed|disguis)|\bdisguises?\b|\bhide\b|\bhow well .*(?:hid|disguis)|\bsurviv",
    r"\bwhich (?:changes|tricks|disguises)|\b(?:add(?:ing)?|with) noise\b|\bnoise test\b|\bsee through\b|\bfool(?:ed)?\b|\b(?:be|get|been) (?:disguised|hidden)\b|\bshuffl(?:e|ing) (?:the )?(?:units|heads)|\btamper",
    r"压力测试|压测|扰动|伪装|还认得|认得出|认出|加.{0,4}噪|抗.{0,4}(?:改|扰|干扰)|鲁棒|稳健|打乱|看穿|骗过|瞒过",
)
_DESCRIBE = _cue(
    r"\bdescri|\bwhat(?:'s| is| kind of model is| sort of model is) (?:in(?:side)? )?(?:model )?\x02|\btell me about\b|\bhow (?:many|big|large)\b|\barchitecture of\b|\bsize of\b",
    r"\bshow me\b|\binspect|\blook (?:at|into|inside)\b|\bdetails? (?:of|about|on)\b|\boverview|\binfo\b|\binformation\b|\bwhat does \x02\d+\x02 (?:contain|look)|\bsummar[iy]\w* (?:of )?\x02|\bparameters? (?:of|in|does)\b|\blayers? (?:of|in|does)\b|\bwhich tokenizer",
    r"\bopen\b|\bread\b|\bvocabulary\b|\bwhat (?:architecture|tokenizer|format|size|kind|type|design)\b|\bfacts\b|\bbasics\b|\bdata type|\bdtype",
    r"描述|介绍|看看|看一下|有多少|多少(?:个)?(?:参数|层)|几层|多大|架构是|什么(?:架构|结构|模型|格式|分词器|类型)|结构是|里(?:面)?有(?:什么|哪些)|概况|信息|基本情况|参数量|打开|读一下|说说",
)
_NEGATED = _cue(
    r"\b(?:do not|don't|dont|no need to|never|stop|please not|without|instead of|rather than|not) (?:\w+ ){0,2}?(?:compar(?:e|ing)|check(?:ing)?|run(?:ning)?|measur(?:e|ing)|stress(?:ing)?|test(?:ing)?|describ(?:e|ing)|start(?:ing)?)",
    r"(?:不要|(?<![分区特个级类])别|不用|无需|先别|先不|不必|不想|停止|别再|不需要)(?:再|去|给我|帮我|马上|急着)?(?:做|跑|进行)?(?:比较|对比|比|检查|测试|运行|跑|压测|描述|测)",
)
_CORRECTION = _cue(
    r"^(?:no|nope|sorry|wait|oops|actually|hold on|correction|wrong)\b.*\x02|\bi (?:meant|mean|was (?:talking|asking) about)\b|\bnot \x02\d+\x02,? (?:but|i|it)|\binstead of \x02|\x02 instead\b|\bshould (?:be|have been) \x02|\bnot that one\b|\bwrong (?:one|model|folder|path|name)\b",
    r"我(?:是)?(?:说|指|问)的是|我是(?:说|指)|我指的|不对[,，。]?|不是.{0,12}[,，。而]?(?:而)?是|弄错|搞错|打错|写错|说错|应该是|应为|更正|换成",
)
_BASE_BEFORE = re.compile(
    r"(?:\bbase(?: model| checkpoint)?(?: is| was| =|:)?|\bcommon (?:base|ancestor|origin|root)(?: model)?(?: is| was|:|,)?|\bboth (?:[\w-]+ ){0,3}?(?:from|on|of)|"
    r"\bbase(?:d)? (?:named|called)|\btheir (?:shared |common )?(?:base|ancestor|parent)(?: model)?(?: is| was)?|\bstarting (?:point|from)(?: is)?|\bwith the base|"
    r"(?:基座|底座|底模|基础模型|基底|共同(?:来源|起点|祖先)|起点|母模型)(?:模型)?(?:是|为|用|:|：|=|叫)?|都(?:可能|应该|是)*(?:来自|源自|基于|从)|以)"
    r"(?:\s|,|，|the|model|of)*$",
    re.I,
)
_BASE_AFTER = re.compile(
    r"^\s*(?:\)|）)?\s*(?:as (?:the |their |a )?(?:common |shared )?(?:base|ancestor|starting point)|is (?:the|their) (?:common |shared )?base"
    r"|(?:作为|为|当|做|是(?:它们|两者|他们|共同)?的?)\s*(?:共同的?)?\s*(?:基座|底座|底模|基础模型|基底|起点))",
    re.I,
)
_PASSIVE = _cue(
    r"\x02(\d+)\x02(?:'s weights)? (?:been )?(?:was |been |been )?(?:copied|cloned|stolen|plagiari[sz]ed|taken|used|ripped off|ripped) by \x02",
    r"\bcopied by \x02|\bstolen by \x02|\bused by \x02|\bcloned by \x02",
    r"\x02\s*(?:是不是|是否|有没有|会不会)?\s*(?:已经)?\s*被\s*\x02\d+\x02\s*(?:抄|剽|套|复制|拷|偷|盗|搬|拿)",
)
_SOURCE_FIRST = _cue(
    r"\bis \x02\d+\x02 the (?:original|source|parent|origin|ancestor|base) (?:\w+ )?(?:of|for|behind)\b",
    r"\x02\s*是(?:不是)?\s*\x02\d+\x02\s*的(?:原版|原作|来源|母模型|底座|源头)",
)
_WHICH_OF = _cue(
    r"\bwhich (?:one )?(?:of|among|from)\b", r"\bwhich (?:is|are|one)\b", r"(?:中|里|之中|其中)(?:的)?(?:哪|谁)", r"哪(?:个|一个|几个).{0,6}(?:是|更像|最像).{0,8}来源"
)
_JOINS = re.compile(r"^\s*(?:,|，|、|/|;|；|\band\b|\bor\b|\bnor\b|和|与|跟|及|或|或者|还是|以及|,\s*and|,\s*or|\s)*\s*$", re.I)
_AND_THIS = _cue(
    r"^(?:and|but|or|now|then|ok(?:ay)?|so|also|next|what about|how about|same (?:for|with)|the same)\b|\bwhat (?:about|if i use|if you use)\b|\bhow about\b|\b(?:with|against|versus|vs\.?|to|for|and|than) \x02\d+\x02\s*(?:too|now|as well|then|instead)?[?.!]*$|\btoo\b|\bthe same\b",
    r"(?:那|那么|再|换|和|跟|与|同|对).{0,4}\x02.{0,14}(?:呢|比|吗)|\x02\d+\x02\s*呢|也(?:比|查|看)|同样(?:的|地)?(?:问题|也)?",
)
_IT = _cue(r"\b(?:it|its|this (?:one|model)|that (?:one|model)|the same (?:one|model)|this|that)\b", r"它|这个(?:模型)?|那个(?:模型)?|该模型|此模型|同一个模型")
_THEM = _cue(r"\b(?:them|they|both|these(?: two| models)?|those(?: two| models)?|the two(?: models)?|the pair|each other)\b", r"它们|他们|这两个|那两个|两个模型|两者|二者|俩|这俩|都")
_FIRST = _cue(r"\b(?:the )?(?:first|former)(?: one| model)?\b|\bmodel (?:a|x|1|one)\b", r"第一个|前者|前一个|模型\s?(?:a|x|一|1)(?![a-z])|甲")
_SECOND = _cue(r"\b(?:the )?(?:second|latter|other)(?: one| model)?\b|\bmodel (?:b|y|2|two)\b", r"第二个|后者|后一个|另一个|另外一个|模型\s?(?:b|y|二|2)(?![a-z])|乙")
_AGAIN = _cue(r"\b(?:again|once more|re-?run|repeat)\b", r"再(?:比|查|跑|测|来|算)|重新|重复|重跑")
_SWAP = _cue(r"\bswap|\b(?:the )?other way (?:a)?round\b|\breverse\b|\bthe opposite direction\b", r"反过来|调换|交换|对调|倒过来")

_YES = re.compile(
    r"^(?:(?:yes|yeah|yep|yup|sure|ok(?:ay)?|please|of course|go ahead|do (?:it|that|so)|let'?s (?:do (?:it|that)|go)|run (?:it|that)|why not|sounds good|i'?d like that|"
    r"absolutely|definitely|good idea|y|please do|go|that would be (?:good|great|nice)|with pleasure|"
    r"好(?:的|啊|呀|吧|呢|滴|嘞)?|行(?:啊|吧|的)?|可以(?:的|啊|呀)?|是(?:的|啊)?|嗯+|要(?:的)?|来吧|跑吧|运行吧|运行|没问题|试试(?:吧|看)?|麻烦(?:了|你)?|请(?:运行|开始|继续|便|吧)?|当然|对(?:的)?|需要|想|开始吧|那就跑吧|跑一下|运行两个模型|run both(?: models)?|run them)"
    r"[\s,，。.!！~、]*)+(?:thanks|thank you|谢谢)?[\s.!。！]*$",
    re.I,
)
_NO = re.compile(
    r"^(?:no|nope|nah|no,? thanks?(?: you)?|not (?:now|yet|really|needed|necessary)|later|maybe later|don'?t|n|never mind|skip it|"
    r"不(?:用|要|了|必|需要|想|行|好)?(?:了|谢谢|,?谢谢)?|算了|先不(?:用|要)?(?:了)?|没必要|以后再说|暂时不|下次|否)[\s,，。.!！]*(?:thanks?|thank you|谢谢)?[\s,，。.!！]*$",
    re.I,
)

# --- cues for what was measured -----------------------------------------------------------------------------------------

_ABOUT_US = r"\b(?:this|that|you|your|the (?:answer|result|verdict|finding|evidence|conclusion|comparison))\b"
_SURE = _cue(
    r"\bhow (?:sure|certain|confident|reliable|strong|safe|solid|trustworthy|likely)\b|\bare you (?:really |very |absolutely |quite )?(?:sure|certain|positive|confident)\b|\bcoincidence\b|\bby chance\b|\b(?:just|mere|pure) (?:luck|chance)\b",
    r"\bcan i (?:trust|rely)|\bhow much (?:can|should) (?:i|we) trust|\bconfidence\b|\bhow strong\b|\breally\?*$|\bare you kidding\b|\bstrength of (?:the|your) evidence\b|\b(?:statistically )?significan|\bchances? (?:of|that)\b|\bprobab|\b\d+ ?% sure\b",
    r"(?:多|有多)(?:大)?(?:的)?(?:把握|确定|可靠|可信|肯定|自信)|确定吗|你确定|肯定吗|你肯定|可靠吗|靠谱|可信(?:吗|度)|置信|巧合|碰巧|偶然|凑巧|真的吗|当真|把握(?:多|有多|大)|概率(?:多|有多)|证据(?:有)?多强|强不强|几成把握",
)
_WHY = _cue(
    r"^(?:but |and |so |ok |hm+ )?why(?: is (?:that|this|it)| not| so| do(?:es)? (?:you|it|that)| did you| are (?:you|they)| would)?\b[^?]{0,40}\??$|\bwhy (?:do|did|would) you (?:say|think|conclude|call|believe)\b|\bhow (?:do|did|can|could) (?:you|they) (?:know|tell|decide|conclude|find (?:out|that)|arrive|get (?:that|to))\b",
    r"\bwhat(?:'s| is| are) (?:the |your |that )*(?:reasons?|evidence|basis|grounds|proof)\b|\bon what (?:basis|grounds|evidence)\b|\bwhat makes you\b|\bshow (?:me )?(?:the |your )?(?:evidence|reasons?|reasoning|proof|findings|work)\b|\bbased on what\b|\bhow so\b|\bwhat did you (?:measure|check|look at)\b|\bexplain (?:to me )?why\b|^(?:the |your )?(?:reasons?|evidence|grounds|reasoning)[\s?.!]*$|\b(?:through|see|hear|list|give me) (?:the |your |me )*(?:evidence|reasons?|reasoning|arguments?)\b|\bwhere does (?:this|that|it) come from\b",
    r"^(?:那|可是|但是?|请问)?(?:为什么|为何|为啥|凭什么|何以见得|怎么会|怎么讲)[^?？]{0,14}[?？]?$|为什么(?:你|这么|这样|会|说|是这|不是|得出)|依据(?:是|在|呢)|(?:什么|哪些)(?:依据|证据|理由|根据)|理由(?:是|呢|有)|证据(?:呢|是|在|有|拿|给|展)|怎么(?:看|判断|得|知道|发现|看)出|怎么知道|怎么判断的|根据什么|(?:检查|测量|测试|查看|比较|对比)了(?:什么|哪些|啥)|你(?:都)?(?:查|测|看)了(?:什么|哪些)|说说(?:理由|原因|依据)|原因(?:呢|是)",
)
_NUMBER = _cue(
    r"\bE\d{1,2}\b|\b(?:this|that|these|those|the|your) (?:\w+ )?(?:numbers?|figures|values?|percentages?|p-?values?|statistics?)\b|\bwhat (?:does|do|is|are|'s) (?:the |that |this )?-?\d|\b10 ?\^ ?[-−]?\d+|\b(?:what|explain).{0,20}log10",
    r"(?:这|那)(?:个|些|几个)?(?:数字|数值|数|百分比|概率值|p值|指数)|数字(?:是|代表|怎么|什么)|-?\d[\d.]*\s*%?\s*(?:是|代表|说明|表示|意味|指)(?:着)?(?:什么|啥)|10的.{0,4}次方",
)
_PLOT = _cue(
    r"\b(?:plot|chart|graph|(?:the|this|that) figure|diagram|curve|picture|bars?|lines?|dots?|x-?axis|y-?axis|visuali[sz]ation)\b",
    r"(?:这|那|上面的?|该)?(?:张|个|幅)?(?:图|曲线|折线|柱|图表|图像|横轴|纵轴|坐标)(?:里|上|中|怎|是|说|表|代|什|显|意|什么|$|呢|要|该)|看图|图怎么|图表|解释.{0,4}图",
)
_DIRECTION = _cue(
    r"\b(?:which|who|what)(?: one| model| of (?:them|the two))? (?:came|was|is|were) (?:first|the (?:original|copy|source)|older|earlier|original)\b|\bwho copied (?:who|whom|from whom|the other)\b|\bwhich (?:one )?(?:copied|is copied|came from|comes from)|\bdirection\b|\b(?:which|what) way\b|\bor the other way\b",
    r"谁抄(?:了)?谁|谁抄的|谁先|谁在先|哪(?:个|一个)(?:是|才是|更|在)(?:原|先|早|抄|源|复制)|方向|谁是(?:原|抄|源|正)|先后|哪个在前",
)
_LIMITS = _cue(
    r"\b(?:what|which) (?:does|do|can(?:not|'t)?|is|are|don't|doesn't).{0,30}\b(?:not (?:mean|tell|say|show)|can't|cannot)\b|\blimit(?:s|ations?)?\b|\bcaveats?\b|\bdoes (?:this|that|it) (?:mean|prove|show)\b|\bis (?:this|that|it) (?:illegal|legal|allowed|proof|theft|plagiarism|against|a crime|wrong|evidence)\b|\bwhat.{0,20}not mean\b|\bprove[sd]?\b.{0,20}\b(?:that|this|it|anything)\b|\b(?:enough|good enough|allowed|used?|stand|hold)\b.{0,20}\b(?:to sue|in court|court|lawyer|judge|legal)\b|\bso (?:they|he|she) (?:cheated|lied|stole)",
    r"不(?:能)?(?:意味|说明|代表|证明)(?:着|了)?(?:什么|啥)|局限|限制|说明不了|这(?:就)?(?:能|算|是不是|是否|意味着)(?:不)?(?:证明|说明|违法|违规|侵权|证据|犯法|抄袭)|(?:算|是)(?:不是|不算)?(?:违法|侵权|犯法|违规)|打官司|上法庭|当证据|作为证据|法院|不知道什么|测不出什么|看不出什么",
)
_NEXT = _cue(
    r"\bwhat (?:should|do|can|could|shall|would) (?:i|we|you) (?:do|advise|recommend|suggest)\b|\bnext step|\bwhat(?:'s| is)? next\b|\bnow what\b|\bwhat now\b|\bwhat to do\b|\bhow (?:should|do) i proceed\b|\band now\b|\b(?:can|may|should|could) (?:i|we) (?:now |then |just )?(?:publish|post|tweet|accuse|report (?:it|them|this)|expose|tell|blog|contact|sue|warn|name)",
    r"接下来|下一步|怎么办|该做(?:什么|啥)|我(?:现在)?(?:该|应该|能|可以)(?:做|干)(?:什么|啥)|然后呢|建议(?:我|怎么)|有什么建议|(?:能|可以|该|应该)(?:不能|不可以|不该)?(?:发|公开|曝光|举报|指控|投诉|告|公布|写文章|联系)",
)
_CHANGE_MIND = _cue(
    r"\b(?:change|alter|shake|sway) (?:your|the) (?:mind|answer|verdict|view|opinion)\b|\bconvince you\b|\bcould (?:you|this|that|it|the (?:answer|result|verdict)) be (?:wrong|mistaken|false|an error|incorrect)\b|\b(?:are|might|may) you (?:be )?(?:wrong|mistaken)\b|\bfalse (?:alarm|positive|negative|accusation)|\bwhat would (?:make|prove|show|disprove|speak against|overturn)\b|\bspeaks against\b|\bhow could (?:you|this) be wrong\b|\berror rate\b",
    r"(?:会不会|有没有可能|是不是|可能|会)(?:弄|搞|看|判|出|算|是)?错|(?:会不会|可能|会).{0,4}(?:失误|出差错|误差)|弄错|改变(?:你的|这个)?(?:看法|结论|判断|想法|主意)|推翻|误判|误报|冤枉|什么(?:情况|样的证据|证据).{0,10}(?:改变|推翻|不同)|反(?:面|对)?(?:的)?证据|怎样才能说服",
)
_WHAT_IF = _cue(
    r"\bwhat (?:if|happens if|happens when|would happen|about if)\b|\b(?:would|could|will|can) you (?:still|also|even) (?:\w+ ){0,2}?(?:know|tell|see|find|recogni[sz]e|notice|catch|detect|spot)|\bsuppose\b|\bhow much (?:\w+ )?(?:noise|change|more)\b|\b(?:had|if) (?:they|someone|he|she|it|the|i|we)\b.{0,60}\b(?:noise|shuffl|permut|prun|quanti[sz]|round|rotat|scal|merg|fine-?tun|renam|re-?order|hid|disguis|retrain|distil|nois)",
    r"(?:如果|要是|假如|假设|万一|倘若|若|即使|就算).{0,30}(?:噪|打乱|重排|洗|剪枝|量化|旋转|缩放|合并|微调|改名|重命名|伪装|蒸馏|训练|换|删|加|扰|改|拆|隐藏)|还能(?:认|看|发现|查|识别)|多少噪声|多大的?噪声|能(?:藏|躲)(?:得)?住",
)
_REPORT = _cue(
    r"\breport\b|\bexport|\bdownload\b|\bsave (?:it|this|that|the|as|my|everything)|\bpdf\b|\bmarkdown\b|\bwrite[- ]?up\b|\b(?:summary|document|something) (?:to|i can) (?:share|send|print|show)|\bprint(?:able|out)?\b|\bas a file\b|\bsend (?:me|it|this)\b|\bin writing\b",
    r"报告|导出|下载|保存|书面|打印|整理成(?:文|文档|文件)|发给(?:老师|同事|别人|他们)",
)
_RESULT = _cue(
    r"\b(?:so|then),? (?:is|are|was|were|did)\b|\bwhat (?:did|have) you (?:find|found|discover)|\bwhat(?:'s| is| was) (?:the |your )?(?:result|verdict|answer|conclusion|outcome|finding)s?\b|\bsumm(?:ary|ari[sz]e)\b|\bexplain (?:the|this|that|your|it)?\s*(?:last |the )?(?:result|verdict|answer|finding|outcome|conclusion|comparison|that|this|it)\b|\bwhat does (?:this|that|it|the (?:result|answer|verdict)) (?:all )?mean\b|\b(?:don'?t|can'?t|didn'?t|to|not) (?:really |quite |fully )?(?:understand|get it|follow)|\bremind me\b|\bthe (?:last|previous|first|latest) (?:result|comparison|verdict|answer)\b|\brecap\b|\bcopy or not\b|\bis it (?:a copy|copied|the same|independent|stolen)\b|\bare they (?:the same|related|copies|independent)\b|\bresults?\?*$|\bin other words\b|\bsay (?:that|it) again\b|\brepeat (?:that|it|the (?:result|answer))\b",
    r"(?:所以|那|到底|究竟|总之|那么).{0,6}(?:是不是|是否|抄没抄|有没有抄|算不算|是抄|抄了)|结果(?:是|呢|怎|如何|什么|说)|结论(?:是|呢|怎|如何|什么)|总结|概括|归纳|什么意思[?？]?$|我?(?:没|不)(?:看|听)?(?:太)?(?:懂|明白)|再(?:解释|说|讲)(?:一)?(?:遍|下|次)|解释(?:一下)?(?:这|上|刚|结|它|你)|(?:刚才|上面|上次|上一个|之前|第一次)的?(?:结果|结论|比较|答案)|发现(?:了)?(?:什么|啥)|换(?:个|句)(?:说法|话说)|回顾",
)
_ONE_SENTENCE = _cue(
    r"\b(?:in )?(?:one|a single) sentence\b|\bshort(?:er)? (?:answer|version|please)\b|\b(?:in )?brief(?:ly)?\b|\btl;?dr\b|\byes or no\b|\bin a nutshell\b|\bin short\b|\bshorter\b|\btoo long\b|\bkeep it short\b|\bbottom line\b",
    r"一句话|简短|简单说|长话短说|太长|简要|简洁|直接(?:说|告诉我)?结论|只(?:要|说)结论|是还是不是|一言以蔽之",
)
_CHILD = _cue(
    r"\blike (?:i'?m|i am|im|i was|to) (?:an? |only )?(?:\d+|five|six|seven|eight|nine|ten|eleven|twelve|child|kid)|\bto (?:a|my) (?:child|kid|\d+|ten|five|twelve|pupil|grand\w+|mother|mom|mum)\b|\bfor (?:kids|children|a child|beginners|dummies|a layman|non-?experts)\b|\bsimpl(?:e|er|y)\b(?: words| terms| language| english)?|\bplain (?:words|english|language|terms)\b|\beli\d+\b|\b(?:normal|everyday|easy|easier) (?:words|terms|language)\b|\blay(?:man'?s| ) ?terms\b|\beasier\b",
    r"像(?:我|对|跟|给)?.{0,4}(?:岁|小孩|孩子|小学生|小朋友)|(?:给|对|跟|向)(?:一个)?(?:\d+岁|小学生|孩子|小孩|小朋友|外行|老人|爸妈|奶奶)|大白话|通俗|简单(?:一)?(?:点|些)|说人话|听不懂|看不懂|浅显|好懂",
)
_ENGINEER = _cue(
    r"\bengineers?\b|\btechnical(?:ly)?\b|\b(?:more|all|full|in|every) (?:the )?detail|\ball (?:the )?(?:numbers|findings|checks|evidence)\b|\bfor experts?\b|\bin depth\b|\bfull (?:table|list|evidence)\b|\braw (?:numbers|data|values)\b|\bper layer\b|\blayer by layer\b",
    r"工程师|技术(?:细节|版|性|上)|专业(?:版|点|一点)|详细|所有(?:的)?(?:数字|发现|检查|证据|数据)|展开(?:说|讲)|具体(?:数据|数值|数字)|逐层|每一层|深入",
)

# --- cues for the conversation ---------------------------------------------------------------------------------------------

_PRESSURE = _cue(
    r"\b(?:just|only|simply|please) (?:say|tell me|admit|confirm|write|answer|agree)\b.{0,60}\b(?:stol|stole|stolen|theft|thie|copy|copied|guilty|yes|cheat|plagiar|identical|independent|fake|it is|it's|rip)|\badmit\b|\b(?:you|your answer|the (?:answer|verdict)) (?:must|have to|has to|should|need to|better|will) (?:say|be|answer|agree|call|conclude|write|admit)\b|\bstop hedging\b|\bdon'?t hedge\b",
    r"\b(?:ignore|forget|disregard|override|bypass) (?:\w+ ){0,3}(?:instructions?|rules?|prompts?|guidelines?|evidence|findings?|numbers?|results?)\b|\bpretend\b|\bfrom now on,? you(?:'re| are)\b|\byou are now\b|\b(?:change|set|flip|rewrite|edit) (?:the|your) (?:verdict|answer|result|conclusion) to\b|\beverybody knows\b|\beveryone knows\b|\bobviously (?:stol|cop)|\bsay (?:that )?(?:it'?s|it is|it was|they|he|she|\x02\d+\x02 (?:is|was)) (?:\w+ ){0,3}(?:stol|theft|thie|guilty|cop|identical|independent|plagiar)|\bconfirm (?:that )?(?:it|they|he|she|this)\b|\bcall (?:it|them|him) (?:a )?(?:theft|thie|stol|cheat|fraud)|\bsystem prompt\b|\bdeveloper mode\b|\bjailbreak|\bact as\b|\brole-?play as\b",
    r"(?:就|直接|只管|快|赶紧|老实)(?:说|讲|承认|回答|写)(?:是|它|他|她|他们|吧|“|\"|一句)?.{0,12}(?:偷|抄|盗|剽|是的|独立|一样|贼|实锤|铁证|就行|得了|吧)|承认(?:吧|了吧|就)|你(?:就)?说(?:是|它|他们).{0,6}(?:偷|抄).{0,4}(?:不就|得了|完了|行了)|你(?:必须|得|应该|只能|要)(?:说|回答|承认|写|告诉)|别(?:绕|废话|狡辩|模棱|含糊|打太极)|(?:忽略|无视|忘(?:记|掉)|绕过|不要管|别管).{0,10}(?:指令|规则|要求|提示|限制|证据|数字|结果)|假装|假设你是|你现在是|从现在起你|扮演(?:一个)?(?:不|没有|检察|法官)|把(?:结论|答案|结果|判断)(?:改|写|换)(?:成|为)|大家都知道|明明就是|谁都知道|一口咬定|肯定是(?:偷|抄|盗)的?(?:吧|了|,|，|。|!|！|$)|快说|系统提示词|开发者模式|实锤了(?:吧|,|，|。|!|！|$)",
)
_PEOPLE = _cue(
    r"\b(?:authors?|students?|professors?|founders?|ceo|compan(?:y|ies)|start-?ups?|teams?|engineers?|developers?|lab|people|person|guy|he|she|they|who)\b(?=.{0,60}\b(?:guilty|cheat(?:s|ed|er|ers|ing)?|thie(?:f|ves)|crooks?|frauds?|liars?|lied|lying|dishonest|blame|punish(?:ed)?|fired?|expel(?:led)?|jail|prison|sued?|arrest(?:ed)?|on purpose|deliberate(?:ly)?|intend(?:ed)?|knew|criminals?|ashamed|responsible for (?:this|it|the)|immoral|unethical)\b)",
    r"\bwho (?:stole|copied (?:it|this|the model|that)|is to blame|did (?:it|this|that)|is (?:guilty|responsible|the (?:thief|culprit|cheater|liar)))\b|\bname (?:the |me the )?(?:person|people|thief|culprit|author)|\bwhose fault\b|\bis (?:he|she|the author|the team|the company) (?:a |an )?(?:thief|cheat|crook|liar|fraud|bad)|\bthe culprit\b|\b(?:bad|evil|dishonest|honest|good) (?:people|person|guys?)\b|\bso (?:they|he|she) (?:cheated|lied)\b|\bhome address\b|\bphone number\b",
    r"谁(?:干的|偷的|偷了|该负责|负责|的责任|的错|是小偷|是骗子|是贼|搞的鬼)|(?:作者|学生|团队|公司|老板|教授|工程师|创始人|开发者|这个人|这些人|他们?|她们?|当事人|博士)[^。？?]{0,14}(?:小偷|骗子|骗人|撒谎|说谎|故意|有意|开除|坐牢|判刑|道德|人品|该不该|贼|惩罚|处分|退学|无耻|道歉(?:吗|没)|起诉|抓起来|负责)|是不是故意|是故意的|人肉|追究|是谁抄的|坏人|坏蛋|可耻|家庭住址|电话号码",
)
_LESSON = _cue(
    r"\blessons?\b|\bteach(?:ing|er)?\b|\bclass(?:room|es)?\b|\bquiz|\brole[- ]?play\b|\bworksheets?\b|\bdiscussion questions\b|\bcurriculum\b|\bhomework (?:task|idea|about)|\bexercise for (?:my )?(?:students|pupils)|\bactivit(?:y|ies) for\b|\bworkshop\b|\bdebate (?:for|in|with)\b",
    r"教案|上(?:一)?(?:节|堂)|一节课|一堂课|课堂|备课|教学|老师|课程|角色扮演|测验|讨论题|学生.{0,6}(?:活动|讨论|讲|上课)|(?:给|教|跟|对)(?:我的|初中|高中|小)?(?:学生|孩子们)|课件|公开课|辩论(?:赛|会|活动)|出(?:几|一些|点)(?:道)?题",
)
_HELP = _cue(
    r"^(?:/?help|commands?|menu|/start|\?)[\s?.!]*$|\bwhat (?:can|do|could) you (?:do|offer|know|help)\b|\bhow (?:do|can|should) (?:i|we) (?:use|start|ask|begin|work)\b|\bhow does (?:this|it) work\b|\bwho are you\b|\bwhat are you\b|\bwhat(?:'s| is) this(?: (?:tool|page|site|website|thing|app))?(?: (?:for|about|good for))?\s*\??$|\bhow to use\b|\bare you (?:an? )?(?:ai|bot|robot|human|person|chatgpt|gpt|claude|llm|language model|real)\b|\bwhich (?:language )?model (?:are you|do you use)|\bwho (?:made|built|wrote) you\b|\bhelp me\b[\s.!?]*$|\bwhat (?:questions )?can i ask\b|\byour (?:name|purpose)\b|\bget(?:ting)? started\b",
    r"^(?:/?帮助|菜单|说明|指令)[\s?？。!！]*$|你(?:能|会|可以)(?:做|干|帮|回答)(?:些)?(?:什么|啥|哪些)|怎么(?:使)?用(?:你|这|它)?[?？]?$|如何使用|你是(?:谁|什么|人|机器|ai|chatgpt)|使用(?:说明|方法|指南)|有(?:什么|哪些)功能|你会(?:什么|啥)|这(?:个)?(?:是什么|网页|网站|工具|页面)(?:是)?(?:干|做|什么|有|用来)|我(?:能|可以)问(?:你)?(?:什么|啥|哪些)|谁(?:做|开发|写)(?:了|的)?你|怎么开始|你叫什么|你用的(?:是)?什么模型",
)
_EXAMPLES = _cue(
    r"\b(?:what|which|any|show|list|see|give|have|got|the)\b.{0,24}\b(?:examples?|exhibits?|samples?|demos?)\b|^(?:examples?|exhibits?|demo)[\s?.!]*$|\bwhich models (?:can|do) (?:i|you)\b|\b(?:list|show)(?: me)?(?: all| the)? models\b|\bwhat models\b",
    r"(?:有|看|给|列|哪些|什么|展示).{0,10}(?:例子|示例|展品|样例|演示)|^(?:例子|示例|展品|演示)[\s?？。]*$|(?:有|可以|能)(?:用|比较|查)?(?:哪些|什么)模型",
)
_SMALL_TALK = re.compile(
    r"^(?:(?:hi+|hello+|hey+|hiya|greetings|good (?:morning|evening|afternoon|day|night)|thanks?(?: you| a lot| so much| very much)*|thank you(?: very much| so much)?|thx|cheers|bye+|goodbye|see you|"
    r"how are you(?: today| doing)?|how'?s it going|nice(?: to meet you)?|great|cool|wow|awesome|well done|good (?:job|bot|work)|you(?:'re| are) (?:great|funny|nice|cool|helpful|awesome|welcome)|interesting|amazing|perfect|ok|okay|haha+|lol|there|all|everyone|that'?s (?:great|helpful|interesting|nice|cool|all)|got it|i see|understood|"
    r"你好(?:啊|呀|吗)?|您好|大家好|嗨|哈喽|在吗|早上好|早安|下午好|晚上好|晚安|谢谢(?:你|您|啦|了)?|多谢|感谢|辛苦(?:了|你了)?|再见|拜拜|哈哈+|厉害|真棒|太棒了|不错|好厉害|真好|原来如此|明白了?|懂了|知道了|收到|好吧|挺好|有意思|牛)"
    r"[\s,，。.!！?？~、:)(]*)+$",
    re.I,
)
_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|evening|afternoon)|thanks?(?: you)?(?: a lot| so much| very much)?|great|cool|nice|ok(?:ay)?|well|so|please|"
    r"你好|您好|嗨|谢谢(?:你|您)?|多谢|好的|请问|麻烦)[\s,，。.!！~、:：]+)+",
    re.I,
)
_OFF_TOPIC = _cue(
    r"\bweather\b|\bjokes?\b|\bpoems?\b|\brecipes?\b|\bfootball\b|\bsoccer\b|\bstocks?\b|\bmovies?\b|\bsongs?\b|\btranslat(?:e|ion)\b|\bcapital (?:city )?of\b|\bwho won\b|\bpresident\b|\bhoroscope\b|\bdinner\b|\bbitcoin\b|\bwrite (?:me )?(?:a|an|some|my) (?:\w+ )?(?:python|code|essay|story|letter|email|program|function|script|cover|haiku)|\bmeaning of life\b|\bwhat time\b|\bnews\b|\bgirlfriend\b|\bboyfriend\b|\bdo you (?:love|like|feel|dream)\b|\bcats?\b|\bdogs?\b|\bplay (?:a )?game|\bcook(?:ing)?\b|\bholiday\b|\btravel\b|\bmedical\b|\bheadache\b|\bmarry\b|\bsolve\b",
    r"天气|笑话|写(?:一)?首|写诗|菜谱|股票|足球|电影|唱歌|一首歌|翻译(?!成)|首都|总统|写(?:一)?(?:段|个|篇)(?:代码|程序|作文|故事|文章|python|函数|邮件)|星座|恋爱|女朋友|男朋友|几点(?:了)?|新闻|比特币|做饭|吃什么|旅游|猫|狗|游戏|爱我|头疼|感冒|彩票",
)
_CLOSED = re.compile(
    r"\bchat ?gpt\b|\bgpt-?[345](?:\.\d)?o?\b(?:[- ]?(?:turbo|mini))?|\bopenai(?:'s)?(?: o\d)?\b|\bclaude\b|\bgemini\b|\bbard\b|\bcopilot\b|\bgrok\b|\bmidjourney\b|\bperplexity\b|\bsiri\b|\balexa\b|\bernie bot\b|\bdoubao\b|\bpi\.ai\b|\bsora\b|\bcharacter\.?ai\b|\bpoe\b|\bwenxin\b|\bspark desk\b|\bkimi chat\b"
    r"|文心(?:一言)?|豆包|讯飞星火|星火大模型|通义千问(?:app|网页版)?|元宝|智谱清言|天工ai|海螺ai|百小应|商量|秘塔|小爱同学|小度",
    re.I,
)
_CHECK = _cue(
    r"\bcheck\b|\bcompare\b|\btest\b|\bcop(?:y|ied|ies)\b|\bwrapp|\bexamin|\bmeasur|\binspect|\bscan\b|\bverify|\bsame\b|\bclone|\bbased on\b|\bstol|\banaly[sz]e|\bvs\b|\bversus\b|\bfake\b",
    r"查|比|检测|鉴定|测|套壳|抄|换皮|复制|一样|看看|验证|分析|同一",
)
_CLOSED_STORY = _cue(
    r"\bdistil|\bcursor\b|\bcomposer\b|\bdeepseek\b|\breflection\b|\balpaca\b|\bbytedance\b|\bvicuna\b|\bterms\b|\blegal\b|\billegal\b|\bapi\b|\btold me\b|\bclaims?\b|\bsays (?:it|he|she|that)\b|\bsaid\b|\bmy company\b|\bsell|\bwrapper\?|\bangry\b|\bnever proven\b|\bsecretly\b|\bi am\b|\bwindsurf\b|\bwhat (?:is|does)\b",
    r"蒸馏|cursor|deepseek|字节|条款|合法|违法|自称|自己说|说自己|说它是|说是|我是chatgpt|api|接口|能说明",
)
# Names of public cases and models: a question with one of them is about what is written, not about files.
_CASES = _cue(
    r"\bllama[- ]?3[- ]?v\b|\bmini-?cpm|\bsolar\b|\bpangu\b|\byi(?:-?\d+b)?\b|\bllama\b|\bqwen|\bdeepseek|\bcursor\b|\bcomposer\b|\breflection\b|\brakuten|\bnaver\b|\bhyperclova|\bskt?\b|\ba\.x\b|\brio\b|\bmiqu\b|\bkimi\b|\bmistral\b|\bmixtral\b|\bgemma\b|\banthropic\b|\bbytedance\b|\balpaca\b|\bvicuna\b|\bsky-?t1\b|\bsarvam\b|\bwindsurf\b|\bcognition\b|\bswe-1\.5\b|\bglm\b|\bupstage\b|\bhuawei\b|\bstanford\b|\bmodelbest\b|\bmeta'?s? llama|\bllama[- ]?\d|\bfalcon\b|\bphi-?\d|\bbaichuan|\binternlm|\bhonest ?agi|\bsionic\b|\bmanus\b",
    r"盘古|华为|千问|清华简|面壁|斯坦福|零一万物|乐天|字节|楽天|里约|上海人工智能|韩国|日本|阿里|百川|李开复|智谱|月之暗面",
)
_DOMAIN = _cue(
    r"\bmodels?\b|\bweights?\b|\bcheckpoints?\b|\bai\b|\bllms?\b|\btrain|\btuning\b|\btuned?\b|\blora\b|\bdistil|\bquanti[sz]|\bprun|\bmerg|\btokeni[sz]er|\bvocab|\barchitect|\bwrapp|\bcop(?:y|ied|ies|ying)\b|\bplagiar|\bst[eo]l|\blicen[cs]e|\bopen[- ](?:source|weights?)|\bp-?values?\b|\bcosine|\bsimilarity|\bparameters?\b|\bneural|\bhidden unit|\blayers?\b|\bnoise\b|\bperturb|\bhistogram|\bbase rate|\bapache\b|\bmit\b|\bai act\b|\bcopyright|\bprompt|\brag\b|\bvector|\bembedding|\bhugging ?face|\bconfig|\bmodel card|\bfrom scratch\b|\baccus|\bevidence\b|\bproof\b|\bprove|\bfingerprint|\bwatermark|\bcanar|\bmistakes?\b|\bunit order\b|\bpermut|\bindependent\b|\bverdict\b|\bderiv|\bupscaling|\btensor|\bchatbot|\bgaussian|\bbenchmark|\bcase\b|\bclosed\b|\bclone|\bfake\b|\bretract|\bdue process|\bhow (?:can|do) you tell|\boriginal(?:ity)?\b|\brebrand|\bnumbers?\b",
    r"模型|权重|套壳|换皮|借壳|抄|剽窃|微调|训练|蒸馏|量化|剪枝|合并|分词|词表|架构|结构|参数|许可|协议|开源|开放权重|余弦|相似|p值|噪声|扰动|直方图|证据|指控|自研|原创|版权|提示词|向量|检索|人工智能|\bai\b|大模型|神经|隐藏单元|基座|底座|配置|模型卡|巧合|基率|基础概率|独立|冤|造假|山寨|侵权|法律|水印|指纹|层|张量|伦理|实锤|铁证|偷|盗|闭源|对照|数字|案例|案",
)
_ASKS_WHAT = _cue(
    r"\bwhat(?:'s| is| are| does| do)\b|\bexplain\b|\bdefine\b|\bmeaning of\b|\bmeans?\b|\bdefinition\b", r"什么是|是什么|什么意思|啥意思|什么叫|何谓|解释|含义|指什么|是啥|意味"
)
_ASKS_HOW = _cue(r"\bhow\b|\bwhat\b", r"怎么|如何|怎样|什么")
_CODE = re.compile(r"```|^\s*(?:def |class |import |from \w+ import |#include|function |const |let |var |public |SELECT |<\?php|<html|<script)", re.M)

# Our own vocabulary, as people say it: the key that explain.py has a sentence for.
_OUR_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (key, _cue(*patterns))
    for key, patterns in {
        "disguised_copy": (r"\bdisguised[_ ]copy\b", r"改头换面|伪装(?:的)?复制品"),
        "identical": (r"[“\"']identical[”\"']|\bidentical\b (?:mean|here)", r"[“\"']完全相同[”\"']"),
        "derived": (r"[“\"']derived[”\"']|\bmean.{0,10}\bderived\b|\bderived\b.{0,4}\bmean", r"[“\"']?衍生(?:而来|模型)?[”\"']?(?:是|指)"),
        "shared_part": (r"\bshared[_ ]part\b", r"部分(?:相同|共用|共享)"),
        "common_origin": (r"\bcommon[_ ]origin\b", r"同出一源|共同起源"),
        "independent": (r"[“\"']independent[”\"']|\bmean.{0,10}\bindependent\b|\bindependent\b.{0,4}\bmean", r"[“\"']?(?:相互|互相)独立[”\"']?(?:是|指)"),
        "undecided": (r"\bundecided\b", r"无法判断|不能判断"),
        "same_values": (r"\bsame[_ ]values\b", r"数值相同(?:是|指)"),
        "unit_order": (r"\bunit[_ ]order\b|\border of (?:the )?(?:hidden )?units\b|\bnumber their (?:\d+ )?hidden units", r"单元(?:的)?(?:排列)?(?:顺序|次序|编号)"),
        "unit_partners": (r"\bunit[_ ]partners?\b|\bpartners? of (?:the )?units\b|\bmatched units\b", r"单元(?:配对|的?伙伴|的?搭档)|配对(?:后)?的单元"),
        "difference_shape": (r"\bdifference[_ ]shape\b|\bshape of the difference\b", r"差(?:异|值)的?形状"),
        "shared_additions": (r"\bshared[_ ]additions?\b", r"共同(?:的)?(?:增量|添加|改动)"),
        "same_tokenizer": (r"\bsame[_ ]tokenizer\b", r"分词器相同(?:是|指)"),
        "same_configuration": (r"\bsame[_ ]configuration\b", r"配置相同(?:是|指)"),
        "tensor_names": (r"\btensor[_ ]names?\b", r"张量(?:的)?名(?:称|字)"),
        "hidden_unit": (r"\bhidden units?\b|\bwhat(?:'s| is| are) (?:a |an )?units?\b", r"隐藏单元"),
        "log10": (r"\blog10\b|\blogarithm", r"对数"),
        "layer": (r"\bwhat(?:'s| is| are) (?:a )?layers?\b", r"什么是层|层是什么"),
    }.items()
)  # fmt: skip


# --- reading -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Message:
    """A message made ready: its models in order, and its text with \\x02i\\x02 in the place of each name."""

    text: str
    masked: str
    names: tuple[str, ...]
    occurrences: tuple[Named, ...]
    exhibit: str | None = None
    unclear: tuple[str, ...] = ()

    def has(self, cue: re.Pattern[str]) -> bool:
        return cue.search(self.masked) is not None


def read(message: str, memory: Memory | None = None, *, shelf: Shelf | None = None, hint: str | None = None) -> Intent:
    """What `message` asks for, given what was said before. `hint`: the page's language, used when a text shows none."""
    memory, shelf = memory or Memory(), shelf or Shelf()
    text = visible(message[: LONGEST_MESSAGE + 1]).strip()
    ready = _ready(text, memory, shelf)
    language, foreign = language_of(re.sub(r"\x02\d+\x02", " ", ready.masked))
    wish = _wish(ready.masked)
    settled = wish or memory.wish or language or memory.language or _hinted(hint)
    if foreign:
        settled = wish or memory.wish or memory.language or _hinted(hint)
    intent = _decide(ready, memory, shelf, len(message) > LONGEST_MESSAGE, wish)
    return replace(
        intent,
        language=cast(Language, settled),
        foreign=foreign,
        wish=wish,
        named=tuple(dict.fromkeys((*ready.names, *intent.models, *((intent.base,) if intent.base else ())))),
        exhibit=ready.exhibit or intent.exhibit,
        question=intent.question or text[:400],
        pressed=intent.pressed or ready.has(_PRESSURE),
    )


def _hinted(hint: str | None) -> Language:
    return "zh" if hint == "zh" else "en"


def _ready(text: str, memory: Memory, shelf: Shelf) -> _Message:
    occurrences = find_names(text, shelf)
    names: list[str] = []
    pieces, at = [], 0
    for named in occurrences:
        if named.name not in names:
            names.append(named.name)
        pieces += [text[at : named.start], f" \x02{names.index(named.name)}\x02 "]
        at = named.end
    masked = unicodedata.normalize("NFKC", "".join(pieces) + text[at:])
    masked = re.sub(r"[ \t]+", " ", masked.replace("’", "'").replace("‘", "'")).strip()
    masked = _GREETING.sub("", masked) if not _SMALL_TALK.match(masked) and not _YES.match(masked) else masked
    masked, names, exhibit, unclear = _shipped(masked, names, memory, shelf)
    return _Message(text, masked, tuple(names), tuple(occurrences), exhibit, unclear)


# How people call the models of an exhibit, by the name of the folder.
_ROLES = {
    "suspect": r"\b(?:the |that |this )suspect(?:ed)?(?: model| checkpoint)?\b|\bsuspect model\b|(?:被怀疑的|可疑的?|嫌疑)(?:那个)?(?:模型|者|方)|嫌疑人",
    "original": r"\bthe original(?: model| checkpoint| one)?(?! (?:question|answer|result|of|for|behind|source|author|weights))\b|原(?:版|作)(?:模型)?|原(?:来的|始)?模型",
    "stranger": r"\b(?:the |that )stranger(?: model)?\b|\bstranger model\b|陌生(?:的)?模型|陌生人|局外(?:的)?模型",
    "sibling": r"\b(?:the |that )sibling(?: model)?\b|兄弟模型|同胞模型",
    # The word is also how one names a base, so it stands for the folder only behind a preposition.
    "base": r"(?<=with )the (?:common |shared )?base(?: model)?\b|(?<=from )the (?:common |shared )?base(?: model)?\b|(?<=and )the (?:common |shared )?base(?: model)?\b|(?<=to )the (?:common |shared )?base(?: model)?\b|(?<=of )the (?:common |shared )?base(?: model)?\b|(?<=[和跟与从以])(?:共同的?)?(?:底座|基座|底模)(?:模型)?",
}
# 'Which is the original?' asks for it; 'the base X' and 'X的原版' have a name beside them already.
_NO_ALIAS_BEFORE = re.compile(r"(?:\b(?:which|who|what)(?: one| model)? (?:is|was) |哪(?:个|一个)?(?:才|会)?是|谁(?:才)?是|\x02 ?的|\x02 )$", re.I | re.A)
_NO_ALIAS_AFTER = re.compile(r"^ ?(?:is|was|=|:|是|为|,)? ?\x02", re.I | re.A)


def _shipped(
    masked: str, names: list[str], memory: Memory, shelf: Shelf
) -> tuple[str, list[str], str | None, tuple[str, ...]]:
    """Put the shipped models in the place of 'the suspect', where only one can be meant; say which where several can."""
    exhibit = next((e for e in shelf.exhibits if _mentions(e, masked)), None)
    context = exhibit or next((e for e in map(shelf.of, names) if e), None) or (memory.exhibit if memory.models else None)
    unclear: tuple[str, ...] = ()
    roles = {role for models in shelf.exhibits.values() for role in models}
    for role in sorted(roles, key=lambda role: (-len(role), role)):
        pattern = re.compile(_ROLES.get(role) or rf"\b(?:the |model ){re.escape(role)}\b", re.I | re.A)
        match = next((m for m in pattern.finditer(masked) if _stands_alone(m, masked)), None)
        if match is None:
            continue
        homes = [e for e, models in shelf.exhibits.items() if role in models]
        home = context if context in homes else homes[0] if len(homes) == 1 else None
        if home is None:
            unclear = tuple(shelf.exhibits[e][role] for e in homes)
            continue
        # An ordinary word, unless something else in the conversation is about the exhibits.
        if role in ("original", "base") and not context and not re.search(_ROLES["suspect"], masked, re.I | re.A):
            continue
        path = shelf.exhibits[home][role]
        if path not in names:
            names.append(path)
        exhibit = exhibit or home
        masked = f"{masked[: match.start()]} \x02{names.index(path)}\x02 {masked[match.end() :]}"
    names, masked = _in_order(names, masked)
    return re.sub(r"[ \t]+", " ", masked).strip(), names, exhibit or (context if names else None), unclear


def _mentions(exhibit: str, masked: str) -> bool:
    name = re.escape(exhibit)
    return bool(
        re.search(rf"(?<![\w/-]){name}(?![\w/-])\s*(?:example|exhibit|demo|sample|pair|models?|的?(?:例子|示例|展品|样例|演示|模型|那组|这组|里))", masked, re.I | re.A)
        or re.search(rf"(?:example|exhibit|demo|展品|例子|示例)\s*[“\"']?{name}(?![\w/-])", masked, re.I | re.A)
    )  # fmt: skip


def _stands_alone(match: re.Match[str], masked: str) -> bool:
    return not _NO_ALIAS_BEFORE.search(masked[: match.start()]) and not _NO_ALIAS_AFTER.match(masked[match.end() :])


def _in_order(names: list[str], masked: str) -> tuple[list[str], str]:
    """Number the names by where they stand in the sentence."""
    order = list(dict.fromkeys(int(i) for i in re.findall(r"\x02(\d+)\x02", masked)))
    order += [i for i in range(len(names)) if i not in order]
    renumbered = re.sub(r"\x02(\d+)\x02", lambda m: f"\x02{order.index(int(m[1]))}\x02", masked)
    return [names[i] for i in order], renumbered


def _decide(message: _Message, memory: Memory, shelf: Shelf, too_long: bool, wish: Language | None) -> Intent:
    text, masked = message.text, message.masked
    if too_long:
        return Intent("too_long")
    if not text:
        return Intent("empty")
    if not re.search(r"[^\W_]", text):
        return Intent("help") if text in ("?", "？") else Intent("unreadable")
    depth = _depth(message)
    if message.unclear and not message.names:
        return Intent("unclear", choices=message.unclear, about="which")
    if message.names:
        return replace(_with_names(message, memory, shelf), depth=depth)
    if _CODE.search(text) and not re.search(r"\?|？", text.splitlines()[0] if text else ""):
        return Intent("code")
    intent = _from_thread(message, memory, wish) or _from_memory(message, memory, depth) or _without_models(message, memory)
    return intent if intent.depth != "ordinary" else replace(intent, depth=depth)


def _depth(message: _Message) -> Depth:
    if message.has(_CHILD):
        return "child"
    if message.has(_ENGINEER):
        return "engineer"
    return "one_sentence" if message.has(_ONE_SENTENCE) else "ordinary"


def _with_names(message: _Message, memory: Memory, shelf: Shelf) -> Intent:
    """A message that names at least one model."""
    names, base = _base(message)
    negated = message.has(_NEGATED)
    if negated:
        kept = re.split(r"[,;.:]| but | just | only | instead|，|。|；|只|而是|就", message.masked, maxsplit=1)
        rest = kept[1] if len(kept) > 1 else ""
        for kind, cue in (("describe", _DESCRIBE), ("stress", _STRESS), ("behave", _BEHAVE), ("compare", _COPY)):
            if cue.search(rest) and not _NEGATED.search(rest):
                return _measure(kind, names, base, message, memory, shelf)
        return Intent("cancel", models=names)
    if message.has(_CORRECTION) and memory.models and (corrected := _corrected(message, names, memory)):
        return replace(corrected, base=base or memory.base)
    if base is not None and not names:
        if len(memory.models) > 1:
            return Intent("compare", models=memory.models[:2], base=base)
        return _one_model((base,), None, message, memory, shelf)
    if len(names) >= 2:
        if message.has(_BEHAVE) and not re.search(r"[Bb]ehaves? (?:as|like)", message.masked):
            return Intent("behave", models=names[:2])
        # "Describe X and Y": both, one after the other.
        if message.has(_DESCRIBE) and not message.has(_COPY):
            return Intent("describe", models=names[:MOST_CANDIDATES])
        if re.search(r"\bstress|压力测试|压测", message.masked, re.I):
            return Intent("stress", models=names[:2])
        return Intent("compare", models=_suspect_first(message, names), base=base)
    return _one_model(names, base, message, memory, shelf)


def _measure(
    kind: str, names: tuple[str, ...], base: str | None, message: _Message, memory: Memory, shelf: Shelf
) -> Intent:
    if kind in ("compare", "behave") and len(names) < 2:
        return _one_model(names, base, message, memory, shelf)
    return Intent(kind, models=names, base=base if kind == "compare" else None)


def _one_model(
    names: tuple[str, ...], base: str | None, message: _Message, memory: Memory, shelf: Shelf
) -> Intent:
    """A message that names exactly one model: is the other one plain from what was said, or must it be asked for?"""
    name = names[0]
    choices = tuple(dict.fromkeys((*shelf.siblings(name), *(m for m in memory.models if m != name))))[:MOST_CANDIDATES]
    copying, before = message.has(_COPY), memory.models
    if message.has(_STRESS) and not (copying and before):
        return Intent("stress", models=names)
    closed = _CLOSED.search(message.masked)
    if closed and (copying or message.has(_CHECK)):
        return Intent("closed", about=closed[0], models=names)
    if memory.waiting and not message.has(_DESCRIBE):
        if memory.waiting == "behave":
            return Intent("behave", models=(*memory.awaiting, name)[:2])
        if memory.waiting in ("describe", "stress"):
            return Intent(memory.waiting, models=names)
        if memory.awaiting and name not in memory.awaiting:
            return Intent("compare", models=(*memory.awaiting[:1], name), base=base)
        if not memory.awaiting:
            return Intent("ask_other", models=names, choices=choices, base=base)
    other = _pointed_at(message, memory, name)
    if other is not None and (copying or message.has(_AND_THIS)):
        pair = (other, name) if _pronoun_first(message) else (name, other)
        return Intent("behave", models=pair) if message.has(_BEHAVE) else Intent("compare", models=pair, base=base)
    if before and message.has(_AND_THIS) and not message.has(_DESCRIBE):
        if memory.last_kind in ("describe", "stress") and not copying:
            return Intent(memory.last_kind, models=names)
        if re.search(r"same question|同样的问题", message.masked, re.I) and len(before) > 1 and name != before[1]:
            return Intent("compare", models=(name, before[1]), base=base)
        if name != before[0]:
            return Intent("compare", models=(before[0], name), base=base)
    if message.has(_DESCRIBE) and not (copying and not re.search(r"\bshow me\b|看看|\bopen\b|\bread\b", message.masked)):
        if not copying:
            return Intent("describe", models=names)
    if message.has(_BEHAVE) and len(before) > 1 and name in before:
        return Intent("behave", models=before[:2])
    if message.has(_BEHAVE):
        return Intent("ask_other", models=names, choices=choices, about="behave")
    return Intent("ask_other", models=names, choices=choices, base=base)


def _pointed_at(message: _Message, memory: Memory, name: str) -> str | None:
    """The model that 'it', 'the first one', 'the other' stands for beside a named one."""
    if not memory.models:
        return None
    if message.has(_SECOND) and len(memory.models) > 1 and memory.models[1] != name:
        return memory.models[1]
    if (message.has(_FIRST) or message.has(_IT)) and memory.models[0] != name:
        return memory.models[0]
    return None


def _pronoun_first(message: _Message) -> bool:
    """Whether the pronoun stands before the name, and so is the model that is asked about."""
    places = [m.start() for cue in (_IT, _FIRST, _SECOND) if (m := cue.search(message.masked))]
    return bool(places) and min(places) < message.masked.find("\x02")


def _base(message: _Message) -> tuple[tuple[str, ...], str | None]:
    """Take the model that is named as the common base out of the others."""
    matches = list(re.finditer(r"\x02(\d+)\x02", message.masked))
    if len(message.names) < 2 and not (message.names and re.search(r"base|基|底", message.masked, re.I)):
        return message.names, None
    for match in reversed(matches):
        before, after = message.masked[: match.start()], message.masked[match.end() :]
        said = _BASE_BEFORE.search(before)
        # 'Are both copies of Z' and 'is X based on Y' are questions, not the naming of a base.
        if said and len(message.names) < 3 and re.search(r"都|both|以$|以\s*$", said[0], re.I):
            said = None
        if said or _BASE_AFTER.match(after):
            chosen = message.names[int(match[1])]
            return tuple(name for name in message.names if name != chosen), chosen
    return message.names, None


def _suspect_first(message: _Message, names: tuple[str, ...]) -> tuple[str, ...]:
    """Order the models: the one that is asked about, then those it is held against."""
    if len(names) == 2:
        turned = message.has(_PASSIVE) or message.has(_SOURCE_FIRST)
        return (names[1], names[0]) if turned else names
    places = [message.masked.find(f"\x02{message.names.index(name)}\x02") for name in names]
    between = [message.masked[a + 3 : b] for a, b in zip(places, places[1:], strict=False)]
    joined = [bool(_JOINS.match(piece)) for piece in between]
    if message.has(_WHICH_OF) and joined[0] and not joined[-1]:
        names = (names[-1], *names[:-1])
    return names[: MOST_CANDIDATES + 1]


def _corrected(message: _Message, names: tuple[str, ...], memory: Memory) -> Intent | None:
    """'No, I meant Z': the model named last before is replaced, or the one that is now said to be wrong."""
    before = list(memory.models[:2])
    kind = memory.last_kind if memory.last_kind in ("describe", "stress", "behave", "compare") else "compare"
    wrong = [name for name in names if name in before and re.search(
        rf"(?:\bnot|instead of|rather than|不是|而不是)\s*\x02{message.names.index(name)}\x02", message.masked, re.I)]  # fmt: skip
    new = [name for name in names if name not in wrong]
    if not new:
        return None
    if len(new) >= 2:
        return Intent(kind, models=tuple(new[:2]), corrected=True)
    if memory.waiting and memory.awaiting:
        plainly = re.search(r"^(?:no|nope|sorry|wait|oops|wrong)\b|\bnot \x02|不对|不是|错", message.masked, re.I | re.A)
        return Intent("ask_other", models=(new[0],), corrected=True) if plainly else None
    if kind in ("describe", "stress") or len(before) < 2:
        return Intent(kind if kind in ("describe", "stress") else "ask_other", models=(new[0],), corrected=True)
    place = before.index(wrong[0]) if wrong else 0 if message.has(_FIRST) else 1
    if new[0] in before:
        if not wrong:
            return None
        return Intent("ask_other", models=(new[0],), corrected=True)
    before[place] = new[0]
    return Intent(kind, models=tuple(before), corrected=True)


def _from_thread(message: _Message, memory: Memory, wish: Language | None) -> Intent | None:
    """Answers to what we offered or asked, and orders about the models named before."""
    masked, models = message.masked, memory.models
    if wish is not None and len(re.sub(r"\W", "", _WISH_EN.sub("", masked))) <= (12 if wish == "zh" else 24):
        sticky = not _WISH_AGAIN.search(masked)
        return Intent("language", about="from_now_on" if sticky else "again")
    if _YES.match(masked):
        if memory.offer is not None:
            return Intent(memory.offer, models=memory.offer_models)
        return Intent("small_talk") if _SMALL_TALK.match(masked) else Intent("unclear", about="yes")
    if _NO.match(masked):
        return Intent("no_thanks")
    if memory.waiting and memory.choices and (picked := _picked(message, memory)) is not None:
        if memory.waiting in ("describe", "stress"):
            return Intent(memory.waiting, models=(picked,))
        if memory.awaiting:
            return Intent("behave" if memory.waiting == "behave" else "compare", models=(*memory.awaiting[:1], picked))
        return Intent("ask_other", models=(picked,), choices=tuple(c for c in memory.choices if c != picked))
    if message.has(_NEGATED) and len(masked) < 80:
        return Intent("cancel")
    if len(masked) > 160 or _CASES.search(masked):
        return None
    pronoun = message.has(_IT) or message.has(_THEM) or message.has(_FIRST) or message.has(_SECOND) or message.has(_AGAIN)
    if message.has(_SWAP) and len(models) > 1:
        return Intent("compare", models=(models[1], models[0]), base=memory.base)
    if _orders(_BEHAVE, message) and (pronoun or re.search(r"\btest\b|测试", masked, re.I)):
        return Intent("behave", models=models[:2]) if len(models) > 1 else Intent("ask_models", about="behave")
    if message.has(_STRESS) and not message.has(_WHAT_IF) and (pronoun or re.search(r"stress|压力测试|压测", masked, re.I)):
        if re.search(r"\bwhat(?:'s| is)\b|什么(?:是|叫|意思)|是什么", masked, re.I):
            return None
        return _on_one("stress", message, memory)
    if _orders(_DESCRIBE, message) and pronoun and models and not _RESULT.search(masked) and not message.has(_PLOT):
        return _on_one("describe", message, memory)
    if message.has(_AGAIN) and re.search(r"\bcompare|\bcheck|\brun\b|\bmeasure|比|查|测|跑", masked, re.I) and len(models) > 1:
        return Intent("compare", models=models[:2], base=memory.base)
    if not message.has(_ASKS_HOW) and re.search(r"^(?:please |can you |could you )?(?:compare|check) (?:them|both|these|the two)|(?:比较|对比|比一下|查一下)(?:一下)?(?:它们|这两个|两者|两个)", masked, re.I):
        return Intent("compare", models=models[:2], base=memory.base) if len(models) > 1 else Intent("ask_models")
    return None


def _picked(message: _Message, memory: Memory) -> str | None:
    """The choice that 'the first one' or a bare last part of a name stands for."""
    for name in memory.choices:
        tail = re.split(r"[\\/]", name)[-1]
        if re.fullmatch(rf"(?:the )?{re.escape(tail)}(?: one| model)?[.!。]?", message.masked, re.I):
            return name
    if len(message.masked) > 40:
        return None
    if message.has(_SECOND) and len(memory.choices) > 1:
        return memory.choices[1]
    if message.has(_FIRST):
        return memory.choices[0]
    third = re.search(r"\b(?:the )?third\b|第三个", message.masked, re.I)
    return memory.choices[2] if third and len(memory.choices) > 2 else None


def _orders(cue: re.Pattern[str], message: _Message) -> bool:
    """Whether the message asks for something to be done rather than tells of it."""
    if not message.has(cue):
        return False
    told = re.search(r"\bisn'?t\b|\bgiveaway\b|\bsomeone\b|\bwhat (?:is|are|does)\b.*\b(?:test|mean)\b|是什么|什么意思|说明什么|能说明", message.masked, re.I)
    return told is None


def _on_one(kind: str, message: _Message, memory: Memory) -> Intent:
    """Describe or stress a model that is only pointed at."""
    models = memory.models
    if not models:
        return Intent("ask_models", about=kind)
    if message.has(_THEM):
        return Intent(kind, models=models[:2])
    if message.has(_SECOND) and len(models) > 1:
        return Intent(kind, models=(models[1],))
    if message.has(_FIRST) or len(models) == 1:
        return Intent(kind, models=(models[0],))
    return Intent("unclear", about=kind, choices=models[:2])


def _from_memory(message: _Message, memory: Memory, depth: Depth) -> Intent | None:
    """Questions about what was measured; they are answered from the findings, nothing is run again."""
    masked = message.masked
    if not memory.results:
        return None
    # A question about a public case is no question about our result, even if it begins with 'why'.
    if _CASES.search(masked) and not re.search(_ABOUT_US, masked, re.I):
        return None
    if message.has(_LESSON) or message.has(_OFF_TOPIC):
        return None
    if message.has(_PRESSURE) and not _SURE.search(masked):
        return Intent("pressure", pressed=True)
    if message.has(_PEOPLE):
        return Intent("people")
    if message.has(_EXAMPLES) or message.has(_HELP):
        return None
    short = len(re.findall(r"[\u3400-\u9fff]|[^\W_]+", masked)) <= 24
    long_tale = not short and not re.search(_ABOUT_US, masked, re.I)
    if long_tale:
        return None
    word = _our_word(message)
    if word and message.has(_ASKS_WHAT):
        return Intent("article", about=word)
    if re.search(r"\bwhat (?:does|do|did|is) (?:this|that|it|all this|all that|the (?:answer|result|verdict))(?: all)? mean\b(?! for)|^这(?:个|句话)?(?:是|到底是)?什么意思", masked, re.I | re.A):
        return Intent("result")
    if depth == "engineer" and not message.has(_ASKS_WHAT):
        return Intent("why" if message.has(_WHY) and not re.search(r"\bshow\b|看", masked) else "result")
    if finding := re.search(r"\bE(\d{1,2})\b", masked):
        return Intent("number", about=finding[0].upper())
    if message.has(_NUMBER):
        if (number := _number_in(masked)) is None or memory.holds(number):
            return Intent("number", about="" if number is None else f"{number:g}")
    for kind, cue in (
        ("report", _REPORT),
        ("plot", _PLOT),
        ("direction", _DIRECTION),
        ("change_mind", _CHANGE_MIND),
        ("what_if", _WHAT_IF),
        ("sure", _SURE),
        ("limits", _LIMITS),
        ("next", _NEXT),
    ):
        if message.has(cue) and not (kind == "plot" and message.has(_CASES)):
            return Intent(kind)
    if message.has(_WHY):
        return Intent("why")
    if message.has(_RESULT):
        return Intent("result")
    if depth != "ordinary" and len(re.findall(r"[\u3400-\u9fff]|[^\W_]+", masked)) <= 12 and not _general_question(message):
        return Intent("result", depth=depth)
    return None


def _general_question(message: _Message) -> bool:
    topic = _CHILD.sub(" ", _ENGINEER.sub(" ", _ONE_SENTENCE.sub(" ", message.masked)))
    return bool(_DOMAIN.search(topic)) and bool(re.search(r"\?|？|\bwhat\b|\bhow\b|什么|怎么|如何|解释|\bexplain\b", topic, re.I))


def _our_word(message: _Message) -> str:
    return next((key for key, cue in _OUR_WORDS if message.has(cue)), "")


def _number_in(masked: str) -> float | None:
    if power := re.search(r"\b10 ?(?:\^|的负?) ?([-−]?\d+)", masked):
        return float(power[1].replace("−", "-"))
    found = re.search(r"(?<![\w\x02])-?\d+(?:\.\d+)?(?![\w\x02])", masked)
    return float(found[0]) if found else None


def _without_models(message: _Message, memory: Memory) -> Intent:
    """A message that names no model and is not about what was measured."""
    masked = message.masked
    story = message.has(_CASES)
    if _SMALL_TALK.match(masked):
        return Intent("small_talk")
    if message.has(_HELP) and not story:
        return Intent("help")
    if message.has(_EXAMPLES) and not story and not message.has(_LESSON):
        return Intent("examples")
    closed = _CLOSED.search(masked)
    if closed and message.has(_CHECK) and not story and not message.has(_CLOSED_STORY):
        return Intent("closed", about=closed[0])
    if message.has(_LESSON):
        return Intent("lesson")
    if message.has(_PRESSURE) and not story:
        return Intent("pressure", pressed=True)
    if message.has(_PEOPLE) and not story:
        return Intent("people")
    if message.has(_OFF_TOPIC) and not story and not re.search(r"套壳|\bmodels?\b|模型|\bcheckpoint", masked, re.I):
        return Intent("off_topic", about="sure")
    if message.has(_REPORT) and len(masked) < 40 and not message.has(_CASES):
        return Intent("ask_models", about="report")
    wants = re.search(
        r"^(?:please |can you |could you |i want (?:you )?to |i'?d like (?:you )?to |let'?s |help me )?(?:compare|check|measure|analy[sz]e)\b"
        r"(?: (?:two|the|some|my|these|a few|both))*(?: (?:\w+ )?(?:models?|checkpoints?|ais|them))?(?: for me| please)?[?.!]*$"
        r"|^(?:请|帮我|我想|能不能|可以|麻烦|能)*(?:你)?(?:帮我)?(?:比较|对比|比一下|检查|查一下|查查|鉴定)(?:一下)?(?:两个|这两个|几个|一些)?(?:模型)?(?:吗|吧|可以吗)?[?？。!！]*$"
        r"|^is (?:it|this|that|this model|my model|one model) (?:a )?(?:copy|copied|stolen|original)\b[^?]{0,20}[?.!]*$|^(?:它|这个|这个模型|我的模型)(?:是不是|是)(?:抄|套壳|复制)",
        masked, re.I)  # fmt: skip
    if wants:
        return Intent("ask_models")
    if _orders(_BEHAVE, message) and re.match(r"(?:please |can you )?(?:run|start)\b|(?:请|帮我)?(?:运行|跑)", masked, re.I):
        return Intent("ask_models", about="behave")
    if message.has(_CHECK) and re.search(r"\bmodel (?:x|a|1)\b.*\bmodel (?:y|b|2)\b|模型\s?(?:x|a|甲|1).*模型\s?(?:y|b|乙|2)", masked, re.I) and not re.search(r"rip-?off|publish|发文", masked, re.I):
        return Intent("ask_models")
    if story or message.has(_DOMAIN) or _our_word(message) or (message.has(_ASKS_WHAT) and len(masked) < 60):
        return Intent("article", about=_our_word(message) if message.has(_ASKS_WHAT) else "")
    return Intent("off_topic")
