"""Words that accuse. They stand in no sentence of ours; a user's own may be quoted in order to correct it."""

from __future__ import annotations

import re

_HEATED = re.compile(
    r"\b(?:stolen|stole|steals?|stealing|theft|thefts|thief|thieves|thievery|guilty|guilt|proofs?|proves?|proved|proven|proving|crook|criminal|cheaters?|fraud|fraudster|robbed|robbery)\b"
    r"|偷(?!偷)|盗窃|盗取|剽窃|窃取|窃贼|小偷|铁证|实锤|盗用|贼",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“[^”]{0,200}”|\"[^\"]{0,200}\"|「[^」]{0,200}」|『[^』]{0,200}』|‘[^’]{0,200}’|`[^`]{0,200}`")


def heated_words(text: str, quoted_is_fine: bool = False) -> list[str]:
    """The accusing words in a text, in order; where `quoted_is_fine`, those inside quotation marks do not count."""
    searched = _QUOTED.sub(" ", text) if quoted_is_fine else text
    return [match[0] for match in _HEATED.finditer(searched)]
