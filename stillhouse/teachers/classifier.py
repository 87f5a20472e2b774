"""From published weights to a teacher's folder: an encoder gets a classifier on top, a classifier is taken as it is.

Belongs here: building the untrained classifier, and taking a trained one.
Does not: the fine-tuning (models/training.py does it, with labels), the temperature that makes its confidence honest
(models/temperature_scaling.py), capture of what the teacher says (signal.py).
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.errors import StillhouseError
from stillhouse.models.family import ACTIVATIONS, family_of
from stillhouse.models.published import described, loaded
from stillhouse.models.tokenization import tokenizer_text
from stillhouse.recipe.data import NUMBERS, SEPARATOR, TaskKind
from stillhouse.recipe.record import RecordSpec

if TYPE_CHECKING:
    from tokenizers import Encoding
    from torch import Tensor


PROBLEMS: dict[TaskKind, tuple[str | None, ...]] = {
    "single_label": (None, "single_label_classification"),
    "multi_label": ("multi_label_classification",),
    "score": (None, "regression"),
}
"""What transformers calls each kind of answer in the `problem_type` of a config; where it says none it is one label, or
one number where there is one output."""

_UNNAMED = 2
"""Outputs of a classifier whose config says nothing of them: transformers leaves these out when it saves one."""


def build_classifier(
    encoder: Path, names: Sequence[str], out: Path, seed: int, *, record: RecordSpec | None = None
) -> None:
    """Put an untrained classifier on the mean of an encoder's token states.

    Mean pooling because sentence-transformers encoders were trained with it: on one split of TREC, MiniLM-L6 fine-tuned
    for four epochs was right on 94.2 % of 1,521 golden questions, and on 93.6 % with BERT's [CLS] pooler.

    Args:
        encoder: folder that passed `verify_weights`.
        names: of the outputs, in their order.
        out: the model folder to write.
        seed: of the classifier's first weights.
        record: what it takes out of a text, where answers are records; then it points at words as well.

    Raises:
        StillhouseError: if weights are missing, or the encoder needs an activation that no test covers.
    """
    import torch
    from transformers import AutoModel

    from stillhouse.models import network

    family = family_of(json.loads((encoder / "config.json").read_text("utf-8")), str(encoder / "config.json"))
    without = {"add_pooling_layer": False} if family.has_pooler else {}
    found, config = _read(encoder, AutoModel, **without)
    weights = {family.weight(name): tensor for name, tensor in found.items()}
    if record is None:
        scores, config = len(names), config | _named("MeanPooledClassifier", names)
    else:
        scores, config = network.record_scores(record), config | _named("RecordClassifier", names)
        config["record"] = record.model_dump(mode="json")
    generator = torch.Generator().manual_seed(seed)
    weights["classifier.weight"] = torch.randn(scores, family.sizes(config).width, generator=generator) * 0.02
    weights["classifier.bias"] = torch.zeros(scores)
    network.save(weights, config, (encoder / "tokenizer.json").read_text("utf-8"), out)
    network.load(out)  # whatever does not fit together is found here, not after a training


def take_classifier(
    published: Path,
    names: Sequence[str],
    out: Path,
    *,
    rename: Mapping[str, str],
    max_tokens: int,
    answer: TaskKind = "single_label",
    pairs: bool = False,
) -> None:
    """Take somebody's classifier as it is, with the head that it was published with.

    One of numbers gives its own afterwards (see `network.put_on_a_scale`), or their sigmoid where its config says that
    its answer is that.

    Args:
        published: folder that passed `verify_weights`, of a model for sequence classification.
        names: of the outputs, in the order that they are to have.
        out: the model folder to write.
        rename: names of its outputs that are called something else in `names`.
        max_tokens: longest text that it is asked; its positions are the limit in any case.
        answer: what its outputs have to answer.
        pairs: whether texts are two with a separator between them, which it is to read as the two it was trained on.

    Raises:
        StillhouseError: if its outputs are not those of `names`, there is no such head among the weights, or its
            tokenizer would read a pair as something else than two texts.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from stillhouse.models import network

    order = outputs_in_order(published, names, rename, answer)
    weights, config = _read(published, AutoModelForSequenceClassification)
    config = {name: said for name, said in config.items() if name not in (network.SCALE, network.SEPARATOR_ID)}
    config |= _named("PublishedClassifier", names)
    tokenizer = tokenizer_text(published, max_tokens)
    if answer in NUMBERS:
        config[network.SCALE] = {"sigmoid": has_sigmoid(published), "slope": 1.0, "intercept": 0.0}
    if pairs:
        of_two_types = config.get("type_vocab_size", 0) > 1
        tokenizer, separator_id = _reading_pairs(tokenizer, str(published), of_two_types=of_two_types)
        if separator_id is not None:
            config[network.SEPARATOR_ID] = separator_id
    last = [
        name for name, part in network.PublishedClassifier(config, dropout=0.0).named_modules()
        if isinstance(part, torch.nn.Linear) and part.out_features == len(names)
    ][-1]  # fmt: skip
    for part in ("weight", "bias"):
        if f"{last}.{part}" in weights:
            weights[f"{last}.{part}"] = weights[f"{last}.{part}"][order]
    network.save(weights, config, tokenizer, out)
    network.load(out)


