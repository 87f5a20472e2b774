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
_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"]|[\[{]\s*$)')
_AGAIN = "Download the file itself, logged in where that is needed, and look at it before you name it."
_CSV = "Export the rows as csv."
_NO_ROWS: tuple[tuple[Callable[[bytes], object], str, str], ...] = (
    (
        lambda head: head.startswith(b"version https://git-lfs.github.com/spec/"),
        "it is a Git LFS pointer: the file that it stands for was never fetched",
        "Run `git lfs pull` in the repository that it comes from.",
    ),
    (_HTML.match, "it is an HTML page, such as that of a login or an error", _AGAIN),
    (_MARKUP.match, "it is an XML document, such as the error of an object store", _AGAIN),
    (
        re.compile(rb"/annex/objects/").match,
        "it is a git-annex pointer: the file that it stands for was never fetched",
        "Run `git annex get` in the repository that it comes from.",
    ),
    (lambda head: head.startswith(b"%PDF-"), "it is a PDF document", _CSV),
    (lambda head: head.startswith(b"{\\rtf"), "it is an RTF document", "Save it as csv."),
    (re.compile(rb"ARROW1\0").match, "it is an Arrow file (Feather)", "Write it as parquet."),
    (re.compile(rb"Obj\x01").match, "it is an Avro file", "Write it as parquet."),
    (
        re.compile(rb"\$FL[23]@|<stata_dta>|[\x71-\x77]\x01\x01\0|RDX[23]\n").match,
        "it is a file of SPSS, Stata or R",
        _CSV,
    ),
    (re.compile(rb"\x80[\x02-\x05]").match, "it is a pickle of Python, which is never loaded", "Write it as parquet."),
    (re.compile(rb"\s*(%[^\n]*\n\s*)*@relation\s", re.IGNORECASE).match, "it is an ARFF file", _CSV),
    (
        re.compile(rb"__label__[^\s,;]+ ").match,
        "it is text for fastText, whose labels begin their lines",
        "Write it as csv with a column for the label and one for the text.",
    ),
    (re.compile(rb"SQLite format 3\0").match, "it is an SQLite database", "Export the table of rows as csv."),
    (re.compile(rb"\x89HDF\r\n").match, "it is an HDF5 file", _CSV),
    (re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8").match, "it is a picture", "Name the file with the rows."),
    (
        re.compile(rb"BZh[1-9]1AY|\xfd7zXZ\0|7z\xbc\xaf|Rar!\x1a").match,
        "it is packed by bzip2, xz, 7-Zip or RAR, which are not read",
        "Unpack it, or pack it by gzip, zstd or zip.",
    ),
    (
        re.compile(rb"\x1f\x8b|\x28\xb5\x2f\xfd").match,
        "what it holds is packed once more",
        "Unpack it once.",
    ),
    (lambda head: head[257:262] == b"ustar", "it is a tar archive", "Unpack it, and name one of its files."),
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


def refuse_json(line: str, where: str) -> None:
    """Refuse delimited text whose first line is that of JSON.

    Raises:
        SettingError: naming the setting under which it can be read.
    """
    if _JSON.match(line):
        raise SettingError(
            "its first line is JSON", where=where, expected="a first line with names", field="format", value="json"
        )


def refuse_what_is_no_text(head: bytes, where: str, encoding: str) -> None:
    """Refuse what a format of text lines cannot be read from, by its first bytes, unpacked.

    Raises:
        StillhouseError: naming what it is, and the setting under which it can be read.
    """
    refuse_what_is_no_rows(head, where)
    if head.startswith(b"PAR1"):
        raise SettingError("it is a parquet file", where=where, expected="a text file", field="format", value="parquet")
    # Plain letters in two bytes each: every second byte is nothing, and all of them are UTF-8.
    is_said = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    if not is_said and len(head) >= 16 and head.count(0) > 0.7 * len(head) and _is_text(head, "utf-32-le"):
        raise SettingError(
            "three of four bytes are nothing, as in UTF-32 without its mark",
            where=where,
            expected=f"text in {encoding}",
            field="encoding",
            value="utf-32-le",
        )
    for first, name in ((0, "utf-16-be"), (1, "utf-16-le")):
        half = head[first::2]
        if len(half) >= 4 and half.count(0) > len(half) / 2 and not is_said and _is_text(head, name):
            raise SettingError(
                "every second byte is nothing, as in UTF-16 without its mark",
                where=where,
                expected=f"text in {encoding}",
                field="encoding",
                value=name,
            )


def _is_text(head: bytes, encoding: str) -> bool:
    """Whether bytes are letters, signs and blanks in an encoding; the last character may be cut."""
    text = head[: len(head) // 4 * 4].decode(encoding, errors="replace")
    return sum(letter.isprintable() or letter.isspace() for letter in text) > 0.95 * len(text) and "\0" not in text
