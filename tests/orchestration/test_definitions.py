"""What the code location holds, and how little it takes to load it."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.build import definitions, loadable_definitions, shared_definitions
from orchestration.definitions import defs
from stillhouse import progress
from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import recipes_in
from tests.small import small_recipe

HEAVY = ("torch", "transformers", "great_expectations", "onnxruntime", "sklearn", "scipy", "matplotlib", "pandas")


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys; import orchestration.definitions as d; d.defs.get_repository_def();"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_demo_recipe_is_there_with_every_stage() -> None:
    keys = {
        key.to_user_string().removeprefix("question_routing/")
        for key in defs.resolve_asset_graph().get_all_asset_keys()
    }
    students = {"five_layers", "two_layers", "five_layers_labels_only"}
    assert keys == {
        "contract", "source", "prompts", "baselines", "teacher", "teacher_signal", "transfer_set", "evaluation",
        "error_analysis", "selection", "release", "champion",
        *(f"candidates/{s}" for s in students), *(f"exports/{s}" for s in students),
    }  # fmt: skip


def test_every_stage_has_two_gates_that_block_and_each_says_why(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        specs = [graph.get_check_spec(check) for check in graph.get_check_keys_for_assets({key})]
        assert sum(spec.blocking for spec in specs) >= 2, key
        assert all((spec.description or "").startswith("Because ") for spec in specs), key


def test_every_asset_carries_what_a_person_looks_for(tmp_path: Path) -> None:
    graph = definitions([small_recipe(tmp_path, rows=100)]).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description and node.owners and node.kinds and node.group_name == "small", key
        assert node.code_version, key


def test_a_second_recipe_is_a_second_folder(tmp_path: Path) -> None:
    both = definitions([small_recipe(tmp_path, name="one", rows=100), small_recipe(tmp_path, name="two", rows=100)])
    groups = {node.group_name for node in both.resolve_asset_graph().asset_nodes}
    assert groups == {"one", "two"}
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
    assert {node.group_name for node in graph.asset_nodes} == {"good", "unreadable_recipes"}
    shown = {node.key.path[-1]: node for node in graph.asset_nodes if node.group_name == "unreadable_recipes"}
    assert shown.keys() == {"Evil Name[x]", "cron"} and not any(node.is_executable for node in shown.values())
    assert f"{broken}:1: not readable as YAML" in (shown["Evil Name[x]"].description or "")
    assert "refresh.cron: 'every day' is no cron line" in (shown["cron"].description or "")
    assert [each.sentence.split(" is left out")[0] for each in said] == ["recipe 'Evil Name[x]'", "recipe 'cron'"]
    assert {job.name for job in loaded.resolve_all_job_defs()} >= {"distil_good"}


def test_the_ui_loads_the_recipes_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_recipe(tmp_path, name="mine", rows=60)
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    script = (
        "import orchestration.definitions as d;"
        "print({node.group_name for node in d.defs.resolve_asset_graph().asset_nodes})"
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
