"""What is in deploy/ names commands, options, variables, metrics and paths that exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from prometheus_client.parser import text_string_to_metric_families

from orchestration.cli import app
from stillhouse.home import CHECKOUT, Home
from stillhouse.live.memory import MemoryLimits
from stillhouse.recipe.serving import ServingSpec
from stillhouse.release.cascade import HandedOn
from stillhouse.serving.breaker import TeacherBreaker
from stillhouse.serving.desired import Daemon, Slot
from stillhouse.serving.handing_on import Final
from stillhouse.serving.metrics import BUCKETS, Metrics
from stillhouse.serving.teacher import Away
from tests.stillhouse.serving.conftest import KeptRows

DEPLOY = CHECKOUT / "deploy"
MANIFESTS = sorted((DEPLOY / "k8s").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DAGSTER = (DEPLOY / "dagster.postgres.yaml", DEPLOY / "k8s" / "dagster.yaml")
RULES = yaml.safe_load((DEPLOY / "prometheus.rules.yaml").read_text())
README = (DEPLOY / "README.md").read_text()
OURS = re.compile(r"\b(?:STILLHOUSE|DAGSTER|AWS)_[A-Z_]*[A-Z]\b")
NOT_OUR_CODE = {"DAGSTER_HOME", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
"""Dagster and boto read these."""


def loaded(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in loaded(path) if each.get("kind") == kind]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each pod and each container of it."""
    for deployment in of_kind("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for container in pod["containers"]:
            yield pod, container


def commands() -> list[list[str]]:
    """Every command line of ours in manifests, units and the page."""
    in_units = [line for unit in UNITS for line in re.findall(r"^ExecStart=\S*/bin/(.+)$", unit.read_text(), re.M)]
    in_page = re.findall(r"^(?:sudo -u stillhouse )?(stillhouse .+?)(?:  #.*)?$", README, re.M)
    in_pods = [container["command"] for _, container in containers()]
    return [*map(shlex.split, [*in_units, *in_page]), *in_pods]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_is_one_of_ours_with_options_that_it_has(words: list[str]) -> None:
    import typer

    assert words[0] == "stillhouse"
    command: Any = typer.main.get_command(app)
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, words
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known, words


def test_there_are_commands_to_look_at() -> None:
    assert {words[1] for words in commands()} >= {"serve", "ui", "watch", "tokens", "check"}


def test_every_variable_is_read_by_somebody() -> None:
    code = "".join(
        path.read_text() for room in ("stillhouse", "orchestration") for path in (CHECKOUT / room).rglob("*.py")
    )
    inside = {"STILLHOUSE_IMAGE"}  # the manifests' own
    for path in filter(Path.is_file, DEPLOY.rglob("*")):
        for name in set(OURS.findall(path.read_text())) - NOT_OUR_CODE - inside:
            assert f'"{name}"' in code, f"{path.name}: {name}"


def test_what_dagster_gets_here_is_what_it_gets_by_itself_and_a_database() -> None:
    usual = yaml.safe_load(files("orchestration").joinpath("dagster.yaml").read_text())
    on_postgres, on_kubernetes = (yaml.safe_load(path.read_text()) for path in DAGSTER)
    assert on_postgres == {**usual, "storage": on_postgres["storage"], "retention": on_postgres["retention"]}
    shared = {name: on_kubernetes[name] for name in on_postgres}
    shared["run_monitoring"] = {"enabled": on_kubernetes["run_monitoring"]["enabled"]}
    assert shared == on_postgres


@pytest.mark.parametrize("path", DAGSTER, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_dagster_reads_its_settings(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(path, tmp_path / "dagster.yaml")
    if "run_launcher" in loaded(path)[0] and find_spec("dagster_k8s") is None:
        pytest.skip("needs the packages of the group `production`")
    dagster_instance_config(str(tmp_path))  # of every part but what a module outside Dagster says of itself
    for name, value in config_map().items():
        monkeypatch.setenv(name, value)
    if (launcher := loaded(path)[0].get("run_launcher")) is not None:
        assert_is_config_of_the_launcher(launcher["config"])


def assert_is_config_of_the_launcher(config: Mapping[str, Any]) -> None:
    """Hold it against the schema of dagster-k8s itself."""
    from dagster._config import process_config, resolve_to_config_type
    from dagster_k8s import K8sRunLauncher

    found = process_config(resolve_to_config_type(dg.Shape(K8sRunLauncher.config_type())), dict(config))
    assert found.success, found.errors
    launched = {each["name"] for each in config["volume_mounts"]} - {each["name"] for each in config["volumes"]}
    assert launched == set()


def config_map() -> dict[str, str]:
    """Variables that the manifests give to every pod."""
    (generated,) = [each for each in kustomization()["configMapGenerator"] if each["name"] == "stillhouse"]
    return dict(each.split("=", 1) for each in generated["literals"])


def kustomization() -> dict[str, Any]:
    (found,) = loaded(DEPLOY / "k8s" / "kustomization.yaml")
    assert isinstance(found, dict)
    return found


def test_every_manifest_is_in_the_base() -> None:
    there = {path.name for path in MANIFESTS}
    named = {*kustomization()["resources"], *kustomization()["configMapGenerator"][1]["files"], "kustomization.yaml"}
    assert there == named


@pytest.mark.skipif(find_spec("kubernetes") is None, reason="needs the packages of the group `production`")
def test_every_field_of_a_manifest_is_one_of_kubernetes() -> None:
    models = import_module("kubernetes.client.models")
    for path in MANIFESTS:
        for each in loaded(path):
            if (model := getattr(models, f"V1{each.get('kind')}", None)) is not None:
                assert list(unknown(each, model.__name__, models)) == [], path.name
    assert list(unknown({"spec": {"replica": 1}}, "V1Deployment", models)) == ["V1DeploymentSpec.replica"]


def unknown(value: Any, kind: str, models: Any) -> Iterator[str]:
    """Fields that Kubernetes' own client does not know, below a value of a kind."""
    inner = re.fullmatch(r"(?:list\[|dict\(str, )(.+?)[\])]", kind)
    if inner is not None:
        for each in value.values() if isinstance(value, dict) else value:
            yield from unknown(each, inner[1], models)
    elif (model := getattr(models, kind, None)) is not None:
        names = {theirs: ours for ours, theirs in model.attribute_map.items()}
        for name, each in value.items():
            if name not in names:
                yield f"{kind}.{name}"
            else:
                yield from unknown(each, model.openapi_types[names[name]], models)


def test_pods_mount_what_they_declare_and_name_what_is_there() -> None:
    maps = {each["name"] for each in kustomization()["configMapGenerator"]}
    claims = {each["metadata"]["name"] for each in of_kind("PersistentVolumeClaim")}
    for pod, container in containers():
        assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
        for volume in pod["volumes"]:
            assert volume.get("configMap", {"name": "stillhouse"})["name"] in maps
            assert volume.get("persistentVolumeClaim", {"claimName": "stillhouse"})["claimName"] in claims
        assert container["image"] == kustomization()["images"][0]["name"]


def test_paths_in_pods_are_those_of_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config_map().items():
        monkeypatch.setenv(name, value)
    home = Home.from_environment()
    assert str(home.dagster) == config_map()["DAGSTER_HOME"]
    ours = {home.root, home.dagster, home.signal, home.checkpoints, home.reports, home.serving}
    files_in = {home.dagster / "dagster.yaml", home.serving / "secret", home.serving / "tokens.json"}
    launcher = yaml.safe_load(DAGSTER[1].read_text())["run_launcher"]["config"]
    mounts = [mount for _, container in containers() for mount in container["volumeMounts"]]
    assert {Path(mount["mountPath"]) for mount in [*mounts, *launcher["volume_mounts"]]} <= ours | files_in
    assert Path(launcher["dagster_home"]) == home.dagster


def test_whoever_asks_the_teacher_about_live_answers_draws_as_all_do_and_knows_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in config_map().items():
        monkeypatch.setenv(name, value)
    home = Home.from_environment()
    (watch,) = [container for _, container in containers() if container["name"] == "watch"]
    launched = yaml.safe_load(DAGSTER[1].read_text())["run_launcher"]["config"]["volume_mounts"]
    for mounts in (watch["volumeMounts"], launched):
        volumes = {Path(mount["mountPath"]): (mount["name"], mount.get("subPath")) for mount in mounts}
        assert volumes[home.serving / "secret"] == ("shared", "secret")
        assert volumes[home.signal] == ("paid-for", "signal")


def test_the_watch_is_a_service_that_goes_on_while_dagster_is_stopped() -> None:
    unit = (DEPLOY / "systemd" / "stillhouse-watch@.service").read_text()
    assert "ExecStart=/opt/stillhouse/bin/stillhouse watch %i\n" in unit
    assert not re.search(r"^(?:Requires|BindsTo|PartOf)=", unit, re.M) and "Restart=always\n" in unit


def test_a_server_is_taken_out_of_service_only_while_another_one_answers() -> None:
    (serve,) = [each for each in of_kind("Deployment") if each["metadata"]["name"] == "stillhouse-serve"]
    assert serve["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = serve["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (seconds,) = container["lifecycle"]["preStop"]["exec"]["command"][1:]
    from stillhouse.serving.process import _LAST_REQUESTS_SECONDS

    assert pod["terminationGracePeriodSeconds"] > int(seconds) + _LAST_REQUESTS_SECONDS
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz", "an unready server is not a dead one"


def test_every_role_and_service_finds_its_pods() -> None:
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in of_kind("Deployment")]
    for service in of_kind("Service"):
        assert service["spec"]["selector"] in pods
    for deployment in of_kind("Deployment"):
        assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_builds_it() -> None:
    built = subprocess.run(["kubectl", "kustomize", DEPLOY / "k8s"], capture_output=True, text=True, check=True)
    kinds = [each["kind"] for each in yaml.safe_load_all(built.stdout)]
    assert kinds.count("Deployment") == 3 and kinds.count("ConfigMap") == 2
    assert "image: stillhouse\n" not in built.stdout, "every image is replaced by one of a registry"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text().replace("/opt/stillhouse/bin/stillhouse", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text.replace("User=stillhouse\n", ""))
    names = [tmp_path / unit.name.replace("@.", "@8081.") for unit in UNITS]
    for each in names:
        if not each.exists():
            shutil.copy(tmp_path / each.name.replace("@8081.", "@."), each)
    said = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True)
    assert (said.returncode, [line for line in said.stderr.splitlines() if str(tmp_path) in line]) == (0, []), said


def test_units_read_the_variables_that_are_written_there() -> None:
    for unit in UNITS:
        assert re.findall(r"^EnvironmentFile=(\S+)$", unit.read_text(), re.M) == ["/etc/stillhouse/stillhouse.env"]
    lines = (DEPLOY / "systemd" / "stillhouse.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert {*config_map()} - {"STILLHOUSE_IMAGE"} <= {*given}
    assert given["DAGSTER_HOME"] == f"{given['STILLHOUSE_HOME']}/dagster"


def with_a_paid_teacher() -> Any:
    """What serves, as far as a gauge asks."""
    teacher = SimpleNamespace(breaker=TeacherBreaker(), usd_this_month=1.0, usd_per_month=2.0)
    return SimpleNamespace(
        deployment=1, challenger=None, with_challenger=False, champion=SimpleNamespace(teacher=teacher)
    )


def shown() -> dict[str, set[str]]:
    """Every sample that a server shows, with the names of its labels."""
    daemon, teacher = Daemon({}, None), with_a_paid_teacher()
    slots = {"small": Slot("small", ServingSpec(), daemon=daemon, serving=teacher, memory=MemoryLimits(300.0))}
    metrics = Metrics(slots, {"small": KeptRows()})
    metrics.ended("small", "predict", 200)
    metrics.handed_on("small", Final("x", None, why=HandedOn.UNSURE, away=Away.BUDGET))
    families = text_string_to_metric_families(metrics.shown().decode())
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return found


RULE = [rule for group in RULES["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", RULE, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    there = shown()
    used = re.findall(r"\b(stillhouse_\w+|up)\b(?:\{([^}]*)\})?", rule["expr"])
    assert used, rule
    for name, matchers in used:
        if name == "up":
            continue
        assert name in there, name
        assert set(re.findall(r'(\w+)=~?"', matchers)) <= there[name], matchers
    for bound in re.findall(r'le="([\d.]+)"', rule["expr"]):
        assert float(bound) in BUCKETS, bound
    grouped = {name for names in re.findall(r"by \((\w+)\)", rule["expr"]) for name in names.split(", ")}
    assert grouped <= {"recipe"}
    quoted = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert quoted <= (grouped or {"recipe", "instance"}), "a label that was summed away is empty"
    assert set(rule["annotations"]) == {"summary", "do"} and rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.parametrize(
    "metric",
    [
        "stillhouse_degraded_texts_total", "stillhouse_teacher_breaker_open", "stillhouse_challenger_stopped",
        "stillhouse_teacher_usd_per_month", "stillhouse_log_kept_share", "stillhouse_resident_memory_bytes",
    ],
)  # fmt: skip
def test_what_somebody_has_to_see_to_has_a_rule(metric: str) -> None:
    assert any(metric in rule["expr"] for rule in RULE)


def test_a_rule_names_reasons_that_there_are() -> None:
    named = {why for rule in RULE for why in re.findall(r'why="(\w+)"', rule["expr"])}
    assert named and named <= {*Away}


def test_what_the_bucket_lets_expire_is_nothing_that_counts() -> None:
    rules = json.loads((DEPLOY / "s3" / "lifecycle.json").read_text())["Rules"]
    (expired,) = [rule for rule in rules if "Expiration" in rule]
    from stillhouse.files import SET_ASIDE

    folder = config_map()["STILLHOUSE_ARTIFACTS"].split("/", 3)[3]
    assert expired["Filter"]["Prefix"] == f"{folder}/{SET_ASIDE}/"


def test_the_image_installs_extras_that_there_are() -> None:
    import tomllib

    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (named,) = re.findall(r'"\.\[([^]]+)\]"', (DEPLOY / "k8s" / "Dockerfile").read_text())
    assert {*named.split(",")} <= {*extras}


@pytest.mark.parametrize("path", re.findall(r"`deploy/([\w./@-]+)`", README))
def test_a_file_that_the_page_names_is_there(path: str) -> None:
    assert (DEPLOY / path).exists()


def test_every_file_is_on_the_page() -> None:
    inside = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()} - {"README.md"}
    assert {name for name in inside if name not in README and f"{os.path.dirname(name)}/`" not in README} == set()
