"""Gates on the contract: may this distillation be begun at all?"""

from checks.gate import Finding, StageGates, Subject, found, gate


@gate("training on the outputs of a model that forbids it taints every student, and nobody notices until a lawyer does")
def terms_allow_training_on_outputs(subject: Subject) -> Finding:
    """Unknown counts as no."""
    teacher = subject.recipe.teacher
    return found(
        teacher.training_on_outputs == "allowed",
        f"the recipe says that training on the outputs of {teacher.source} is {teacher.training_on_outputs}",
        licence=teacher.licence,
    )


@gate("a licence that nobody wrote down cannot be kept")
def licences_are_named(subject: Subject) -> Finding:
    """Of the teacher's weights and of the rows."""
    licences = {"teacher": subject.recipe.teacher.licence, "data": subject.recipe.data.licence}
    unnamed = [name for name, text in licences.items() if text.strip().lower() in ("", "unknown", "none", "tbd", "?")]
    return found(not unnamed, f"unnamed: {', '.join(unnamed)}" if unnamed else "teacher and data have one", **licences)


@gate("a bar that is moved after the result is no bar")
def the_bar_is_frozen(subject: Subject) -> Finding:
    """The artifact holds the very bar that the recipe holds now."""
    frozen = subject.artifact.facts
    recipe = subject.recipe
    same = frozen["bar"] == recipe.bar.model_dump(mode="json") and frozen["budget"] == recipe.budget.model_dump(
        mode="json"
    )
    return found(
        same,
        "the frozen bar and budget are those of the recipe"
        if same
        else "the recipe's bar or budget was changed since this contract was frozen; materialize contract again",
        margin=recipe.bar.margin,
    )


GATES = StageGates((terms_allow_training_on_outputs, licences_are_named, the_bar_is_frozen))
