"""All parts of a recipe on one page, and what follows from several of them.

Belongs here: the fields of a recipe, and questions that its fields alone answer.
Does not: the fields of a part (each has a file of its own), which parts go together (contract.py).
"""

from typing import Annotated, Literal

from pydantic import Field

from stillhouse.digests import digest_of
from stillhouse.recipe.bar import BarSpec, BehaviourSpec, BudgetSpec, SensitiveSpec, SliceSpec, StressSpec, Terms
from stillhouse.recipe.cascade import CascadeSpec
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS, DataSpec, SplitSpec
from stillhouse.recipe.economics import EconomicsSpec
from stillhouse.recipe.fields import ADDRESS, Part, Sentence
from stillhouse.recipe.limits import GateLimits
from stillhouse.recipe.plays import PlaySpec, RiskSpec
from stillhouse.recipe.refresh import RefreshSpec
from stillhouse.recipe.rollout import RolloutSpec
from stillhouse.recipe.serving import ServingSpec
from stillhouse.recipe.students import StudentForm, StudentSpec
from stillhouse.recipe.teacher import TeacherSpec, teacher_part
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.recipe.training import TrainingConfig
from stillhouse.recipe.watch import WatchSpec
from stillhouse.recipe.weights import WeightsSpec

NotifyAddress = Annotated[str, Field(pattern=ADDRESS)]
"""An address, or a variable that holds one."""


