"""The text of a new recipe.

Belongs here: its template, and writing each value as YAML itself does.
Does not: which values (suggestions.py), putting it in place (writing.py).
"""

import math
from collections.abc import Iterable, Mapping
from string import Template

import yaml

from orchestration.scaffold.open_questions import Answers
from orchestration.scaffold.suggestions import Suggestion
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.teacher import AnswersFormat
from stillhouse.wording import percent, points

_TEMPLATE = Template("""\
# Written for $rows rows with $labels labels. Every field: `stillhouse schema`.
$looked# What only a person can answer is marked OPEN: gates of the contract ask for it, and nothing is trained before.
type: orchestration.component.DistillationRecipe
attributes:
  task: $task
  pain: $pain
  owners: [$owner]

$taught_by

  data:
    source: $data
$reading    text: $text
    label: $label
$golden_file    licence: $licence

  split:
    key: $key
    golden_share: $golden           # about $golden_rows rows that only evaluation sees
    validation_share: $validation

  # Parts judged on their own: {name: ..., column: ..., values: [...], critical: true}; column label is the class.
  slices:$slices

  bar:
    metric: $metric                 # $because
    margin: $margin                 # $provable

$budget

$students

  refresh:
    cron: "0 3 * * 1"
""")
_AN_ENCODER = Template("""\
  teacher:
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0
    training_on_outputs: $outputs
    reason: A small encoder, pre-trained on a billion sentence pairs, that runs on this machine.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying
    training: {epochs: 4, learning_rate: 2.0e-4, loss: labels, dropout: 0.1, max_tokens: $tokens}""")
_ANSWERS = Template("""\
  teacher:
    kind: stored
    source: $stored
    answers: {format: $format}          # table, chat or batch; fields and patterns: docs/stored-completions.md
    revision: $stored    # say here which model gave the answers, and when
    licence: $terms
    training_on_outputs: $outputs
    reason: It answers these texts today, and what it answered was kept.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying

  base:                             # students are cut from it
    source: $teacher
    revision: $revision
    fingerprint: $fingerprint
    licence: Apache-2.0""")
_BESIDE_AN_ENCODER = """\
  budget:                           # what for? at 4 or less the int8 teacher is often enough, and the run says so
    latency_ratio_at_least: 6
    size_ratio_at_least: 6"""
_BESIDE_ANSWERS = """\
  budget:                           # what may a call and the files of a student take where it serves?
    latency_ms_at_most: 20
    size_mb_at_most: 25"""
_STUDENT = Template("""\
    - name: $name
      layers: $layers
      feed_forward: 256
      training: {epochs: 6, ${loss}max_tokens: $tokens}""")
_CONTROL = Template("""\
    - name: ${name}_labels_only
      layers: $layers
      feed_forward: 256
      learns_from: labels
      training: {epochs: 6, loss: labels, max_tokens: $tokens}""")
_SHAPES = {"five_layers": [0, 1, 3, 4, 5], "two_layers": [0, 5]}


def recipe_text(
    values: Mapping[str, str | float],
    reading: Iterable[str],
    *,
    answers: Answers,
    suggested: Suggestion,
    max_tokens: int,
    seen: Iterable[str],
    rows: int,
    labels: int,
    taught: bool = True,
    golden: str | None = None,
    stored: str | None = None,
    answers_format: AnswersFormat = AnswersFormat.TABLE,
) -> str:
    """Fill the template, each value as YAML itself writes it.

    Args:
        values: by their names in the template: task, owner, teacher, revision, fingerprint, data, text, label and key.
        reading: lines that say how the rows are read.
        answers: what a person has said.
        suggested: what follows from the rows.
        max_tokens: of every training.
        seen: what was seen of the rows, one sentence each.
        rows: that can be used.
        labels: that they have.
        taught: whether rows to train on have labels; else the golden file has all there are.
        golden: address of the golden file.
        stored: address of a teacher's stored answers; an encoder is trained when None.
        answers_format: of those.
    """
    skewed = suggested.metric == "macro_f1"
    provable = "nothing" if suggested.provable is None else points(suggested.provable)
    written = {name: scalar(value) for name, value in values.items()}
    asked = {field: f"  # OPEN: {question}" for field, question in answers.open.items()}
    outputs = {True: "allowed", False: "forbidden", None: "unknown"}[answers.outputs_may_train]
    teacher = _AN_ENCODER if stored is None else _ANSWERS
    taught_by = teacher.substitute(
        written,
        stored=scalar(stored or ""),
        format=answers_format.value,
        terms=f"{scalar('')}  # OPEN: the terms under which it answered",
        outputs=outputs + asked.get("training_on_outputs", ""),
        minimum=suggested.minimum_accuracy,
        majority=percent(suggested.majority_share),
        tokens=max_tokens,
    )
    label_there = "" if taught else f"    golden_label: {written['label']}\n"
    return _TEMPLATE.substitute(
        {**written, "label": written["label"] if taught else "null"},
        taught_by=taught_by,
        golden_file=f"    golden: {scalar(golden)}\n{label_there}" if golden else "",
        budget=_BESIDE_AN_ENCODER if stored is None else _BESIDE_ANSWERS,
        students=_students(max_tokens, controls=taught, loss="" if stored is None else "loss: kl, "),
        reading="".join(f"    {line}\n" for line in reading),
        rows=f"{rows:,}",
        labels=f"{labels:,}",
        looked="".join(f"# {sentence}.\n" for sentence in seen),
        pain=f"[{', '.join(answers.pain)}]{asked.get('pain', '')}",
        licence=scalar(answers.licence) + asked.get("licence", ""),
        golden=suggested.golden_share,
        golden_rows=f"{suggested.golden_rows:,}",
        validation=suggested.validation_share,
        slices="".join(f"\n    - {_slice(each)}" for each in suggested.slices) or " []",
        metric=suggested.metric,
        because="each class weighs the same, since one has most rows" if skewed else "or macro_f1, recall, ndcg",
        margin=suggested.margin,
        provable=f"largest acceptable drop from the teacher; an equal student is shown to hold {provable} points",
    )


def _students(max_tokens: int, *, controls: bool, loss: str) -> str:
    """Two candidates; each with its control, the same shape without the teacher, where there are labels to learn."""
    lines = [
        "  students:"
        + ("                         # each with its control: the same shape without the teacher" * controls)
    ]
    for name, layers in _SHAPES.items():
        for template in (_STUDENT, _CONTROL)[: 1 + controls]:
            lines.append(template.substitute(name=name, layers=layers, loss=loss, tokens=max_tokens))
    return "\n".join(lines)


def _slice(spec: SliceSpec) -> str:
    values = ", ".join(map(scalar, spec.values))
    return f"{{name: {scalar(spec.name)}, column: {spec.column}, values: [{values}], critical: false}}"


def scalar(value: str | float) -> str:
    """A value on one line. A text is always quoted: `no`, `a: b` and `#3` are other things in YAML without quotes."""
    style = '"' if isinstance(value, str) else None
    dumped = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")
