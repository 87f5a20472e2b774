"""The text of a new recipe.

Belongs here: its template, and writing each value as YAML itself does.
Does not: which values (suggestions.py), putting it in place (writing.py).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from string import Template

import yaml

from orchestration.scaffold.open_questions import LICENCE_OF_WEIGHTS, TERMS_OF_ANSWERS, AnsweredQuestions
from orchestration.scaffold.server import TeacherServer
from orchestration.scaffold.suggestions import Suggestion
from orchestration.scaffold.weights import Weights
from stillhouse.recipe.answers import AnswersSpec
from stillhouse.recipe.bar import SliceSpec
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, ScoreSpec, TaskKind
from stillhouse.recipe.record import FieldSpec, RecordSpec
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.tasks.numbers import written_number
from stillhouse.teachers.classifier import outputs_of
from stillhouse.wording import percent, points

_TEMPLATE = Template("""\
# Written for $rows rows with $labels. Every field: `stillhouse schema`.
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
$answer$golden_file    licence: $licence
$seen_by_the_server
  split:
    key: $key
    golden_share: $golden           # about $golden_rows rows that only evaluation sees
    validation_share: $validation

  # Parts judged on their own: {name: ..., column: ..., values: [...], critical: true}$by_label
  slices:$slices

  bar:
    metric: $metric                 # $because
    margin: $margin                 # $provable$by_field

$budget

$students

  refresh:
    cron: "0 3 * * 1"
""")
_AN_ENCODER = Template("""\
  teacher:
$weights
    training_on_outputs: $outputs
    reason: $reason
    minimum_accuracy: $minimum          # $one_answer is $majority; raise it to what is worth copying
    training: {epochs: 4, learning_rate: $rate, loss: labels, dropout: 0.1, max_tokens: $tokens}$few_labels""")
_FEW_LABELS = Template("""
    # About $labels_a_class labels of a class to learn from. To try a contrast, use the line below, not the one above:
    # on TREC it brought 7 points with 8 labels of each class, in 100 steps; with 26 only 0.9, and twice the
    # calibration error.
    # training: {epochs: 4, learning_rate: $rate, loss: labels, dropout: 0.1, max_tokens: $tokens, contrast_weight: 1}\
""")
_A_CLASSIFIER = Template("""\
  teacher:                          # it is used as it is, and students are cut from it
    kind: classifier
$weights
$rename    max_tokens: $tokens
    training_on_outputs: $outputs
    reason: It answers these texts today.
    minimum_accuracy: $minimum          # $one_answer is $majority; raise it to what is worth copying""")
_A_LANGUAGE_MODEL = Template("""\
  teacher:
    kind: causal_lm
$weights
    causal_lm:
      dtype: float32                # bfloat16 takes half the memory
      # prompt: FILE                # with {text}, {labels} and {task}, ending in {answer}; a plain one when left out
      # words: {LABEL: word}        # what it writes for a label, where that is not the label itself
    training_on_outputs: $outputs
    reason: It answers these texts today.
    minimum_accuracy: $minimum          # the largest class alone is $majority; raise it to what is worth copying

$base""")
_ANSWERS = Template("""\
  teacher:
    kind: stored
    source: $stored
    answers: {$read}          # table, chat or batch; fields and patterns: docs/stored-completions.md
    revision: $stored    # say here which model gave the answers, and when
    licence: $terms
    training_on_outputs: $outputs
    reason: It answers these texts today, and what it answered was kept.
    minimum_accuracy: $minimum          # $one_answer is $majority; raise it to what is worth copying

$base""")
_SERVER = Template("""\
  teacher:
    kind: endpoint
    source: $url
    revision: $model    # say here what is behind the name; where it changes, all is asked again
    ask:
      model: $model
      settings: {temperature: 0, max_tokens: $longest}
      # prompt: FILE                # with {text}, {labels} and {task}; a plain one when left out
    endpoint:$key
      usd_per_million_in: $usd_in
      usd_per_million_out: $usd_out
      usd_at_most: $usd_at_most     # that all calls of this recipe may ever cost together
    # alternatives:                 # cheaper models, judged on the golden rows before a student is made
    #   - {model: ..., prompt: FILE, usd_per_million_in: ..., usd_per_million_out: ...}
    licence: $terms
    training_on_outputs: $outputs
    reason: It answers these texts today.
    minimum_accuracy: $minimum          # $one_answer is $majority; raise it to what is worth copying

$base""")
_BASE = Template("""\
  base:                             # students are cut from it
$weights""")
_WEIGHTS = Template("""\
    source: $source
    revision: $revision
    fingerprint: $fingerprint
    licence: $licence""")
