"""Who serves: a better challenger replaces the champion, a weaker one loses; a person holds, goes back and promotes.

The tests are steps on the way of one recipe and run in order, through rounds and commands. Functions alone are tested
in tests/stillhouse/records/test_champions.py, and what each decision writes in test_promotion.py beside it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from scipy.special import softmax

import orchestration.deployments
from checks.gatekeeper import load_gated
from orchestration.champion_status import Decision
from orchestration.cli import app
from orchestration.deployments import roll_back
from orchestration.diagnosis import diagnose
from orchestration.fleet import Fleet
from orchestration.run import Outcome, distil
from orchestration.serving import Predictions
from orchestration.status import status
from orchestration.tables.fleet import fleet_tables
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.release.bundle import MODEL
from stillhouse.stages.names import CHAMPION, RELEASE, SELECTION
from tests.conftest import Place, failures, key_of
from tests.small import small_recipe, students_after
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

BY, WHY = "Ann Lee <ann@example.org>", "it is rude to callers"
NOT_APPROVED = "another_person_has_approved_it"
NOT_WITHDRAWN, NOT_WORSE = "the_release_was_not_withdrawn", "the_challenger_is_not_worse_than_the_champion"


def recipe(place: Place, epochs: int, **more: str) -> RecipeFile:
    """A student trained for so long, under a bar that a weak one clears too; what is taken as it is, is too large."""
    students = students_after(epochs, learning_rate=1e-3 if epochs > 1 else 3e-4)
    bar = {"margin": 0.6, "champion_margin": 0.06}
    return small_recipe(place.folder, students=students, bar=bar, slices=[], **more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with within_a_day(tmp_path_factory.mktemp("rollback"), seeded=shared, baselines=False) as place:
        yield place


def a_round(place: Place, epochs: int) -> Outcome:
    return distil(recipe(place, epochs), place.home, Terminal(quiet=True))


def champion(place: Place) -> str:
    promoted = place.builds.ledger.champion("small")
    assert promoted is not None
    return str(promoted["digest"])


def closed(outcome: Outcome) -> set[str]:
    return {gate.name for gate in outcome.closed}


def decide(*arguments: str) -> str:
    done = command(*arguments, "--by", BY, "--reason", WHY)
    assert done.exit_code == 0, done.output
    return done.output


RELEASES: dict[str, str] = {}


def test_the_first_student_meets_nobody(place: Place) -> None:
    assert a_round(place, epochs=4).succeeded
    RELEASES["first"] = champion(place)
    first = place.newest(SELECTION).manifest.facts["against_champion"]
    assert (first["verdict"], first["release"]) == ("pass", None)


def test_while_a_person_holds_it_a_round_ends_at_the_release_and_says_who_holds(place: Place) -> None:
    assert decide("hold", "small").startswith(f"champion one {RELEASES['first'][:12]} is held")
    outcome = a_round(place, epochs=6)
    (gate,) = outcome.closed
    assert (gate.name, gate.asset) == ("the_champion_is_not_held", f"small/{RELEASE}")
    assert gate.sentence.startswith(f"{BY} holds champion one {RELEASES['first'][:12]} since ")
    RELEASES["second"] = place.newest(RELEASE).digest
    assert RELEASES["second"] != RELEASES["first"] == champion(place)
    (refusal,) = failures(place.run(recipe(place, 6), CHAMPION))
    assert "the_champion_is_not_held is failed" in refusal
    shown = " ".join(command("status", "small").output.split())
    assert f"{BY} holds it since " in shown and WHY in shown


def test_when_a_person_resumes_the_gate_opens_and_in_the_next_round_the_better_one_replaces_it(place: Place) -> None:
    decide("resume", "small")
    verdict = place.builds.ledger.newest(
        "small", "verdict", subject=f"small/{RELEASE}", gate="the_champion_is_not_held"
    )  # fmt: skip
    assert verdict is not None and verdict.body["state"] == "passed"
    assert a_round(place, epochs=6).succeeded
    assert champion(place) == RELEASES["second"]
    against = place.newest(SELECTION).manifest.facts["against_champion"]
    assert (against["verdict"], against["release"]) == ("pass", RELEASES["first"])
    assert against["rows"] == place.newest("prompts", "base").manifest.facts["golden"]


def test_it_is_in_the_report_on_the_page_of_the_release_and_in_the_ledger(place: Place) -> None:
    sentence = place.newest(SELECTION).manifest.facts["against_champion"]["sentence"]
    report = json.loads((place.newest(SELECTION).folder / "report.json").read_text())
    assert report["against_champion"]["sentence"] == sentence
    assert f"the champion one {RELEASES['first'][:12]}" in (place.newest(SELECTION).folder / "report.html").read_text()
    events = place.instance.fetch_materializations(key_of("small", RELEASE), limit=1).records
    assert events[0].asset_materialization is not None
    assert events[0].asset_materialization.metadata["against_the_champion"].value == sentence
    verdict = place.builds.ledger.newest("small", "verdict", subject=f"small/{SELECTION}", gate=NOT_WORSE)
    assert verdict is not None and (verdict.body["state"], verdict.body["sentence"]) == ("passed", sentence)
    reads = place.builds.ledger.entries("small", "golden_read")
    assert [entry.body["reader"] for entry in reads].count(SELECTION) == 1, "the first student met nobody"


def test_a_weaker_challenger_that_clears_the_bar_loses_and_the_champion_stays(place: Place) -> None:
    outcome = a_round(place, epochs=1)
    assert not outcome.succeeded and closed(outcome) == {NOT_WORSE}
    (gate,) = outcome.closed
    assert gate.sentence.startswith("accuracy not within 6.0 points of the champion one")
    assert place.newest(SELECTION).manifest.facts["winner"] == "one", "it clears the bar"
    assert champion(place) == RELEASES["second"]
    (refusal,) = failures(place.run(recipe(place, epochs=1), RELEASE))
    assert f":{NOT_WORSE} is failed" in refusal


@pytest.mark.parametrize(
    ("digest", "message"),
    [("feed", "no releases that were promoted begin with 'feed'"), ("", "2 releases"), ("second", "serves already")],
)
def test_only_a_release_that_served_and_does_not_serve_is_gone_back_to(place: Place, digest: str, message: str) -> None:
    entries = len(place.builds.ledger.entries())
    with pytest.raises(StillhouseError, match=message):
        roll_back(
            place.instance, place.builds, recipe(place, 6), RELEASES.get(digest, digest), by=BY, reason=WHY
        )  # fmt: skip
    assert len(place.builds.ledger.entries()) == entries


def test_a_release_that_is_not_whole_is_refused(place: Place) -> None:
    assert a_round(place, epochs=6).succeeded
    first = place.builds.store.open(RELEASES["first"]) / "report.json"
    content = first.read_bytes()
    first.unlink()
    first.write_bytes(content + b" ")
    with pytest.raises(StillhouseError, match="altered"):
        roll_back(place.instance, place.builds, recipe(place, 6), None, by=BY, reason=WHY)
    first.unlink()
    first.write_bytes(content)
    assert champion(place) == RELEASES["second"]


def test_a_rollback_that_is_killed_half_way_serves_the_earlier_one_and_is_finished_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*about: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr(orchestration.deployments, "_make_the_asset_name", killed)
        with pytest.raises(KeyboardInterrupt):
            roll_back(place.instance, place.builds, recipe(place, 6), None, by=BY, reason=WHY)
    assert champion(place) == RELEASES["first"]
    (refusal,) = failures(place.run(recipe(place, 6), CHAMPION))
    assert "was withdrawn on" in refusal and "by Ann Lee" in refusal
    assert champion(place) == RELEASES["first"]
    ended = command("rollback", "small", "--by", BY, "--reason", WHY)
    assert ended.exit_code == 0 and "that was broken off is finished" in ended.stdout
    assert champion(place) == RELEASES["first"]
    assert len(place.builds.ledger.entries("small", "withdrawal")) == 1


def test_after_a_rollback_asset_ledger_and_gates_agree(place: Place) -> None:
    file = recipe(place, 6)
    assert place.newest(CHAMPION).manifest.facts["release"] == RELEASES["first"]
    serving = load_gated(place.builds, file.recipe, key_of("small", CHAMPION))
    assert serving.manifest.facts["release"] == RELEASES["first"]
    assert {state.state for state in place.states(CHAMPION).values()} == {"passed"}
    assert place.states(RELEASE)[NOT_WITHDRAWN].state == "failed"
    promotion = place.builds.ledger.champion("small")
    assert promotion is not None
    assert (promotion["because"], promotion["before"]) == ("rollback", RELEASES["second"])
    assert command("audit", "small").exit_code == 0


def test_what_is_asked_and_handed_over_is_what_serves(place: Place) -> None:
    """The release that a person went back to, and not the newest one."""
    serving = place.builds.store.open(RELEASES["first"])
    model, texts = OnnxClassifier(serving / MODEL), ["Who built the \u200blighthouse ?", "How many  keys ?"]
    logits = model.logits(["Who built the lighthouse ?", "How many keys ?"])
    sure = softmax(logits / model.temperature, axis=1)
    asked = command("predict", "small", *texts, "--json")
    assert asked.exit_code == 0, asked.output
    found = Predictions.model_validate_json(asked.stdout)
    assert (found.recipe, found.student, found.release) == ("small", "one", RELEASES["first"])
    labels = [model.labels[place] for place in logits.argmax(axis=1)]
    assert [(each.text, each.label) for each in found.answers] == list(zip(texts, labels, strict=True))
    assert [each.confidence for each in found.answers] == pytest.approx(sure.max(axis=1).tolist(), abs=1e-6)
    lines = command("predict", "small", typed="\n".join(texts)).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == labels, "one text a line of standard input"
    with pytest.raises(StillhouseError, match="text 2 is empty"):
        app(["predict", "small", "who", " \u200b"], standalone_mode=False)
    target = place.folder / "handed over"
    ended = command("export", "small", str(target))
    assert ended.exit_code == 0 and RELEASES["first"][:12] in ended.stdout, ended.output
    assert json.loads((target / "release.json").read_text())["release"] == RELEASES["first"]
    said = subprocess.run([sys.executable, target / "classify.py", *texts], capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in said.stdout.splitlines()] == labels


def test_a_champion_that_was_altered_is_neither_asked_nor_handed_over(place: Place) -> None:
    config = place.builds.store.open(RELEASES["first"]) / MODEL / "config.json"
    content = config.read_bytes()
    config.unlink()
    config.write_bytes(content.replace(b'"temperature": ', b'"temperature": 1'))
    try:
        for arguments in (["predict", "small", "who"], ["export", "small", str(place.folder / "never")]):
            with pytest.raises(StillhouseError, match="the content was altered"):
                app(arguments, standalone_mode=False)
        assert not (place.folder / "never").exists()
    finally:
        config.unlink()
        config.write_bytes(content)


def test_an_unchanged_round_does_not_undo_it_and_says_who_decided(place: Place) -> None:
    outcome = a_round(place, epochs=6)
    assert not outcome.succeeded and closed(outcome) == {NOT_WITHDRAWN} and outcome.errors == []
    assert champion(place) == RELEASES["first"] == place.newest(CHAMPION).manifest.facts["release"]
    assert place.newest(SELECTION).manifest.made_by is not None, "the comparison was found again"
    file = recipe(place, 6)
    shown = status(place.instance, place.builds, [file]).recipes["small"].champion
    assert shown is not None and shown.digest == RELEASES["first"]
    assert shown.rolled_back == Decision(by=BY, reason=WHY)
    assert f"serves since {BY} went back to it on" in " ".join(command("status", "small").stdout.split())
    said = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert (said["stage"], said["gate"], said["state"]) == (RELEASE, NOT_WITHDRAWN, "failed")
    assert "withdrawn on" in said["what"] and f"by {BY}: {WHY}" in said["what"]
    assert f"champion one {RELEASES['first'][:12]} serves since then" in said["what"]


def test_a_person_brings_the_withdrawn_release_back_and_rounds_go_on(place: Place) -> None:
    ended = command("rollback", "small", RELEASES["second"][:10], "--by", BY, "--reason", "it was the wrong suspect")
    assert ended.exit_code == 0, ended.output
    assert champion(place) == RELEASES["second"] == place.newest(CHAMPION).manifest.facts["release"]
    assert place.states(RELEASE)[NOT_WITHDRAWN].state == "passed"
    before = place.builds.ledger.entries("small", "promotion"), place.newest(SELECTION).digest
    assert a_round(place, epochs=6).succeeded
    assert (place.builds.ledger.entries("small", "promotion"), place.newest(SELECTION).digest) == before
    assert place.newest(SELECTION).manifest.made_by is not None, "the comparison was found again"
    assert diagnose(place.instance, place.builds, recipe(place, 6)).stage is None
    assert command("audit", "small").exit_code == 0
    assert place.builds.ledger.problems() == []


@pytest.mark.slow
def test_a_withdrawn_release_serves_again_when_a_person_promotes_it(place: Place) -> None:
    decide("rollback", "small")
    assert champion(place) == RELEASES["first"]
    said = decide("promote", "small")
    assert said.startswith(f"champion one {RELEASES['second'][:12]} serves; it replaced {RELEASES['first'][:12]}")
    shown = status(place.instance, place.builds, [recipe(place, 6)]).recipes["small"].champion
    assert shown is not None
    assert (shown.digest, shown.rolled_back) == (RELEASES["second"], None)
    assert shown.promoted == Decision(by=BY, reason=WHY)
    assert place.states(RELEASE)[NOT_WITHDRAWN].state == "passed"


@pytest.mark.slow
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
    with pytest.raises(StillhouseError, match=message):
        decide("promote", "small", RELEASES.get(release, release)[:12])
    assert len(place.builds.ledger.entries()) == entries


@pytest.mark.slow
def test_a_release_with_another_closed_gate_is_not_promoted(place: Place) -> None:
    """Only the two gates that a promotion answers are answered by it."""
    high = recipe(place, 6, stakes="high", author="Grace Hopper")
    assert closed(distil(high, place.home, Terminal(quiet=True))) == {"another_person_has_approved_the_training"}
    assert command("approve", "small", "--training", "--by", BY, "--reason", WHY).exit_code == 0
    assert closed(distil(high, place.home, Terminal(quiet=True))) == {NOT_APPROVED}
    entries = len(place.builds.ledger.entries())
    with pytest.raises(StillhouseError, match=f"{NOT_APPROVED} was closed"):
        decide("promote", "small")
    assert len(place.builds.ledger.entries()) == entries
    assert command("audit", "small").exit_code == 0, "of what a person promoted"


@pytest.mark.slow
def test_the_fleet_says_in_a_line_what_serves_and_what_is_needed(place: Place) -> None:
    shown = Fleet.model_validate_json(command("fleet", "--json").stdout)
    line = shown.recipes["small"]
    assert line.champion is not None and line.champion.digest == RELEASES["second"]
    rounds, promotions = (place.builds.ledger.entries("small", kind) for kind in ("round", "promotion"))
    assert (line.rounds, line.promotions, line.working, line.overdue) == (len(rounds), len(promotions), None, False)
    assert len(promotions) == 6, "each of two releases by its round, then back and forth, and by a person's word"
    assert line.last_round is not None and line.last_round.sentence == rounds[-1].body["sentence"]
    assert NOT_APPROVED in line.next and line.next.endswith("A person has to decide: `stillhouse diagnose small`")
    printed = printed_narrow(shown)
    assert re.search(rf"^small +one {RELEASES['second'][:12]} +0 days", printed, re.MULTILINE)
    assert re.search(rf"^small +20.* {len(rounds)} +6", printed, re.MULTILINE)
    assert "risks" not in printed, "there are none"
    assert line.next in command("fleet").stdout.splitlines()[-1]
    decide("hold", "small")
    held = Fleet.model_validate_json(command("fleet", "--json").stdout)
    assert f"one {RELEASES['second'][:12]}, held" in printed_narrow(held)


def printed_narrow(shown: Fleet) -> str:
    """The tables as a terminal of the usual width has them."""
    console = Console(width=80, file=StringIO())
    for table in fleet_tables(shown):
        console.print(table)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


def test_whoever_goes_back_needs_no_recipe_that_can_be_read(place: Place) -> None:
    """Regression: what did harm answered on for as long as somebody was editing the recipe."""
    path = place.folder / "recipes" / "small" / "defs.yaml"
    content = path.read_bytes()
    path.write_text("attributes: [")
    said = decide("rollback", "small")
    assert f"champion one {RELEASES['first'][:12]} serves; {RELEASES['second'][:12]} is withdrawn" in said
    assert "not readable as YAML" in said and "Servers follow without it" in said
    assert champion(place) == RELEASES["first"]
    assert place.newest(CHAMPION).manifest.facts["release"] == RELEASES["second"], "its page follows"
    (again,) = re.findall("`stillhouse (rollback small [0-9a-f]{12})` is given once it can be read", said)
    with pytest.raises(StillhouseError, match="serves already"):  # it still cannot be read
        decide(*again.split())
    assert champion(place) == RELEASES["first"], "it goes back by no more than once"
    path.write_bytes(content)
    assert "the command that was broken off is finished" in decide(*again.split())
    assert place.newest(CHAMPION).manifest.facts["release"] == RELEASES["first"]
    assert command("audit", "small").exit_code == 0
