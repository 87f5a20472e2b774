"""Each piece of code in CONTRIBUTING.md works where it says: it is put into a copy of the checkout and used."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from stillhouse.home import CHECKOUT

PAGE = (CHECKOUT / "CONTRIBUTING.md").read_text()
PLACE = re.compile(
    r"in `(?P<file>[a-z_/]+\.py)`, (?P<how>before|instead of) `(?P<anchor>[^`]+)`.*?```python\n(?P<code>.*?)```",
    re.DOTALL | re.IGNORECASE,
)


def additions(section: str) -> list[re.Match[str]]:
    (text,) = re.findall(rf"^## {section}.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return list(PLACE.finditer(text))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code that a newcomer changes."""
    for folder in ("stillhouse", "assets", "checks"):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def follow(checkout: Path, section: str) -> None:
    """Do what a section says."""
    found = additions(section)
    assert found, f"no code in {section}"
    for addition in found:
        file, code = checkout / addition["file"], textwrap.dedent(addition["code"]).strip()
        lines = file.read_text().splitlines()
        (at,) = [n for n, line in enumerate(lines) if line.startswith(addition["anchor"])]
        lines[at : at + 1] = [code] if addition["how"] == "instead of" else [code, "", "", lines[at]]
        file.write_text("\n".join(lines) + "\n")


def printed(checkout: Path, code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


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
""".replace('sys.argv[0] or "."', "'.'")
    assert printed(checkout, look).split() == ["passed", "failed"]


def test_a_loss_is_a_name_and_a_function(checkout: Path) -> None:
    follow(checkout, "A loss")
    losses = checkout / "stillhouse" / "models" / "losses.py"
    losses.write_text(
        losses.read_text().replace('    "kl": _kl,\n', '    "kl": _kl,\n    "reverse_kl": _reverse_kl,\n')
    )
    ask = """
import torch
from stillhouse.models.losses import Targets, combined_loss, temperature_kl
from stillhouse.recipe.training import TrainingConfig
loss = TrainingConfig(loss="reverse_kl").loss
one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
targets = Targets(torch.tensor([0]), teacher_logits=other)
print(float(combined_loss(one, torch.zeros(1, 1), targets, loss=loss)), float(temperature_kl(other, one, 1.0)))
"""
    asked, expected = map(float, printed(checkout, ask).split())
    assert asked == pytest.approx(expected) and expected > 0


def test_the_page_names_files_that_are_there() -> None:
    named = set(re.findall(r"`((?:stillhouse|assets|checks|tests|docs)/[a-z_/]+\.(?:py|md))`", PAGE))
    assert len(named) >= 8
    assert not [name for name in named if not (CHECKOUT / name).exists()]