_BESIDE_ONE_THAT_IS_HERE = """\
  budget:                           # what for? at 4 or less the int8 teacher is often enough, and the run says so
    latency_ratio_at_least: 6
    size_ratio_at_least: 6"""
_BESIDE_ANY_OTHER = Template("""\
  budget:                           # what may a call and the files of a student take where it serves?
    latency_ms_at_most: $milliseconds
    size_mb_at_most: $megabytes""")
_STUDENT = Template("""\
    - name: $name
      layers: $layers
${units}      training: {epochs: 6, ${loss}max_tokens: $tokens}""")
_CONTROL = Template("""\
    - name: ${name}_labels_only
      layers: $layers
${units}      learns_from: labels
      training: {epochs: 6, loss: labels, max_tokens: $tokens}""")
_SETS_OF_LABELS = (
    "    answer: multi_label             # any of the labels, or none: a;b or a JSON list in a cell, [] for none\n"
)
_BY_FIELD = Template("""
    # fields:                       # must one field hold by itself? it is judged as a slice is
    #   $name: {critical: true, margin: $margin, floor: 0.9}""")
_USUAL_WIDTH, _MILLISECONDS, _MEGABYTES = 384, 20, 25
"""What a student of the packaged encoder may take; one of twice its width takes four times as much."""
_LONGEST_LABEL, _LONGEST_LIST = 32, 128
"""Tokens of an answer: of one label, and of a list of them."""
_LISTED = 10


