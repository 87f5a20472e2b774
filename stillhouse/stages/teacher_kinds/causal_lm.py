"""A language model that runs on this machine.

Belongs here: asking it the validation rows before the rest.
Does not: how it answers (stillhouse/teachers/causal_lm.py), taking it in (stillhouse/stages/contract.py).
"""

from functools import partial
from pathlib import Path

import numpy as np

from stillhouse.records.builds import Plan
from stillhouse.stages.asking import kept_model
from stillhouse.stages.facts import ContractFacts, LanguageModelFacts, SaidFacts, TeacherFacts
from stillhouse.stages.teacher_kinds.making import Making
from stillhouse.teachers.causal_lm import CausalLmTeacher, label_prompt_of
from stillhouse.teachers.teacher import share_as_taught


def plan(making: Making) -> Plan[TeacherFacts]:
    """Ask the validation rows alone: whether it is worth copying is seen before the rest is asked."""
    file, contract, spec = making.file, making.contract, making.file.recipe.teacher
    taken_in = contract.facts(ContractFacts).beside_weights[file.member]
    assert taken_in.fingerprint is not None, "the contract's gates refuse it otherwise"
    asked = label_prompt_of(file, making.task.names, taken_in.fingerprint)
    taken = contract.manifest.external_inputs
    files = kept_model(taken, spec, making.builds.store)
    return making.plan(
        partial(_build, making, CausalLmTeacher(files, asked, making.builds.device)),
        depends_on={"asking": asked.digest},
        external_inputs={name: taken[name] for name in (f"{spec.address}/{each}" for each in files)},
    )


def _build(making: Making, teacher: CausalLmTeacher, folder: Path) -> TeacherFacts:
    from stillhouse.models.temperature_scaling import temperature_of

    task, validation = making.task, making.validation
    with making.builds.one_heavy_task():
        teacher.verify()
        answers = teacher.answers(validation["text"].to_list())
        parameters = teacher.parameters
    targets = task.targets(validation["label"])
    right = int(task.right(answers.logits, targets).sum())
    return making.facts(
        teacher.fingerprint,
        right=right,
        parameters=parameters,
        temperature=temperature_of(task, answers.logits, targets),
        said=SaidFacts(
            texts=validation.height,
            failures={},
            accuracy=share_as_taught(right, validation.height),
            asking=teacher.asked,
            label_mass=float(np.median(answers.mass)),
        ),
        language_model=LanguageModelFacts(
            fingerprint=teacher.asked.weights, bytes=sum(path.stat().st_size for path in teacher.files.values())
        ),
    )
