"""What people decide - waivers, approvals, amendments - opens exactly what it names, and shows wherever one looks.

The tests are steps on the way of one recipe and run in order. The functions alone are tested in
tests/stillhouse/records/test_governance.py.
"""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import time_machine

import stillhouse.records.governance
from checks.stages import UNWAIVABLE, waiver_rules
from orchestration.approvals import approve_newest_release, ended_waivers, how_to_waive, waivable_gate, waive_newest
from orchestration.build import definitions
from orchestration.diagnosis import checklist, diagnose
from orchestration.run import distil
from orchestration.status import status
from orchestration.terminal import Terminal
from stillhouse.errors import StillhouseError
from stillhouse.names import account
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildRequest, BuildStore
from stillhouse.records.deployments import DeployedRelease
from stillhouse.records.governance import Waiver, waive
from stillhouse.release.bundle import ReleaseRecord, WaivedGate
from tests.command import DIAGNOSIS, Ended
from tests.command import stillhouse as command
from tests.conftest import RULES, Place, a_place, failures, verdicts
from tests.small import small_recipe

GATE = "small/prompts[base]:every_slice_has_golden_rows"
NAME = "every_slice_has_golden_rows"
UNTIL = datetime.now(UTC).date() + timedelta(days=9)
"""Chosen once, since each step asks for what an earlier one gave: whenever a step runs, it is some days away."""
WHY = "the slice is filled next week"
SIGNED_OFF = "another_person_has_approved_the_training"
READ = "read the contract, its rows and its licences"
ANN, BOB = "Ann Lee <ann@example.org>", "Bob Ray <bob@example.org>"


def recipe(folder: Path, margin: float = 0.07) -> RecipeFile:
    """A slice that is empty, stakes that are high, and one student."""
    student = {"name": "one", "layers": [0], "training": {"epochs": 5, "learning_rate": 1e-3, "max_tokens": 32}}
    empty = {"name": "nobody", "column": "kind", "values": ["NO:such"], "critical": False}
    return small_recipe(
        folder, slices=[empty], stakes="high", author=ANN, students=[student], bar__margin=margin
    )  # fmt: skip


def sign(place: Place, by: str) -> Ended:
    """Sign off the training, by the command line."""
    options = ("--training", "--by", by, "--reason", READ)
    return command("approve", "small", *options, recipes=place.folder / "recipes")


def amended(place: Place) -> Ended:
    """Accept the bar of the recipe, by the command line."""
    options = ("--by", BOB, "--reason", "support agreed to a little more")
    return command("amend", "small", *options, recipes=place.folder / "recipes")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Place]:
    with a_place(tmp_path_factory.mktemp("people"), seeded=shared, baselines=False) as place:
        yield place


@pytest.fixture
def file(place: Place) -> RecipeFile:
    return recipe(place.folder)


def looked_at(place: Place) -> int:
    """How often the gate was looked at."""
    return len(place.builds.ledger.entries("small", "verdict", gate=NAME))


def test_before_a_candidate_exists_the_bar_may_be_changed_freely(place: Place) -> None:
    for margin in (0.09, 0.07):
        result = place.run(recipe(place.folder, margin), "contract")
        assert {name for name, passed in verdicts(result).items() if not passed} == {SIGNED_OFF}


def test_what_nobody_has_to_amend_is_not_recorded(place: Place, file: RecipeFile) -> None:
    """Else the gate would open later on a bar that was accepted before anybody knew what a student reaches."""
    ended = amended(place)
    assert ended.returncode == 2 and "no candidate was trained yet" in ended.stderr
    assert place.builds.ledger.entries("small", "amendment") == []


def test_where_the_stakes_are_high_nothing_is_trained_on_the_authors_own_word(place: Place, file: RecipeFile) -> None:
    (refused,) = failures(place.run(file, "source"))
    assert f"gate small/contract:{SIGNED_OFF} is inconclusive" in refused
    found = diagnose(place.instance, place.builds, file)
    assert (found.stage, found.gate) == ("contract", SIGNED_OFF)
    assert "`stillhouse approve small --training --by NAME --reason WHY` and look again" in str(found.what)
    with pytest.raises(StillhouseError, match="cannot be waived"):
        waivable_gate(file, f"small/contract:{SIGNED_OFF}", ["base"])
    own = sign(place, "lee, ann")
    assert own.returncode == 2 and "wrote the recipe" in own.stderr and "Traceback" not in own.stderr
    assert place.builds.ledger.entries("small", "sign_off") == []

    ended = sign(place, BOB)
    assert ended.returncode == 0, ended.stderr
    (signed,) = place.builds.ledger.entries("small", "sign_off")
    assert signed.body["contract"] == place.newest("contract").digest
    assert failures(place.run(file, "source")), "a sign-off is evidence, and a gate has to look at it"
    assert place.run(file, "contract").success
    assert place.states("contract")[SIGNED_OFF].sentence == f"signed off by {BOB}: {READ}"


