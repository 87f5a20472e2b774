"""Golden texts made harder, as a teacher is asked them that students are not cut from.

Belongs here: which texts these are, whether they fit the cap, and what the signal has of them: each is asked once, as
rows are.
Does not: the perturbations, and what they cost a model (stillhouse/evaluation/measures/stress.py).
"""

import numpy as np
import polars as pl

from stillhouse.arrays import FloatArray
from stillhouse.digests import digest_of
from stillhouse.evaluation.measures.stress import perturb, rows_under_stress
from stillhouse.recipe.bar import StressSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.stages.asking import call_log, teachers_of
from stillhouse.stages.facts import TeacherFacts
from stillhouse.stages.pilot import require_that_it_fits
from stillhouse.tasks.task import Task
from stillhouse.teachers.endpoint import EndpointTeacher
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure


def harder(recipe: Recipe, golden: pl.DataFrame) -> pl.DataFrame:
    """`prompt_id` and `text` of every perturbed golden text that the teacher is asked, each once; often none.

    Args:
        recipe: says whether it is.
        golden: `prompt_id` and `text`.
    """
    spec = recipe.stress
    texts = list[str]()
    if spec is not None and spec.ask_teacher:
        rows = rows_under_stress(spec, golden)
        texts = [perturb(name, text) for name in spec.names for text in rows["text"]]
    each = list(dict.fromkeys(texts))
    ids = [_id_of(text) for text in each]
    return pl.DataFrame({"prompt_id": ids, "text": each}, schema={"prompt_id": pl.String, "text": pl.String})


def require_that_they_fit(file: RecipeFile, teacher: Artifact, prompts: pl.DataFrame, builds: BuildStore) -> None:
    """Refuse, before a perturbed text is asked, what would end in the middle of the rows, which students need.

    Args:
        file: the recipe.
        teacher: whose pilot has been asked.
        prompts: of the base batch.
        builds: with the log of calls.

    Raises:
        StillhouseError: if perturbed texts and rows together are expected to cost more than the cap leaves.
    """
    spec, rows = file.recipe.teacher, prompts.select("prompt_id", "text")
    further = harder(file.recipe, prompts.filter(pl.col("split") == "golden"))
    if further.is_empty() or not spec.servers:
        return
    teachers, facts = teachers_of(teacher, spec, builds), teacher.facts(TeacherFacts).by_member
    of_stress, unasked, expected = 0.0, 0.0, 0.0
    for name in spec.servers:
        asked, said = teachers[name], facts[name].said
        assert isinstance(asked, EndpointTeacher) and said is not None and said.usd_a_prompt_at_most is not None
        of_stress += asked.unasked(further)
        own = asked.unasked(pl.concat([rows, further]))
        unasked, expected = unasked + own, expected + own * said.usd_a_prompt_at_most
    first, server = next(iter(spec.servers.items()))  # they share one cap
    assert server.endpoint is not None
    if of_stress:
        spent = call_log(builds.home).spent(file.name)
        require_that_it_fits(file.by_member[first], server.endpoint, prompts=unasked, expected=expected, spent=spent)


def said_under_stress(
    spec: StressSpec, golden: pl.DataFrame, signal: SignalStore, fingerprint: str, task: Task
) -> dict[str, FloatArray]:
    """What a teacher said to the perturbed golden texts, by perturbation; shape (rows, outputs) each.

    A text to which it gave no answer counts as a wrong one, since that is what the perturbation has cost. Of one that
    its server turned away nothing is known yet: its outputs are not numbers.

    Args:
        spec: how texts are perturbed.
        golden: `prompt_id`, `text` and `label`.
        signal: where the answers are, after they were captured.
        fingerprint: of the teacher.
        task: what an answer is.
    """
    rows = rows_under_stress(spec, golden)
    wrong = task.unanswered(task.targets(rows["label"]), right=False)
    found: dict[str, FloatArray] = {}
    for name in spec.names:
        ids = [_id_of(perturb(name, text)) for text in rows["text"]]
        answers = signal.read(ids, fingerprint).select("prompt_id", "logits", "failure")
        by_id = {prompt: (logits, failure) for prompt, logits, failure in answers.iter_rows()}
        outputs = np.array(wrong, np.float64)
        for place, (logits, failure) in enumerate(by_id[each] for each in ids):
            if failure is None:
                outputs[place] = logits
            elif failure == Failure.TURNED_AWAY:
                outputs[place] = np.nan
        found[name] = outputs
    return found


def _id_of(text: str) -> str:
    """Of a text as it is written: the id of a prompt is the same in upper case, which is a perturbation."""
    return digest_of(["as written", text])
