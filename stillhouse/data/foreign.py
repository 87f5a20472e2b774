"""Files that are no rows at all, or rows of another format than was said, called by their name.

Belongs here: what the first bytes of a file say it is.
Does not: opening files (places.py), reading those that are rows (delimited.py, parquet.py, ...).
"""

import re
from collections.abc import Callable

from stillhouse.data.advice import SettingError
from stillhouse.errors import StillhouseError

HEAD = 512
"""Bytes at the beginning of a file that say what it is."""

_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(rb"(\xef\xbb\xbf)?\s*<\?xml\b")
_AGAIN = "Download the file itself, logged in where that is needed, and look at it before you name it."
_NO_ROWS: tuple[tuple[Callable[[bytes], object], str, str], ...] = (
    (
        lambda head: head.startswith(b"version https://git-lfs.github.com/spec/"),
        "it is a Git LFS pointer: the file that it stands for was never fetched",
        "Run `git lfs pull` in the repository that it comes from.",
    ),
    (_HTML.match, "it is an HTML page, such as that of a login or an error", _AGAIN),
    (_MARKUP.match, "it is an XML document, such as the error of an object store", _AGAIN),
    (lambda head: head.startswith(b"%PDF-"), "it is a PDF document", "Export the rows as csv."),
    (
        lambda head: head.startswith(b"\xd0\xcf\x11\xe0"),
        "it is a workbook of Excel before 2007",
        "Save it as xlsx or csv.",
    ),
)


def refuse_what_is_no_rows(head: bytes, where: str) -> None:
    """Refuse a file that is something else, by its first bytes, unpacked.

    Raises:
        StillhouseError: naming what it is.
    """
    for is_it, what, do in _NO_ROWS:
        if is_it(head):
            raise StillhouseError(what, where=where, expected="a file with rows", do=do)


def refuse_what_is_no_text(head: bytes, where: str, encoding: str) -> None:
    """Refuse what a format of text lines cannot be read from, by its first bytes, unpacked.

    Raises:
        StillhouseError: naming what it is, and the setting under which it can be read.
    """
    refuse_what_is_no_rows(head, where)
    if head.startswith(b"PAR1"):
        raise SettingError("it is a parquet file", where=where, expected="a text file", field="format", value="parquet")
    # Plain letters in two bytes each: every second byte is nothing, and all of them are UTF-8.
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        half = head[first::2]
        if len(half) >= 4 and half.count(0) > len(half) / 2 and not encoding.lower().startswith(("utf-16", "utf_16")):
            raise SettingError(
                "every second byte is nothing, as in UTF-16 without its mark",
                where=where,
                expected=f"text in {encoding}",
                field="encoding",
                value=name,
            )
