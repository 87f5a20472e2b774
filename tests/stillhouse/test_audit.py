"""The walk back from a champion that was made of nothing but two small files."""

from pathlib import Path

import pytest

from stillhouse.audit import audit
from stillhouse.home import Home
from stillhouse.workshop import Artifact, Facts, Order, Workshop

FROM_OUTSIDE = {"source[base]": {"rows.csv": "r"}, "teacher": {"hub/model@main": "w"}}


def champion_of(home: Home, from_outside: dict[str, dict[str, str]]) -> Workshop:
    """A release made from a source and a teacher, which are made from what is outside, and its promotion."""
    workshop = Workshop(home)

    def made(stage: str, inputs: tuple[Artifact, ...] = ()) -> Artifact:
        def build(folder: Path) -> Facts:
            (folder / "content").write_text(stage)
            return {}

        name, _, batch = stage.removesuffix("]").partition("[")
        external = from_outside.get(stage, {})
        order = Order("r", name, "run", "v", {}, batch=batch or None, inputs=inputs, external_inputs=external)
        return workshop.make(order, build)

    release = made("release", (made("source[base]"), made("teacher")))
    workshop.ledger.append("promotion", "r", {"digest": release.digest, "manifest": release.identity})
    return workshop


def test_it_ends_at_rows_and_weights_from_outside(home: Home) -> None:
    workshop = champion_of(home, FROM_OUTSIDE)
    found = audit(workshop.store, workshop.ledger, "r")
    assert found["ok"]
    assert {link["asset"]: link["external_inputs"] for link in found["chain"]} == {
        "r/release": {},
        **{f"r/{stage}": external for stage, external in FROM_OUTSIDE.items()},
    }


@pytest.mark.parametrize(("stage", "problem"), [("source[base]", "any source file"), ("teacher", "any weights")])
def test_a_walk_that_ends_inside_is_a_problem(home: Home, stage: str, problem: str) -> None:
    workshop = champion_of(home, {kept: FROM_OUTSIDE[kept] for kept in FROM_OUTSIDE if kept != stage})
    found = audit(workshop.store, workshop.ledger, "r")
    assert not found["ok"]
    assert [problem in said for said in found["problems"]] == [True]


def test_without_a_champion_there_is_nothing_to_walk(home: Home) -> None:
    workshop = Workshop(home)
    assert audit(workshop.store, workshop.ledger, "r") == {"ok": False, "problems": ["r has no champion"], "chain": []}
