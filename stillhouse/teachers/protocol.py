"""What a server that speaks OpenAI's protocol replies, read as a reply of the log of calls.

Belongs here: one completion of a chat, whichever way it came.
Does not: making calls (endpoint.py), lines of a batch (batch_api.py), what a reply means (replies.py).
"""

import math

from stillhouse.teachers.calls import Reply
from stillhouse.teachers.stored import Failure, one_spelling

_LARGEST = 2**31 - 1


def reply_in(body: object, milliseconds: float | None) -> Reply | None:
    """What a completion says; None of what is none, or of an error of a server behind the one that answered.

    Args:
        body: as JSON has it.
        milliseconds: that the call took; None where nobody timed it.
    """
    try:
        choice = body["choices"][0]  # type: ignore[index]
        content, reason = choice["message"].get("content"), choice.get("finish_reason")
        refusal = choice["message"].get("refusal")
        refused = refusal or reason == "content_filter"
        model, error, usage = (body.get(name) for name in ("model", "error", "usage"))  # type: ignore[attr-defined]
        if reason == "error" or choice.get("error") or error:
            return None
        listed = choice.get("logprobs")
    except (KeyError, TypeError, IndexError, AttributeError):
        return None
    if isinstance(content, list):  # in parts
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    read, written = counted_tokens(usage)
    said = refusal if refusal and not content else content
    return Reply(
        said if isinstance(said, str) else None,
        Failure.REFUSED if refused else Failure.CUT_OFF if reason == "length" else None,
        one_spelling(model) if isinstance(model, str) else None,
        read,
        written,
        milliseconds,
        _alternatives(listed),
    )


def _alternatives(logprobs: object) -> list[tuple[str, float]] | None:
    """The tokens that might have come first, with their log-probabilities; None where the server does not tell.

    Two tokens may be spelled alike, such as those of a letter with and without a blank before it: each has a part.
    """
    try:
        first = logprobs["content"][0]  # type: ignore[index]
        chosen, *found = ((str(each["token"]), float(each["logprob"])) for each in (first, *first["top_logprobs"]))
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    named = dict.fromkeys(found if chosen[0] in dict(found) else [chosen, *found])
    return [(token, min(logprob, 0.0)) for token, logprob in named if not math.isnan(logprob)] or None


def counted_tokens(usage: object) -> tuple[int, int]:
    """Tokens read and written; none of either where the server does not count both as one can count."""
    if not isinstance(usage, dict):
        return 0, 0
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (type(read) is int and type(written) is int and 0 <= read <= _LARGEST and 0 <= written <= _LARGEST):
        return 0, 0
    return read, written
