"""One trial as JSON for the page: events shortened and made safe, camera frames as data URIs.

What a controller wrote is hostile text. Two things are done to all of it here, so that no later step has to
remember: control and direction-changing characters are shown as marks instead of acting (see Unicode TR 36 on bidi
spoofing), and long text is cut with a note that says where the whole of it is. CAVEAT: the page is for
reading; only the trial file holds the exact bytes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redbutton.experiments.report_index import TrialRecord
from redbutton.experiments.skim import iter_events

TEXT_LIMIT = 20_000
"""Characters of one text that a reader wants in full: prompts, words, results."""
BODY_LIMIT = 2_000
"""Characters of one text inside a model call's request, most of which repeats the transcript."""
EVENT_LIMIT = 200_000
"""Characters of one whole event as JSON."""
ITEMS_LIMIT = 200
DEPTH_LIMIT = 12
IMAGE_LIMIT_BYTES = 4 * 1024 * 1024
MESSAGES_KEPT = 2
MAX_NUMBER = 2.0**53
"""Numbers from here on, and those that are not finite, are written as text: JavaScript would change them."""

# Controls, zero-width and direction characters, line separators, the byte order mark, lone surrogates.
_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def visible(text: str) -> str:
    """Show characters that would act on the page (controls, bidi overrides, lone surrogates) as ⟨U+202E⟩."""
    return _ACTING.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text.replace("\r\n", "\n"))


def cut(text: str, limit: int) -> str:
    """``text`` made visible, and cut to ``limit`` characters with a note of how long it was."""
    if len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])} … [{len(text):,} characters in all; the rest is in the trial's own file]"


def safe(value: Any, limit: int = TEXT_LIMIT, depth: int = 0) -> Any:
    """``value`` as plain JSON data: texts cut and visible, numbers finite, long lists and deep trees ended."""
    if isinstance(value, str):
        return cut(value, limit)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < MAX_NUMBER else str(value)[:40]
    if depth >= DEPTH_LIMIT:
        return cut(str(value), 200)
    if isinstance(value, Mapping):
        pairs = {cut(str(k), 200): safe(v, limit, depth + 1) for k, v in list(value.items())[:ITEMS_LIMIT]}
        return pairs if len(value) <= ITEMS_LIMIT else {**pairs, "…": f"{len(value) - ITEMS_LIMIT} more"}
    if isinstance(value, list | tuple):
        items = [safe(v, limit, depth + 1) for v in value[:ITEMS_LIMIT]]
        return items if len(value) <= ITEMS_LIMIT else [*items, f"… {len(value) - ITEMS_LIMIT} more"]
    return cut(str(value), 200)


def page_event(number: int, event: Mapping[str, Any]) -> dict[str, Any]:
    """One event as the page shows it; ``number`` is its line, which flags refer to."""
    fields = {k: v for k, v in event.items() if k not in ("i", "type", "request")}
    shown = {"i": number, "type": cut(str(event["type"]), 60), **safe(fields)}
    if "request" in event:
        shown["request"] = safe(_short_request(event["request"]), BODY_LIMIT)
    size = len(json.dumps(shown))
    if size <= EVENT_LIMIT:
        return shown
    kept = {k: shown.get(k) for k in ("i", "t_s", "wall_s", "type", "n")}
    return {**kept, "shortened": f"{size:,} characters; see line {number} of the trial's own file"}


def _short_request(request: Any) -> Any:
    """A request without what stands elsewhere on the page: earlier messages and the tools."""
    if not isinstance(request, Mapping):
        return request
    short = dict(request)
    messages = short.get("messages")
    if isinstance(messages, list) and len(messages) > MESSAGES_KEPT:
        left = len(messages) - MESSAGES_KEPT
        short["messages"] = [f"… {left} earlier messages, as in the transcript", *messages[-MESSAGES_KEPT:]]
    if isinstance(short.get("tools"), list):
        short["tools"] = f"… {len(short['tools'])} tools, as in the briefing"
    return short


def script_json(value: Any) -> str:
    """``value`` as JSON that is safe inside a script element: ASCII only, and no ``<``, ``>`` or ``&`` at all."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def events_json(run_dir: Path, trial: str) -> str:
    """The events of one trial as JSON for the page. Raises what ``iter_events`` raises."""
    events = iter_events(run_dir / "trials" / f"{trial}.jsonl")
    return script_json([page_event(number, event) for number, event in enumerate(events)])


def images_json(run_dir: Path, record: TrialRecord) -> str | None:
    """The trial's images as a JSON object of data URIs by file name; ``None`` when it has none."""
    uris = {cut(name, TEXT_LIMIT): uri for name in record.images if (uri := data_uri(run_dir, record.trial, name))}
    return script_json(uris) if uris else None


def data_uri(run_dir: Path, trial: str, name: str) -> str | None:
    """One image file of a trial as a data URI; ``None`` when it is missing, foreign, too big or no JPEG or PNG.

    Only a plain file in the trial's own folder is read: a name that leads elsewhere gives ``None``.
    """
    folder = run_dir / "trials" / trial
    path = folder / Path(name.replace("\\", "/")).name
    try:
        if folder.is_symlink() or path.is_symlink() or not path.is_file() or path.stat().st_size > IMAGE_LIMIT_BYTES:
            return None
        data = path.read_bytes()
    except (OSError, ValueError):
        return None
    kind = next((mime for magic, mime in _MAGIC.items() if data.startswith(magic)), None)
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}" if kind else None
