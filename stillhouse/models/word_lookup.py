"""The tokens of one text, as a request asks for them: what the tokenizer gives, found by looking whole words up.

Belongs here: that, for WordPiece behind BERT's normaliser, where each word is a matter of its own.
Does not: many texts at once (tokenization.py), which the library reads faster.

Right after a model has run nothing of the library is in the processor's cache, and a short question takes it forty
microseconds, a tenth of the whole request. Most words are one token, which a dict finds in a fifth of that.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
"""What BERT's pre-tokenizer leaves whole of ASCII: letters and digits in a row, and each other character by itself."""


def tokens_of_one(tokenizer: "Tokenizer") -> Callable[[str], list[int]]:
    """What gives the ids of a text's tokens, truncated, special ones included: always those that `tokenizer` gives.

    Args:
        tokenizer: with truncation on and padding off, as `load_tokenizer` gives it.
    """
    from tokenizers.models import WordPiece

    if isinstance(tokenizer.model, WordPiece):  # of others the settings may be tens of megabytes
        settings = json.loads(tokenizer.to_str())
        if _has_words(settings):
            return _WordLookup(tokenizer, settings).tokens
    return lambda text: tokenizer.encode(text).ids


def _has_words(settings: Mapping[str, Any]) -> bool:
    """Whether each word of a text has tokens of its own, whatever stands beside it."""
    model, truncation = settings["model"], settings["truncation"]
    return (
        (settings["normalizer"] or {}).get("type") == "BertNormalizer"
        and (settings["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and model["unk_token"] in model["vocab"]
        and truncation is not None
        and truncation["direction"] == "Right"
        and settings["padding"] is None
        # Those that were added are looked for before there are words; here they are seen by a sign that no word has.
        and all(_has_a_sign(token["content"]) for token in settings["added_tokens"])
    )


def _has_a_sign(added: str) -> bool:
    """Whether it is of ASCII, as a letter with an accent is looked for without it, and of more than letters."""
    return added.isascii() and not added.replace(" ", "").isalnum()


class _WordLookup:
    """A tokenizer whose words can be looked up.

    Args:
        tokenizer: gives the tokens of every text that is not plain ASCII in one line, or has added tokens in it.
        settings: the same, as in its file.
    """

    def __init__(self, tokenizer: "Tokenizer", settings: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._lowers = bool(settings["normalizer"]["lowercase"])
        self._added = [token["content"].lower() for token in settings["added_tokens"]]
        model = settings["model"]
        self._prefix, self._longest_word = model["continuing_subword_prefix"], model["max_input_chars_per_word"]
        self._tokens: dict[str, int] = model["vocab"]
        self._unknown = [self._tokens[model["unk_token"]]]
        self._longest_token = max(map(len, self._tokens))
        # A token such as `##ing` or `[CLS]` is no word: in a text each of its signs is one.
        self._whole = {
            token: id
            for token, id in self._tokens.items()
            if _WORDS.fullmatch(token) and len(token) <= self._longest_word
        }
        around = tokenizer.encode("")
        anything = tokenizer.encode("a")
        before = anything.special_tokens_mask.index(0)
        self._before, self._after = around.ids[:before], around.ids[before:]
        self._room = settings["truncation"]["max_length"] - len(self._after)

    def tokens(self, text: str) -> list[int]:
        """The ids of a text's tokens."""
        if not (text.isascii() and text.isprintable()):
            return self._tokenizer.encode(text).ids
        found, whole = self._before.copy(), self._whole
        for word in (text.lower() if self._lowers else text).split(" "):
            token = whole.get(word)
            if token is not None:
                found.append(token)
            elif word:
                if self._may_have_added(text):
                    return self._tokenizer.encode(text).ids
                for part in _WORDS.findall(word):
                    found += self._pieces(part)
                    if len(found) >= self._room:  # a caller may send a long text of which little is read
                        break
                if len(found) >= self._room:
                    break
        del found[self._room :]
        return found + self._after

    def _may_have_added(self, text: str) -> bool:
        lowered = text.lower()
        return any(added in lowered for added in self._added)

    def _pieces(self, word: str) -> Sequence[int]:
        """The longest token that a word begins with, and so on to its end; unknown where there is none."""
        if len(word) > self._longest_word:
            return self._unknown
        found, start = list[int](), 0
        while start < len(word):
            prefix = self._prefix if start else ""
            for end in range(min(len(word), start + self._longest_token), start, -1):
                token = self._tokens.get(prefix + word[start:end])
                if token is not None:
                    found.append(token)
                    start = end
                    break
            else:
                return self._unknown
        return found
