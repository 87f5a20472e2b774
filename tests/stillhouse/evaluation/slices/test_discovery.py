"""A slice that nobody declared is found and named, and luck is not."""

import numpy as np
import polars as pl
import pytest

from stillhouse.evaluation.harness import Evaluation, evaluate
from stillhouse.evaluation.models import EvaluatedModel, ModelKind
from stillhouse.evaluation.slices.discovery import DiscoveredSlice, _hypergeometric, _Tables, discover_slices
from stillhouse.evaluation.slices.row_features import MOST_VALUES, feature_columns, row_features
from stillhouse.recipe.bar import BarSpec, BudgetSpec, SliceSpec, Terms
from stillhouse.report.document import report_html
from stillhouse.statistics.verdicts import Verdict
from stillhouse.tasks.single_label import SingleLabel
from tests.reported import report_json
from tests.stillhouse.work import lines_run

WORDS = ["what", "who", "how", "when", "is", "the", "which", "name", "12", "list", "can", "do", "where", "why"]
CHANNELS, LABELS = ("app", "fax", "phone", "web"), ("account", "block", "card", "travel")
TEACHER_RIGHT = 0.97


def golden_rows(rows: int, generator: np.random.Generator, regions: int = 30) -> pl.DataFrame:
    """Rows whose columns and texts are independent of one another."""
    lengths = generator.integers(3, 15, rows)
    words = generator.choice(WORDS, (rows, 15))
    marks = generator.choice(["", "?"], rows)
    return pl.DataFrame(
        {
            "prompt_id": [f"{generator.integers(2**63):032x}" for _ in range(rows)],
            "text": [" ".join(line[:n]) + mark for line, n, mark in zip(words, lengths, marks, strict=True)],
            "label": generator.choice(LABELS, rows),
            "channel": generator.choice(CHANNELS, rows, p=[0.45, 0.05, 0.3, 0.2]),
            "region": [f"r{index}" for index in generator.integers(regions, size=rows)],
        }
    )


def right(golden: pl.DataFrame, generator: np.random.Generator, **worse: tuple[pl.Expr, float]) -> np.ndarray:
    """Outcomes of a model that is right with a chance of 97 %, and of another where a condition holds."""
    chances = np.full(golden.height, TEACHER_RIGHT)
    for where, chance in worse.values():
        chances[golden.select(where.alias("holds"))["holds"].to_numpy()] = chance
    return generator.random(golden.height) < chances


def found(
    golden: pl.DataFrame, teacher: np.ndarray, student: np.ndarray, *declared: pl.Expr
) -> tuple[DiscoveredSlice, ...]:
    masks = np.array([golden.select(where.alias("is"))["is"].to_numpy() for where in declared], dtype=np.bool_)
    return discover_slices(golden, masks.reshape(len(declared), golden.height), teacher, student)


FAX = pl.col("channel") == "fax"


def subject(golden: pl.DataFrame, correct: np.ndarray, kind: ModelKind) -> EvaluatedModel:
    classes = sorted(LABELS)
    place = golden["label"].replace_strict({name: index for index, name in enumerate(classes)}).to_numpy()
    logits = np.eye(len(classes))[(place + ~correct) % len(classes)] * 3
    size = 100_000_000 if kind is ModelKind.TEACHER else 1_000_000
    return EvaluatedModel(str(kind), kind, dict(zip(golden["prompt_id"], logits.tolist(), strict=True)), size)


def planted(*specs: SliceSpec) -> Evaluation:
    """A student as good as its teacher but for a twentieth of the rows, of which it gets 40 % right."""
    generator = np.random.default_rng(11)
    golden = golden_rows(4000, generator)
    teacher = right(golden, generator)
    student = teacher & ~((golden["channel"] == "fax").to_numpy() & (generator.random(4000) < 0.6))
    return evaluate(
        subject(golden, student, ModelKind.STUDENT), subject(golden, teacher, ModelKind.TEACHER), golden,
        Terms(
            bar=BarSpec(margin=0.05), budget=BudgetSpec(latency_ratio_at_least=1, size_ratio_at_least=8), slices=specs,
        ),
        task=SingleLabel.of(LABELS),
    )  # fmt: skip