def test_a_sign_off_ends_with_the_recipe_that_it_was_given_for(place: Place) -> None:
    other = recipe(place.folder, 0.08)
    refused = sign(place, BOB)
    assert refused.returncode == 2 and "the recipe was changed since its contract was frozen" in refused.stderr
    assert not place.run(other, "contract").success
    assert "before the recipe was changed" in place.states("contract")[SIGNED_OFF].sentence
    assert place.run(recipe(place.folder), "contract").success, "of the one that was signed off it counts again"


def test_without_a_waiver_a_failed_gate_refuses_what_is_below(place: Place, file: RecipeFile) -> None:
    assert not place.run(file, "source", "prompts").success
    (said,) = failures(place.run(file, "teacher"))
    assert f"gate {GATE} is failed" in said
    assert diagnose(place.instance, place.builds, file).do.endswith(
        f"or `stillhouse waive '{GATE}' --by NAME --reason WHY --until YYYY-MM-DD`"
    )


def test_a_waiver_of_0_1_0_opens_nothing_and_is_named_in_one_line_with_what_to_do(
    place: Place, file: RecipeFile
) -> None:
    for gate, by in ((GATE, "Ann"), ("small/source[base]:no_row_is_above_its_privacy_class", "Bob")):
        body = {"gate": gate, "by": by, "reason": WHY, "until": UNTIL.isoformat()}
        place.builds.ledger.append("waiver", "small", body)
    assert not place.states("prompts", "base")[NAME].is_open
    said = (
        f"the waiver of {GATE} by Ann until {UNTIL.isoformat()} was given under version 0.1.0, for no content, and "
        f"counts no longer: `stillhouse waive '{GATE}' --by NAME --reason WHY --until YYYY-MM-DD` gives it again"
    )
    named = status(place.instance, place.builds, [file]).recipes["small"].waivers
    assert named[0] == said and len(named) == 2
    assert said in diagnose(place.instance, place.builds, file).evidence
    console = Terminal(record=True, width=1000, file=io.StringIO())
    distil(file, place.home, console)
    assert console.export_text().count("and counts no longer: ") == 2


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("small/prompts[base]:no_personal_data_is_left", "no_personal_data_is_left cannot be waived"),
        ("small/release:another_person_has_approved_it", "another_person_has_approved_it cannot be waived"),
        (f"{GATE}s", f"has no blocking gate '{NAME}s'.*Did you mean {NAME}?"),
        ("small/prompts[base]:no_slice_is_thin", "prompts has no blocking gate 'no_slice_is_thin'"),
        (f"small/prompts[munday.csv]:{NAME}", "there is no batch 'munday.csv'; expected one of base, monday.csv"),
        (f"small/prompts:{NAME}", r"made batch by batch; expected small/prompts\[base\]:"),
        (
            "small/teacher[base]:teacher_accuracy_reaches_the_minimum",
            "not made batch by batch; expected small/teacher:",
        ),
        (f"small/promts[base]:{NAME}", "small has no stage 'promts'; expected one of contract, source, prompts"),
        ("small", "small has no stage ''"),
    ],
)
@pytest.mark.experiment("B17")
def test_only_a_gate_that_there_is_and_that_may_be_waived_is_waived(file: RecipeFile, check: str, message: str) -> None:
    with pytest.raises(StillhouseError, match=message):
        waivable_gate(file, check, ["base", "monday.csv"])


@pytest.mark.parametrize("named", [[], ["every_slice_has_golden_rows"]])
def test_a_recipe_can_name_more_gates_that_nobody_can_waive_but_not_fewer(tmp_path: Path, named: list[str]) -> None:
    """Regression: a list in the recipe took the place of the gates that nobody should be able to waive."""
    file = small_recipe(tmp_path, rows=50, unwaivable=named)
    assert waiver_rules(file.recipe).unwaivable == UNWAIVABLE | set(named) and len(UNWAIVABLE) == 12
    for name in [*named, "no_personal_data_is_left"]:
        with pytest.raises(StillhouseError, match=f"{name} cannot be waived"):
            waivable_gate(file, f"small/prompts[base]:{name}", ["base"])


