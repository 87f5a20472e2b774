"""A claim knows of what kind it is and what it is about, by the name that it has in JSON."""

import pytest

from stillhouse.evaluation.claims import Claim, ClaimKind, named
from stillhouse.report.options import CLAIM_NAMES, claim_name


def read(name: str) -> Claim:
    return Claim.model_validate(
        {"name": name, "group": "quality", "verdict": "fail", "sentence": "so", "binding": True}
    )


@pytest.mark.parametrize(
    ("kind", "subject", "name", "in_words"),
    [
        (ClaimKind.CALIBRATION, None, "calibration", "calibration"),
        (ClaimKind.SLICE, "phone", "slice/phone", "slice 'phone'"),
        (ClaimKind.FAIRNESS, "region/town", "fairness/region/town", "fairness by 'region/town'"),
        (ClaimKind.STRESS, "so: {text}", "stress/so: {text}", "stress by 'so: {text}'"),
    ],
)
def test_a_name_is_read_as_it_was_written(kind: ClaimKind, subject: str | None, name: str, in_words: str) -> None:
    claim = read(name)
    assert named(kind, subject) == name
    assert (claim.kind, claim.subject, claim.model_dump(mode="json")["name"]) == (kind, subject, name)
    assert claim_name(claim) == in_words


def test_every_kind_has_words() -> None:
    assert set(CLAIM_NAMES) == set(ClaimKind)
