"""What follows from changed data is requested, and only while every gate is open (traps 3, 8, 12 and 13)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

import orchestration.automation
from orchestration.automation import IsStopped, automation_sensor, on_changed_data, open_without_waiver
from orchestration.build import definitions
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import Waiver, waive
from tests.conftest import RULES, Place, a_place
from tests.small import questions, small_recipe

pytestmark = pytest.mark.slow


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def world(versions: dict[str, str], passes: dict[str, bool], is_stopped: IsStopped = lambda _: False) -> dg.Definitions:
    """Two upstream assets, each open or not, and one asset made from both."""

    def upstream(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name)
        def made() -> dg.MaterializeResult:
            return dg.MaterializeResult(data_version=dg.DataVersion(versions[name]))

        return made

    def is_open(key: dg.AssetKey, batch: str | None) -> bool:
        return passes[key.to_user_string()]

    @dg.asset(deps=["a", "b"], automation_condition=on_changed_data(is_open, is_stopped))
    def below() -> None: ...

    return dg.Definitions(assets=[upstream("a"), upstream("b"), below])


def make(definitions: dg.Definitions, instance: dg.DagsterInstance, *names: str) -> None:
    selection = dg.AssetSelection.assets(*names)
    job = dg.Definitions.merge(definitions, dg.Definitions(jobs=[dg.define_asset_job("make", selection)]))
    job.resolve_job_def("make").execute_in_process(instance=instance, raise_on_error=False)


def requested(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: object) -> tuple[set[str], object]:
    result = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)  # type: ignore[arg-type]
    return {each.key.to_user_string() for each in result.results if each.true_subset.size > 0}, result.cursor


def test_changed_content_is_followed_and_unchanged_content_is_not(instance: dg.DagsterInstance) -> None:
    versions, passes = {"a": "1", "b": "1"}, {"a": True, "b": True}
    definitions = world(versions, passes)
    make(definitions, instance, "a", "b", "below")
    asked, cursor = requested(definitions, instance, None)
    assert asked == set()

    make(definitions, instance, "a")
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == set(), "the same content was written again"

    versions["a"] = "2"
    make(definitions, instance, "a")
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == {"below"}


def test_what_a_stopped_run_left_is_not_gone_on_with_until_the_stop_is_lifted(instance: dg.DagsterInstance) -> None:
    """Regression: after Ctrl-C automation asked for what follows from the stages that the run had made."""
    versions, stops = {"a": "1", "b": "1"}, [True]
    definitions = world(versions, {"a": True, "b": True}, lambda _: stops[0])
    make(definitions, instance, "a", "b", "below")
    asked, cursor = requested(definitions, instance, None)
    versions["a"] = "2"
    make(definitions, instance, "a")
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == set()
    stops[0] = False
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == {"below"}


@pytest.mark.parametrize("bad", ["a", "b"])
def test_one_closed_gate_of_several_inputs_is_enough_to_wait(instance: dg.DagsterInstance, bad: str) -> None:
    """Regression: `all_deps_blocking_checks_passed` lets a fan-in through when one of its inputs is good."""
    versions, passes = {"a": "1", "b": "1"}, {"a": True, "b": True}
    definitions = world(versions, passes)
    make(definitions, instance, "a", "b", "below")
    _, cursor = requested(definitions, instance, None)

    versions.update(a="2", b="2")
    passes[bad] = False
    make(definitions, instance, "a", "b")
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == set()

    passes[bad] = True
    versions[bad] = "3"
    make(definitions, instance, bad)
    asked, cursor = requested(definitions, instance, cursor)
    assert asked == {"below"}


BATCHES = ["base", "monday", "tuesday"]


@dataclass
class Batches:
    """An asset, batch by batch, beside one without batches, and an asset made from both.

    Args:
        definitions: the three.
        versions: the content of each batch, and of `one`.
        passes: whether its gates pass when they look.
        looked_at: the content that they have looked at.
    """

    definitions: dg.Definitions
    versions: dict[str, str]
    passes: dict[str, bool]
    looked_at: dict[str, str]


def batches(kind: str, instance: dg.DagsterInstance, *, fan_in: bool) -> Batches:
    """Statically or dynamically partitioned batches, read all together or each by its own batch below."""
    versions, passes = dict.fromkeys([*BATCHES, "one"], "1"), dict.fromkeys([*BATCHES, "one"], True)
    if kind == "dynamic":
        instance.add_dynamic_partitions("batches", BATCHES)
    partitions = (
        dg.DynamicPartitionsDefinition(name="batches") if kind == "dynamic" else dg.StaticPartitionsDefinition(BATCHES)
    )

    @dg.asset(partitions_def=partitions)
    def many(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(versions[context.partition_key]))

    @dg.asset
    def one() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(versions["one"]))

    looked_at = {**versions}

    def is_open(key: dg.AssetKey, batch: str | None) -> bool:
        name = batch or "one"
        return passes[name] and looked_at.get(name) == versions[name]

    mapping = dg.AllPartitionMapping() if fan_in else None

    @dg.asset(
        deps=[dg.AssetDep("many", partition_mapping=mapping), "one"],
        partitions_def=None if fan_in else partitions,
        automation_condition=on_changed_data(is_open, lambda _: False),
    )
    def below() -> None: ...

    return Batches(dg.Definitions(assets=[many, one, below]), versions, passes, looked_at)


def make_batch(world: Batches, instance: dg.DagsterInstance, name: str, batch: str, *, gates: bool = True) -> None:
    job = dg.define_asset_job("make", dg.AssetSelection.assets(name))
    if gates:
        world.looked_at[batch] = world.versions[batch]
    built = dg.Definitions.merge(world.definitions, dg.Definitions(jobs=[job]))
    built.resolve_job_def("make").execute_in_process(instance=instance, raise_on_error=False, partition_key=batch)


def change(world: Batches, instance: dg.DagsterInstance, batch: str, *, good: bool = True, gates: bool = True) -> None:
    """Give a batch other content and look at it."""
    world.versions[batch] = str(int(world.versions[batch]) + 1)
    world.passes[batch] = good
    make_batch(world, instance, "many", batch, gates=gates)


def asked_for(world: Batches, instance: dg.DagsterInstance, cursor: object) -> tuple[set[str], object]:
    """The batches of `below` that are requested; `all` when it has none."""
    result = dg.evaluate_automation_conditions(world.definitions, instance, cursor=cursor)  # type: ignore[arg-type]
    found: set[str] = set()
    for each in result.results:
        if each.key.to_user_string() == "below" and each.true_subset.size:
            keys = each.true_subset.expensively_compute_partition_keys() if each.true_subset.is_partitioned else ["all"]
            found.update(keys)
    return found, result.cursor


def made(world: Batches, instance: dg.DagsterInstance) -> None:
    """Make everything once."""
    make(world.definitions, instance, "one")
    for batch in BATCHES:
        make_batch(world, instance, "many", batch)


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_one_bad_batch_of_several_is_enough_to_wait(instance: dg.DagsterInstance, kind: str) -> None:
    """Trap 3: a fan-in over batches is let through by one good batch, unless every batch of it is asked for."""
    world = batches(kind, instance, fan_in=True)
    made(world, instance)
    make(world.definitions, instance, "below")
    asked, cursor = asked_for(world, instance, None)
    for batch, good, gates in (
        ("monday", False, True),
        ("tuesday", True, True),
        ("base", True, True),
        ("monday", True, False),
    ):
        change(world, instance, batch, good=good, gates=gates)
        asked, cursor = asked_for(world, instance, cursor)
        assert asked == set(), f"{batch} has changed, and monday is bad or was not looked at"
    change(world, instance, "monday")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == {"all"}


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_bad_batch_holds_back_itself_and_a_bad_input_of_all_holds_back_all(
    instance: dg.DagsterInstance, kind: str
) -> None:
    world = batches(kind, instance, fan_in=False)
    made(world, instance)
    for batch in BATCHES:
        make_batch(world, instance, "below", batch)
    asked, cursor = asked_for(world, instance, None)
    change(world, instance, "monday", good=False)
    change(world, instance, "tuesday")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == {"tuesday"}
    make_batch(world, instance, "below", "tuesday")
    asked, cursor = asked_for(world, instance, cursor)

    world.versions["one"], world.looked_at["one"], world.passes["one"] = "2", "2", False
    make(world.definitions, instance, "one")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == set()
    world.versions["one"], world.looked_at["one"], world.passes["one"] = "3", "3", True
    make(world.definitions, instance, "one")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == {"base", "tuesday"}


def test_a_batch_that_is_known_and_not_made_is_waited_for(instance: dg.DagsterInstance) -> None:
    world = batches("dynamic", instance, fan_in=True)
    made(world, instance)
    make(world.definitions, instance, "below")
    asked, cursor = asked_for(world, instance, None)
    instance.add_dynamic_partitions("batches", ["wednesday"])
    world.versions["wednesday"] = "1"
    change(world, instance, "monday")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == set()
    change(world, instance, "wednesday")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == {"all"}


def test_an_update_on_the_tick_after_a_request_is_lost_to_automation(instance: dg.DagsterInstance) -> None:
    """Trap 8: this is Dagster's own doing; what was not followed is refused as stale when it is read, see test_traps.

    When this fails, Dagster has fixed it: say so in the design.
    """
    world = batches("dynamic", instance, fan_in=True)
    made(world, instance)
    make(world.definitions, instance, "below")
    asked, cursor = asked_for(world, instance, None)
    change(world, instance, "monday")
    asked, cursor = asked_for(world, instance, cursor)
    assert asked == {"all"}
    change(world, instance, "tuesday")
    for _ in range(3):
        asked, cursor = asked_for(world, instance, cursor)
        assert asked == set()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as place:
        yield place


def what_follows(place: Place, file: RecipeFile, cursor: str | None) -> tuple[set[str], str | None]:
    """What the sensor of a recipe requests, as the code server evaluates it."""
    repository = definitions([file]).get_repository_def()
    sensor = repository.get_sensor_def(f"what_follows_in_{file.name}")
    context = dg.build_sensor_context(instance=place.instance, cursor=cursor, repository_def=repository)
    result = sensor.evaluate_tick(context)
    keys = {key.to_user_string() for request in result.run_requests or () for key in request.asset_selection or ()}
    return keys, result.cursor


def test_the_sensor_follows_changed_content_behind_open_gates_of_the_ledger(place: Place) -> None:
    """Regression: whatever wrote Dagster's newest check, such as a run that was cancelled, stopped automation."""
    file = small_recipe(place.folder, rows=200, slices=[])
    assert place.run(file, "contract", "source", "prompts").success
    asked, cursor = what_follows(place, file, None)
    assert not any("prompts" in key for key in asked)

    questions(201).write_csv(Path(file.recipe.data.source))
    assert place.run(file, "source").success
    planned = place.instance.create_run_for_job(
        job_def=definitions([file]).resolve_job_def("distil_small"), tags={"dagster/partition": "base"}
    )
    place.instance.report_run_canceled(planned)
    asked, _ = what_follows(place, file, cursor)
    assert "small/prompts" in asked


