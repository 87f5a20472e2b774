"""The small recipe with a teacher that answers elsewhere, and which answers are wrong."""

from functools import cache
from pathlib import Path
from typing import Any

from stillhouse.recipe.reading import RecipeFile
from tests.small import questions, small_recipe, small_teacher

SERVICES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
WRONG = dict(zip(SERVICES, [*SERVICES[1:], SERVICES[0]], strict=True))
STORED = {
    "kind": "stored", "source": "replies.jsonl", "revision": "a large model, in October", "licence": "its terms",
    "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8,
    "answers": {"format": "batch"}, "ask": {"model": "large", "prompt": "prompt.md"},
}  # fmt: skip


def small_recipe_elsewhere(folder: Path, *, changed: dict[str, Any] | None = None, **teacher: Any) -> RecipeFile:
    (folder / "prompt.md").write_text("Which of\n{labels}\nanswers this? {task}\nQuestion: {text}\n")
    base = {"source": str(small_teacher(folder / "base")), "revision": "test", "licence": "Apache-2.0"}
    learning = {"epochs": 8, "learning_rate": 1e-3, "max_tokens": 32}
    students = [
        {"name": "one", "layers": [0, 1], "training": {**learning, "loss": "kl"}},
    ]
    changes = {"bar": {"margin": 0.16}, "budget": {"latency_ms_at_most": 1000, "size_mb_at_most": 20}}
    paths = {"source": str(folder / "replies.jsonl"), "ask": {"model": "large", "prompt": str(folder / "prompt.md")}}
    stored = {**STORED, **paths, **teacher}
    seen = {"data__provenance": {"teacher_may_see": ["internal"]}}
    return small_recipe(
        folder, **{"teacher": stored, "base": base, "students": students, **seen, **changes, **(changed or {})}
    )


def question_in(prompt: str) -> str:
    return prompt.partition("Question: ")[2].rstrip("\n")


def right_about(question: str) -> str:
    return _services()[question]


def mostly_right_about(question: str) -> str:
    """Wrong about one question in twelve, by its length."""
    service = right_about(question)
    return WRONG[service] if len(question) % 12 == 0 else service


@cache
def _services() -> dict[str, str]:
    return dict(questions(10_000).select("question", "service").iter_rows())
