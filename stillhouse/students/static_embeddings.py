"""Static embeddings of a teacher: one fixed vector for each word piece, so that a text costs a look-up and a mean.

The method of model2vec (https://github.com/MinishLab/model2vec, `distill_from_model` of 0.10.0), on our own network,
because its package wants transformers < 5.4.

Belongs here: making the table from a teacher, embedding texts with it, and the student that starts with it.
Does not: the baseline's classifier on top, which is a linear probe like any other (evaluation/baselines/fitted.py), the
network of the student (models/network.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stillhouse.arrays import Float32Array, FloatArray, IntArray
from stillhouse.models.family import family_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from stillhouse.models.network import TextClassifier


DIMENSIONS = 256
"""Principal components that are kept: the default of model2vec."""

SIF = 1e-4
"""Smooth inverse frequency: what a piece weighs at most is cut down from about this frequency on (model2vec's default,
after Arora et al. 2017, A Simple but Tough-to-Beat Baseline for Sentence Embeddings)."""

BATCH = 256
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class StaticEmbeddings:
    """A vector for each word piece.

    Args:
        table: shape (vocabulary, dimensions), int8 of one scale; rows of pieces that stand for no text are zero.
        tokenizer: which pieces a text has.
        size_bytes: of table and tokenizer, as they would ship.
    """

    table: npt.NDArray[np.int8]
    tokenizer: "Tokenizer"
    size_bytes: int

    def embed(self, texts: Sequence[str]) -> Float32Array:
        """Mean of the vectors of each text's pieces at length 1, shape (texts, dimensions); zero for an empty text."""
        sums = np.array(
            [
                self.table[encoding.ids].sum(axis=0, dtype=np.int64)
                for encoding in self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
            ],
            dtype=np.float32,
        )
        # At length 1 the mean is the sum, and no scale is needed; a sum of integers that is not zero is 1 or longer.
        return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1), dtype=np.float32)


def static_embeddings(teacher: Path, dimensions: int = DIMENSIONS) -> StaticEmbeddings:
    """Ask the teacher every word piece of its vocabulary by itself and keep what it makes of each.

    Args:
        teacher: a model folder.
        dimensions: principal components to keep; at most the width of the teacher.

    Returns:
        The table in int8, and what embeds texts with it. A piece weighs what smooth inverse frequency gives it, its
        frequency being Zipf's for its place in the vocabulary, which is ordered by frequency.
    """
    tokenizer, rows = _vectors(teacher, dimensions)
    table = np.round(rows * (127 / np.abs(rows).max())).astype(np.int8)
    size = table.nbytes + (teacher / "tokenizer.json").stat().st_size
    return StaticEmbeddings(table, tokenizer, size)


def static_student(teacher: Path, dimensions: int, out: Path) -> int:
    """Write a student that has no layer: a text is the mean of its pieces' vectors, and a linear classifier is on top.

    Args:
        teacher: a model folder; what its vocabulary holds is kept.
        dimensions: of a vector.
        out: the model folder to write.

    Returns:
        Its number of weights.
    """
    import torch

    from stillhouse.models import network

    config = network.read_config(teacher)
    network.require_own_tokenizer(teacher, config)
    _, rows = _vectors(teacher, dimensions)
    table = np.zeros((config["vocab_size"], rows.shape[1]), np.float32)
    widths = np.maximum(rows.std(axis=0), np.finfo(np.float32).tiny)
    table[: len(rows)] = rows / widths
    outputs = len(config["id2label"])
    weights = {
        "vectors.weight": torch.from_numpy(table),
        "widths": torch.from_numpy(widths.astype(np.float32)),
        "classifier.weight": torch.zeros(outputs, table.shape[1]),  # so that nothing is drawn, and nothing is preferred
        "classifier.bias": torch.zeros(outputs),
    }
    config = family_of(config, str(teacher)).with_layers(config, ())
    described = {**config, "architectures": ["StaticClassifier"], "dimensions": table.shape[1]}
    network.save(weights, described, (teacher / "tokenizer.json").read_text("utf-8"), out)
    return sum(tensor.numel() for tensor in weights.values())


def _vectors(teacher: Path, dimensions: int) -> tuple["Tokenizer", FloatArray]:
    """The weighted vector of each id, shape (ids, dimensions); zero for what stands for no text."""
    from stillhouse.models import network
    from stillhouse.models.tokenization import load_tokenizer

    tokenizer = load_tokenizer(teacher)
    vocabulary = tokenizer.get_vocab()
    special = {token_id for token_id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    of_texts = {token_id for piece, token_id in vocabulary.items() if not _UNUSED.fullmatch(piece)} - special
    pieces = np.array(sorted(of_texts))
    answers = _asked_one_by_one(network.load(teacher), pieces, _frame(tokenizer))
    weighted = principal_components(answers, dimensions) * zipf_weights(len(pieces))[:, None]
    rows = np.zeros((max(vocabulary.values()) + 1, weighted.shape[1]))
    rows[pieces] = weighted
    return tokenizer, rows


def principal_components(rows: npt.NDArray[np.floating], dimensions: int) -> FloatArray:
    """The rows in the coordinates of their `dimensions` widest directions, shape (rows, dimensions), widest first."""
    centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0, dtype=np.float64)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.asarray(centred @ directions[:, ::-1][:, :dimensions])


def zipf_weights(number: int) -> FloatArray:
    """Smooth inverse frequency weights, shape (number,), of pieces from the most frequent to the rarest."""
    frequencies = 1 / np.arange(2, number + 2)
    return np.asarray(SIF / (SIF + frequencies / frequencies.sum()))


def _frame(tokenizer: "Tokenizer") -> tuple[list[int], list[int]]:
    """The special tokens before a text, and those after it."""
    encoding = tokenizer.encode("a")
    of_text = [index for index, is_special in enumerate(encoding.special_tokens_mask) if not is_special]
    return encoding.ids[: of_text[0]], encoding.ids[of_text[-1] + 1 :]


def _asked_one_by_one(network: "TextClassifier", pieces: IntArray, frame: tuple[list[int], list[int]]) -> Float32Array:
    """Pooled states of shape (pieces, width), each piece between the special tokens of a text."""
    import torch

    before, after = frame
    answers = []
    with torch.inference_mode():
        for start in range(0, len(pieces), BATCH):
            batch = pieces[start : start + BATCH]
            around = [*(np.full_like(batch, token) for token in before), batch]
            around += [np.full_like(batch, token) for token in after]
            ids = torch.from_numpy(np.stack(around, axis=1))
            answers.append(network(ids, torch.ones_like(ids))[1].numpy())
    return np.concatenate(answers)
