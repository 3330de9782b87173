"""Asking an Ollama server which models it has and what they can do (``/api/tags``, ``/api/show``)."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

DEFAULT_PORT = 11434
TIMEOUT_S = 2.0
MAX_MODELS = 30
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model and what its server says it can do, e.g. ``tools``, ``vision``, ``thinking``."""

    name: str
    capabilities: tuple[str, ...]


def base_url(host: str) -> str:
    """A client's URL for the value of ``OLLAMA_HOST``, which servers read too: ``0.0.0.0``, ``:8080``, ``host``."""
    text = host.strip().strip("\"'")
    scheme, _, rest = text.partition("://") if "://" in text else ("http", "", text)
    if rest.startswith(":"):
        rest = f"127.0.0.1{rest}"
    parts = urlsplit(f"{scheme}://{rest or '127.0.0.1'}")
    name = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname, parts.hostname)
    default = {"https": 443}.get(scheme, 80 if "://" in text and scheme == "http" else DEFAULT_PORT)
    shown = f"[{name}]" if name and ":" in name else name
    return f"{scheme}://{shown}:{parts.port or default}{parts.path.rstrip('/')}"


def survey(host: str) -> tuple[str, list[Model], str]:
    """URL, models and problem (empty when the server answered) for a value of ``OLLAMA_HOST``."""
    try:
        url = base_url(host)
    except ValueError as exc:
        return host, [], f"OLLAMA_HOST is no address: {exc}"
    # A proxy that the environment names for the outer world must not be asked for this machine's own server.
    local = urlsplit(url).hostname in _LOOPBACK
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=not local) as client:
            names = [str(m["name"]) for m in client.get("/api/tags").raise_for_status().json()["models"]]
            return url, [_model(client, name) for name in names[:MAX_MODELS]], ""
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        return url, [], type(exc).__name__
    except (ValueError, KeyError, TypeError):
        return url, [], "the answer is not Ollama's"


def _model(client: httpx.Client, name: str) -> Model:
    try:
        shown = client.post("/api/show", json={"model": name}).raise_for_status().json()
        return Model(name=name, capabilities=tuple(str(c) for c in shown.get("capabilities") or ()))
    except (httpx.HTTPError, ValueError, AttributeError):
        return Model(name=name, capabilities=())
