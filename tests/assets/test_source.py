"""A batch is made of the very bytes that its manifest names, and of nothing that came afterwards."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import stillhouse.stages.source
from assets.keys import key_of
from assets.materializations import newest_artifact
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages.names import BASE, PROMPTS, SOURCE
from stillhouse.stages.source import SourceFacts, has_other_rows, is_as_it_was
from tests.small import questions, small_recipe

Run = Callable[..., dg.ExecuteInProcessResult]


def made(run: Run, builds: BuildStore, file: RecipeFile) -> Artifact:
    assert run(file, "contract", "source").success
    return newest_artifact(builds, key_of(file.name, SOURCE), BASE)


@pytest.mark.experiment("E9")
def test_a_source_replaced_between_its_digest_and_its_parsing_is_not_what_is_read(
    run: Run, builds: BuildStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: all gates were open on other rows, and the manifest named the honest file."""
    file = small_recipe(tmp_path, rows=150)
    source = Path(file.recipe.data.source)
    honest = source.read_bytes()
    read = stillhouse.stages.source.read_outside

    def read_and_then_replaced(uri: str, *rest: Any, **how: Any) -> Any:
        found = read(uri, *rest, **how)
        source.write_text("question,service,kind\nevil,HUM,HUM:ind\nworse,LOC,LOC:city\n")
        return found

    monkeypatch.setattr(stillhouse.stages.source, "read_outside", read_and_then_replaced)
    artifact = made(run, builds, file)
    digest = artifact.manifest.external_inputs[str(source)]
    assert digest == hashlib.sha256(honest).hexdigest()
    assert builds.store.kept(digest).read_bytes() == honest
    assert artifact.frame("rows").height == 150 and "evil" not in artifact.frame("rows")["text"]
    assert not is_as_it_was(builds.ledger, file, artifact.manifest), "the next round takes the new rows in"


def test_the_sample_of_traffic_is_an_input_of_the_source_and_a_table_of_its_own(
    run: Run, builds: BuildStore, tmp_path: Path
) -> None:
    traffic = tmp_path / "traffic.csv"
    pl.DataFrame({"question": ["where is it ?"] * 3, "kind": ["LOC:city"] * 3}).write_csv(traffic)
    file = small_recipe(tmp_path, rows=150, data__traffic=str(traffic))
    artifact = made(run, builds, file)
    assert artifact.frame("traffic").select("text", "kind").unique().rows() == [("where is it ?", "LOC:city")]
    kept = builds.store.kept(artifact.manifest.external_inputs[str(traffic)])
    assert kept.read_bytes() == traffic.read_bytes()
    assert is_as_it_was(builds.ledger, file, artifact.manifest)
    traffic.write_text("question,kind\nwho is it ?,HUM:ind\n")
    assert not is_as_it_was(builds.ledger, file, artifact.manifest), "other traffic is looked at again"
    assert made(run, builds, file).frame("traffic")["text"].to_list() == ["who is it ?"]


def test_the_golden_file_is_an_input_of_the_source_and_its_rows_bear_its_name(
    run: Run, builds: BuildStore, tmp_path: Path
) -> None:
    golden = tmp_path / "audited.csv"
    questions(40, skip=200).write_csv(golden)
    file = small_recipe(tmp_path, rows=150, data__golden=str(golden))
    artifact = made(run, builds, file)
    assert dict(artifact.frame("rows")["batch"].value_counts().iter_rows()) == {"base": 150, "golden": 40}
    assert artifact.facts(SourceFacts).records == artifact.facts(SourceFacts).counted == 190
    kept = builds.store.kept(artifact.manifest.external_inputs[str(golden)])
    assert kept.read_bytes() == golden.read_bytes()
    assert is_as_it_was(builds.ledger, file, artifact.manifest) and not has_other_rows(file, artifact.manifest)
    questions(41, skip=200).write_csv(golden)
    assert not is_as_it_was(builds.ledger, file, artifact.manifest)
    assert has_other_rows(file, artifact.manifest), "later batches are held against other golden rows"
    assert made(run, builds, file).digest != artifact.digest


@pytest.mark.experiment("E10")
def test_a_source_that_is_replaced_later_changes_nothing_that_was_read(
    run: Run, builds: BuildStore, tmp_path: Path
) -> None:
    file = small_recipe(tmp_path, rows=150)
    before = made(run, builds, file)
    Path(file.recipe.data.source).write_text("question,service,kind\nevil,HUM,HUM:ind\n")
    run(file, "prompts")
    prompts = newest_artifact(builds, key_of(file.name, PROMPTS), BASE)
    assert prompts.manifest.inputs[before.address].digest == before.digest
    assert prompts.frame("prompts").height > 100 and "evil" not in prompts.frame("prompts")["text"]


def test_the_same_source_is_found_again(run: Run, builds: BuildStore, tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=150)
    first = made(run, builds, file)
    assert made(run, builds, file).manifest.made_by == first.identity
