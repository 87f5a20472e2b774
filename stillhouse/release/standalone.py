"""A released model as a folder that runs where Stillhouse is not installed.

Belongs here: the folder's layout, the confidence or the number inside the graph, the cleaning of texts inside the
tokenizer.
Does not: the bundle that is kept as evidence (bundle.py), which release serves (records/champions.py).

What was certified is what is served: calls of the folder's model give the probability that was calibrated, or the
number that was judged, and its tokenizer gives a text the one spelling that training and evaluation gave it.
"""

import errno
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from stillhouse.arrays import Float32Array, FloatArray
from stillhouse.digests import digest_of_file, files_below
from stillhouse.errors import StillhouseError
from stillhouse.files import make_folder, move_into_place, plain_disk_errors
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.tokenization import load_tokenizer
from stillhouse.recipe.data import TaskKind
from stillhouse.release.bundle import MODEL, RECORD, ReleaseRecord
from stillhouse.release.card import CardRecipe, CardReport, model_card
from stillhouse.release.standalone_record import compare_records, write_for_records
from stillhouse.statistics.softmax import log_softmax
from stillhouse.tasks import task_of
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.score import NumericScore
from stillhouse.tasks.task import Task

CONFIDENCE = "confidence"
"""The output that is added to the graph: shape (batch, labels), probabilities; those of classes add up to 1."""
NUMBER = "score"
"""The same where answers are numbers: shape (batch, 1)."""
LOADER = "classify.py"
_INVISIBLE = (
    r"[\p{Cc}&&[^\s]]"
    r"|[\x{00AD}\x{061C}\x{200B}\x{200E}\x{200F}\x{2060}-\x{2064}\x{2066}-\x{206F}\x{202A}-\x{202E}\x{FEFF}]"
)
"""As in data/cleaning.py, in the spelling of tokenizers' engine (Oniguruma); a test holds the two alike."""
_CLOSE = 1e-3
"""One thread or several may add in another order, and a value on the edge of an int8 step then falls on its other
side."""


def write_standalone(bundle: Path, release: str, target: Path) -> int:
    """Write a release as a folder: model.onnx, tokenizer.json, classify.py, README.md, release.json, and labels.json or
    what of records has the place of it.

    Args:
        bundle: folder of the release, as the store opens it after hashing every byte.
        release: its digest.
        target: a folder that is empty or not there yet; it holds all of it in the end, or is as it was.

    Returns:
        Size of all files in bytes.

    Raises:
        StillhouseError: if there is something in `target`.
    """
    with plain_disk_errors(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise _is_taken(target)
        make_folder(target.parent)
        # In a folder of its own, so that two at once do not write into each other's.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
            partial = Path(scratch) / "partial"
            partial.mkdir()
            _fill(partial, bundle, release)
            try:
                move_into_place(partial, target)  # over an empty folder, too
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                raise _is_taken(target) from error
    return sum(path.stat().st_size for path in files_below(target))


def _is_taken(target: Path) -> StillhouseError:
    return StillhouseError(
        "there is something already",
        where=str(target),
        expected="an empty folder, or one that does not exist yet",
        do="Name another folder, or remove this one.",
    )


def _fill(folder: Path, bundle: Path, release: str) -> None:
    recipe = CardRecipe.model_validate_json((bundle / "recipe.json").read_bytes())
    released = OnnxClassifier(bundle / MODEL)
    task = task_of(recipe.data.answer, released.labels, recipe.data.details)
    tokenizer = json.loads(load_tokenizer(bundle / MODEL).to_str())
    if isinstance(task, Extraction):
        _write_tokenizer(folder, tokenizer)  # as it is: where words are is known of a text that was cleaned before
        write_for_records(folder, bundle, task, LOADER)
        compare_records(folder, bundle, task, LOADER)
    else:
        gives = GIVES[recipe.data.answer]
        _add_output(released, gives, task, folder / "model.onnx")
        _write_tokenizer(folder, _with_cleaning(tokenizer))
        if gives.output == CONFIDENCE:
            labels = json.dumps(released.labels, ensure_ascii=False, indent=1)
            (folder / "labels.json").write_text(f"{labels}\n", "utf-8")
        _compare(released, gives, task, folder)
        (folder / LOADER).write_text(files("stillhouse.release").joinpath(gives.loader).read_text("utf-8"), "utf-8")
    written = json.loads((bundle / RECORD).read_text("utf-8"))["record"]
    record = ReleaseRecord.model_validate(written)
    report = CardReport.model_validate_json((bundle / "report.json").read_bytes())
    max_tokens = tokenizer["truncation"]["max_length"]
    (folder / "README.md").write_text(
        model_card(recipe, report, record, released.labels, max_tokens=max_tokens, exported_from=release), "utf-8"
    )
    digests = {path.relative_to(folder).as_posix(): digest_of_file(path) for path in files_below(folder)}
    content = {"release": release, "record": written, "files": digests}
    (folder / RECORD).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", "utf-8")


def _write_tokenizer(folder: Path, tokenizer: dict[str, Any]) -> None:
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), "utf-8")


