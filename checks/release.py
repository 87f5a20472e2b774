"""Gates on a release: is the bundle whole, and does it stand on its own?"""

from assets.teacher import MODEL
from checks.gate import Finding, StageGates, Subject, found, gate
from stillhouse.release.bundle import ReleaseRecord, bundle_problems


@gate("a bundle with a part missing cannot be defended when somebody asks")
def the_bundle_is_whole(subject: Subject) -> Finding:
    """Verified as anybody could, with nothing but the folder."""
    problems = bundle_problems(subject.artifact.folder)
    return found(not problems, "; ".join(problems) if problems else "every file is there and as listed")


@gate("a release that names other parents than it has lies about where it comes from")
def it_names_what_it_was_made_from(subject: Subject) -> Finding:
    """The digests in its record are those of its inputs."""
    record = ReleaseRecord.model_validate(subject.artifact.facts)
    inputs = {asset.split("/", 1)[1]: item.digest for asset, item in subject.artifact.manifest.inputs.items()}
    named = {name: getattr(record, name) for name in ("contract", "prompts", "teacher", "transfer_set", "selection")}
    named[f"exports/{record.student}"] = record.export
    wrong = sorted(name for name, digest in named.items() if inputs.get(name) != digest)
    return found(not wrong, f"not its inputs: {', '.join(wrong)}" if wrong else f"{len(named)} digests agree")


@gate("a model that does not answer is found out here, not by its first caller")
def it_answers(subject: Subject) -> Finding:
    """Loaded from the bundle, as a server would, and asked one golden question."""
    from stillhouse.students.predictor import OnnxClassifier

    text = subject.made_from("prompts").frame("prompts")["text"][0]
    model = OnnxClassifier(subject.artifact.folder / MODEL)
    answer = model.labels[int(model.logits([text]).argmax())]
    return found(answer in subject.made_from("teacher").facts["labels"], f"{text[:80]!r} is answered {answer!r}")


GATES = StageGates((the_bundle_is_whole, it_names_what_it_was_made_from, it_answers))
