"""Each piece of code in CONTRIBUTING.md works where it says: it is put into a copy of the checkout and used."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT
from tests.stillhouse.conftest import write_encoder

pytestmark = pytest.mark.slow

PAGE = (CHECKOUT / "CONTRIBUTING.md").read_text()
PLACE = re.compile(
    r"in `(?P<file>[a-z_/]+\.py)`, (?P<how>before `|instead of `|a new file)(?P<anchor>[^`:]*)"
    r".*?```python\n(?P<code>.*?)\n *```",
    re.DOTALL | re.IGNORECASE,
)


def additions(section: str) -> list[re.Match[str]]:
    (text,) = re.findall(rf"^## {section}.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return list(PLACE.finditer(text))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code that a newcomer changes."""
    for folder in ("stillhouse", "assets", "checks", "orchestration", "tests"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "docs").mkdir()
    for file in ("pyproject.toml", "docs/gates.md"):
        shutil.copy(CHECKOUT / file, tmp_path / file)
    return tmp_path


def follow(checkout: Path, section: str) -> None:
    """Do what a section says."""
    found = additions(section)
    assert found, f"no code in {section}"
    for addition in found:
        file, code = checkout / addition["file"], textwrap.dedent(addition["code"]).strip()
        if addition["how"] == "a new file":
            file.write_text(code + "\n")
            continue
        lines = file.read_text().splitlines()
        (at,) = [n for n, line in enumerate(lines) if line.startswith(addition["anchor"])]
        lines[at : at + 1] = [code] if addition["how"] == "instead of `" else [code, "", "", lines[at]]
        file.write_text("\n".join(lines) + "\n")


