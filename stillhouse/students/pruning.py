"""Making a smaller model out of a larger one before any training.

Belongs here: cutting encoder layers, narrowing feed-forward blocks.
Does not: trimming the vocabulary (vocabulary.py), the network itself (models/network.py), training what is left
(models/training.py).
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.models.family import family_of
from stillhouse.recipe.students import StudentSpec
from stillhouse.students.static_embeddings import static_student
from stillhouse.students.vocabulary import VocabularyTrim, trim_vocabulary


def cut_from(teacher: Path, student: StudentSpec, texts: Iterable[str], out: Path) -> VocabularyTrim | None:
    """Write what a student starts from: layers of the teacher, narrowed and with the vocabulary of the task.

    Args:
        teacher: model folder of the fine-tuned teacher.
        student: which layers, how wide, and whether the vocabulary is trimmed.
        texts: those of the transfer set, whose vocabulary is kept.
        out: the model folder to write.

    Returns:
        What trimming the vocabulary kept; None where it is not trimmed.
    """
    if not student.layers:
        return _without_layers(teacher, student, texts, out)
    drop_layers(teacher, student.layers, out)
    if student.feed_forward is not None:
        prune_feed_forward(out, student.feed_forward, out)
    return trim_vocabulary(out, texts, out) if student.trim_vocabulary else None


def _without_layers(teacher: Path, student: StudentSpec, texts: Iterable[str], out: Path) -> VocabularyTrim | None:
    """The words first, as the teacher is asked about each of those that are left."""
    if not student.trim_vocabulary:
        static_student(teacher, student.dimensions, out)
        return None
    trimmed = out.with_name(f"{out.name} trimmed")
    trim = trim_vocabulary(teacher, texts, trimmed)
    parameters = static_student(trimmed, student.dimensions, out)
    shutil.rmtree(trimmed)
    return replace(trim, parameters=parameters)


def drop_layers(teacher: Path, layers: Sequence[int], out: Path) -> None:
    """Make a student from some of a fine-tuned teacher's layers, its embeddings and its classifier.

    A student that starts as a part of its teacher beats a fresh one of the same size (DistilBERT, arXiv:1910.01108).

    Args:
        teacher: a model folder.
        layers: which encoder layers to keep, counted from 0, in rising order.
        out: the model folder to write.

    Raises:
        StillhouseError: if the layers are not a rising choice of those that the teacher has, or leave out a first layer
            that has to stay.
    """
    from safetensors.torch import load_file

    from stillhouse.models import network

    config = network.read_config(teacher)
    network.require_own_tokenizer(teacher, config)
    family = family_of(config, str(teacher))
    expected = family.layers_expected(layers, config)
    if expected is not None:
        raise StillhouseError(
            f"layers {list(layers)}",
            where=str(teacher),
            expected=expected,
            do="Correct the student's layers in the recipe.",
        )
    prefix = family.weight(f"{family.layers}.")
    index_of = {str(old): str(new) for new, old in enumerate(layers)}
    weights = {}
    for name, tensor in load_file(teacher / "model.safetensors").items():
        number, _, rest = name.removeprefix(prefix).partition(".")
        if not name.startswith(prefix):
            weights[name] = tensor
        elif number in index_of:
            weights[f"{prefix}{index_of[number]}.{rest}"] = tensor
    network.save(weights, family.with_layers(config, layers), _tokenizer_text(teacher), out)


def prune_feed_forward(model: Path, width: int, out: Path) -> None:
    """Keep the `width` most important hidden units of every feed-forward block.

    Two thirds of a layer's weights are in its feed-forward block, and a student needs fewer of them than its teacher. A
    unit counts as the product of the norms of the weights that lead to it, its gate among them, and from it: what it
    can contribute at most (weight magnitude as in Han et al., arXiv:1506.02626, taken by whole units so that the result
    is dense and small).

    Args:
        model: a model folder.
        width: units to keep in each block.
        out: the model folder to write; may be `model`.

    Raises:
        StillhouseError: if the blocks have no more than `width` units, or `width` is not positive.
    """
    import torch
    from safetensors.torch import load_file

    from stillhouse.models import network

    config = network.read_config(model)
    network.require_own_tokenizer(model, config)
    family = family_of(config, str(model))
    sizes, names = family.sizes(config), family.feed_forward
    if not 0 < width < sizes.units:
        raise StillhouseError(
            f"a feed-forward width of {width}",
            where=str(model),
            expected=f"between 1 and {sizes.units - 1}",
            do="Correct the student's feed_forward in the recipe.",
        )
    weights = load_file(model / "model.safetensors")
    for number in range(sizes.layers):
        out_of = family.in_layer(number, f"{names.out_of}.weight")
        into = [family.in_layer(number, f"{name}.weight") for name in names.into]
        reach = weights[out_of].norm(dim=0)
        for name in into:
            for part in torch.split(weights[name], sizes.units):
                reach = reach * part.norm(dim=1)
        # in the old order, so that the result is one and the same
        kept = torch.topk(reach, width).indices.sort().values
        rows = torch.cat([kept, kept + sizes.units]) if names.fused else kept
        for name in into:
            weights[name] = weights[name][rows]
            bias = f"{name.removesuffix('weight')}bias"
            if bias in weights:
                weights[bias] = weights[bias][rows]
        weights[out_of] = weights[out_of][:, kept]
    network.save(weights, family.with_units(config, width), _tokenizer_text(model), out)


def _tokenizer_text(folder: Path) -> str:
    return (folder / "tokenizer.json").read_text("utf-8")
