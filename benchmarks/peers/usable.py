"""The game of model2vec and SetFit: from an encoder and labelled questions to a classifier that one can use.

Belongs here: the questions, the job, and how a classifier is tried once it is there. Does not: making one.

The encoder is MiniLM in a local folder. SetFit is for few labels: FEW of each of six, and the other questions without.
model2vec is for speed: all of TRAIN questions have labels. Who wants the unlabelled ones may have them.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FEW = 8
TRAIN, GOLDEN = 1_200, 1_000
TIMED = 200
"""Golden texts that are answered one by one, on one thread."""


@dataclass(frozen=True)
class Game:
    """What is given.

    Args:
        encoder: folder of a sentence encoder, as transformers has it.
        rows: file of the questions, see `write_rows`.
        out: folder for whatever is written.
        static: whether what is wanted is a static model, without a layer; of Stillhouse alone.
    """

    encoder: str
    rows: str
    out: str
    static: bool = False

    def labelled(self) -> tuple[list[str], list[str]]:
        """Texts and their labels."""
        found = [(row["text"], row["label"]) for row in self._rows("train") if row["label"] is not None]
        return [text for text, _ in found], [label for _, label in found]

    def unlabelled(self) -> list[str]:
        """Texts without a label."""
        return [row["text"] for row in self._rows("train") if row["label"] is None]

    def golden(self) -> tuple[list[str], list[str]]:
        """Texts and labels that nobody learns from."""
        rows = self._rows("golden")
        return [row["text"] for row in rows], [row["label"] for row in rows]

    def _rows(self, part: str) -> list[dict[str, str]]:
        return [row for row in json.loads(Path(self.rows).read_text("utf-8")) if row["part"] == part]

    def write(self, path: Path) -> None:
        """Write it for another process."""
        path.write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Usable:
    """What came of it.

    Args:
        seconds: from texts in memory and the encoder on disk to the classifier on disk.
        accuracy: on the golden questions.
        ms: wall time of one answer, the median of TIMED, on one thread.
        mb: of the classifier's folder, in 1e6 bytes.
    """

    seconds: float
    accuracy: float
    ms: float
    mb: float

    def show(self) -> None:
        """Print it as the last line."""
        print(json.dumps(asdict(self)))


def asked() -> Game:
    """The game that this process was started with."""
    return Game(**json.loads(Path(sys.argv[1]).read_text()))


def tried(game: Game, seconds: float, answer: Callable[[list[str]], Sequence[str]], folder: Path) -> Usable:
    """Try a classifier on the golden questions, all at once for its accuracy and one by one for its speed.

    Args:
        game: with the questions.
        seconds: that it took to make.
        answer: gives the label of each text.
        folder: where it is.
    """
    import torch

    texts, labels = game.golden()
    right = sum(str(said) == label for said, label in zip(answer(texts), labels, strict=True))
    torch.set_num_threads(1)
    took = []
    for text in texts[:TIMED]:
        start = time.perf_counter()
        answer([text])
        took.append(time.perf_counter() - start)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Usable(seconds, right / len(texts), 1e3 * sorted(took)[len(took) // 2], size / 1e6)


def write_rows(path: Path, few: int | None) -> None:
    """Write questions of TREC, of which as many of each label as said keep it; all of them where none is said."""
    from tests.small import questions

    every = questions(10_000).sample(fraction=1.0, shuffle=True, seed=0).head(TRAIN + GOLDEN)
    left: dict[str, int] = {}
    rows = []
    for place, (text, label) in enumerate(every.select("question", "service").iter_rows()):
        golden = place >= TRAIN
        left[label] = left.get(label, TRAIN if few is None else few) - (not golden)
        known = label if golden or left[label] >= 0 else None
        rows.append({"text": text, "label": known, "part": "golden" if golden else "train"})
    path.write_text(json.dumps(rows), "utf-8")
