"""What a compressed file was, as far as the stream itself does not say: the header's attachment.

A JSON object whose member ``form`` names the kind; behind a zero byte whatever is no text. Streams of arrays that are
samples as they stand have none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aetool_runtime.compression.framing.header import MAX_ATTACHMENT
from aetool_runtime.errors import InputError

__all__ = ["Form", "Kind", "format_form", "parse_form"]

Kind = Literal["array", "csv", "parquet", "wav", "picture"]
_START = b'{"form":'


@dataclass(frozen=True)
class Form:
    """The form of a file.

    Args:
        kind: which reader made it.
        members: what that reader's writer needs (JSON).
        blob: bytes that it needs besides.
    """

    kind: Kind = "array"
    members: Mapping[str, Any] = field(default_factory=dict)
    blob: bytes = b""


def format_form(form: Form, where: str) -> bytes:
    """The attachment; nothing for an array that needs none.

    Raises:
        InputError: it is larger than an attachment may be.
    """
    if form == Form():
        return b""
    text = json.dumps({"form": form.kind, **form.members}, separators=(",", ":"), ensure_ascii=False).encode()
    found = text + (b"\0" + form.blob if form.blob else b"")
    if len(found) > MAX_ATTACHMENT:
        raise InputError(
            f"what travels beside the values (names, alpha) takes {len(found):,} bytes",
            where=where,
            expected=f"at most {MAX_ATTACHMENT:,}",
            hint="compress it in pieces",
        )
    return found


def parse_form(attachment: bytes) -> Form:
    """What an attachment says; other applications' say nothing here."""
    text, _, blob = attachment.partition(b"\0")
    if not text.startswith(_START):
        return Form()
    try:
        members = json.loads(text)
        kind = members.pop("form")
    except (ValueError, KeyError, AttributeError):
        return Form()
    return Form(kind, members, blob) if kind in get_args(Kind) else Form()
