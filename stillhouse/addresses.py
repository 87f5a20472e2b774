"""Addresses without what lets somebody in: a password, key or signature is never stored, shown or shipped.

Belongs here: finding credentials in an address, and taking them out of any text.
Does not: opening an address (data/places.py), personal data (data/privacy.py).
"""

import re

# Where the part before the @ names a container, a branch or an account on a machine, and proves nothing by itself.
_NAMES_BEFORE_AT = frozenset({"abfs", "abfss", "wasb", "wasbs", "az", "adl", "sftp", "ssh", "ftp", "smb", "hdfs"})
# github://<organisation>:<repository>@<commit>/<path>, as fsspec writes it.
_PAIRS_BEFORE_AT = frozenset({"git", "github"})

_SCHEME = r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://"
# A colon that is followed by a port is no password, nor is the double colon of an address inside another one.
_PASSWORD = r":(?!:)(?!\d{1,5}(?:[/?#,;'\")\]\s]|$))[^\s@]*@(?:[^\s/?#@]*@)*"
_BEFORE_AT = re.compile(rf"{_SCHEME}(?:(?P<pair>[^\s/?#@:'\"]*{_PASSWORD})|(?P<name>[^\s/?#@:'\"]+@))")
_AFTER_SCHEME = re.compile(rf"{_SCHEME}[^\s'\"<>]+")
_PARAMETER = re.compile(r"(?P<mark>[?&;#])(?P<name>[\w.\-%\[\]]+)=(?P<value>[^\s&;#'\"<>)]*)")
# A fragment alone, as in https://host/file#key: it is never sent to the host, so it is there for whoever opens it.
_FRAGMENT = re.compile(r"#(?P<value>[^\s&;#'\"<>)=]+)$")
_SECRET_NAME = re.compile(
    r"(?:sig(?:nature)?|token|secret|(?<![a-z])pass(?:word|wd|phrase)?|\w+passw(?:or)?d|pwd|credentials?|auth(?:orization)?|(?<![a-z])key|api_?key"
    r"|(?:key|session)_?id|sas|jwt|(?<![a-z])code)$",
    re.IGNORECASE,
)
_PIN_NAME = re.compile(r"version|revision|commit|etag|sha|md5", re.IGNORECASE)
# Too long to be guessed, and so made to let in whoever knows it, whatever it is called.
_UNGUESSABLE = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.~%\-]{32,}")
_HIDDEN = "***"


def without_credentials(text: str) -> str:
    """Take user and password, keys, tokens and signatures out of every address in a text.

    What is taken out is replaced by `***`, so that a person sees that something was there. The rest of an address
    stays, as it names the place. Secrets in a path look like names of files and stay.

    Args:
        text: an address, or anything that may quote one, such as the message of an error.
    """
    if "://" not in text:
        return text
    return _AFTER_SCHEME.sub(_without_parameters, _BEFORE_AT.sub(_without_user, text))


def holds_credentials(address: str) -> bool:
    """Whether an address, or any address in a text, has something in it that must not be written down."""
    return without_credentials(address) != address


def _without_user(found: re.Match[str]) -> str:
    scheme = found["scheme"].lower()
    is_name = found["name"] is not None and scheme in _NAMES_BEFORE_AT | _PAIRS_BEFORE_AT
    if is_name or (found["pair"] is not None and scheme in _PAIRS_BEFORE_AT):
        return found[0]
    return f"{found['scheme']}://{_HIDDEN}@"


def _without_parameters(found: re.Match[str]) -> str:
    return _FRAGMENT.sub(
        lambda one: f"#{_HIDDEN}" if _UNGUESSABLE.fullmatch(one["value"]) else one[0],
        _PARAMETER.sub(_without_value, found[0]),
    )


def _without_value(found: re.Match[str]) -> str:
    unguessable = _UNGUESSABLE.fullmatch(found["value"]) and not _PIN_NAME.search(found["name"])
    if found["value"] and (unguessable or _SECRET_NAME.search(found["name"])):
        return f"{found['mark']}{found['name']}={_HIDDEN}"
    return found[0]