@pytest.mark.long
def test_a_declared_slice_that_fails_under_a_good_average_closes_and_is_not_found_again() -> None:
    result = planted(SliceSpec(name="fax", column="channel", values=("fax",), critical=True))
    assert result.non_inferiority.verdict is Verdict.PASS
    assert result.verdict is Verdict.FAIL
    assert "accuracy on 'fax' not within 5.0 points" in result.summary
    assert result.discovered == ()


@pytest.mark.long
def test_the_same_slice_undeclared_is_discovered_and_named_and_binds_nothing() -> None:
    result = planted()
    assert [claim.name for claim in result.claims if claim.verdict is Verdict.FAIL] == []
    (slice_,) = result.discovered
    assert slice_.description == "channel = fax"
    assert slice_.searched_rows + slice_.confirmed_rows == pytest.approx(200, abs=40)
    assert slice_.confirmed_drop > 0.4 and slice_.rest_drop == pytest.approx(0.0, abs=0.01)
    assert slice_.p_value < 0.001
    assert report_json(result)["discovered"][0]["description"] == "channel = fax"
    html = report_html(result)
    assert "channel = fax" in html and "under 0.001" in html
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


@pytest.mark.long
def test_a_page_without_any_says_so(run) -> None:
    assert "None was found on which student is shown to lose more" in report_html(run(wrong=[1, 5]))


def test_a_slice_of_two_conditions_is_named_by_both() -> None:
    generator = np.random.default_rng(2)
    golden = golden_rows(4000, generator)
    both = (pl.col("label") == "card") & (pl.col("channel") == "web")
    (slice_,) = found(golden, right(golden, generator), right(golden, generator, there=(both, 0.5)))
    assert slice_.description == "label = card and channel = web"


def test_what_is_hidden_inside_a_declared_slice_is_found() -> None:
    generator = np.random.default_rng(3)
    golden = golden_rows(4000, generator)
    both = (pl.col("channel") == "app") & pl.col("text").str.contains("?", literal=True)
    student = right(golden, generator, there=(both, 0.7))
    (slice_,) = found(golden, right(golden, generator), student, pl.col("channel") == "app")
    assert slice_.description == "channel = app and has a question mark = yes"


def test_an_intersection_of_two_declared_slices_is_found() -> None:
    generator = np.random.default_rng(9)
    golden = golden_rows(4000, generator)
    app, card = pl.col("channel") == "app", pl.col("label") == "card"
    student = right(golden, generator, there=(app & card, 0.7))
    (slice_,) = found(golden, right(golden, generator), student, app, card)
    assert slice_.description == "label = card and channel = app"


@pytest.mark.slow
@pytest.mark.long
def test_what_a_declared_slice_explains_is_not_found_in_other_words() -> None:
    """A column that is the slice under another name, alone or with any other condition: luck at most."""
    sets, false = 40, 0
    for seed in range(sets):
        generator = np.random.default_rng([4, seed])
        desk = pl.when(FAX).then(pl.lit("x")).otherwise("region").alias("desk")
        golden = golden_rows(2000, generator).with_columns(desk)
        student = right(golden, generator, there=(FAX, 0.5))
        false += bool(found(golden, right(golden, generator), student, FAX))
    assert false / sets <= 0.05 + 3 * (0.05 * 0.95 / sets) ** 0.5


def test_rows_on_which_both_models_are_unsteady_are_no_slice() -> None:
    """Many rows are lost there and as many won: the drop is that of the rest."""
    generator = np.random.default_rng(5)
    golden = golden_rows(6000, generator)
    hard = pl.col("label") == "card"
    teacher, student = (right(golden, generator, there=(hard, 0.7)) for _ in range(2))
    assert found(golden, teacher, student) == ()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("student_right", [0.95, 0.75])