def test_gates_that_nobody_can_waive_are_named_as_they_are(place: Place, tmp_path: Path) -> None:
    wrong = small_recipe(tmp_path, rows=50, unwaivable=["no_personal_data_is_left", "no_such_gate"])
    line = next(n for n, text in enumerate(wrong.path.read_text().splitlines(), start=1) if "no_such_gate" in text)
    with pytest.raises(StillhouseError, match="there is no gate 'no_such_gate'") as refused:
        definitions([wrong])
    assert str(refused.value).startswith(f"{wrong.path}:{line}: unwaivable")


def test_a_waiver_of_an_unknown_recipe_is_refused(place: Place) -> None:
    options = ("--by", ANN, "--reason", WHY, "--until", UNTIL.isoformat())
    ended = command("waive", f"smal/prompts[base]:{NAME}", *options, recipes=place.folder / "recipes")
    assert ended.returncode == 2 and "smal: no recipe of this name; expected one of: small." in ended.stderr
    assert place.builds.ledger.entries("smal") == []


def test_a_waived_gate_lets_through_without_being_looked_at_again(place: Place, file: RecipeFile) -> None:
    """Trap 13: a waiver is recorded with name, reason and expiry; nothing else opens a closed gate."""
    before = looked_at(place)
    options = ("--by", ANN, "--reason", WHY, "--until", UNTIL.isoformat())
    ended = command("waive", GATE, *options, recipes=place.folder / "recipes")
    assert ended.returncode == 0, ended.stderr
    assert f"{GATE} is waived by {ANN} until {UNTIL} because {WHY}, for " in ended.stdout
    assert place.run(file, "teacher").success
    assert looked_at(place) == before

    entry = place.builds.ledger.entries("small", "waiver")[-1]
    content = place.newest("prompts", "base").digest
    assert entry.body == {
        "gate": GATE, "digest": content, "by": ANN, "reason": WHY, "until": UNTIL.isoformat(), "account": account(),
    }  # fmt: skip
    relied = {(gate.asset, gate.gate): gate.state for gate in place.newest("teacher").manifest.relied_on}
    assert relied["small/prompts[base]", NAME] == "waived"
    gates = status(place.instance, place.builds, [file]).recipes["small"].stages["prompts"].gates
    shown = next(gate for gate in gates if gate.name == NAME)
    assert shown.state == "waived" and shown.sentence.startswith(f"waived by {ANN} until {UNTIL} because {WHY}: ")


def test_a_waived_gate_warns_and_the_run_goes_on(place: Place, file: RecipeFile) -> None:
    result = place.run(file, "prompts", "teacher")
    (shown,) = [each for each in result.get_asset_check_evaluations() if each.check_name == NAME]
    assert not shown.passed and shown.severity is dg.AssetCheckSeverity.WARN
    assert (shown.description or "") == f"waived by {ANN} until {UNTIL} because {WHY}: empty: nobody"
    assert result.success and result.asset_materializations_for_node("small__teacher")
    verdict = place.builds.ledger.entries("small", "verdict", gate=NAME)[-1].body
    assert verdict["state"] == "failed" and verdict["waived"].startswith(f"waived by {ANN}")


def test_a_waiver_that_has_expired_closes_again(
    place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillhouse.records.governance, "_today", lambda ledger: UNTIL)
    assert place.run(file, "teacher").success
    monkeypatch.setattr(stillhouse.records.governance, "_today", lambda ledger: UNTIL + timedelta(days=1))
    (said,) = failures(place.run(file, "teacher"))
    assert f"gate {GATE} is failed" in said
    assert not place.run(file, "prompts", "teacher").success


def test_a_waiver_cannot_stand_in_for_looking(place: Place, file: RecipeFile) -> None:
    unmade = "small/teacher_signal[base]:every_prompt_was_answered"
    with pytest.raises(StillhouseError, match="it was never materialized"):
        waive_newest(place.builds, file, Waiver(unmade, ANN, WHY, UNTIL, content=""), ["base"])
    waive(place.builds.ledger, "small", Waiver(unmade, ANN, WHY, UNTIL, content="0" * 64), RULES)
    assert place.states("teacher_signal", "base")["every_prompt_was_answered"].state == "missing"
    place.run(file, "prompts", gates=False)
    assert place.states("prompts", "base")[NAME].state == "stale"
    (said,) = failures(place.run(file, "teacher"))
    assert f"gate {GATE} is stale" in said