def recipe_text(
    values: Mapping[str, str | float],
    reading: Iterable[str],
    *,
    answers: AnsweredQuestions,
    suggested: Suggestion,
    max_tokens: int,
    seen: Iterable[str],
    rows: int,
    labels: Sequence[str],
    cut_from: Weights,
    answer: TaskKind = "single_label",
    score: ScoreSpec | None = None,
    record: RecordSpec | None = None,
    language_model: Weights | None = None,
    taught: bool = True,
    golden: str | None = None,
    stored: str | None = None,
    answers_read: AnswersSpec | None = None,
    server: TeacherServer | None = None,
) -> str:
    """Fill the template, each value as YAML itself writes it.

    Args:
        values: by their names in the template: task, owner, data, text, label and key.
        reading: lines that say how the rows are read.
        answers: what a person has said.
        suggested: what follows from the rows.
        max_tokens: of every training.
        seen: what was seen of the rows, one sentence each.
        rows: that can be used.
        labels: that they have, in their order.
        taught: whether rows to train on have labels; else the golden file has all there are.
        golden: address of the golden file.
        stored: address of a teacher's stored answers.
        answers_read: how those are read; as a table whose columns are called as usual when None.
        server: a teacher that is asked over the network.
        cut_from: the encoder that students are cut from: the teacher itself where no other is said.
        answer: what a label is.
        score: where labels are numbers, what is said of them.
        record: where labels are records, likewise.
        language_model: a teacher of this machine that has no layers for students.
    """
    skewed, gives_sets = suggested.metric == "macro_f1", answer in SETS
    provable = "nothing" if suggested.provable is None else points(suggested.provable)
    written = {name: scalar(value) for name, value in values.items()}
    asked = {field: f"  # OPEN: {question}" for field, question in answers.open.items()}
    outputs = {True: "allowed", False: "forbidden", None: "unknown"}[answers.outputs_may_train]
    elsewhere = bool(stored or server or language_model)
    teacher = _A_CLASSIFIER if cut_from.kind is TeacherKind.CLASSIFIER else _AN_ENCODER
    if elsewhere:
        teacher = _SERVER if server else _ANSWERS if stored else _A_LANGUAGE_MODEL
    of_server = {} if server is None else {
        "url": scalar(server.url),
        "model": scalar(server.model),
        "key": f"\n      api_key_env: {scalar(server.api_key_env)}" if server.api_key_env else "",
        "usd_in": _money(server.usd_per_million_in),
        "usd_out": _money(server.usd_per_million_out),
        "usd_at_most": _money(server.usd_at_most),
        "longest": str(record.tokens_at_most if record else _LONGEST_LIST if gives_sets else _LONGEST_LABEL),
    }  # fmt: skip
    rate = _decimal(cut_from.learning_rate) if teacher is _AN_ENCODER else ""
    taught_by = teacher.substitute(
        **of_server,
        weights=_weights(language_model or cut_from),
        base=_BASE.substitute(weights=_weights(cut_from)) if elsewhere else "",
        reason=_reason(cut_from) if teacher is _AN_ENCODER else "",
        rate=rate,
        rename=_rename(cut_from, labels),
        stored=scalar(stored or ""),
        read=_answers(answers_read or AnswersSpec()),
        terms=f"{scalar('')}  # OPEN: {TERMS_OF_ANSWERS}",
        outputs=outputs + asked.get("training_on_outputs", ""),
        minimum=suggested.minimum_accuracy,
        majority=percent(suggested.majority_share),
        one_answer="one number for all" if score else "one place for all" if record else "the largest class alone",
        tokens=max_tokens,
        few_labels=_few_labels(suggested, rate, max_tokens)
        if teacher is _AN_ENCODER and answer == "single_label"
        else "",
    )
    may_see = ", ".join(answers.teacher_may_see or ())
    seen_by = f"    provenance: {{teacher_may_see: [{may_see}]}}{asked.get('teacher_may_see', '')}\n" if server else ""
    label_there = "" if taught else f"    golden_label: {written['label']}\n"
    return _TEMPLATE.substitute(
        {**written, "label": written["label"] if taught else "null"},
        taught_by=taught_by,
        answer=_SETS_OF_LABELS if gives_sets else _numbers(score) if score else _records(record) if record else "",
        by_label="." if score or record else "; column label is the class.",
        by_field=_BY_FIELD.substitute(name=scalar(next(iter(record.fields))), margin=suggested.margin)
        if record
        else "",
        golden_file=f"    golden: {scalar(golden)}\n{label_there}" if golden else "",
        seen_by_the_server=seen_by,
        budget=_budget(cut_from) if elsewhere else _BESIDE_ONE_THAT_IS_HERE,
        students=_students(cut_from, max_tokens, controls=taught, loss=_loss(answer, elsewhere=elsewhere)),
        reading="".join(f"    {line}\n" for line in reading),
        rows=f"{rows:,}",
        labels="numbers as labels" if score else "records as labels" if record else f"{len(labels):,} labels",
        looked="".join(f"# {sentence}.\n" for sentence in seen),
        pain=f"[{', '.join(answers.pain)}]{asked.get('pain', '')}",
        licence=scalar(answers.licence) + asked.get("licence", ""),
        golden=suggested.golden_share,
        golden_rows=f"{suggested.golden_rows:,}",
        validation=suggested.validation_share,
        slices="".join(f"\n    - {_slice(each)}" for each in suggested.slices) or " []",
        metric=suggested.metric,
        because="the share of rows within data.score.tolerance"
        if score is not None
        else "the share of rows with all fields right; or field_f1, of values"
        if record is not None
        else "of whole sets of labels"
        if gives_sets
        else "each class weighs the same, since one has most rows"
        if skewed
        else "or macro_f1, recall, ndcg",
        margin=suggested.margin,
        provable=f"largest acceptable drop from the teacher; an equal student is shown to hold {provable} points",
    )


def _loss(answer: TaskKind, *, elsewhere: bool) -> str:
    """What students learn by, where that is not the default."""
    if answer in NUMBERS:
        return "loss: logit_mse, "
    return "loss: bce, " if answer in SETS else "loss: kl, " if elsewhere or answer in RECORDS else ""


def _answers(read: AnswersSpec) -> str:
    """How a file of answers is read, where that is not the usual."""
    named = {"text": read.text, "answer": read.answer}
    return ", ".join(
        [f"format: {read.format}", *(f"{field}: {scalar(name)}" for field, name in named.items() if name is not None)]
    )


def _numbers(score: ScoreSpec) -> str:
    """The lines that say between which numbers labels lie, and how near is right."""
    ends = f"lowest: {written_number(score.lowest)}, highest: {written_number(score.highest)}"
    return (
        "    answer: score\n"
        f"    score: {{{ends}, tolerance: {written_number(score.tolerance)}}}"
        "    # a tenth of what lies between: how near is right?\n"
    )


def _records(record: RecordSpec) -> str:
    """The lines that say what each field of a record may hold, and how much of a text is read."""
    fields = "".join(f"      {scalar(name)}: {_field(field)}\n" for name, field in record.fields.items())
    return (
        "    answer: fields                  # a record that is taken out of the text\n"
        f"    fields:\n{fields}"
        f"    words_at_most: {record.words}               # of a text\n"
    )