class RecipeParts(Part):
    """The parts of a recipe, each right by itself."""

    task: Sentence = Field(description="what the model does, in one sentence")
    pain: tuple[Literal["cost", "latency", "stability", "specialisation"], ...] = Field(
        description="what hurts with the teacher in production; with none the run ends well: do not distil"
    )
    owners: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="e-mail addresses or team:<name>")
    notify: tuple[NotifyAddress, ...] = Field(
        (),
        exclude=True,  # it decides nothing: another address is no other contract, and none ships with a release
        description="where owners are told how each round ended: addresses as apprise has them, such as "
        "json://host/hook or mailto://host; one with a secret stays in a variable and is written as ${NAME}",
    )
    owner_notify: dict[str, Annotated[tuple[NotifyAddress, ...], Field(min_length=1)]] = Field(
        {},
        exclude=True,
        description="addresses, as of notify, of an owner of plays or risks, by the owner's name: there the notices of "
        "these are sent; to notify where an owner has none",
    )
    remind_days: int = Field(
        3,
        ge=1,
        exclude=True,
        description="days after which owners are sent the same again, if it still asks for a person or happens again",
    )
    author: str | None = Field(
        None, description="who wrote this recipe and so cannot approve its trainings and releases"
    )
    stakes: Literal["low", "high"] = Field(
        "low", description="high: training and release need the approval of a named person who is not the author"
    )
    unwaivable: tuple[str, ...] = Field(
        (), description="further gates that nobody can waive; those that docs/gates.md marks stay so"
    )
    waiver_days_at_most: int = Field(
        30, ge=1, le=366, description="how many days a waiver counts after it was given, whatever its last day says"
    )
    teacher: TeacherSpec
    base: WeightsSpec | None = Field(
        None, description="an encoder that students are cut from, where the teacher is none itself"
    )
    data: DataSpec
    split: SplitSpec
    slices: tuple[SliceSpec, ...] = Field((), description="parts of the golden set that are judged on their own")
    sensitive: tuple[SensitiveSpec, ...] = Field(
        (), description="columns that say which group of people a row is of: each student is reported by group"
    )
    bar: BarSpec = Field(description="what a student must hold to replace its teacher; frozen before a model exists")
    budget: BudgetSpec = Field(description="size, latency and cost that a student must fit; part of the bar")
    behaviour: tuple[BehaviourSpec, ...] = Field(
        (), description="behavioural tests: what a student must be able to do, case by case; part of the bar"
    )
    stress: StressSpec | None = Field(
        None,
        description="golden texts made harder, and what that may cost; no stress test when left out; part of the bar",
    )
    students: Annotated[tuple[StudentSpec, ...], Field(min_length=1)] = Field(
        description="candidates; the smallest that clears the bar is released"
    )
    cascade: CascadeSpec | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the field keeps its digest
        description="the teacher answers what the student is unsure of; when left out the student answers everything",
    )
    economics: EconomicsSpec | None = Field(
        None, description="whether a student pays for itself; to be filled in where cost is a pain"
    )
    limits: GateLimits = Field(
        GateLimits(), description="from which numbers on gates close, where that is a matter of judgement"
    )
    machine_usd_per_hour: float = Field(0.10, ge=0, description="price of the machine that trains and serves")
    refresh: RefreshSpec
    plays: tuple[PlaySpec, ...] = Field(
        (),
        exclude=True,  # who is sent a notice and when it is given up decides nothing about a model
        description="who does something when something happens, and when that is given up (docs/events.md)",
    )
    risks: tuple[RiskSpec, ...] = Field(
        (), exclude=True, description="what may go wrong, and when it is looked at again"
    )
    serving: ServingSpec = Field(
        ServingSpec(),
        exclude=True,  # another limit on requests is no other contract
        description="what a server of the champion is sent, and what it takes at most",
    )
    traffic: TrafficSpec | None = Field(
        None,
        exclude=True,  # how long answers are kept is no other contract
        description="what servers keep of their answers; nothing when left out",
    )
    watch: WatchSpec | None = Field(
        None,
        exclude_if=lambda given: given is None,  # so that a recipe without the part keeps its digest
        description="how the champion is watched while it serves, and when it is taken back; not when left out",
    )
    rollout: RolloutSpec | None = Field(
        None,
        exclude_if=lambda named: named is None,  # so that a recipe without the part keeps its digest
        description="how a release takes over from the champion; at once when left out",
    )

    @property
    def shadow_is_live(self) -> bool:
        """Whether servers ask a challenger in the shadow, and not a replay of kept texts."""
        return self.rollout is not None and self.rollout.shadow.mode == "live"

    @property
    def shadow_share(self) -> float | None:
        """The share of its answers after which a server asks a challenger in the shadow, too; None where it asks none.

        Of a sample of truths it is those that are asked for, since no other answer is ever judged.
        """
        if self.rollout is None or not self.shadow_is_live or self.traffic is None:
            return None
        return self.traffic.asks_for or self.rollout.shadow.share

    @property
    def request_columns(self) -> tuple[str, ...]:
        """Columns of slices that callers send: those by which a cascade protects, part of its bar, and further ones."""
        protecting = () if self.cascade is None else self.cascade.request_columns
        every = dict.fromkeys((*protecting, *self.serving.request_columns))
        return tuple(column for column in every if column != "label")

    @property
    def gives_sets(self) -> bool:
        """Whether an answer is a set of labels."""
        return self.data.answer in SETS

    @property
    def gives_numbers(self) -> bool:
        """Whether an answer is a number."""
        return self.data.answer in NUMBERS

    @property
    def gives_records(self) -> bool:
        """Whether an answer is a record."""
        return self.data.answer in RECORDS

    @property
    def queries(self) -> str | None:
        """The column whose equal values are the documents of a query, where the bar is of their order."""
        return self.data.group if self.gives_numbers and self.bar.metric == "ndcg" else None

    @property
    def slices_of_requests(self) -> tuple[SliceSpec, ...]:
        """Slices that are known when a request comes: by what the student answers, or by what callers send."""
        return tuple(each for each in self.slices if each.column in ("label", *self.request_columns))

    @property
    def weights(self) -> WeightsSpec:
        """The pretrained weights that are taken in: the teacher's own, or those that students are cut from."""
        return self.base or self.teacher

    @property
    def part_of_weights(self) -> str:
        """The part of the recipe that names these."""
        return "teacher" if self.base is None else "base"

    @property
    def all_weights(self) -> dict[str, WeightsSpec]:
        """All pretrained weights that are taken in, by the part of the recipe that names them."""
        found: dict[str, WeightsSpec] = {} if self.base is None else {"base": self.base}
        of_teachers = {teacher_part(name): each for name, each in self.teacher.by_member.items() if each.computes_here}
        return {**found, **of_teachers}

    @property
    def digest(self) -> str:
        """Digest of the whole contract, and so of the bar that it freezes."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def keeps_texts(self) -> bool:
        """Whether servers keep texts, redacted: not where rows are personal or secret, or may be in some rows."""
        provenance = self.data.provenance
        allowed = provenance.privacy_class in ("public", "internal") and provenance.privacy_column is None
        return self.traffic is not None and self.traffic.keep_texts and self.traffic.text_days > 0 and allowed

    def notified(self, owner: str) -> tuple[str, ...]:
        """Where the owner of a play or a risk is sent its notices."""
        return self.owner_notify.get(owner, self.notify)

    @property
    def addresses(self) -> dict[str, str]:
        """Every address that notices are sent to, by its field."""
        of_owners = {
            f"owner_notify.{owner}.{place}": written
            for owner, each in self.owner_notify.items()
            for place, written in enumerate(each)
        }
        return {**{f"notify.{place}": written for place, written in enumerate(self.notify)}, **of_owners}

    @property
    def terms(self) -> Terms:
        """All that a student has to prove."""
        return Terms(
            bar=self.bar,
            budget=self.budget,
            slices=self.slices,
            sensitive=self.sensitive,
            behaviour=self.behaviour,
            stress=self.stress,
        )

    @property
    def kept_columns(self) -> tuple[str, ...]:
        """Columns beside text and label that have to travel with every row; a slice by `label` is one of classes."""
        wanted = [item.column for item in self.slices if item.column != "label"] + (
            [self.data.group] if self.data.group else []
        )
        wanted += self.data.provenance.columns_by_field.values()
        wanted += [item.column for item in self.sensitive]
        return tuple(sorted({column for column in wanted if column not in (self.data.text, self.data.label)}))

    def field_naming(self, column: str) -> tuple[str | int, ...]:
        """Find the field of the recipe that names a column of the rows.

        Raises:
            KeyError: if none does.
        """
        for name in ("text", "query", "label", "group"):
            if getattr(self.data, name) == column:
                return "data", name
        for name, named in self.data.provenance.columns_by_field.items():
            if named == column:
                return "data", "provenance", name
        columns = {
            "slices": [item.column for item in self.slices],
            "sensitive": [item.column for item in self.sensitive],
        }
        found = next((part for part, named in columns.items() if column in named), None)
        if found is None:
            raise KeyError(column)
        return found, columns[found].index(column), "column"

    @property
    def judged_columns(self) -> tuple[str, ...]:
        """Columns by which golden rows are judged beside their labels: of slices, groups of people, groups of rows."""
        named = {item.column for item in self.slices} | {item.column for item in self.sensitive}
        return tuple(sorted(named | ({self.data.group} if self.data.group else set())))

    @property
    def shortest_reading(self) -> int:
        """Tokens of a text that every model reads; a student that is not trained reads what its teacher does."""
        return min([self.teacher.longest_text, *(training.max_tokens for training in self.trainings)])

    @property
    def trainings(self) -> tuple[TrainingConfig, ...]:
        """How models are trained: the teacher, then students, as far as they are."""
        teachers = (network.training for network in self.teacher.networks.values())
        all_of_them = (*teachers, *(student.training for student in self.students))
        return tuple(training for training in all_of_them if training is not None)

    @property
    def forms(self) -> tuple[StudentForm, ...]:
        """Every student in every precision that it is judged in."""
        return tuple(form for student in self.students for form in student.forms)

    def chain_of(self, student: StudentSpec) -> list[StudentSpec]:
        """The students that one is cut from, each from the next, the one that is cut from the teacher last."""
        if student.parent is None:
            return []
        parent = self.student(student.parent)
        return [parent, *self.chain_of(parent)]

    def layers_of(self, student: StudentSpec) -> tuple[int, ...]:
        """Which of the teacher's layers a student begins with, whatever it is cut from."""
        layers = student.layers
        for parent in self.chain_of(student):
            layers = tuple(parent.layers[index] for index in layers)
        return layers

    def with_layers_named(self, student: StudentSpec) -> StudentSpec:
        """A student with the numbers of the layers that its own learn, where the recipe says that it is as they are
        cut."""
        if student.training is None or not student.copies:
            return student
        cut = student.layers if student.learns_from == "parent" else self.layers_of(student)
        return student.model_copy(update={"training": student.training.with_layers_named(cut)})

    def shape_of(self, student: StudentSpec) -> tuple[tuple[int, ...], int | None, int | None]:
        """What two students have in common that are as large and as quick as each other: the teacher's layers that
        they begin with, units of a feed-forward block where they are fewer than the teacher's, and dimensions where
        there is no layer."""
        widths = (each.feed_forward for each in (student, *self.chain_of(student)))
        width = next((each for each in widths if each is not None), None)
        return self.layers_of(student), width, None if student.layers else student.dimensions

    def form(self, name: str) -> StudentForm:
        """Look up what was judged under a name."""
        return next(form for form in self.forms if form.name == name)

    def student(self, name: str) -> StudentSpec:
        """Look a candidate up by name."""
        return next(student for student in self.students if student.name == name)
