"""A release as it is served: verified, loaded, and asked one text at a time.

Belongs here: opening a bundle's folder and answering one text.
Does not: which release serves (desired.py), HTTP (app.py), the bundle's layout (release/bundle.py).

One text at a time, because int8 activations are scaled by the largest value of a whole batch: in a batch an answer
would depend on its neighbours, and would not be the one that was judged (microsoft/onnxruntime#10111).
"""

import json
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from stillhouse.arrays import Float32Array
from stillhouse.data.one_text import spelled
from stillhouse.digests import digest_of_folder
from stillhouse.errors import StillhouseError
from stillhouse.home import Home, recipes_folder
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.models.tokenization import MAX_CHARACTERS
from stillhouse.models.word_lookup import tokens_of_one
from stillhouse.recipe.reading import read_recipe, require_recipe_name
from stillhouse.records.builds import BuildStore
from stillhouse.records.deployments import serving_now
from stillhouse.release.bundle import MODEL, RECIPE, RECORD, ReleaseRecord, bundle_problems, task_of_bundle
from stillhouse.release.cascade import HandedOn, cascade_in
from stillhouse.release.probe import PROBE, Probe, probe_problems
from stillhouse.serving.one_row import read_row
from stillhouse.tasks import answers_with_sets, as_people_read_it
from stillhouse.tasks.extraction import Extraction
from stillhouse.tasks.label_sets import names_of, set_written
from stillhouse.tasks.numbers import written_number
from stillhouse.tasks.records import NoRecordError, record_in_cell, without_words
from stillhouse.tasks.score import NumericScore

if TYPE_CHECKING:
    from stillhouse.serving.teacher import ServingTeacher

_LONG_TEXT_CHARACTERS = 4_000
"""A token has some four, so that a model which reads 512 of them reads all that it can."""


class Said(NamedTuple):
    """What a release says to one text.

    Attributes:
        label: the answer; a number in its one spelling, and a record as JSON.
        confidence: calibrated probability that it is right; None where answers have none.
        tokens: that it read, special ones included.
        labels: those of the answer, sorted, where that is a set of labels; None where it is one.
    """

    label: str
    confidence: float | None
    tokens: int
    labels: tuple[str, ...] | None = None