def _reading_pairs(tokenizer: str, where: str, *, of_two_types: bool) -> tuple[str, int | None]:
    """A tokenizer to which a text with the separator in it is the two texts, as a model of pairs was given them.

    What it puts between two texts (one `[SEP]`, or `</s></s>`) takes the place of the separator and the blanks around
    it, so that wherever the model or a student of it is asked, one text is all that has to be passed on.

    Args:
        tokenizer: content of its tokenizer.json.
        where: what to name in an error.
        of_two_types: whether the model tells texts apart by the types of their tokens.

    Returns:
        The same tokenizer, changed so. The token after which others are of the second type, where there are two.
    """
    from tokenizers import Tokenizer

    said = json.loads(tokenizer)
    two = Tokenizer.from_str(json.dumps(said | {"truncation": None})).encode("a b", "a b")
    between = _between(two)
    changed = _with_separator(said, [two.tokens[place] for place in between])
    joined = Tokenizer.from_str(json.dumps(changed | {"truncation": None})).encode(f"a b {SEPARATOR} a b")
    last = two.ids[between[-1]] if between else None
    of_second = [int(last in two.ids[:place]) for place in range(len(two.ids))]
    of_one_type = not of_two_types or not any(two.type_ids)
    if last is None or joined.ids != two.ids or not (of_one_type or two.type_ids == of_second):
        raise StillhouseError(
            "a tokenizer to which two texts are not two texts with tokens of its own between them",
            where=where,
            expected="a classifier of pairs, which reads such as `[CLS] query [SEP] document [SEP]`",
            do="Choose another classifier, or have this one's numbers kept in a file (kind: stored).",
        )
    return json.dumps(changed, ensure_ascii=False, indent=2), None if of_one_type else last


def _between(two: "Encoding") -> list[int]:
    """Places of the special tokens between two texts."""
    words = [place for place, is_special in enumerate(two.special_tokens_mask) if not is_special]
    return next(([*range(before + 1, after)] for before, after in pairwise(words) if after > before + 1), [])


def _with_separator(said: Mapping[str, Any], between: Sequence[str]) -> dict[str, Any]:
    """A tokenizer.json to which our separator and the blanks around it are the tokens that it has between two texts."""
    tokens = [dict(token) for token in said.get("added_tokens") or ()]
    for token in tokens:
        if token["content"] == SEPARATOR:
            token |= {"lstrip": True, "rstrip": True}
        elif token["content"] in between:
            token["normalized"] = True  # so that it is found in what the step below has written
    if [*between] == [SEPARATOR]:
        return {**said, "added_tokens": tokens}
    blanks = rf"\s*{re.escape(SEPARATOR)}\s*"
    step = {"type": "Replace", "pattern": {"Regex": blanks}, "content": "".join(between)}
    steps = [step, *([said["normalizer"]] if said.get("normalizer") else [])]
    return {**said, "added_tokens": tokens, "normalizer": {"type": "Sequence", "normalizers": steps}}


def has_sigmoid(published: Path) -> bool:
    """Whether what a published head answers is the sigmoid of its logit, as sentence-transformers writes it down.

    Raises:
        StillhouseError: if it is something else than that or the logit itself.
    """
    path = published / "config.json"
    config = json.loads(path.read_text("utf-8"))
    of_theirs = config.get("sentence_transformers")
    said = of_theirs.get("activation_fn") if isinstance(of_theirs, dict) else None
    named = str(said or config.get("sbert_ce_default_activation_function") or "Identity").rpartition(".")[2]
    if named not in ("Identity", "Sigmoid"):
        raise StillhouseError(
            f"an answer that is the {named} of the head's logit",
            where=str(path),
            expected="the logit itself (Identity), or its Sigmoid",
            do="Choose another teacher, or have this one's numbers kept in a file (kind: stored).",
        )
    return named == "Sigmoid"


