"""A person holds the champion, lets rounds go on and brings a release in: through rounds and commands.

The tests are steps on the way of one recipe and run in order. Going back is in test_rollback.py; what each decision
writes is in tests/stillhouse/records/test_promotion.py.
"""

import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.fleet import Fleet
from orchestration.run import Outcome, distil
from orchestration.status import Decision, status
from orchestration.tables import fleet_table
from orchestration.terminal import Terminal
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import desired
from stillhouse.stages.names import CHAMPION, RELEASE
from tests.conftest import Place, a_place, failures
from tests.small import small_recipe

pytestmark = pytest.mark.slow

BY, WHY = "Ann Lee", "the month is being closed"
NOT_APPROVED = "another_person_has_approved_it"


def recipe(place: Place, epochs: int, **more: str) -> RecipeFile:
    """A student under a bar that any clears; what is taken as it is, is too large."""
    training = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 32}
    student = {"name": "one", "layers": [0], "training": training}
    as_it_is = {"name": "as_it_is", "layers": [0, 1], "learns_from": "nothing", "trim_vocabulary": False}
    bar = {"margin": 0.6, "champion_margin": 0.3}
    return small_recipe(place.folder, students=[student, as_it_is], bar=bar, slices=[], **more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("deployments")
    with a_place(folder, seeded=shared) as place, pytest.MonkeyPatch.context() as patches:
        patches.setenv("STILLHOUSE_RECIPES", str(folder / "recipes"))
        yield place


def a_round(place: Place, epochs: int) -> Outcome:
    return distil(recipe(place, epochs), place.home, Terminal(quiet=True))


def serving(place: Place) -> str:
    deployed = desired(place.builds.ledger, "small")
    assert deployed is not None
    return deployed.champion.release


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "300"})


def decide(*arguments: str) -> str:
    done = command(*arguments, "--by", BY, "--reason", WHY)
    assert done.exit_code == 0, done.output or done.exception
    return done.output


RELEASES: dict[str, str] = {}


def test_while_a_person_holds_it_a_round_ends_at_the_release_and_says_who_holds(place: Place) -> None:
    assert a_round(place, epochs=2).succeeded
    RELEASES["first"] = serving(place)
    assert decide("hold", "small").startswith(f"champion one {RELEASES['first'][:12]} is held")
    outcome = a_round(place, epochs=3)
    (gate,) = outcome.closed
    assert (gate.name, gate.asset) == ("the_champion_is_not_held", f"small/{RELEASE}")
    assert gate.sentence.startswith(f"{BY} holds champion one {RELEASES['first'][:12]} since ")
    RELEASES["second"] = place.newest(RELEASE).digest
    assert RELEASES["second"] != RELEASES["first"] == serving(place)
    (refusal,) = failures(place.run(recipe(place, 3), CHAMPION))
    assert "the_champion_is_not_held is failed" in refusal
    shown = " ".join(command("status", "small").output.split())
    assert f"{BY} holds it since " in shown and WHY in shown


def test_when_a_person_resumes_the_gate_opens_and_the_next_round_promotes(place: Place) -> None:
    decide("resume", "small")
    verdict = place.builds.ledger.newest(
        "small", "verdict", subject=f"small/{RELEASE}", gate="the_champion_is_not_held"
    )  # fmt: skip
    assert verdict is not None and verdict.body["state"] == "passed"
    assert a_round(place, epochs=3).succeeded
    assert serving(place) == RELEASES["second"]


def test_a_withdrawn_release_stays_out_until_a_person_promotes_it(place: Place) -> None:
    decide("rollback", "small")
    assert serving(place) == RELEASES["first"]
    assert [gate.name for gate in a_round(place, epochs=3).closed] == ["the_release_was_not_withdrawn"]
    assert serving(place) == RELEASES["first"]
    said = decide("promote", "small")
    assert said.startswith(f"champion one {RELEASES['second'][:12]} serves; it replaced {RELEASES['first'][:12]}")
    shown = status(place.instance, place.builds, [recipe(place, 3)]).recipes["small"].champion
    assert shown is not None
    assert (shown.digest, shown.rolled_back) == (RELEASES["second"], None)
    assert shown.promoted == Decision(by=BY, reason=WHY)
    assert a_round(place, epochs=3).succeeded, "a round after it changes nothing"
    assert serving(place) == RELEASES["second"]


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("second", "serves already"),
        ("first", "served before and was replaced"),
        ("feed", "no releases begin with 'feed'"),
    ],
)
def test_what_need_not_or_cannot_be_promoted_is_refused(place: Place, release: str, message: str) -> None:
    entries = len(place.builds.ledger.entries())
    done = command("promote", "small", RELEASES.get(release, release)[:12], "--by", BY, "--reason", WHY)
    assert done.exit_code != 0 and message in str(done.exception)
    assert len(place.builds.ledger.entries()) == entries


def test_the_audit_follows_what_a_person_promoted(place: Place) -> None:
    done = command("audit", "small")
    assert done.exit_code == 0, done.output


def test_a_release_with_another_closed_gate_is_not_promoted(place: Place) -> None:
    """Only the two gates that a promotion answers are answered by it."""
    high = recipe(place, 2, stakes="high", author="Grace Hopper")
    assert [gate.name for gate in distil(high, place.home, Terminal(quiet=True)).closed] == [NOT_APPROVED]
    entries = len(place.builds.ledger.entries())
    done = command("promote", "small", "--by", BY, "--reason", WHY)
    assert f"{NOT_APPROVED} was closed" in str(done.exception)
    assert len(place.builds.ledger.entries()) == entries


def test_the_fleet_says_in_a_line_what_serves_and_what_is_needed(place: Place) -> None:
    shown = Fleet.model_validate_json(command("fleet", "--json").stdout)
    line = shown.recipes["small"]
    assert line.champion is not None and line.champion.digest == RELEASES["second"]
    rounds = [entry for entry in place.builds.ledger.entries("small", "round")]
    assert (line.rounds, line.promotions, line.working, line.overdue) == (len(rounds), 4, None, False)
    assert line.last_round is not None and line.last_round.sentence == rounds[-1].body["sentence"]
    assert NOT_APPROVED in line.next and line.next.endswith("A person has to decide: `stillhouse diagnose small`")
    printed = printed_narrow(shown)
    assert re.search(rf"^small +one {RELEASES['second'][:12]} +0 days .* {len(rounds)} +4", printed, re.MULTILINE)
    assert "risks" not in printed, "there are none"
    assert line.next in command("fleet").stdout.splitlines()[-1]
    decide("hold", "small")
    held = Fleet.model_validate_json(command("fleet", "--json").stdout)
    assert f"one {RELEASES['second'][:12]}, held" in printed_narrow(held)


def printed_narrow(shown: Fleet) -> str:
    """The table as a terminal of the usual width has it."""
    console = Console(width=80, file=StringIO())
    console.print(fleet_table(shown))
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()