class _OneAtATime(OnnxClassifier):
    """The classifier without what several texts at once need."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tokenizer = self._read.tokenizer
        longest = self._tokenizer.truncation
        assert longest is not None  # `load_tokenizer` sees to it
        self._attended = np.ones((1, longest["max_length"]), np.int64)
        self._tokens = tokens_of_one(self._tokenizer)

    def say(self, text: str) -> tuple[Float32Array, int]:
        """Logits of shape (1, classes), the same as those of `logits`, and how many tokens were read."""
        if self._records is not None:
            return self.logits([text]), len(self._read([text])[0])
        ids = self._tokens(text[:MAX_CHARACTERS])
        read = {"input_ids": np.array([ids], np.int64), "attention_mask": self._attended[:, : len(ids)]}
        logits: Float32Array = self._session.run(["logits"], read)[0]
        return logits, len(ids)


class LoadedRelease:
    """One release, ready to answer.

    Args:
        folder: of its bundle.
        release: its digest, as the store has hashed it.

    Attributes:
        cascade: by what it hands texts on to its teacher; None where it answers all of them.
        teacher: who is asked then; a server sets it.

    Raises:
        StillhouseError: if something in the bundle is missing or was altered.
    """

    def __init__(self, folder: Path, release: str) -> None:
        if problems := bundle_problems(folder):
            raise StillhouseError(
                "; ".join(problems),
                where=f"release {release[:12]}",
                expected="a whole bundle",
                do="Restore it from a copy; `stillhouse audit` says more.",
            )
        recipe = json.loads((folder / RECIPE).read_text("utf-8"))
        self.folder, self.release = folder, release
        self.record = ReleaseRecord.model_validate(json.loads((folder / RECORD).read_text("utf-8"))["record"])
        self.max_characters = int(recipe["data"]["max_characters"])
        self._model = _OneAtATime(folder / MODEL)
        self._temperature = self._model.temperature
        written = folder / PROBE
        self.probe = Probe.model_validate_json(written.read_bytes()) if written.is_file() else None
        self.cascade = cascade_in(folder)
        self.teacher: ServingTeacher | None = None
        self.task = task_of_bundle(folder, self._model.labels)
        self.gives_sets = answers_with_sets(self.task)
        self.gives_numbers = isinstance(self.task, NumericScore)
        self.gives_records = isinstance(self.task, Extraction)

    def prove(self) -> str:
        """Hold it against what it said where it was judged.

        Returns:
            What was found, in words.

        Raises:
            StillhouseError: if it answers otherwise here.
        """
        if self.probe is None:
            return "an earlier version made this release without a probe: its bytes are verified, its answers are not"
        problems = probe_problems(self.probe, lambda text: self._model.say(text)[0], self.task)
        if problems:
            raise StillhouseError(
                "; ".join(problems),
                where=f"release {self.release[:12]}",
                expected=f"on this processor the answers of the one it was judged on, within {self.probe.tolerance}",
                do="Serve it on a machine like that one, or release the student in a precision that rounds less.",
            )
        return f"{len(self.probe.texts)} texts are answered as where it was judged"

    @cached_property
    def labels(self) -> frozenset[str]:
        """All that it can answer, or that can be in the sets that it answers."""
        return frozenset(self._model.labels)

    @property
    def what_it_names(self) -> tuple[str, ...]:
        """Its labels, as people see them; of records the fields, as there are too many places of a text."""
        return tuple(self.task.spec.fields) if isinstance(self.task, Extraction) else tuple(self.task.names)

    @property
    def ends(self) -> dict[str, float]:
        """From which to which number it answers; nothing where answers are no numbers."""
        if not isinstance(self.task, NumericScore):
            return {}
        return {"lowest": self.task.lowest, "highest": self.task.highest}

    def can_be_true(self, label: str) -> bool:
        """Whether what somebody says is right is one of the labels, a set or number in its one spelling, or a record.

        A record may have more words than an answer can have: it is what is right all the same.
        """
        if self.gives_records:
            return self._record_said(label) is not None
        if self.gives_numbers:
            return bool(self.task.holds(pl.Series([label]))[0])
        if not self.gives_sets:
            return label in self.labels
        names = set_written(label)
        return names is not None and self.labels.issuperset(names)

    @property
    def what_can_be_true(self) -> str:
        """The same in words."""
        if isinstance(self.task, NumericScore):
            lowest, highest = written_number(self.task.lowest), written_number(self.task.highest)
            return f"a number from {lowest} to {highest}, or its text as answers are written"
        if isinstance(self.task, Extraction):
            named = ", ".join(self.task.spec.fields)
            return (
                f"a JSON object of {named}, or its text, with texts or null and the words that the text has; numbers "
                "only where fields are numbers"
            )
        return f"{'a list of labels' if self.gives_sets else 'a label'}, as GET of this recipe lists them"

    def as_kept(self, label: str, *, key: bytes, id: str) -> str:
        """What the traffic log has of an answer: of a record what has none of the words of a text (tasks/records.py).

        Args:
            label: the answer.
            key: of the installation, for this.
            id: of the answer.
        """
        return without_words(label, self.task.spec, key=key, id=id) if isinstance(self.task, Extraction) else label

    def truth_as_kept(self, truth: str | Mapping[str, str | float | None], *, key: bytes, id: str) -> str | None:
        """The same of what somebody says is right, as a text or as an object with numbers; None where it cannot be."""
        if not isinstance(truth, str):
            if not self._has_numbers_where_they_belong(truth):
                return None
            truth = json.dumps(truth)
        if not self.can_be_true(truth):
            return None
        said = self._record_said(truth) if self.gives_records else truth
        return None if said is None else self.as_kept(said, key=key, id=id)

    def _has_numbers_where_they_belong(self, said: Mapping[str, str | float | None]) -> bool:
        """A number that came in an object has lost its spelling: of words 12.5 is not 12.50, and of numbers it is."""
        spec = self.task.spec.fields if isinstance(self.task, Extraction) else {}
        return all(
            value is None or isinstance(value, str) or (name in spec and spec[name].kind == "number")
            for name, value in said.items()
        )

    def _record_said(self, text: str) -> str | None:
        """A record that somebody sent as answers are written; None where it is none of these fields."""
        assert isinstance(self.task, Extraction), "of a record there is no other"
        try:
            return record_in_cell(text, self.task.spec)
        except NoRecordError:
            return None

    def warm_up(self) -> None:
        """Ask a few texts, from short to longer than it reads, so that the first caller does not wait for memory."""
        names = self.task.names
        for text in [*names[:8], " ".join(names * (_LONG_TEXT_CHARACTERS // len(" ".join(names)) + 1))]:
            self.say(text)

    def handed_on(self, said: Said, columns: Mapping[str, str]) -> HandedOn | None:
        """Why the teacher is to answer in the place of the student; None where it is not.

        Args:
            said: what the student says.
            columns: what the caller says of the text, by column.
        """
        if self.cascade is None or said.confidence is None:
            return None
        return self.cascade.rule.hands_on(said.label, said.confidence, columns)

    def answer(self, text: str) -> Said:
        """Give a text the one spelling that it had in training, and ask the student.

        Raises:
            StillhouseError: if nothing in it can be seen.
        """
        clean = spelled(text)
        if not clean:
            raise StillhouseError(
                "the text is empty",
                where=f"release {self.release[:12]}",
                expected="a character that can be seen",
                do="Ask with a text.",
            )
        return self.say(clean)

    def say(self, clean: str) -> Said:
        """Ask about a text that has its one spelling.

        Raises:
            StillhouseError: if the outputs of the model are no numbers, and so no answer.
        """
        logits, tokens = self._model.say(clean)
        if self.gives_numbers and not math.isfinite(logits[0, 0]):
            raise self._no_answer("number")
        label, confidence = read_row(self.task, logits, self._temperature)
        if confidence is not None and not math.isfinite(confidence):
            raise self._no_answer("probability")
        if self.gives_records:
            label = as_people_read_it(self.task, label, clean)
        return Said(label, confidence, tokens, names_of(label) if self.gives_sets else None)

    def _no_answer(self, what: str) -> StillhouseError:
        """What a caller gets in the place of an answer that would say `nan`, or be the first of all there are."""
        return StillhouseError(
            f"the model gives no {what} to this text",
            where=f"release {self.release[:12]}",
            expected=f"a finite {what}",
            do="Go back to an earlier release; `stillhouse audit` says whether its files are what they were.",
        )


def load(path_or_recipe: str | Path) -> LoadedRelease:
    """Load a release without a server: that of a bundle's folder, or the one that serves for a recipe.

    Args:
        path_or_recipe: a folder with `release.json`, or the name of a recipe of this installation.

    Raises:
        StillhouseError: if there is no such folder or recipe, nothing serves yet, or the bundle was altered.
    """
    if isinstance(path_or_recipe, Path) or (Path(path_or_recipe) / RECORD).is_file():
        folder = Path(path_or_recipe)
        _require_a_bundle(folder)
        return LoadedRelease(folder, digest_of_folder(folder))
    name = require_recipe_name(path_or_recipe, "recipe")
    read_recipe(recipes_folder() / name / "defs.yaml")  # says of a misspelt name that there is no such recipe
    builds = BuildStore(Home.from_environment())
    champion = serving_now(builds.ledger, name).champion
    return LoadedRelease(builds.artifact(champion.release, champion.manifest).folder, champion.release)


def _require_a_bundle(folder: Path) -> None:
    """Say of a folder that is no bundle what it is; of one that was altered the bundle's own problems are said."""
    do = "Name the recipe, and what serves is loaded."
    if not folder.is_dir():
        what = "there is no such folder"
    elif not (folder / RECORD).is_file():
        what = f"{RECORD} is missing"
    elif (folder / "model.onnx").is_file() and not (folder / MODEL).exists():
        from stillhouse.release.standalone import LOADER

        what = "it is what `stillhouse export` wrote, which needs no Stillhouse"
        do = f'Ask it by `python {folder / LOADER} "a text"`; its README.md says how in Python.'
    else:
        return
    raise StillhouseError(what, where=str(folder), expected="the folder of a release, or the name of a recipe", do=do)