def outputs_in_order(
    published: Path, names: Sequence[str], rename: Mapping[str, str], answer: TaskKind = "single_label"
) -> list[int]:
    """Which output of a published classifier is which of some names.

    Raises:
        StillhouseError: if they are not the same, or answer something else.
    """
    path = published / "config.json"
    config = json.loads(path.read_text("utf-8"))
    problem, there_are = config.get("problem_type"), outputs_of(config, str(path))
    _require_as_many_outputs(there_are, answer, str(path))
    if problem not in PROBLEMS[answer]:
        is_number = len(there_are) == 1
        others = [kind for kind, problems in PROBLEMS.items() if problem in problems and (kind in NUMBERS) == is_number]
        raise StillhouseError(
            f"a classifier for {problem or 'one label of several, as it says no problem_type'}",
            where=str(path),
            expected=f"problem_type {PROBLEMS[answer][-1]}, where data.answer is {answer}",
            do=f"Set `data.answer: {others[0]}`, or choose another teacher."
            if others
            else "Choose another teacher; what this one answers is no task of Stillhouse yet.",
        )
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        raise StillhouseError(
            "no classifier",
            where=str(path),
            expected="architectures that end in ForSequenceClassification",
            do="Set `teacher.kind: encoder`, or choose a classifier.",
        )
    if answer in NUMBERS:
        return [0]
    unknown = sorted(set(rename) - set(there_are))
    called = [rename.get(label, label) for label in there_are]
    if unknown or sorted(called) != sorted(names):
        wrong = f"there is no output {unknown[0]!r} to rename" if unknown else f"its outputs are {_listed(called)}"
        raise StillhouseError(
            wrong,
            where=str(path),
            expected=f"those of the rows: {_listed(names)}" if not unknown else f"one of {_listed(there_are)}",
            do="Say in `teacher.rename` what each of its outputs is called in the rows.",
        )
    return [called.index(name) for name in names]


def _require_as_many_outputs(outputs: Sequence[str], answer: TaskKind, where: str) -> None:
    """Refuse a head of one number where answers are labels, and one of several where they are numbers."""
    if len(outputs) > 1 and answer in NUMBERS:
        raise StillhouseError(
            f"a classifier of {len(outputs)} outputs ({_listed(outputs)}), of which none is a number",
            where=where,
            expected=f"one output, where data.answer is {answer}",
            do="Choose a model with one output; or have its labels learned (`data.answer: single_label`), or the "
            "numbers that they stand for from a file (`teacher.kind: stored`).",
        )
    if len(outputs) == 1 and answer not in NUMBERS:
        raise StillhouseError(
            "a classifier of one output, which is a number and no label",
            where=where,
            expected=f"an output for each label, where data.answer is {answer}",
            do="Set `data.answer: score` where labels are numbers, or choose another teacher.",
        )


def outputs_of(config: Mapping[str, Any], where: str) -> list[str]:
    """What a published classifier's outputs are called, in their order.

    Args:
        config: its config.json.
        where: what to name in an error.

    Raises:
        StillhouseError: if what it says of them is no name for each number from 0 on.
    """
    try:
        named = config.get("id2label") or {
            index: f"LABEL_{index}" for index in range(config.get("num_labels", _UNNAMED))
        }
        numbered = {int(index): str(label) for index, label in named.items()}
        return [numbered[index] for index in range(len(named))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # of 1, 2 and 3 nobody knows whose output 0 is
        raise StillhouseError(
            "the outputs of this classifier are not named by their numbers",
            where=where,
            expected='an id2label such as {"0": "no", "1": "yes"}, counted from 0',
            do="Restore the config that was published with the weights.",
        ) from error


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def _named(architecture: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }


def _read(folder: Path, kind: Any, **without: bool) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """The weights of a published model in fp32, and all that its config says of it.

    Args:
        folder: the model.
        kind: the class of transformers that loads models of this kind.
        without: parts that are not wanted.
    """
    import torch
    from transformers import PreTrainedConfig

    path = folder / "config.json"
    family = family_of(json.loads(path.read_text("utf-8")), str(path))
    config = described(folder, f"an encoder of type {family.model_type}")
    if config.pad_token_id is None:
        raise StillhouseError(
            "there is no pad_token_id",
            where=str(path),
            expected="the id of the token that fills texts up",
            do="Add it, as the tokenizer has it.",
        )
    if getattr(config, family.activation) not in ACTIVATIONS:
        raise StillhouseError(
            f"activation {getattr(config, family.activation)!r}",
            where=str(path),
            expected=" or ".join(ACTIVATIONS),
            do="Choose an encoder with such an activation.",
        )
    model = loaded(
        folder,
        kind,
        f"{kind.__name__} of type {family.model_type}",
        has_to_use=lambda name: f"{family.layers}." in name,
        dtype=torch.float32,
        **without,
    )
    of_every_model = PreTrainedConfig().to_dict()
    said = {name: value for name, value in config.to_dict().items() if name not in of_every_model}
    return model.state_dict(), {**said, "model_type": family.model_type}
