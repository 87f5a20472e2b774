"""What a file of weights holds is said without torch, and torch is the oracle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from stillhouse.errors import StillhouseError
from stillhouse.models.tensors import tensors_in

HALF = {torch.float16: torch.int16, torch.bfloat16: torch.int16}
FLOATS = {torch.float64: torch.int64, torch.float32: torch.int32, **HALF}
"""And integers of as many bits."""


def test_shapes_are_of_every_tensor_and_weights_are_the_floats(tmp_path: Path) -> None:
    tensors = {
        "double": torch.zeros(2, 3, dtype=torch.float64),
        "brain": torch.zeros(5, dtype=torch.bfloat16),
        "positions": torch.arange(7),
        "flags": torch.ones(3, dtype=torch.bool),  # of an odd length: what follows lies across words
        "half": torch.zeros(1, 4, dtype=torch.float16),
        "number": torch.tensor(1.0),
        "none": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "w.safetensors", metadata={"format": "pt"})
    found = tensors_in(tmp_path / "w.safetensors")
    assert found.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert found.parameters == 6 + 5 + 4 + 1 + 0


@pytest.mark.long
@given(kind=st.sampled_from([*FLOATS]), data=st.data())
def test_any_bits_are_finite_where_torch_says_so(
    kind: torch.dtype, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    integers = torch.iinfo(FLOATS[kind])
    bits = data.draw(st.lists(st.integers(integers.min, integers.max), min_size=1, max_size=4))
    numbers = torch.tensor(bits, dtype=FLOATS[kind]).view(kind)
    path = tmp_path_factory.mktemp("bits") / "w.safetensors"
    save_file({"layer.weight": numbers}, path)
    if torch.isfinite(numbers).all():
        assert tensors_in(path).parameters == len(bits)
    else:
        with pytest.raises(StillhouseError, match=r"layer\.weight holds NaN or infinity"):
            tensors_in(path)


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_one_number_among_many_is_found(kind: torch.dtype, number: float, tmp_path: Path) -> None:
    numbers = torch.ones(40, 40, dtype=kind)
    numbers[39, 39] = number
    save_file({"fine": torch.ones(3), "layer.weight": numbers}, tmp_path / "w.safetensors")
    with pytest.raises(StillhouseError, match=r"layer\.weight holds NaN or infinity"):
        tensors_in(tmp_path / "w.safetensors")


def test_weights_of_eight_bits_are_refused_by_name(tmp_path: Path) -> None:
    save_file({"layer.weight": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "w.safetensors")
    with pytest.raises(StillhouseError, match=r"layer\.weight is of type F8_E4M3"):
        tensors_in(tmp_path / "w.safetensors")


def test_a_file_that_is_cut_altered_or_gone_is_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "w.safetensors"
    save_file({"layer.weight": torch.ones(100)}, whole)
    content = whole.read_bytes()
    longer = content.replace(b'"data_offsets":[0,400]', b'"data_offsets":[0,900]')
    for broken in (content[:-1], content[:9], b"", b"\xff" * 20, longer):
        assert broken != content
        (tmp_path / "broken.safetensors").write_bytes(broken)
        with pytest.raises(StillhouseError, match="truncated or corrupt"):
            tensors_in(tmp_path / "broken.safetensors")
    with pytest.raises(StillhouseError, match="truncated or corrupt"):
        tensors_in(tmp_path / "absent.safetensors")


def test_a_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"layer.weight": torch.ones(4)}, path)
    assert tensors_in(path).parameters == 4
    save_file({"layer.weight": torch.ones(5)}, path)
    assert tensors_in(path).parameters == 5
    same_size = path.read_bytes()[:-4] + torch.tensor([float("nan")]).numpy().tobytes()
    path.write_bytes(same_size)
    os.utime(path, ns=(1, 1))
    with pytest.raises(StillhouseError, match="NaN"):
        tensors_in(path)


@pytest.mark.long
def test_torch_is_not_loaded_for_it(tmp_path: Path) -> None:
    save_file({"layer.weight": torch.ones(4, dtype=torch.bfloat16)}, tmp_path / "w.safetensors")
    look = (
        "import json, sys; from pathlib import Path; from stillhouse.models.tensors import tensors_in; "
        "print(json.dumps([tensors_in(Path(sys.argv[1])).parameters, 'torch' in sys.modules]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", look, str(tmp_path / "w.safetensors")], capture_output=True, text=True, check=True
    )
    assert json.loads(ended.stdout) == [4, False]
