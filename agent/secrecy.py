"""Access tokens that people paste into a message: taken out before anything else sees them."""

from __future__ import annotations

import re

# What stands in a message in the place of a token.
TAKEN_OUT = "hf_…"
# Hubs' and code hosts' tokens by their beginnings; behind a slash it is the name of a model.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_/.-])(?:hf_|api_org_|ghp_|sk-(?:proj-|ant-)?)[A-Za-z0-9]{16,}[A-Za-z0-9_-]*(?![A-Za-z0-9_.@-]*/)"
)


def without_tokens(text: str) -> str:
    """The text with a mark in the place of every access token."""
    return _TOKEN.sub(TAKEN_OUT, text)