@pytest.mark.parametrize("waived", [False, True])
def test_the_sensor_waits_at_a_closed_gate_and_at_one_that_a_person_let_pass(place: Place, waived: bool) -> None:
    """Trap 13: a waiver is a person's word for a run that a person starts."""
    file = small_recipe(place.folder, rows=200, slices=[])
    assert place.run(file, "contract", "source", "prompts").success
    _, cursor = what_follows(place, file, None)
    one_class = "question,service,kind\n" + "".join(f"Where is place {n} ?,LOC,LOC:city\n" for n in range(200))
    Path(file.recipe.data.source).write_text(one_class)
    assert not place.run(file, "source").success
    if waived:
        reason = "To see whether automation waits for a person."
        content, until = place.newest("source", "base").digest, datetime.now(UTC).date() + timedelta(days=9)
        for name in (name for name, state in place.states("source", "base").items() if not state.is_open):
            given = Waiver(f"small/source[base]:{name}", "Ada", reason, until, content)
            waive(place.builds.ledger, "small", given, RULES)
        assert all(state.is_open for state in place.states("source", "base").values())
    asked, _ = what_follows(place, file, cursor)
    assert asked == set()


def test_the_sensor_of_each_recipe_is_on(tmp_path: Path) -> None:
    """Regression: Dagster's own automation sensor starts STOPPED."""
    sensor = automation_sensor(small_recipe(tmp_path, rows=50), ["contract", "source"])
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_a_tick_walks_a_lineage_once_and_again_when_the_ledger_has_a_new_entry(
    tmp_path: Path, builds: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each edge of the graph walked it, and a tick that found nothing to do took seven seconds."""
    asked: list[tuple[str, str | None]] = []
    state = SimpleNamespace(is_open=True, gates=[SimpleNamespace(state=GateStatus.PASSED)])

    def walked(_: object, __: object, key: dg.AssetKey, batch: str | None) -> list[object]:
        asked.append((key.path[-1], batch))
        return [state]

    monkeypatch.setattr(orchestration.automation, "lineage", walked)
    is_open, prompts = open_without_waiver(small_recipe(tmp_path, rows=60)), dg.AssetKey(["small", "prompts"])
    assert all(is_open(prompts, "base") for _ in range(20)) and is_open(prompts, "monday")
    assert asked == [("prompts", "base"), ("prompts", "monday")]
    builds.ledger.append("round", "small", {})
    state.is_open = False
    assert not is_open(prompts, "base"), "what has happened since counts at once"
    state.is_open, state.gates = True, [SimpleNamespace(state=GateStatus.WAIVED)]
    builds.ledger.append("round", "small", {})
    assert not is_open(prompts, "base"), "a waiver is for runs that a person starts"