def test_luck_is_reported_in_at_most_alpha_of_golden_sets(student_right: float) -> None:
    """Errors that are independent of all features: 100 golden sets of each kind, alpha 5 %, three standard errors."""
    sets, false = 100, 0
    for seed in range(sets):
        generator = np.random.default_rng([seed, round(100 * student_right)])
        golden = golden_rows(800, generator)
        everywhere = (pl.col("label").is_not_null(), student_right)
        false += bool(found(golden, right(golden, generator), right(golden, generator, all=everywhere)))
    assert false / sets <= 0.05 + 3 * (0.05 * 0.95 / sets) ** 0.5


def test_the_same_rows_in_another_order_give_the_same_answer() -> None:
    generator = np.random.default_rng(6)
    golden = golden_rows(3000, generator)
    teacher, student = right(golden, generator), right(golden, generator, there=(FAX, 0.5))
    order = generator.permutation(golden.height)
    assert found(golden, teacher, student) == found(golden[order], teacher[order], student[order]) != ()


@pytest.mark.parametrize("rows", [1, 5, 30])
def test_a_handful_of_rows_finds_nothing(rows: int) -> None:
    golden = golden_rows(rows, np.random.default_rng(7))
    assert found(golden, np.ones(rows, bool), np.zeros(rows, bool)) == ()


@pytest.mark.slow
@pytest.mark.long
def test_a_hundred_thousand_rows_are_searched_by_whole_columns() -> None:
    """Its key costs each row a line. A loop over the rows for each of the proposed slices would cost it fifty."""

    def searching(rows: int) -> int:
        generator = np.random.default_rng(8)
        golden = golden_rows(rows, generator)
        assert row_features(golden).width >= 6
        teacher, student = right(golden, generator), right(golden, generator, there=(FAX, 0.8))
        slices: list[DiscoveredSlice] = []
        lines = lines_run(lambda: slices.extend(found(golden, teacher, student, pl.col("channel") == "app")))
        assert [slice_.description for slice_ in slices] == ["channel = fax"]
        return lines

    assert searching(100_000) - searching(10_000) < 3 * 90_000


def test_one_table_gives_fishers_exact_p_value() -> None:
    from scipy.stats import fisher_exact

    members, lost = np.zeros(60, bool), np.zeros(60, bool)
    members[:20], lost[12:25] = True, True
    tables = _Tables.of(members, lost, np.zeros(60, dtype=np.int64))
    expected = fisher_exact([[8, 12], [5, 35]], alternative="greater").pvalue
    assert tables.p_value() == pytest.approx(expected)


def test_strata_are_convolved_as_by_counting() -> None:
    """Two tables of 4 rows, 2 members and 2 lost each: 0, 1, 2 lost members in 1, 4, 1 of 6 ways."""
    assert _hypergeometric(4, 2, 2)[1] == pytest.approx(np.array([1, 4, 1]) / 6)
    members = np.array([1, 1, 0, 0] * 2, dtype=bool)
    lost = np.array([1, 1, 0, 0, 1, 0, 1, 0], dtype=bool)
    tables = _Tables.of(members, lost, np.repeat([0, 1], 4))
    # Three or four of four: 2 * (4 * 1) + 1 of 36 ways.
    assert tables.p_value() == pytest.approx(9 / 36)


def test_features_are_few_and_said_in_words() -> None:
    golden = pl.DataFrame(
        {
            "prompt_id": [str(row) for row in range(400)],
            "text": [f"{('why', 'Who')[row % 2]} {'word ' * (row % 8)}{'' if row % 4 else row}?" for row in range(400)],
            "label": ["a", "b"] * 200,
            "customer": [f"c{row}" for row in range(400)],
            "tariff": [f"t{row % 40}" for row in range(400)],
            "paid": [None, True] * 200,
            "constant": ["x"] * 400,
            "tags": [["x"]] * 400,
        }
    )  # fmt: skip
    assert feature_columns(golden) == ["label", "customer", "tariff", "paid", "constant"]
    features = row_features(golden)
    assert features.columns == ["label", "tariff", "paid", "length", "has a digit", "first word"]
    assert features["tariff"].n_unique() == MOST_VALUES + 1
    assert set(features["paid"]) == {"none", "true"}
    assert set(features["first word"]) == {"who", "why"}
    assert features.filter(pl.col("length").str.ends_with("or more")).height <= 200
    assert features["length"].n_unique() == 4