def printed(checkout: Path, code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def insert(file: Path, line: str, after: str) -> None:
    """Put a line that the page names in words behind another one."""
    content = file.read_text()
    assert content.count(f"{after}\n") == 1, after
    file.write_text(content.replace(f"{after}\n", f"{after}\n{line}\n"))


def passed(checkout: Path, *arguments: str) -> int:
    """How many tests pass in the copy, where none fails; docs/gates.md is written there as `make docs` does."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", *arguments]
    # As a worker of the tests outside it would take what an earlier copy has made for its own.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    environment = {**own, "PYTHONPATH": str(checkout), "STILLHOUSE_WRITE_DOCS": "1"}
    ran = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:]
    return int(re.findall(r"(\d+) passed", ran.stdout)[-1])


def test_a_gate_is_one_function(checkout: Path) -> None:
    name = "the_teacher_is_under_a_gigabyte"
    follow(checkout, "A gate")
    ask = "import checks.stages as s; print(s.__file__, *s.gates_of('teacher').names(blocking=True))"
    file, *names = printed(checkout, ask).split()
    assert file.startswith(str(checkout)) and name in names
    look = f"""
import pathlib, types
from checks.stages import gates_of
for size in (10, 1_000_000_000):
    folder = pathlib.Path(f"of_{{size}}") / "model"
    folder.mkdir(parents=True)
    with (folder / "model.safetensors").open("wb") as weights:
        weights.truncate(size)
    context = types.SimpleNamespace(artifact=types.SimpleNamespace(folder=folder.parent))
    ((_, finding),) = gates_of("teacher").evaluate(context, ["{name}"])
    print(finding.verdict)
"""
    assert printed(checkout, look).split() == ["pass", "fail"]


def test_a_loss_is_a_name_and_a_function(checkout: Path) -> None:
    follow(checkout, "A loss")
    losses = checkout / "stillhouse" / "tasks" / "single_label.py"
    (entry,) = re.findall(r'`("reverse_kl": .*?\)\))`', PAGE)
    losses.write_text(losses.read_text().replace("TeacherLoss] = {", f"TeacherLoss] = {{{entry},"))
    ask = """
import torch
from stillhouse.models.losses import TargetTensors, combined_loss
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import SingleLabel, temperature_kl
how = TrainingConfig(loss="reverse_kl")
one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
targets = TargetTensors(torch.tensor([0]), torch.tensor([True]), teacher_logits=other)
cost = combined_loss(one, torch.zeros(1, 1), targets, task=SingleLabel(("a", "b")), config=how)
print(float(cost), float(temperature_kl(other, one, 1.0)))
"""
    asked, expected = map(float, printed(checkout, ask).split())
    assert asked == pytest.approx(expected) and expected > 0


def follow_a_task(checkout: Path) -> None:
    follow(checkout, "A task")
    (entry,) = re.findall(r'`("angle": .*?,)` in `TASKS`', PAGE)
    insert(checkout / "stillhouse" / "tasks" / "__init__.py", f"    {entry}", after='    "score": _score,')


def test_a_task_is_learned_copied_and_judged(checkout: Path) -> None:
    """An angle instead of a class: by teacher, student, baselines and harness, with three files touched."""
    follow_a_task(checkout)
    write_encoder(checkout / "encoder")
    ask = """
import polars as pl
from pathlib import Path
from stillhouse.evaluation.baselines.fitted import constant, tfidf_linear
from stillhouse.evaluation.harness import evaluate
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.recipe.bar import BarSpec, BudgetSpec, Terms
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks import task_of
from stillhouse.teachers.classifier import build_classifier

task = task_of("angle", ["1", "2.5"])
build_classifier(Path("encoder"), task.names, Path("untrained"), seed=0)
words = {"how many kings": "0", "who is the king": "90", "where is the city": "200"}
texts = [f"{text} {number}" for number in range(20) for text in words]
labels = pl.Series([words[text.rpartition(" ")[0]] for text in texts])
nobody_knows = pl.Series([None] * len(texts), dtype=pl.String)
how = TrainingConfig(epochs=40, batch_size=12, learning_rate=3e-3, loss="labels", threads=1)
train(Path("untrained"), Path("teacher"), TrainingExamples(texts, task.targets(labels), task), how)
said = TorchClassifier(Path("teacher")).logits(texts)
examples = TrainingExamples(texts, task.targets(nobody_knows), task, said)
train(Path("untrained"), Path("student"), examples, how.model_copy(update={"loss": "logit_mse"}))

ids = [str(number) for number in range(len(texts))]
golden = pl.DataFrame({"prompt_id": ids, "text": texts, "label": labels})
def model(name, kind, logits):
    return EvaluatedModel(name, kind, dict(zip(ids, logits.tolist())), 1000)
teacher = model("teacher", ModelKind.TEACHER, said)
terms = Terms(bar=BarSpec(margin=0.1), budget=BudgetSpec(size_ratio_at_least=1.0, latency_ratio_at_least=1.0))
student = model("student", ModelKind.STUDENT, TorchClassifier(Path("student")).logits(texts))
known = labels.to_list()
fitted = constant(known, texts, task=task), tfidf_linear(texts, known, texts, task=task)
for one in (student, *(each.evaluated(ids) for each in fitted)):
    found = evaluate(one, teacher, golden, terms, task=task)
    right = found.teacher.accuracy, found.score.accuracy
    print(*right, found.non_inferiority.verdict, found.score.macro_f1, found.agreement)
"""
    student, same, linear = (line.split() for line in printed(checkout, ask).splitlines())
    assert student == ["1.0", "1.0", "pass", "None", "1.0"]
    assert same[1:3] == ["0.3333333333333333", "fail"], "the mean, 85 degrees, is near one answer of three"
    assert linear[1:3] == ["1.0", "pass"]


def test_a_task_has_every_member_of_the_protocol(checkout: Path) -> None:
    """With the parameters that it is called with, and two of them as answers from elsewhere need them."""
    follow_a_task(checkout)
    ask = """
import inspect
import numpy as np
from stillhouse.tasks.angle import Angle
from stillhouse.tasks.task import Task
for name, member in vars(Task).items():
    if not name.startswith("_"):
        wanted = list(inspect.signature(member).parameters) if inspect.isfunction(member) else None
        found = list(inspect.signature(getattr(Angle, name)).parameters) if wanted else None
        assert hasattr(Angle(), name) and found == wanted, (name, found, wanted)
        print(name)
angle, labels = Angle(), np.array([1.0, 4.0])
for outputs in (angle.stated(labels, 0.9), angle.unanswered(labels, right=True), angle.unanswered(labels, right=False)):
    print(outputs.shape, angle.right(outputs, labels).all(), angle.right(outputs, labels).any())
"""
    *members, stated, right, wrong = printed(checkout, ask).splitlines()
    assert len(members) >= 15 and {"names", "stated", "unanswered", "outputs_of"} <= set(members)
    assert (stated, right, wrong) == ("(2, 2) True True", "(2, 2) True True", "(2, 2) False False")


def test_a_family_of_encoders_goes_the_whole_way(checkout: Path) -> None:
    follow(checkout, "A family of encoders")
    (entry,) = re.findall(r"`(\w+,)` in `FAMILIES`", PAGE)
    insert(checkout / "stillhouse" / "models" / "family.py", f"        {entry}", after="        BERT,")
    family = "tests/stillhouse/models/test_family.py"
    assert passed(checkout, family, "-k", "ernie or every_family_is_tested") >= 10


def test_a_stage_is_made_judged_and_closed(checkout: Path) -> None:
    """A whole round with it, in which every gate is open, and then the faults of its own file."""
    follow(checkout, "A stage")
    (entry,) = re.findall(r'`(SURENESS: "\w+",)` in `KINDS`', PAGE)
    insert(checkout / "stillhouse" / "stages" / "names.py", f"    {entry}", after='    TEACHER_SIGNAL: "capture",')
    assert passed(checkout, "tests/checks/test_sureness.py") == 2
    of_all = [
        f"tests/faults/test_faults.py::test_{name}"
        for name in ("every_gate_is_asked_by_itself", "every_gate_was_seen_to_close", "every_fault_is_planted",
                     "without_a_fault_every_gate_is_open")
    ]  # fmt: skip
    closes = "tests/faults/test_teacher.py::test_a_fault_closes_its_gate_and_is_diagnosed"
    planted = [f"{closes}[{fault}]" for fault in ("an answer is left out", "probabilities are percentages")]
    assert passed(checkout, *of_all, *planted) == 6


def test_a_measure_is_in_the_record_of_a_model(checkout: Path) -> None:
    follow(checkout, "A measure")
    field, entry = re.findall(r"^ +`((?:never_answered:|Measure\().*)`$", PAGE, re.MULTILINE)
    evaluation = checkout / "stillhouse" / "evaluation"
    insert(evaluation / "harness.py", f"    {field}", after="    fidelity: Fidelity")
    insert(evaluation / "measured.py", f"    {entry}", after='    Measure("seeds", _seeds),')
    name = "from stillhouse.evaluation.measures.never_answered import never_answered"
    insert(evaluation / "measured.py", name, after="from stillhouse.evaluation.measures import metrics")
    ask = """
from tests.stillhouse.evaluation.conftest import BAR, BUDGET, CLASSES, make_golden, make_subject
from stillhouse.evaluation.harness import evaluate
from stillhouse.evaluation.models import ModelKind
from stillhouse.recipe.bar import Terms
from stillhouse.tasks.single_label import SingleLabel
teacher = make_subject(30, name="teacher", kind=ModelKind.TEACHER)
for wrong in (), range(0, 30, 3):
    model, terms = make_subject(30, wrong), Terms(bar=BAR, budget=BUDGET)
    print(evaluate(model, teacher, make_golden(30), terms, task=SingleLabel(CLASSES)).never_answered)
"""
    assert printed(checkout, ask).splitlines() == ["()", "('balance',)"]


def test_a_figure_is_found_by_its_module(checkout: Path) -> None:
    follow(checkout, "A figure")
    ask = """
from types import SimpleNamespace
from stillhouse.report.figures import FIGURES
(figure,) = [each for each in FIGURES if "only the teacher gets right" in each.alt]
for rows in (["short", "a longer text"], []):
    judged = SimpleNamespace(regressions=[SimpleNamespace(text=text) for text in rows])
    drawn = figure.draw(SimpleNamespace(evaluation=judged), "dark")
    print(figure.section, drawn and drawn[1:4].decode())
"""
    assert printed(checkout, ask).splitlines() == ["slices PNG", "slices None"]


def test_the_page_names_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:stillhouse|assets|checks|tests|docs)/[a-z_/]+\.(?:py|md))`", PAGE))
    assert len(named) >= 8
    written = {addition["file"] for addition in PLACE.finditer(PAGE) if addition["how"] == "a new file"}
    assert {name for name in named if not (CHECKOUT / name).exists()} == written, "by a newcomer"
