"""What the code location holds, and how little it takes to load it."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from assets.keys import key_of, outside, stage_of
from orchestration.build import definitions, loadable_definitions, shared_definitions
from orchestration.definitions import defs
from stillhouse import progress
from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import recipes_in
from tests.small import small_recipe

HEAVY = (
    "torch", "transformers", "great_expectations", "onnxruntime", "sklearn", "scipy", "matplotlib", "pandas", "openai",
)  # fmt: skip
"""What takes long to import, or is of an extra that an installation may be without."""


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys; import orchestration.definitions as d; d.defs.get_repository_def();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_loading_warns_of_nothing_that_we_build_on() -> None:
    """Regression: `stillhouse ui` printed warnings of Dagster about owners of jobs before its own address."""
    script = "import orchestration.definitions as d; d.defs.get_repository_def().get_all_jobs()"
    out = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "Warning" not in out.stderr


def test_the_demo_recipe_is_there_with_every_stage() -> None:
    keys = {
        key.to_user_string().removeprefix("question_routing/")
        for key in defs.resolve_asset_graph().get_all_asset_keys()
    }
    students = {"five_layers", "two_layers", "five_layers_labels_only"}
    assert keys == {
        "contract", "source", "prompts", "baselines", "teacher", "teacher_signal", "transfer_set", "evaluation",
        "error_analysis", "selection", "release", "champion", "source_file", "pretrained_weights",
        *(f"candidate_{s}" for s in students), *(f"export_{s}" for s in students),
    }  # fmt: skip


def test_no_two_nodes_of_a_recipe_have_the_same_name() -> None:
    """Regression: the UI shows the last part of a key alone, and `candidates/x` and `exports/x` were two nodes `x`."""
    nodes = defs.resolve_asset_graph().asset_nodes
    assert len({node.key.path[-1] for node in nodes}) == len(nodes)


def test_every_stage_has_two_gates_that_block_and_each_says_why(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        specs = [graph.get_check_spec(check) for check in graph.get_check_keys_for_assets({key})]
        assert sum(spec.blocking for spec in specs) >= 2, key
        assert all((spec.description or "").startswith("Because ") for spec in specs), key


def test_every_asset_carries_what_a_person_looks_for(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.tags["stillhouse/recipe"] == "small", key
        assert node.code_version or node.is_external, key


def test_every_asset_leads_to_its_code_and_its_recipe(tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=100)
    graph = definitions([file]).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        references = graph.get(key).metadata["dagster/code_references"].code_references
        asset, work, recipe = (Path(each.file_path) for each in references)
        assert (asset.parent.name, work.parent.name, asset.name) == ("assets", "stages", work.name), key
        lines = asset.read_text().splitlines()
        assert "@stage_asset" in lines[references[0].line_number - 1], key
        assert work.is_file() and recipe == file.path, key


def test_jobs_schedules_and_sensors_have_owners(tmp_path: Path) -> None:
    built = definitions([small_recipe(tmp_path, rows=100)])
    repository = built.get_repository_def()
    owned = [
        *(job for job in built.resolve_all_job_defs() if not job.name.startswith("__")),
        *repository.schedule_defs,
        repository.get_sensor_def("rounds_small"),
    ]
    assert {each.name: each.owners for each in owned} == {
        name: ["team:tests"] for name in ("ingest_small", "distil_small", "refresh_small", "rounds_small")
    }


@pytest.mark.parametrize(
    ("cron", "overdue_after"),
    [
        ("0 3 * * 1", timedelta(days=7 * 1.25)),
        ("0 3 * * 1-5", timedelta(days=3 * 1.25)),
        ("*/30 * * * *", timedelta(minutes=30 + 60)),
    ],
)
def test_what_a_refresh_decides_is_overdue_when_a_round_was_left_out(
    tmp_path: Path, cron: str, overdue_after: timedelta
) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100, refresh={"cron": cron})]).resolve_asset_graph()
    policies = {stage_of(node.key): node.freshness_policy for node in graph.asset_nodes if node.freshness_policy}
    assert policies.keys() == {"selection", "champion"}
    assert {policy.fail_window.to_timedelta() for policy in policies.values()} == {overdue_after}


def test_groups_are_rooms_and_no_arrow_goes_back(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    rooms: dict[str, set[str]] = {}
    for node in graph.asset_nodes:
        rooms.setdefault(str(node.group_name), set()).add(node.key.path[-1])
    assert rooms == {
        "small_data": {"source_file", "pretrained_weights", "contract", "source", "prompts"},
        "small_teacher": {"teacher", "baselines", "teacher_signal"},
        "small_students": {"transfer_set", "candidate_one", "candidate_one_labels", "export_one", "export_one_labels"},
        "small_verdict": {"evaluation", "error_analysis", "selection"},
        "small_release": {"release", "champion"},
    }
    order = list(rooms)
    order.sort(key=["small_data", "small_teacher", "small_students", "small_verdict", "small_release"].index)
    for node in graph.asset_nodes:
        for parent in node.parent_keys:
            assert order.index(str(graph.get(parent).group_name)) <= order.index(str(node.group_name)), node.key


def test_an_edge_is_left_out_only_where_another_way_leads_from_there(tmp_path: Path) -> None:
    """What is read beside is behind the same gates: inside one run it is made and looked at before, all the same."""
    file = small_recipe(tmp_path, rows=100)
    graph = definitions([file]).resolve_asset_graph()
    edges = {(parent.path[-1], node.key.path[-1]) for node in graph.asset_nodes for parent in node.parent_keys}
    assert edges == {
        ("pretrained_weights", "contract"), ("source_file", "source"), ("contract", "source"), ("source", "prompts"),
        ("contract", "teacher"), ("prompts", "teacher"), ("teacher", "baselines"), ("baselines", "teacher_signal"),
        ("prompts", "teacher_signal"), ("prompts", "transfer_set"), ("teacher_signal", "transfer_set"),
        ("transfer_set", "candidate_one"), ("transfer_set", "candidate_one_labels"), ("candidate_one", "export_one"),
        ("candidate_one_labels", "export_one_labels"), ("export_one", "evaluation"),
        ("export_one_labels", "evaluation"), ("evaluation", "error_analysis"), ("error_analysis", "selection"),
        ("selection", "release"), ("release", "champion"),
    }  # fmt: skip
    read_beside = {
        stage_of(node.key): str(node.metadata["read_beside"]).split(", ")
        for node in graph.asset_nodes
        if "read_beside" in node.metadata
    }
    assert read_beside["release"] == [
        "contract",
        "prompts",
        "teacher",
        "transfer_set",
        "exports/one",
        "exports/one_labels",
    ]
    assert read_beside["candidates/one"] == ["teacher", "prompts"]
    for stage, others in read_beside.items():
        before = graph.get_ancestor_asset_keys(key_of(file.name, stage))
        assert {key_of(file.name, other) for other in others} <= before, stage


def test_what_comes_from_outside_says_under_which_licence_and_what_is_pinned(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    rows, weights = graph.get(outside("small", "source_file")), graph.get(outside("small", "pretrained_weights"))
    assert not rows.is_executable and rows.metadata["licence"] == "research"
    assert not weights.is_executable and weights.metadata["revision"] == "test"
    assert weights.metadata["pinned_fingerprint"] == "none: those of the first round are trusted"
    assert weights.metadata["training_on_outputs"] == "allowed"


def test_a_second_recipe_is_a_second_folder(tmp_path: Path) -> None:
    both = definitions([small_recipe(tmp_path, name="one", rows=100), small_recipe(tmp_path, name="two", rows=100)])
    groups = {node.group_name for node in both.resolve_asset_graph().asset_nodes}
    rooms = ("data", "teacher", "students", "verdict", "release")
    assert groups == {f"{name}_{room}" for name in ("one", "two") for room in rooms}
    assert {job.name for job in both.resolve_all_job_defs()} >= {"distil_one", "distil_two"}


def test_one_broken_recipe_is_shown_and_stops_no_other(tmp_path: Path) -> None:
    small_recipe(tmp_path, name="good", rows=60)
    small_recipe(tmp_path, name="cron", rows=60, refresh={"cron": "every day"})
    (tmp_path / "recipes" / "Evil Name[x]").mkdir()
    broken = tmp_path / "recipes" / "Evil Name[x]" / "defs.yaml"
    broken.write_text("a: b: c\n")
    with progress.listening((said := []).append):
        loaded = loadable_definitions(recipes_in(tmp_path / "recipes"))
    graph = loaded.resolve_asset_graph()
    names = {str(node.group_name).split("_")[0] for node in graph.asset_nodes}
    assert names == {"good", "unreadable"}
    shown = {node.key.path[-1]: node for node in graph.asset_nodes if node.group_name == "unreadable_recipes"}
    assert shown.keys() == {"Evil Name[x]", "cron"} and not any(node.is_executable for node in shown.values())
    assert f"{broken}:1: not readable as YAML" in (shown["Evil Name[x]"].description or "")
    assert "refresh.cron: 'every day' is not a cron line" in (shown["cron"].description or "")
    assert [each.sentence.split(" is left out")[0] for each in said] == ["recipe 'Evil Name[x]'", "recipe 'cron'"]
    assert {job.name for job in loaded.resolve_all_job_defs()} >= {"distil_good"}


def test_the_ui_loads_the_recipes_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_recipe(tmp_path, name="mine", rows=60)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    script = (
        "import orchestration.definitions as d;"
        "print({node.key.path[0] for node in d.defs.resolve_asset_graph().asset_nodes})"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "{'mine'}"


def test_the_component_brings_the_same_as_the_command_line() -> None:
    """For a Dagster project that has a recipe among other components."""
    loaded = dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=CHECKOUT / "orchestration"), shared_definitions()
    )
    keys = {node.key for node in loaded.resolve_asset_graph().asset_nodes}
    assert keys == {node.key for node in defs.resolve_asset_graph().asset_nodes}


def test_dg_knows_the_component_and_checks_its_yaml() -> None:
    dg_command = Path(sys.executable).with_name("dg")
    checked = subprocess.run([dg_command, "check", "yaml"], cwd=CHECKOUT, capture_output=True, text=True)
    assert checked.returncode == 0 and "validated successfully" in checked.stdout + checked.stderr, checked
    listed = subprocess.run([dg_command, "list", "components"], cwd=CHECKOUT, capture_output=True, text=True)
    assert "DistillationRecipe" in listed.stdout, listed
