"""What all parts of a recipe have in common.

Belongs here: the kinds of fields that several parts have, the rule that no secret is written into any, and the mistake
that names a field.
Does not: the parts (parts.py, data.py and the other files here).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stillhouse.addresses import holds_credentials, without_credentials

Share = Annotated[float, Field(ge=0, lt=1)]
Sentence = Annotated[str, Field(min_length=10)]
# Of recipes and students. A name becomes part of asset keys, file names, addresses and commands.
NAME_PATTERN = "[a-z][a-z0-9_]{0,59}"
NAME_IN_WORDS = "a lower-case letter, then up to 59 lower-case letters, digits and underscores"
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
VARIABLE = "^[A-Z][A-Z0-9_]*$"
SHA256 = "^[0-9a-f]{64}$"
ONE_SPELLING = r"^\S+( \S+)*$"
CSV_SEPARATOR = r"^[^\r\n\"']$"
ADDRESS = r"^(\$\{[A-Z][A-Z0-9_]*\}|[a-z][a-z0-9+]*://.+)$"
LENGTH = r"^length=(\d{1,7})-(\d{1,7})?$"
PATTERNS_IN_WORDS = {
    f"^{NAME_PATTERN}$": NAME_IN_WORDS,
    VARIABLE: "the name of a variable: a capital letter, then capital letters, digits and underscores",
    SHA256: "a SHA-256: 64 digits from 0 to f, in small letters",
    ONE_SPELLING: "words with one blank between them, and none before the first or behind the last",
    CSV_SEPARATOR: "one character other than a quote or the end of a line, or `tab`",
    ADDRESS: "an address such as https://host/path, or a variable that holds one, such as ${OWNERS_HOOK}",
    LENGTH: "length=FEWEST-MOST in characters, such as length=200-400, or length=200-",
}
"""What the texts are that match a pattern of the recipe: no regular expression says it to a person."""
Precision = Literal["fp32", "int8", "int8_static", "int4"]
"""In which numbers a student ships; how each is made is in models/precisions.py."""


class FieldError(ValueError):
    """A mistake that a rule between several fields finds, and that lies in one of them.

    Args:
        message: what is wrong, as other validators say it.
        field: names and places that lead to it from where the rule is.
    """

    def __init__(self, message: str, *field: str | int) -> None:
        super().__init__(message)
        self.field = field


class ManyFieldsError(ValueError):
    """All mistakes that one rule finds, so that nobody has to correct a recipe once for each of them.

    Args:
        found: at least one.
    """

    def __init__(self, found: Sequence[FieldError]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = tuple(found)


class Part(BaseModel):
    """A part of a recipe: frozen, and no field but those it names."""

    # Pydantic's own message would quote what was written, which may be an address with a password in it.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _no_credentials(cls, value: Any) -> Any:
        """A recipe is hashed, logged and shipped with every release, so a secret in it could never be taken back."""
        for text in _texts_in(value):
            if holds_credentials(text):
                raise ValueError(
                    f"a password, key or signature is in {without_credentials(text)!r}, and a recipe ships with every "
                    "release; leave it out and give it by the environment or fsspec's configuration "
                    "(docs/architecture.md, What goes out)"
                )
        return value


def _texts_in(value: Any) -> Iterator[str]:
    """The texts of a field, in its lists and tables too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | tuple):
        for inner in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts_in(inner)
