"""A checkpoint is used if it is, to the last byte, the one that this very run has written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stillhouse import progress
from stillhouse.device import CPU
from stillhouse.models.checkpoint import EpochReport, Progress, resume, save_checkpoint

pytestmark = pytest.mark.long

FILE = "checkpoint.safetensors"


class Run:
    """A small model and its optimiser after one step."""

    def __init__(self, seed: int = 1) -> None:
        torch.manual_seed(seed)
        layer = torch.nn.Linear(4, 2)
        self.optimizer = torch.optim.AdamW(layer.parameters())
        layer(torch.ones(1, 4)).sum().backward()
        self.optimizer.step()
        self.trained: dict[str, Any] = dict(layer.named_parameters())

    def save(self, folder: Path) -> bytes:
        state = Progress(3, 0.5, [EpochReport(0, 0.25, None, None)])
        save_checkpoint(folder, "run", state, self.trained, self.optimizer, CPU)
        return (folder / FILE).read_bytes()

    def resume(self, folder: Path, run: str = "run") -> Progress:
        return resume(folder, run, self.trained, self.optimizer, CPU)

    @property
    def weights(self) -> list[Any]:
        return [weight.detach().clone() for weight in self.trained.values()]


def test_a_resumed_run_has_weights_moments_and_state_of_the_one_before(tmp_path: Path) -> None:
    before, after = Run(1), Run(2)
    before.save(tmp_path)
    assert after.resume(tmp_path) == Progress(3, 0.5, [EpochReport(0, 0.25, None, None)])
    assert all(map(torch.equal, before.weights, after.weights))
    for (_, one), (_, other) in zip(before.trained.items(), after.trained.items(), strict=True):
        for key in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(before.optimizer.state[one][key], after.optimizer.state[other][key])


def test_a_checkpoint_of_another_run_is_left_alone(tmp_path: Path) -> None:
    Run().save(tmp_path)
    assert Run().resume(tmp_path, "another") == Progress()
    assert (tmp_path / FILE).exists()


def refuses(folder: Path, content: bytes) -> None:
    """The checkpoint is set aside with one line, and training begins with the weights that it had."""
    (folder / FILE).write_bytes(content)
    heard: list[progress.News] = []
    run = Run(2)
    before = run.weights
    with progress.listening(heard.append):
        assert run.resume(folder) == Progress()
    assert all(map(torch.equal, before, run.weights))
    assert not (folder / FILE).exists()
    (remark,) = heard
    assert isinstance(remark, progress.Remark)
    assert remark.sentence.startswith(f"{folder / FILE} is not the checkpoint that was written: moved to ")
    assert run.resume(folder) == Progress(), "and the next run is not refused either"


@pytest.mark.experiment("A42")
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Regression: sixteen bytes of weights were flipped, and the training went on with them."""
    folder = tmp_path_factory.mktemp("flipped")
    content = bytearray(Run().save(folder))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refuses(folder, bytes(content))


@pytest.mark.experiment("C10")
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_or_empty_one_is_found(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    """Regression: a cut checkpoint ended every further run with a SafetensorError."""
    folder = tmp_path_factory.mktemp("cut")
    content = Run().save(folder)
    refuses(folder, content[: int(len(content) * share)])


def test_one_of_the_first_version_without_a_digest_is_set_aside(tmp_path: Path) -> None:
    from safetensors.torch import load, save

    content = save(load(Run().save(tmp_path)), metadata={"state": '{"run": "run"}'})
    refuses(tmp_path, content)