def test_a_release_that_nobody_approved_is_not_promoted(place: Place, file: RecipeFile) -> None:
    with pytest.raises(StillhouseError, match="it was never materialized"):
        approve_newest_release(place.builds, file, by=BOB, reason="read the report and the slices")
    result = place.run(file)
    assert {name for name, passed in verdicts(result).items() if not passed} >= {NAME, "another_person_has_approved_it"}
    assert place.states("release")["another_person_has_approved_it"].state == "inconclusive"
    assert place.builds.ledger.champion("small") is None
    (said,) = failures(place.run(file, "champion"))
    assert "gate small/release:another_person_has_approved_it is inconclusive" in said
    found = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert (found["stage"], found["gate"]) == ("release", "another_person_has_approved_it")
    assert "`stillhouse approve small --by NAME --reason WHY` and look again" in found["what"]


def test_the_bundle_lists_what_was_waived(place: Place) -> None:
    record = json.loads((place.newest("release").folder / "release.json").read_text())["record"]
    content = place.newest("prompts", "base").digest
    assert record["waived"] == [
        {"gate": GATE, "by": ANN, "reason": WHY, "until": UNTIL.isoformat(), "content": content}
    ]
    assert place.states("release")["the_release_lists_its_waivers"].state == "passed"


def test_nobody_approves_a_release_of_their_own_recipe(place: Place, file: RecipeFile) -> None:
    options = ("--by", "ann lee (ann@example.org)", "--reason", "looks good to me")
    ended = command("approve", "small", *options, recipes=place.folder / "recipes")
    assert ended.returncode == 2 and "wrote the recipe" in ended.stderr and "Traceback" not in ended.stderr
    assert place.builds.ledger.entries("small", "approval") == []
    assert failures(place.run(file, "champion"))


def test_an_approved_release_becomes_the_champion_when_it_is_looked_at_again(place: Place, file: RecipeFile) -> None:
    options = ("--by", BOB, "--reason", "read the report and the slices")
    ended = command("approve", "small", *options, recipes=place.folder / "recipes")
    assert ended.returncode == 0, ended.stderr
    (approved,) = place.builds.ledger.entries("small", "approval")
    assert failures(place.run(file, "champion")), "an approval is evidence, and a gate has to look at it"
    assert place.run(file, "release", "champion").success
    champion = place.builds.ledger.champion("small")
    assert champion is not None and champion["digest"] == approved.body["release"] == place.newest("release").digest
    assert place.states("release")["another_person_has_approved_it"].sentence.startswith(f"approved by {BOB}: read")


