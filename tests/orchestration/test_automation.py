"""What follows from changed data is requested, and only while every gate is open (traps 3 and 12 of the design)."""

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.automation import on_changed_data


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def world(versions: dict[str, str], passes: dict[str, bool]) -> dg.Definitions:
    """Two upstream assets with a blocking check each, and one asset made from both."""

    def upstream(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name)
        def made() -> dg.MaterializeResult:
            return dg.MaterializeResult(data_version=dg.DataVersion(versions[name]))

        return made

    def check(name: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=name, name=f"{name}_is_good", blocking=True)
        def looked() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=passes[name])

        return looked

    @dg.asset(deps=["a", "b"], automation_condition=on_changed_data)
    def below() -> None: ...

    return dg.Definitions(assets=[upstream("a"), upstream("b"), below], asset_checks=[check("a"), check("b")])


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
