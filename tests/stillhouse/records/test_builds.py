"""Whatever is found again is compared with what was ordered; what does not fit is set aside and made again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse import progress
from stillhouse.home import Home
from stillhouse.records.builds import Artifact, BuildRequest, BuildStore
from tests.small import Measured

ORDER = BuildRequest(recipe="r", stage="s", run_id="run", code_version="c", depends_on={"n": 1})


def build(folder: Path) -> Measured:
    (folder / "x.json").write_text("{}")
    return Measured({"measured": 1})


def build_evil(folder: Path) -> Measured:
    (folder / "x.json").write_text('{"evil": 1}')
    return Measured({})


def build_entry(home: Home, order: BuildRequest = ORDER) -> Path:
    return Path(home.artifacts) / "builds" / f"{order.build_key}.json"


def manifest(home: Home, artifact: Artifact) -> Path:
    return Path(home.artifacts) / artifact.digest / "manifests" / f"{artifact.identity}.json"


def alter(path: Path, content: str) -> None:
    path.chmod(0o644)
    path.write_text(content)


Harm = Callable[[Home, Artifact], None]
HARMS: dict[str, Harm] = {
    "content edited": lambda home, made: alter(made.folder / "x.json", "[]"),
    "content empty": lambda home, made: alter(made.folder / "x.json", ""),
    "content gone": lambda home, made: shutil.rmtree(made.folder),
    "content gone with its folder": lambda home, made: shutil.rmtree(made.folder.parent),
    "a file added": lambda home, made: (made.folder / "extra").write_text("1") and None,
    "build entry empty": lambda home, made: alter(build_entry(home), ""),
    "build entry cut": lambda home, made: alter(build_entry(home), build_entry(home).read_text()[:30]),
    "build entry no record": lambda home, made: alter(build_entry(home), "[]"),
    "build entry without a field": lambda home, made: alter(build_entry(home), json.dumps({"digest": made.digest})),
    "build entry a path": lambda home, made: alter(
        build_entry(home), json.dumps({"digest": "../../x", "manifest": made.identity})
    ),
    "build entry of an unknown manifest": lambda home, made: alter(
        build_entry(home), json.dumps({"digest": made.digest, "manifest": "0" * 64})
    ),
    "build entry gone": lambda home, made: build_entry(home).unlink(),
    "manifest gone": lambda home, made: manifest(home, made).unlink(),
    "manifest empty": lambda home, made: alter(manifest(home, made), ""),
    "manifest cut": lambda home, made: alter(manifest(home, made), manifest(home, made).read_text()[:100]),
    "manifest edited": lambda home, made: alter(
        manifest(home, made), manifest(home, made).read_text().replace('"run"', '"ruN"')
    ),
}


def experiment(harm: str) -> tuple[str, ...]:
    return ("C8",) if harm.startswith("build entry") else ("C9",) if harm.startswith("manifest") else ()


@pytest.mark.long
@pytest.mark.parametrize("harm", [pytest.param(h, marks=pytest.mark.experiment(*experiment(h))) for h in HARMS])
def test_whatever_was_harmed_is_made_again_and_then_found_again(home: Home, harm: str) -> None:
    HARMS[harm](home, BuildStore(home).make(ORDER, build))
    again = BuildStore(home).make(ORDER, build)
    assert again.manifest.made_by is None, "it was made, not found"
    assert (again.folder / "x.json").read_text() == "{}"
    found = BuildStore(home).make(ORDER, build_evil)
    assert found.manifest.made_by == again.identity
    assert found.manifest.facts == {"measured": 1}


@pytest.mark.long
def test_an_untouched_build_is_found_again(home: Home) -> None:
    made = BuildStore(home).make(ORDER, build)
    assert BuildStore(home).make(ORDER, build_evil).manifest.made_by == made.identity


def test_a_build_entry_of_a_later_version_with_one_more_field_is_still_found(home: Home) -> None:
    made = BuildStore(home).make(ORDER, build)
    alter(build_entry(home), json.dumps({"digest": made.digest, "manifest": made.identity, "more": 1}))
    assert BuildStore(home).make(ORDER, build_evil).manifest.made_by == made.identity


@pytest.mark.experiment("A41")
def test_a_build_entry_that_names_the_content_of_another_order_is_not_believed(home: Home) -> None:
    """Regression: a forged entry made an honest order return what another stage had built."""
    builds = BuildStore(home)
    builds.make(ORDER, build)
    evil = builds.make(replace(ORDER, depends_on={"n": 666}), build_evil)
    alter(build_entry(home), json.dumps({"digest": evil.digest, "manifest": evil.identity}))
    got = BuildStore(home).make(ORDER, build)
    assert (got.folder / "x.json").read_text() == "{}"
    assert got.manifest.build_key == ORDER.build_key


@pytest.mark.experiment("A41")
def test_a_manifest_that_is_not_in_the_ledger_is_not_believed(home: Home) -> None:
    """A build entry, manifest and content that fit each other perfectly, and nobody ever made them here."""
    builds = BuildStore(home)
    honest = builds.make(ORDER, build)
    with builds.store.building() as folder:
        build_evil(folder)
        digest = builds.store.publish(folder)
    forged = honest.manifest.model_copy(update={"digest": digest})
    builds.store.remember_build(ORDER.build_key, digest, builds.store.write_manifest(forged))
    got = BuildStore(home).make(ORDER, build)
    assert (got.digest, got.manifest.made_by) == (honest.digest, None)


def test_the_build_of_another_recipe_does_not_count(home: Home) -> None:
    builds = BuildStore(home)
    made = builds.make(ORDER, build)
    other = replace(ORDER, recipe="other")
    build_entry(home, other).write_text(json.dumps({"digest": made.digest, "manifest": made.identity}))
    assert builds.make(other, build).manifest.made_by is None


def test_what_is_set_aside_is_moved_and_named_in_one_line(home: Home) -> None:
    BuildStore(home).make(ORDER, build)
    alter(build_entry(home), "{cut")
    heard: list[progress.News] = []
    with progress.listening(heard.append):
        BuildStore(home).make(ORDER, build)
    (remark,) = heard
    (moved,) = (Path(home.artifacts) / "set_aside").iterdir()
    assert remark == progress.Remark(f"{build_entry(home)} is not a complete build entry: moved to {moved}, made again")
    assert moved.read_text() == "{cut"


def test_a_kill_between_ledger_and_build_entry_costs_one_build_and_no_complaint(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = BuildStore(home)
    with monkeypatch.context() as patches:
        patches.setattr(type(builds.store), "remember_build", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            builds.make(ORDER, build)
    heard: list[progress.News] = []
    with progress.listening(heard.append):
        assert BuildStore(home).make(ORDER, build).manifest.made_by is None
    assert heard == []
