"""What keys and tokens of services look like in a text.

Belongs here: their shapes, and telling a random key from words with dashes.
Does not: redacting them (privacy.py), secrets in addresses that we are given (stillhouse/addresses.py).
"""

import re

HINT = (
    r"(?:sk-|[sr]k_(?:live|test)_|AKIA|ASIA|gh[pousr]_|github_pat_|gl[a-z]{1,6}-|xox[a-z]-|hf_|AIza|npm_|pypi-|SG\.|eyJ"
    r"|PRIVATE KEY-----|(?i:[_ -]?(?:key|token|secret)[\"']?\s?[:=]))"
)
"""What every shape needs at least."""

_ALONE = r"(?<![A-Za-z\d_-])(?P<found>%s)(?![A-Za-z\d_-])"

# Of which the first letters say whose it is, and how long it is says that it is one.
PREFIXED = re.compile(
    _ALONE
    % "|".join(
        (
            r"(?:AKIA|ASIA)[A-Z2-7]{16}",  # Amazon
            r"gh[pousr]_[A-Za-z\d]{36,255}|github_pat_[A-Za-z\d_]{22,255}",
            r"gl(?:pat|ptt|dt|rt|cbt|agent|oas|ft|imt|soat)-[\w-]{20,300}",
            r"AIza[\w-]{35}|hf_[A-Za-z\d]{34}|xox[abeoprs]-\d{8,}-[A-Za-z\d-]{10,}",  # Google, Hugging Face, Slack
            r"npm_[A-Za-z\d]{36}|pypi-AgEIcHlwaS5vcmc[\w-]{50,}",
            r"SG\.[\w-]{22}\.[\w-]{43}",  # SendGrid
            r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?",  # a JSON web token: two JSON objects in base64
        )
    ),
    re.ASCII,
)
# Whose first letters may begin words with dashes, too.
RANDOM = re.compile(
    _ALONE % r"sk-[\w-]{20,}|[sr]k_(?:live|test)_[A-Za-z\d]{16,}",
    re.ASCII,
)
# Said to be one by what it is assigned to, as in a configuration.
ASSIGNED = re.compile(
    r"(?i:(?:api|access|auth|account|private|secret|encryption|refresh|bearer|bot)[_ -]?(?:access[_ -]?)?(?:key|token)"
    r"|client[_ -]?secret)[\"']?\s?[:=]\s?[\"']?(?P<found>[\w+/.~-]{20,}={0,2})(?![\w+/=~-])",
    re.ASCII,
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z\d+/=\s\\]*(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?", re.ASCII
)

_TURNS = re.compile(r"(?<=[A-Za-z])\d|(?<=\d)[A-Za-z]")
_TURNS_AT_LEAST = 4
"""Between letters and digits. A random key of 20 characters has six on average; words with a number have one or two."""


def is_random(value: str) -> bool:
    """Tell a key from words with dashes, such as `sk-learn-and-other-libraries-of-2024`."""
    return len(_TURNS.findall(value)) >= _TURNS_AT_LEAST
