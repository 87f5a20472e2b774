"""What is made of a ledger: which gates are open, what is stale, and the one refusal; without Dagster."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from checks import gate_states
from checks.gate_states import AssetState, LedgerSnapshot, asset_state, lineage
from checks.gatekeeper import WayClosed, load_gated, load_gated_batches
from stillhouse.home import Home
from stillhouse.records.batches import Batch, BatchFile, record
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from stillhouse.records.governance import Waiver, WaiverRules, valid_waivers, waive
from stillhouse.records.promotion import go_back
from tests.promotions import named, seen, serve
from tests.small import Measured

ONE, TWO = "one_holds", "another_holds"
RULES = WaiverRules(frozenset(), 30)


class World:
    """Stages of the recipe `r`, made one after the other; each has two gates, and code of version `v`."""

    def __init__(self, home: Home) -> None:
        self.builds = BuildStore(home)
        self.recipe: Any = SimpleNamespace(
            digest="recipe", unwaivable=(), waiver_days_at_most=30, refresh=SimpleNamespace(train_on_open_batches=False)
        )

    def make(self, stage: str, *inputs: Artifact, content: str = "", judged: bool = True, **facts: Any) -> Artifact:
        name, _, batch = stage.removesuffix("]").partition("[")

        def build(folder: Path) -> Measured:
            (folder / "content").write_text(content or stage)
            return Measured({"recipe": "recipe", **facts})

        order = BuildRequest(
            "r", name, "run of " + name, "v", {"content": content, **facts}, batch=batch or None, inputs=inputs
        )
        made = self.builds.make(order, build)
        if judged:
            self.judge(made, ONE)
            self.judge(made, TWO)
        return made

    def judge(self, made: Artifact, gate: str, state: str = "passed", **changes: Any) -> None:
        body = {
            "asset": made.address, "digest": made.digest, "manifest": made.identity, "gate": gate, "state": state,
            "sentence": f"{gate} said", "code": "c", "run_id": "0123456789",
        }  # fmt: skip
        self.builds.ledger.append("verdict", "r", {**body, **changes})

    def look(self, stage: str, batch: str | None = None) -> AssetState:
        waivers = valid_waivers(self.builds.ledger, "r", RULES)
        return asset_state(self.builds, self.recipe, waivers, key(stage), batch)

    def read(self, stage: str, batch: str | None = None) -> Artifact:
        return load_gated(self.builds, self.recipe, key(stage), batch)

    def refusal(self, stage: str, batch: str | None = None) -> str:
        return refused(lambda: self.read(stage, batch))


def key(stage: str) -> dg.AssetKey:
    return dg.AssetKey(["r", *stage.split("/")])


def refused(read: Callable[[], Any]) -> str:
    with pytest.raises(dg.Failure) as caught:
        read()
    assert caught.value.allow_retries is False
    said = caught.value.description or ""
    assert isinstance(caught.value, WayClosed) == (" is failed" in said or " is inconclusive" in said)
    return said


@pytest.fixture
def world(home: Home, monkeypatch: pytest.MonkeyPatch) -> World:
    gates = SimpleNamespace(names=lambda *, blocking: [ONE, TWO] if blocking else ["advice"])
    monkeypatch.setattr(gate_states, "gates_of", lambda stage: gates)
    monkeypatch.setattr(gate_states, "gate_code", lambda stage: "c")
    monkeypatch.setattr(gate_states, "code_version", lambda stage: "v")
    return World(home)


def states(world: World, stage: str = "teacher") -> list[tuple[str, str]]:
    return [(gate.state, gate.sentence) for gate in world.look(stage).gates]


def test_a_gate_of_what_was_never_made_is_missing(world: World) -> None:
    found = world.look("teacher")
    assert states(world) == [("missing", "the asset was never materialized")] * 2
    assert [gate.run_id for gate in found.gates] == ["", ""]
    assert not found.is_open and found.reasons == ["r/teacher was never materialized"]
    assert world.refusal("teacher") == (
        "Refused to read r/teacher: r/teacher was never materialized. To go on, materialize it with its checks first; "
        "`stillhouse diagnose r` says what is wrong first, `stillhouse status r` shows every gate."
    )


def test_a_gate_that_nobody_has_looked_at_is_missing(world: World) -> None:
    made = world.make("teacher", judged=False)
    world.judge(made, TWO)
    assert states(world) == [("missing", "no run has looked yet"), ("passed", "another_holds said")]
    assert world.look("teacher").reasons == ["gate r/teacher:one_holds is missing: no run has looked yet"]
    assert "To go on, materialize that asset with its checks again; " in world.refusal("teacher")


def test_open_gates_hand_the_artifact_over_with_what_was_relied_on(world: World) -> None:
    source = world.make("source[base]")
    made = world.make("teacher", source)
    opened = world.read("teacher")
    assert opened.digest == made.digest
    assert [(gate.asset, gate.gate, gate.state, gate.run_id) for gate in opened.relied_on] == [
        (asset, gate, "passed", "0123456789") for asset in ("r/teacher", "r/source[base]") for gate in (ONE, TWO)
    ]


@pytest.mark.parametrize(
    ("changes", "state", "sentence"),
    [
        ({}, "failed", "another_holds said"),
        ({"state": "inconclusive"}, "inconclusive", "another_holds said"),
        ({"digest": "f" * 64}, "stale", "it looked at an older materialization"),
        ({"manifest": "f" * 64}, "stale", "it looked at an older materialization"),
        ({"code": "d"}, "stale", "the code of the gate was changed since it looked"),
    ],
)
def test_the_newest_verdict_counts_if_it_is_about_what_is_there(
    world: World, changes: dict[str, Any], state: str, sentence: str
) -> None:
    made = world.make("teacher")
    world.judge(made, TWO, **{"state": "failed", **changes})
    assert states(world) == [("passed", "one_holds said"), (state, sentence)]
    found = world.look("teacher")
    assert not found.is_open
    assert found.reasons == [f"gate r/teacher:another_holds is {state} (run 01234567): {sentence}"]
    decided = state in ("failed", "inconclusive")
    do = "fix the cause and materialize that asset with its checks again" if decided else "materialize that asset with"
    assert f"To go on, {do}" in world.refusal("teacher")


def test_a_verdict_of_the_first_version_names_no_manifest_and_counts(world: World) -> None:
    made = world.make("teacher")
    (*_, newest) = world.builds.ledger.entries("r", "verdict", gate=TWO)
    body = {name: value for name, value in newest.body.items() if name != "manifest"}
    world.builds.ledger.append("verdict", "r", body)
    assert world.read("teacher").digest == made.digest


def test_a_waiver_opens_what_was_found_wanting_and_stands_in_for_no_look(world: World) -> None:
    made = world.make("teacher", judged=False)
    day = world.builds.ledger.now().date() + timedelta(days=1)
    for gate in (ONE, TWO):
        wanted = Waiver(f"r/teacher:{gate}", "Ada", "it is known and harmless", day, made.digest)
        waive(world.builds.ledger, "r", wanted, RULES)
    assert [state for state, _ in states(world)] == ["missing", "missing"]
    world.judge(made, ONE)
    world.judge(made, TWO, "inconclusive")
    said = f"waived by Ada until {day} because it is known and harmless: another_holds said"
    assert states(world) == [("passed", "one_holds said"), ("waived", said)]
    assert [gate.state for gate in world.read("teacher").relied_on] == ["passed", "waived"]
    assert [gate.run_id for gate in world.look("teacher").gates] == ["0123456789"] * 2
    again = world.make("teacher", content="other")
    world.judge(again, TWO, "failed")
    assert [state for state, _ in states(world)] == ["passed", "failed"], "it was given for other content"


def test_what_was_made_from_something_older_is_stale(world: World) -> None:
    source = world.make("source[base]")
    world.make("teacher", source)
    world.make("source[base]", content="newer")
    assert world.look("teacher").stale == ("it was made from an older r/source[base] than the current one",)
    assert world.look("teacher").reasons == [
        "r/teacher is stale: it was made from an older r/source[base] than the current one"
    ]
    assert "To go on, materialize the stale asset and everything between it and this one; " in world.refusal("teacher")


def test_what_other_code_or_another_recipe_made_is_stale(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.make("contract")
    world.make("teacher")
    world.recipe.digest = "another"
    assert world.look("contract").stale == ("the recipe was changed since it was frozen",)
    assert world.look("teacher").stale == (), "only the contract names the recipe"
    monkeypatch.setattr(gate_states, "code_version", lambda stage: f"newer {stage}")
    assert world.look("teacher").stale == ("the code that makes it was changed since",)


def test_the_manifest_of_another_asset_is_said(world: World) -> None:
    teacher = world.make("teacher")
    body = {"asset": "r/selection", "digest": teacher.digest, "manifest": teacher.identity, "run_id": "by hand"}
    world.builds.ledger.append("materialization", "r", body)
    assert world.look("selection").stale == (f"its manifest is of r/teacher {teacher.digest[:12]}",)


def test_a_record_that_cannot_be_read_is_said_and_closes(world: World) -> None:
    made = world.make("teacher")
    path = made.folder.parent / "manifests" / f"{made.identity}.json"
    path.unlink()
    found = world.look("teacher")
    assert found.broken and not found.is_open and found.reasons == [found.broken]
    assert "\n" not in found.broken
    assert [gate.state for gate in found.gates] == ["passed", "passed"]
    assert "To go on, materialize the stale asset and everything between it and this one; " in world.refusal("teacher")


def test_a_gate_further_up_closes_everything_below_and_each_is_asked_once(world: World) -> None:
    contract = world.make("contract")
    source = world.make("source[base]", contract)
    prompts = world.make("prompts[base]", contract, source)
    world.make("teacher", contract, prompts)
    way = lineage(world.builds, world.recipe, key("teacher"))
    assert [state.address for state in way] == ["r/teacher", "r/contract", "r/prompts[base]", "r/source[base]"]
    world.judge(source, ONE, "failed")
    said = world.refusal("teacher")
    assert said.startswith("Refused to read r/teacher: gate r/source[base]:one_holds is failed (run 01234567): one_")
    assert said.count("is failed") == 1


def of_batches(world: World, *batches: str, partial: bool = False) -> list[str | None]:
    handed = load_gated_batches(world.builds, world.recipe, key("prompts"), batches, partial=partial)
    return [artifact.batch for artifact in handed]


def test_a_look_asks_of_each_asset_once_and_the_next_one_sees_what_has_happened_since(world: World) -> None:
    teacher = world.make("teacher", world.make("source[base]"))
    look = LedgerSnapshot.of(world.builds, world.recipe, "r")
    assert all(state.is_open for state in look.lineage(key("teacher")))
    world.judge(teacher, ONE, "failed")
    assert look.state(key("teacher")).is_open, "it is of the moment in which it was begun"
    assert not LedgerSnapshot.of(world.builds, world.recipe, "r").state(key("teacher")).is_open
    assert not lineage(world.builds, world.recipe, key("teacher"))[0].is_open


def test_batches_are_handed_over_together_or_without_the_closed_ones(world: World) -> None:
    base, later, other = (world.make(f"prompts[{batch}]", content=batch) for batch in ("base", "b1", "b2"))
    assert of_batches(world, "b1", "b2") == ["base", "b1", "b2"]
    assert of_batches(world, "base", "b1") == ["base", "b1"], "each once"
    world.judge(later, ONE, "failed")
    said = refused(lambda: of_batches(world, "b1", "b2"))
    assert said.startswith("Refused to read r/prompts: gate r/prompts[b1]:one_holds is failed")
    assert "[base]" not in said and "[b2]" not in said
    assert of_batches(world, "b1", "b2", partial=True) == ["base", "b2"]
    world.judge(base, ONE, "failed")
    assert "r/prompts[base]:one_holds is failed" in refused(lambda: of_batches(world, "b2")), "it closes all"
    said = refused(lambda: of_batches(world, "b1", "b2", partial=True))
    assert "r/prompts[base]:one_holds is failed" in said and "b1" not in said
    assert other.batch == "b2"


def test_a_transfer_set_of_other_batches_than_there_are_is_stale(world: World) -> None:
    def batch(name: str) -> None:
        files = (BatchFile(name=f"{name}.csv", digest="f" * 64, size=1),)
        record(world.builds.ledger, "r", Batch(batch=name, files=files, because="a test"))

    batch("b1")
    signals = {name: world.make(f"teacher_signal[{name}]", content=name) for name in ("base", "b1")}
    world.make("transfer_set", *signals.values(), batches=["b1", "base"])
    assert world.look("transfer_set").stale == ()
    batch("b2")
    left_out = ("it was made of the batches b1, base, not base, b1, b2",)
    assert world.look("transfer_set").stale == left_out
    world.recipe.refresh.train_on_open_batches = True
    assert world.look("transfer_set").stale == (), "what the teacher says of b2 is not there, so b2 is not open"
    world.judge(signals["b1"], ONE, "failed")
    assert world.look("transfer_set").stale == ("it was made of the batches b1, base, not base",)
    world.judge(signals["base"], ONE, "failed")
    assert world.look("transfer_set").stale == ("it was made of the batches b1, base, not base",), "the base counts"
    world.make("selection", batches=["b1"])
    assert world.look("selection").stale == (), "other stages are made of what they are made of"


def test_a_champion_that_a_person_went_back_to_is_not_stale(world: World) -> None:
    old = world.make("release", content="old")
    back = world.make("champion", old, content="old")
    new = world.make("release", content="new")
    assert world.look("champion").stale == ("it was made from an older r/release than the current one",)
    world.judge(new, ONE, "failed")
    assert world.refusal("champion").count("r/release:one_holds is failed") == 1

    serve(world.builds.ledger, new.digest)
    go_back(
        world.builds.ledger, "r", seen(world.builds.ledger), named(old.digest), exports=("n", "o"),
        by="Ada", reason="wrong on bills",
    )  # fmt: skip
    assert world.look("champion").stale == ()
    assert world.read("champion").digest == back.digest, "the gates of the newer release are not asked"
    world.make("selection", old)
    assert world.look("selection").stale == ("it was made from an older r/release than the current one",)
    assert "r/release:one_holds is failed" in world.refusal("selection"), "that is for the champion alone"
