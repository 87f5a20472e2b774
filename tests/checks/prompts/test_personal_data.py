"""Personal data in a label or slice column closes its batch and is quoted nowhere that cannot forget."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from checks.gate import Finding, passed_if
from checks.prompts.personal_data import no_column_names_people, no_personal_data_is_left
from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import read_recipe
from stillhouse.stages.names import BASE, PROMPTS
from stillhouse.statistics.verdicts import Verdict
from tests.checks.hand_made import FAIL, PASS, answer_of
from tests.checks.prompts.prompt_sets import many, prompts
from tests.conftest import Run, verdicts
from tests.faults.bench import Fault
from tests.faults.plants import MARCH, column, dropped, on
from tests.faults.prompts import addresses_in, an_address, careless, redacts_nothing
from tests.small import questions, small_recipe

ADDRESS, CARD = "john.doe@example.com", "4111 1111 1111 1111"


@pytest.mark.experiment("E8")
def test_personal_data_in_columns_is_said_by_column_and_count_and_never_quoted(
    tmp_path: Path, home: Home, run: Run
) -> None:
    file = small_recipe(tmp_path, rows=300)
    assert run(file, "contract", "source", "prompts", batch=BASE).success
    every = pl.int_range(pl.len()) < 5
    rows = questions(60, skip=300).with_columns(
        pl.lit(f"{ADDRESS} {CARD}").alias("kind"),
        pl.when(every).then(pl.lit(ADDRESS)).otherwise("service").alias("service"),
    )
    home.inbox("small").mkdir(parents=True, exist_ok=True)
    rows.write_csv(home.inbox("small") / "b.csv")
    ended = run(file, "source", "prompts", batch="b.csv")
    closed = {name for name, passed in verdicts(ended).items() if not passed}
    assert {"no_personal_data_is_left", "no_batch_brings_a_new_label", "the_batch_is_like_the_base"} <= closed
    said = next(
        check.description
        for check in ended.get_asset_check_evaluations()
        if check.check_name == "no_personal_data_is_left"
    )
    assert "column 'service' holds email in 5 rows" in said
    assert "column 'kind' holds email in" in said and "card in" in said
    kept = [home.artifacts, str(home.inbox("small"))]  # rows as they came, which may be deleted
    written = [path for path in home.root.rglob("*") if path.is_file() and not str(path).startswith(tuple(kept))]
    assert any(path.name == "ledger.db" for path in written) and len(written) > 5
    for path in written:
        assert ADDRESS.encode() not in path.read_bytes(), path
        assert CARD.encode() not in path.read_bytes(), path


def test_labels_and_kept_columns_are_searched_and_named_by_column_and_count() -> None:
    recipe = read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").recipe
    rows = {
        "text": ["Who ?"] * 40,
        "label": [ADDRESS] * 3 + ["HUM"] * 37,
        "kind": [f"{ADDRESS} {CARD}"] * 2 + ["x"] * 38,
    }
    frames = {"prompts": pl.DataFrame(rows), "rejects": pl.DataFrame({"text": ["Where ?"]})}
    context: Any = SimpleNamespace(
        recipe=recipe,
        frame=frames.__getitem__,
        artifact=SimpleNamespace(facts=lambda record: SimpleNamespace(redacted={"email": 1})),
    )
    finding = no_personal_data_is_left.evaluate(context)
    assert finding.verdict is Verdict.FAIL
    assert finding.sentence == (
        "column 'service' holds email in 3 rows; column 'kind' holds email in 2 rows, card in 2 rows: "
        "take it out or hash it where the rows come from"
    )
    frames["prompts"] = frames["prompts"].with_columns(label=pl.lit("HUM"), kind=pl.lit("x"))
    assert no_personal_data_is_left.evaluate(context).sentence == (
        "none of credential, user, email, ip, iban, card, national_id, phone, handle in 3 columns; 1 email was redacted"
    )


def test_the_name_of_who_signed_a_decision_stays_and_no_other() -> None:
    finding = passed_if(True, f"approved by ada@example.com: I asked {ADDRESS}", signed_by="ada@example.com")
    assert finding.sentence == "approved by ada@example.com: I asked [EMAIL]"


def test_a_finding_is_clean_whoever_made_it() -> None:
    finding = Finding(Verdict.FAIL, f"\x1b[31m {ADDRESS} is 5 % of the rows", {"rows": [{"kind": CARD, "rows": 3}]})
    assert finding.sentence == "[31m [EMAIL] is 5 % of the rows"
    assert finding.evidence == {"rows": [{"kind": "[CARD]", "rows": 3}]}


def test_a_column_that_names_people_may_not_travel() -> None:
    assert answer_of(no_column_names_people, prompts(many(1))) == (PASS, "no column is personal")
    named = prompts(many(1).with_columns(customer_email=pl.lit("x")))
    assert answer_of(no_column_names_people, named) == (FAIL, "personal by name: customer_email")


FAULTS = [
    Fault(
        "an e-mail address is not redacted", PROMPTS, "no_personal_data_is_left",
        careless("redact", redacts_nothing, an_address), "column 'question' holds email in 8 rows",
    ),
    Fault(
        "e-mail addresses and a card number stand in a slice column", PROMPTS, "no_personal_data_is_left",
        on(addresses_in("kind"), sensitive=[{"column": "kind"}]), "column 'kind' holds email in",
    ),
    Fault(
        "a dropped file has e-mail addresses for labels", PROMPTS, "no_personal_data_is_left",
        dropped(addresses_in("service")), "column 'service' holds email in 6 rows, card in 6 rows", batch=MARCH,
        also=("no_batch_brings_a_new_label",),
    ),
    Fault(
        "a column holds e-mail addresses", PROMPTS, "no_personal_data_is_left",
        on(
            column("email", "a@example.com", "b@example.com", 2),
            slices=[{"name": "half", "column": "email", "values": ["b@example.com"], "critical": False}],
        ),
        "column 'email' holds email in", also=("no_column_names_people",),
    ),
]  # fmt: skip
