"""What a tick asks of the ledger grows by a few statements with each batch, however much the batches have in common.

Dagster gives up on a tick after a minute: with sixty statements for each batch, a recipe of a few hundred started no
round any more.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa

from checks.gate import gate_code
from checks.stages import gates_of
from orchestration import sensors
from orchestration.jobs import distil_job, ingest_job
from orchestration.sensors import rounds_sensor
from stillhouse.data.outside import digests_now
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import Batch, BatchFile, batches_of, record
from stillhouse.records.builds import Artifact, BuildRequest
from stillhouse.records.ledger import Kind
from stillhouse.stages import names
from stillhouse.stages.facts import ContractFacts, WeightsFacts
from stillhouse.stages.names import BASE, TRANSFER_SET
from stillhouse.stages.versions import code_version
from tests.conftest import Place, a_place
from tests.small import Measured, small_recipe

FEW, MANY = 2, 7
WEIGHTS = WeightsFacts(fingerprint="f", training_gb=1.0, problem=None)


class HandMade:
    """A recipe of which everything is made and every gate open, entered by hand: no stage does any work."""

    def __init__(self, place: Place) -> None:
        self.place, self.builds = place, place.builds
        self.file: RecipeFile = small_recipe(place.folder, rows=50, slices=[], data__allow_missing_columns=["service"])
        frozen = ContractFacts(recipe=self.file.recipe.digest, bar={}, bar_digest="", weights=WEIGHTS)
        source = digests_now(self.file.recipe.data.source, root=self.file.root)
        self.contract = self.make(names.CONTRACT, **frozen.model_dump(mode="json"))
        base = self.make(names.SOURCE, self.contract, batch=BASE, external=source)
        self.prompts = self.make(names.PROMPTS, base, batch=BASE)
        self.teacher = self.make(names.TEACHER, self.contract, self.prompts)
        self.baselines = self.make(names.BASELINES, self.teacher, self.prompts)
        self.taken_in = [self.prompts, self.signal(self.prompts)]
        self.go_on()

    def make(
        self, stage: str, *inputs: Artifact, batch: str | None = None, external: dict[str, str] | None = None,
        **facts: Any,
    ) -> Artifact:  # fmt: skip
        made_from = [item.digest for item in inputs]

        def build(folder: Path) -> Measured:
            (folder / "content").write_text(f"{stage} {batch} {made_from}")
            return Measured(facts)

        order = BuildRequest(
            self.file.name, stage, "a run", code_version(stage), {"made_from": made_from}, batch=batch, inputs=inputs,
            external_inputs=external or {},
        )  # fmt: skip
        made = self.builds.make(order, build)
        about = {
            "asset": made.address, "digest": made.digest, "manifest": made.identity, "state": "passed", "sentence": "",
            "waived": None, "code": gate_code(stage), "run_id": "a run",
        }  # fmt: skip
        verdicts: list[tuple[Kind, dict[str, Any]]] = [
            ("verdict", {**about, "gate": gate}) for gate in gates_of(stage).names(blocking=True)
        ]
        self.builds.ledger.append_all(self.file.name, verdicts)
        return made

    def signal(self, prompts: Artifact) -> Artifact:
        return self.make(names.TEACHER_SIGNAL, prompts, self.baselines, self.teacher, batch=prompts.batch)

    def take_in(self, files: Sequence[Path]) -> None:
        """Make each file a batch, up to what the teacher says about it."""
        for path in files:
            with path.open("rb") as content:
                kept = BatchFile(name=path.name, digest=self.builds.store.keep(content), size=path.stat().st_size)
            batch = f"of-{path.stem}"
            record(self.builds.ledger, self.file.name, Batch(batch=batch, files=(kept,), because="a test"))
            source = self.make(names.SOURCE, self.contract, batch=batch, external={path.name: kept.digest})
            prompts = self.make(names.PROMPTS, source, self.prompts, batch=batch)
            self.taken_in += [prompts, self.signal(prompts)]

    def go_on(self) -> None:
        """Make what is made of all batches, and the rest up to the champion."""
        made = self.make(TRANSFER_SET, *self.taken_in, batches=[BASE, *batches_of(self.builds.ledger, self.file.name)])
        stages = names.stage_names(self.file.recipe)
        for stage in stages[stages.index(TRANSFER_SET) + 1 :]:
            made = self.make(stage, made)

    def dropped(self, numbers: range) -> list[Path]:
        folder = self.place.home.inbox(self.file.name)
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{number}.csv" for number in numbers]
        for path in files:
            path.write_text(f"question\nWho is number {path.stem} ?\n")
        return files

    def statements_of_a_tick(self, *, asks: bool) -> int:
        """How many statements a tick puts to the ledger, once the files were seen; `asks` is what it has to come to."""
        sensor = rounds_sensor(self.file, [ingest_job(self.file), distil_job(self.file)])
        cursor: str | None = None
        for _ in range(3):
            context = dg.build_sensor_context(instance=self.place.instance, cursor=cursor)
            with self.statements() as put:
                answer = sensor(context)
            cursor = context.cursor
        assert isinstance(answer, dg.SensorResult) == asks, answer
        return len(put)

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Every statement that is put to the ledger."""
        engine, put = self.builds.ledger._engine, list[str]()

        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            put.append(statement)

        sa.event.listen(engine, "before_cursor_execute", note)
        yield put
        sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def for_each_batch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """By how many statements a tick grows with each batch, by what it finds."""
    counts: dict[str, list[int]] = {}
    with a_place(tmp_path_factory.mktemp("many")) as place, pytest.MonkeyPatch.context() as patches:
        patches.setattr(sensors, "SECONDS_FOR_AUTOMATION", -1.0)
        made = HandMade(place)
        for numbers in (range(FEW), range(FEW, MANY)):
            made.take_in(made.dropped(numbers))
            counts.setdefault("a round to ask for", []).append(made.statements_of_a_tick(asks=True))
            made.go_on()
            counts.setdefault("nothing to do", []).append(made.statements_of_a_tick(asks=False))
            for path in made.dropped(range(numbers.stop)):
                path.unlink()
            counts.setdefault("no file is there any more", []).append(made.statements_of_a_tick(asks=False))
            assert len(batches_of(made.builds.ledger, "small")) == numbers.stop, "each was in, and none is replaced"
            made.dropped(range(numbers.stop))
    return {found: (many - few) / (MANY - FEW) for found, (few, many) in counts.items()}


@pytest.mark.parametrize(
    ("found", "at_most"), [("nothing to do", 10), ("no file is there any more", 17), ("a round to ask for", 20)]
)
def test_a_tick_puts_a_few_statements_to_the_ledger_for_each_batch(
    for_each_batch: dict[str, float], found: str, at_most: int
) -> None:
    """Regression: each batch was walked at every tick, three times, with all that it shares with the others."""
    assert for_each_batch[found] <= at_most
