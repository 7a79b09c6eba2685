"""Language models that may word the text: servers of OpenAI's protocol, Ollama, Hugging Face, or one on this computer.

Nothing here is imported unless AGENT_MODEL asks for it, and nothing is ever downloaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
    from langchain_core.language_models import BaseChatModel

# One answer of a model: after this long, or beyond this size, the guide speaks instead.
ANSWER_WITHIN_SECONDS = 45.0
MOST_BYTES = 1_000_000
MOST_TOKENS = 1200
# A model on this computer is small; it need not say more than a short explanation.
MOST_TOKENS_HERE = 400

HUGGING_FACE = "https://router.huggingface.co/v1"
# Packages that hold the classes of a provider, listed in requirements-llm.txt.
PACKAGES = {"openai": "langchain-openai", "huggingface": "langchain-openai", "ollama": "langchain-ollama"}
PROVIDERS = ("openai", "ollama", "huggingface", "local")


def language_model(
    provider: str, name: str, base_url: str = "", key: str = "", seconds: float = ANSWER_WITHIN_SECONDS
) -> BaseChatModel:
    """The chat model of that name. Raises ImportError where its package is absent, ValueError for what cannot be."""
    if provider not in PROVIDERS or not name:
        raise ValueError("unknown provider")
    if provider == "local":
        from agent.local_model import LocalModel

        return LocalModel(folder=Path(name), most_tokens=MOST_TOKENS_HERE, seconds=seconds)
    if provider == "ollama":
        from langchain_ollama import ChatOllama

        options: dict[str, Any] = {"base_url": base_url} if base_url else {}
        # Only the transport of the synchronous client is ours; no turn is answered by the other.
        return ChatOllama(
            model=name,
            temperature=0,
            num_predict=MOST_TOKENS,
            client_kwargs={"timeout": seconds},
            sync_client_kwargs={"transport": limited(seconds)},
            **options,
        )
    import httpx
    from langchain_openai import ChatOpenAI

    if provider == "huggingface" and not (key or base_url):
        # Without a key of its own the client would send one that is meant for another server.
        raise ValueError("a token is needed")
    address = base_url or (HUGGING_FACE if provider == "huggingface" else None)
    return ChatOpenAI(
        model=name,
        base_url=address,
        # Servers on one's own computer ask for no key, but the client insists on one.
        api_key=key or ("none" if base_url else None),  # type: ignore[arg-type]
        temperature=0,
        timeout=seconds,
        max_retries=0,
        max_tokens=MOST_TOKENS,  # type: ignore[call-arg]
        http_client=httpx.Client(transport=limited(seconds), timeout=seconds),
    )


def limited(seconds: float, most_bytes: int = MOST_BYTES) -> httpx.BaseTransport:
    """A transport whose answers end with an error once they take too long as a whole, or grow too large."""
    import httpx

    class Body(httpx.SyncByteStream):
        def __init__(self, inner: httpx.SyncByteStream, until: float) -> None:
            self._inner, self._until = inner, until

        def __iter__(self) -> Iterator[bytes]:
            held = 0
            for piece in self._inner:
                held += len(piece)
                if held > most_bytes:
                    raise httpx.ReadError("the answer is too large")
                if time.monotonic() > self._until:
                    raise httpx.ReadTimeout("the answer takes too long")
                yield piece

        def close(self) -> None:
            self._inner.close()

    class Limited(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            until = time.monotonic() + seconds
            request.headers["accept-encoding"] = "identity"
            response = super().handle_request(request)
            assert isinstance(response.stream, httpx.SyncByteStream)
            if response.headers.get("content-encoding", "identity") != "identity":
                # Unpacked, it could be of any size.
                raise httpx.ReadError("the answer is packed")
            return httpx.Response(
                response.status_code,
                headers=response.headers,
                stream=Body(response.stream, until),
                extensions=response.extensions,
            )

    return Limited()
