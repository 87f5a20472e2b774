"""What a contract takes in before anything is spent: all weights that the recipe names."""

import shutil
from pathlib import Path

import pytest

from stillhouse.models.memory import asking_memory_gb, training_memory_gb
from stillhouse.models.weights import fingerprint_of, verify_weights
from stillhouse.records.artifacts import ArtifactStore
from stillhouse.stages.contract import plan
from tests.small import small_recipe

pytestmark = pytest.mark.long

SAID = {
    "revision": "r", "licence": "MIT", "training_on_outputs": "allowed", "reason": "It answers today.",
    "minimum_accuracy": 0.5,
}  # fmt: skip


def test_members_of_every_kind_are_looked_at_before_one_of_them_is_trained(tmp_path: Path, encoder: Path) -> None:
    """Regression: of members only language models were; a pickle among them was found after the rows were read."""
    place = {name: Path(shutil.copytree(encoder, tmp_path / name)) for name in ("mine", "bought", "broken")}
    (place["broken"] / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    training = {"loss": "labels", "batch_size": 512, "max_tokens": 60}
    members = {
        "mine": {**SAID, "source": str(place["mine"]), "training": training},
        "bought": {**SAID, "kind": "classifier", "source": str(place["bought"])},
        "broken": {**SAID, "kind": "classifier", "source": str(place["broken"])},
    }
    file = small_recipe(
        tmp_path, rows=60, budget={"latency_ms_at_most": 20},
        teacher={
            "kind": "ensemble", "ensemble": {"members": members}, "reason": "Three see more.", "minimum_accuracy": 0.5,
        },
        base={"source": str(encoder), "revision": "r", "licence": "MIT"},
        students=[{"name": "a", "layers": [0], "training": {"loss": "kl"}}],
    )  # fmt: skip
    store = ArtifactStore(str(tmp_path / "artifacts"), cache=tmp_path / "cache", workbench=tmp_path / "bench")
    planned = plan(file, store)
    found, record = planned.build(tmp_path).members, verify_weights(encoder)
    assert found.keys() == members.keys()
    assert found["mine"].fingerprint == found["bought"].fingerprint == fingerprint_of(encoder)
    assert found["broken"].fingerprint is None and "(pickle)" in str(found["broken"].problem)
    to_train = training_memory_gb(encoder, record.parameters, batch_size=512, tokens=60)
    to_ask = asking_memory_gb(record.parameters, bytes_a_weight=4)
    assert (found["mine"].training_gb, found["bought"].training_gb) == (to_train, to_ask), "a classifier is asked alone"
    kept = {f"{file.recipe.teacher.members[name].address}/config.json" for name in ("mine", "bought")}
    assert kept <= planned.external_inputs.keys(), "the teacher is made of what was looked at"
    (place["mine"] / "config.json").write_text((encoder / "config.json").read_text() + " ")
    assert plan(file, store).depends_on != planned.depends_on
