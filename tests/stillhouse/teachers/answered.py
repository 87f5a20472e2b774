"""A recipe whose teacher answered elsewhere, and files of its answers."""

import json
from pathlib import Path
from typing import Any

import yaml

from stillhouse.home import CHECKOUT
from stillhouse.recipe.reading import COMPONENT_TYPE, RecipeFile, read_recipe

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"
Line = dict[str, Any]


def recipe(
    folder: Path, source: str = "replies.jsonl", labels: dict[str, str] | None = None, **answers: Any
) -> RecipeFile:
    """A recipe with a teacher that answered elsewhere; nothing that it names has to be there."""
    own = yaml.safe_load(DEMO.read_text())["attributes"]
    own["data"]["labels"] = labels or {}
    return _written_recipe(folder, own, source, "kl", answers)


def recipe_without_classes(folder: Path, data: dict[str, Any], *, loss: str, **answers: Any) -> RecipeFile:
    """The same where an answer is no class.

    Args:
        folder: to write into.
        data: what an answer is, and where rows are.
        loss: by which a student learns such answers.
        answers: how they are read.
    """
    own = yaml.safe_load(DEMO.read_text())["attributes"]
    for part in ("behaviour", "sensitive", "stress"):
        own.pop(part, None)
    own["bar"], own["slices"] = {"margin": 0.05}, []
    own["data"] |= {"wrong_labels_at_most": 0.05, **data}
    return _written_recipe(folder, own, "replies.jsonl", loss, answers)


def _written_recipe(folder: Path, own: dict[str, Any], source: str, loss: str, answers: dict[str, Any]) -> RecipeFile:
    own["teacher"] = {
        "kind": "stored", "source": str(folder / source), "revision": "October", "licence": "its terms",
        "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8, "answers": answers,
    }  # fmt: skip
    own["base"] = {"source": "encoder", "revision": "1", "licence": "Apache-2.0"}
    own["budget"] = {"latency_ms_at_most": 20}
    own["students"] = [{"name": "one", "layers": [0], "training": {"loss": loss}}]
    path = folder / "recipes" / "tickets" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": own}))
    return read_recipe(path)


def written(path: Path, lines: list[Line]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def reply(custom_id: str, content: str | None, status: int = 200) -> Line:
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    body = {"id": "c", "model": "large", "choices": choices} if status == 200 else {"error": {"message": "too many"}}
    return {"id": "b", "custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}