def _add_output(released: OnnxClassifier, gives: "Given", task: Task, target: Path) -> None:
    """Make probabilities at the certified temperature or a number of the logits, inside the graph; the weights stay."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(released.folder / "model.onnx")
    graph = model.graph
    (logits,) = graph.output
    steps, before = gives.steps(released.temperature, task), logits.name
    for step in steps:
        constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in step.by.items()]
        graph.initializer.extend(constants)
        after = gives.output if step is steps[-1] else f"before_{step.operation.lower()}_{before}"
        inputs = [before, *(constant.name for constant in constants)]
        graph.node.append(helper.make_node(step.operation, inputs, [after], **step.settings))
        before = after
    shape = [place.dim_param or place.dim_value for place in logits.type.tensor_type.shape.dim]
    graph.output.append(helper.make_tensor_value_info(gives.output, TensorProto.FLOAT, shape))
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _compare(released: OnnxClassifier, gives: "Given", task: Task, folder: Path) -> None:
    """Ask the folder as a stranger would, and the released model, the same texts: short ones, and more than they read.

    Raises:
        StillhouseError: if a confidence is not the one at the certified temperature, or a number another one.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # As the loader opens it, and as it was judged: fused, a sum is rounded otherwise, and on some processors what the
    # runtime alone does to an int8 model is then more than what was done to it here may be.
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )
    for text in [*released.labels[:20], " ".join(released.labels * 20)]:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        said = session.run([gives.output], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
        expected, close = gives.expected(released.logits([text]), released.temperature, task), _CLOSE * gives.span(task)
        if np.abs(said - expected).max() > close:
            raise StillhouseError(
                f"its {gives.output} is {np.abs(said - expected).max():.1e} away from that of the release",
                where=str(folder),
                expected=f"the same {gives.output}, within {close:g}",
                do="Report this as a fault of Stillhouse, with the versions of onnx, onnxruntime and tokenizers.",
            )


@dataclass(frozen=True)
class Step:
    """One operation on the logits.

    Args:
        operation: of ONNX.
        by: further inputs, by name: numbers.
        settings: of that operation.
    """

    operation: str
    by: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """What the graph of a folder gives beside logits.

    Args:
        output: what it is called.
        steps: from the temperature and the task to how it is made of the logits.
        expected: the same in numpy, of logits.
        span: between the least and the most that it is, as one is held against the other.
        loader: the file that becomes classify.py.
    """

    output: str
    steps: Callable[[float, Task], tuple[Step, ...]]
    expected: Callable[[Float32Array, float, Task], FloatArray]
    span: Callable[[Task], float]
    loader: str


def _probabilities(last: Step, expected: Callable[[FloatArray], FloatArray], loader: str) -> Given:
    return Given(
        CONFIDENCE,
        lambda temperature, task: (Step("Div", {"certified_temperature": temperature}), last),
        lambda logits, temperature, task: expected(np.asarray(logits, np.float64) / temperature),
        lambda task: 1.0,
        loader,
    )


def _softmax(logits: FloatArray) -> FloatArray:
    return np.asarray(np.exp(log_softmax(logits)))


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))


def _to_number(temperature: float, task: Task) -> tuple[Step, ...]:
    score = _score(task)
    return Step("Mul", {"half_of_the_range": score.half}), Step("Add", {"middle_of_the_range": score.middle})


def _score(task: Task) -> NumericScore:
    assert isinstance(task, NumericScore), "of a number there is no other"
    return task


GIVES: dict[TaskKind, Given] = {
    "single_label": _probabilities(Step("Softmax", settings={"axis": -1}), _softmax, "classify.py.j2"),
    "multi_label": _probabilities(Step("Sigmoid"), _sigmoid, "classify_sets.py.j2"),
    "score": Given(
        NUMBER,
        _to_number,
        lambda logits, temperature, task: _score(task).numbers(logits),
        lambda task: _score(task).half,
        "classify_score.py.j2",
    ),
}
"""By the kind of answer; of a record more is needed than a graph can give (standalone_record.py)."""


def _with_cleaning(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Have a tokenizer give a text its one spelling (data/cleaning.py) before anything else is done to it."""
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"Regex": _INVISIBLE}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "NFC"},
    ]
    own = tokenizer["normalizer"]
    return {**tokenizer, "normalizer": {"type": "Sequence", "normalizers": [*steps, *([own] if own else [])]}}
