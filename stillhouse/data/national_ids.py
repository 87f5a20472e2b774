"""What national ids look like in a text: of 22 countries, each proved by its check digits or a word beside it.

Belongs here: how they are written, and telling one from another number.
Does not: redacting them (privacy.py).
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

# python-stdnum module, how the id is written, and words that must stand near it where its digits alone prove little.
# The longest first: of the ids that may start at one place, the first sets how far the search looks.
_IDS: tuple[tuple[str, str, str], ...] = (
    ("fr.nir", r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", ""),
    ("mx.curp", r"[A-Z]{4}\d{6}[A-Z]{6}[A-Z\d]\d", ""),
    ("it.codicefiscale", r"[A-Z]{3} ?[A-Z]{3} ?\d{2}[A-EHLMPRST]\d{2} ?[A-Z]\d{3}[A-Z]", ""),
    ("cn.ric", r"\d{17}[\dX]", ""),
    ("ch.ssn", r"756\.?\d{4}\.?\d{4}\.?\d{2}", ""),
    ("be.nn", r"\d{2}[. ]\d{2}[. ]\d{2}[- ]\d{3}[. -]\d{2}", ""),
    ("kr.rrn", r"\d{6}-\d{7}", ""),
    ("br.cpf", r"\d{3}\.\d{3}\.\d{3}-\d{2}", ""),
    ("de.idnr", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", r"steuer\w*|idnr|tax id|identifikationsnummer"),
    ("in_.aadhaar", r"\d{4}[ -]?\d{4}[ -]?\d{4}", r"aadhaar|aadhar|uidai"),
    ("se.personnummer", r"(?:\d{2})?\d{6}[-+]\d{4}", ""),
    ("cl.rut", r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", ""),
    ("es.dni", r"\d{2}\.?\d{3}\.?\d{3}-?(?-i:[A-Z])", ""),
    ("no.fodselsnummer", r"\d{6} ?\d{5}", r"f.{1,2}dselsnummer|personnummer|fnr"),
    ("gb.nhs", r"\d{3}[ -]?\d{3}[ -]?\d{4}", r"nhs"),
    ("pl.pesel", r"\d{11}", r"pesel"),
    ("br.cpf", r"\d{11}", r"cpf"),
    ("fi.hetu", r"\d{6}[-+A-FU-Y]\d{3}[\dA-Y]", ""),
    ("dk.cpr", r"\d{6}-\d{4}", ""),
    ("cz.rc", r"\d{6}/\d{4}", ""),
    ("ca.sin", r"\d{3}-\d{3}-\d{3}", ""),
    ("ca.sin", r"\d{3} ?\d{3} ?\d{3}", r"(?-i:SIN)|social insurance"),
    ("us.ssn", r"\d{3}-\d{2}-\d{4}", ""),
    ("us.ssn", r"\d{3} ?\d{2} ?\d{4}", r"ssn|social security"),
    ("us.itin", r"9\d{2}-\d{2}-\d{4}", ""),
    ("nl.bsn", r"\d{3,4}[ .]?\d{2}[ .]?\d{3}", r"bsn|burgerservicenummer|sofinummer"),
    ("es.nie", r"[XYZ]-?\d{7}-?[A-Z]", ""),
)

SHAPE = "|".join(shape for _, shape, _ in _IDS)
"""Where an id may start and how far it may reach."""


@cache
def _id_checks() -> list[tuple[re.Pattern[str], re.Pattern[str], Callable[[str], bool]]]:
    def pattern(text: str) -> re.Pattern[str]:
        return re.compile(text, re.IGNORECASE | re.ASCII)

    return [
        (pattern(shape), pattern(near and rf"\b(?:{near})\b"), import_module(f"stdnum.{module}").is_valid)
        for module, shape, near in _IDS
    ]


def is_national_id(value: str, around: str) -> bool:
    """Whether the check digits of some country hold, and one of its words stands near where they prove little.

    Args:
        value: what is written like an id.
        around: the text around it.
    """
    try:
        return any(
            shape.fullmatch(value) and near.search(around) and check(value.replace(".", ""))
            for shape, near, check in _id_checks()
        )
    except LookupError:  # python-stdnum 2.2 on a Chinese number of a province that exists but a county that does not
        return False