def _field(field: FieldSpec) -> str:
    said: dict[str, str] = {"kind": field.kind}
    if field.kind == "choice":
        said["of"] = f"[{', '.join(map(scalar, field.of))}]"
    else:
        said["words_at_most"] = f"{field.words_at_most}"
    if field.decimal is not None:
        said["decimal"] = field.decimal
    if field.order is not None:
        said["order"] = field.order
    if field.optional:
        said["optional"] = "true"
    return f"{{{', '.join(f'{name}: {value}' for name, value in said.items())}}}"


def _few_labels(suggested: Suggestion, rate: str, max_tokens: int) -> str:
    """What is worth a try where a teacher that is trained here has few labels; nothing where it has more."""
    if not suggested.has_few_labels:
        return ""
    return _FEW_LABELS.substitute(rate=rate, labels_a_class=f"{suggested.labels_a_class:.0f}", tokens=max_tokens)


def _weights(given: Weights) -> str:
    """The lines that name and pin pretrained weights, the same wherever they stand."""
    described = "" if given.is_packaged or "://" in given.source else "    # say here which weights these are"
    return _WEIGHTS.substitute(
        source=scalar(given.source),
        revision=scalar(given.revision) + described,
        fingerprint=scalar(given.fingerprint),
        licence=given.licence or f"{scalar('')}  # OPEN: {LICENCE_OF_WEIGHTS}",
    )


def _reason(encoder: Weights) -> str:
    if encoder.is_packaged:
        return "A small encoder, pre-trained on a billion sentence pairs, that runs on this machine."
    kind = encoder.config["model_type"]
    return scalar(f"An encoder of type {kind} with {encoder.sizes.layers} layers that runs on this machine.")


def _rename(classifier: Weights, labels: Sequence[str]) -> str:
    """The lines that say what a classifier's outputs are called in the rows, as far as that is known."""
    known = ", ".join(f"{scalar(output)}: {scalar(label)}" for output, label in classifier.rename.items())
    if not classifier.unnamed:
        return f"    rename: {{{known}}}\n" if known else ""
    missing = [
        label
        for label in labels
        if label not in {*classifier.rename.values(), *outputs_of(classifier.config, str(classifier.folder))}
    ]
    question = f"say which of {listed(missing)} each of {listed(classifier.unnamed)} is"
    return f"    rename: {{{known}}}  # OPEN: {question}\n"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, each on one line whatever is in it, and how many more there are."""
    shown = ", ".join(map(scalar, names[:_LISTED]))
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def _budget(cut_from: Weights) -> str:
    wider = max(1.0, cut_from.sizes.width / _USUAL_WIDTH) ** 2
    limits = {"milliseconds": _MILLISECONDS * wider, "megabytes": _MEGABYTES * wider}
    return _BESIDE_ANY_OTHER.substitute({name: f"{math.ceil(limit)}" for name, limit in limits.items()})


def _students(cut_from: Weights, max_tokens: int, *, controls: bool, loss: str) -> str:
    """Two candidates; each with its control, the same shape without the teacher, where there are labels to learn."""
    lines = [
        "  students:"
        + ("                         # each with its control: the same shape without the teacher" * controls)
    ]
    units = f"      feed_forward: {cut_from.units}\n" if cut_from.units else ""
    for name, layers in cut_from.shapes.items():
        for template in (_STUDENT, _CONTROL)[: 1 + controls]:
            lines.append(template.substitute(name=name, layers=list(layers), units=units, loss=loss, tokens=max_tokens))
    return "\n".join(lines)


def _slice(spec: SliceSpec) -> str:
    values = ", ".join(map(scalar, spec.values))
    return f"{{name: {scalar(spec.name)}, column: {spec.column}, values: [{values}], critical: false}}"


def _decimal(value: float) -> str:
    """A small number in the way that YAML reads as one: with a point before the exponent."""
    return f"{value:.1e}".replace("e-0", "e-")


def _money(usd: float) -> str:
    """An amount as people write one: 25 and 0.0000001, of which YAML would take another form for a text."""
    return f"{Decimal(str(usd)).normalize():f}"


def scalar(value: str | float) -> str:
    """A value on one line. A text is always quoted: `no`, `a: b` and `#3` are other things in YAML without quotes."""
    style = '"' if isinstance(value, str) else None
    dumped = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("\n").removesuffix("\n...")