def test_all_is_well_with_a_waiver_and_says_so(place: Place, file: RecipeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(place.instance, place.builds, [file]).all_is_well
    found = diagnose(place.instance, place.builds, file).model_dump(mode="json")
    assert found["stage"] is None and found["what"] == "every exit condition of small holds"
    assert found.keys() == DIAGNOSIS
    lines = checklist(place.instance, place.builds, file).splitlines()
    boxes = [line[:5] for line in lines if line.startswith("- [")]
    assert boxes.count("- [~]") == 1 and set(boxes) == {"- [x]", "- [~]"}
    for arguments in (("diagnose", "small"), ("status", "small")):
        ended = command(*arguments, recipes=place.folder / "recipes")
        assert ended.returncode == 0, ended.stdout + ended.stderr
    monkeypatch.setattr(stillhouse.records.governance, "_today", lambda ledger: UNTIL + timedelta(days=1))
    assert not status(place.instance, place.builds, [file]).all_is_well
    assert diagnose(place.instance, place.builds, file).gate == NAME


def test_a_bar_that_is_moved_after_a_candidate_needs_a_name_and_a_reason(place: Place) -> None:
    unmoved = amended(place)
    assert unmoved.returncode == 2 and "the last one was trained under this bar" in unmoved.stderr
    assert place.builds.ledger.entries("small", "amendment") == []
    moved = recipe(place.folder, margin=0.071)
    result = place.run(moved, "contract")
    assert not result.success and verdicts(result)["a_moved_bar_has_a_name_and_a_reason"] is False
    closed = place.states("contract")["a_moved_bar_has_a_name_and_a_reason"]
    assert "put the old one back, or `stillhouse amend small --by NAME --reason WHY`" in closed.sentence
    (said,) = failures(place.run(moved, "source"))
    assert "gate small/contract:a_moved_bar_has_a_name_and_a_reason is failed" in said

    ended = amended(place)
    assert ended.returncode == 0, ended.stderr
    assert sign(place, BOB).returncode == 0, "another bar is another contract"
    result = place.run(moved, "contract")
    assert result.success
    opened = place.states("contract")["a_moved_bar_has_a_name_and_a_reason"]
    assert opened.state == "passed" and opened.sentence == f"changed by {BOB}: support agreed to a little more"


def test_what_was_judged_by_the_old_bar_stays_judged_by_it(place: Place) -> None:
    """And the approval of the release before this one is none of this one."""
    before, released, champion = (place.newest(stage) for stage in ("evaluation", "release", "champion"))
    old = (before.folder / "evaluations.json").read_bytes()
    place.run(recipe(place.folder, margin=0.071))
    after = place.newest("evaluation")
    assert after.digest != before.digest
    assert (before.folder / "evaluations.json").read_bytes() == old != (after.folder / "evaluations.json").read_bytes()
    bars = [frozen.manifest.facts["bar"]["bar"]["margin"] for frozen in contracts(place)]
    assert bars == [0.07, 0.071]

    assert place.newest("release").digest != released.digest
    assert place.states("release")["another_person_has_approved_it"].state == "inconclusive"
    assert place.newest("champion").digest == champion.digest
    serving = place.builds.ledger.champion("small")
    assert serving is not None and serving["digest"] == released.digest
    assert place.builds.ledger.problems() == []


def contracts(place: Place) -> list:
    """The contracts of the releases that were made, in their order."""
    made = place.builds.ledger.entries("small", "materialization")
    releases = [e.body for e in made if e.body["asset"] == "small/release" and not e.body["found_again"]]
    opened = [place.builds.artifact(body["digest"], body["manifest"]) for body in releases]
    return [contract for release in opened for contract in place.builds.inputs_of(release, "contract")]


def test_a_gate_is_waived_by_its_old_name_and_the_new_one_is_said(place: Place) -> None:
    options = ("--by", ANN, "--reason", WHY, "--until", UNTIL.isoformat())
    ended = command("waive", "small/teacher:it_is_worth_copying", *options, recipes=place.folder / "recipes")
    assert ended.returncode == 0, ended.stderr
    assert "the gate it_is_worth_copying is called teacher_accuracy_reaches_the_minimum now" in ended.stdout
    entry = place.builds.ledger.entries("small", "waiver")[-1]
    assert entry.body["gate"] == "small/teacher:teacher_accuracy_reaches_the_minimum"


def test_a_waiver_that_ended_while_a_release_was_on_its_way_is_named_until_somebody_gives_it_again(
    builds: BuildStore, tmp_path: Path
) -> None:
    """Regression: what a waiver had let through was promoted days after that waiver had ended."""
    file, content = small_recipe(tmp_path, rows=100), "c" * 64
    given = WaivedGate(gate=GATE, by="Ann", reason=WHY, until="2020-01-01", content=content)
    of_0_1_0 = given.model_copy(update={"content": None})
    record = ReleaseRecord.model_validate(
        dict.fromkeys(ReleaseRecord.model_fields, "x")
        | {"precision": "int8", "row_kinds": {}, "waived": (given, of_0_1_0)}
    )
    made = builds.make(BuildRequest("small", "release", "run", "v", {}), lambda folder: record)
    release = DeployedRelease(release=made.digest, manifest=made.identity, student="x")
    ended = f"the waiver of {GATE} has ended: {how_to_waive(GATE)}"
    assert ended_waivers(builds, file, release) == [ended, ended]
    waive(builds.ledger, "small", Waiver(GATE, "Ann", WHY, UNTIL, content), waiver_rules(file.recipe))
    assert ended_waivers(builds, file, release) == [ended], "that of the first version was for no content"
    with time_machine.travel(datetime.now(UTC) + timedelta(days=90), tick=True):
        assert ended_waivers(builds, file, release) == [ended, ended]
