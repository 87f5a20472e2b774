"""The contract of a distillation: one page of typed YAML, refused at the door when it is wrong.

Belongs here: the rules between the parts of a recipe.
Does not: its fields and what follows from them (parts.py), rules within one part (its file), what goes with which kind
of answer (answer_kinds.py), reading a recipe (reading.py), making assets of it (orchestration/component.py), rules that
need rows or weights (checks/).
"""

import re
from collections import Counter
from collections.abc import Mapping

from pydantic import model_validator

from stillhouse.recipe.answer_kinds import (
    BY_CLASS,
    BY_CLASS_OR_PROBABILITY,
    NOT_OF_PAIRS,
    NOT_OF_RECORDS,
    unfit_bar,
    unfit_combination,
    unfit_for_numbers,
    unfit_for_records,
    unfit_for_sets,
    unfit_losses,
)
from stillhouse.recipe.cascade import CascadeSpec
from stillhouse.recipe.data import NUMBERS, RECORDS, SETS
from stillhouse.recipe.fields import NAME_PATTERN, FieldError, ManyFieldsError
from stillhouse.recipe.parts import RecipeParts
from stillhouse.recipe.plays import KillFact
from stillhouse.recipe.students import StudentSpec, unfit_parent
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.training import TrainingConfig


class Recipe(RecipeParts):
    """Everything that is decided before a model exists."""

    @model_validator(mode="after")
    def _names_are_unique_and_someone_may_win(self) -> "Recipe":
        named = ("slices", "behaviour", "students", "plays", "risks")
        for what, names in ((each, getattr(self, each)) for each in named):
            twice = [name for name, count in Counter(item.name for item in names).items() if count > 1]
            if twice:
                raise ValueError(f"{what}: {', '.join(twice)} is named twice")
        sensitive = [item.column for item in self.sensitive]
        if len(set(sensitive)) < len(sensitive):
            raise ValueError("sensitive: a column is named twice")
        if {self.data.text, self.data.label} & set(sensitive):
            raise ValueError("sensitive: neither text nor label says which group of people a row is of")
        without_use = set(self.data.allow_missing_columns) - {self.data.label, *self.kept_columns}
        if without_use:
            raise ValueError(
                f"data.allow_missing_columns: {', '.join(map(repr, sorted(without_use)))} is neither the label nor a "
                "further column that this recipe names"
            )
        if self.stakes == "high" and self.author is None:
            raise ValueError("author: must be named where the stakes are high, because the author cannot approve")
        if "cost" in self.pain and self.economics is None:
            raise ValueError("economics: must be filled in where cost is a pain, else nobody knows what would be saved")
        if all(student.learns_from == "labels" for student in self.students):
            raise ValueError("students: all learn from labels alone and are controls, so none could be released")
        return self

    @model_validator(mode="after")
    def _a_teacher_has_room_for_a_record(self) -> "Recipe":
        """Written down as if the recipe said it, so that the contract names what was asked."""
        if self.data.record is not None:
            object.__setattr__(self, "teacher", self.teacher.with_room_for(self.data.record))
        return self

    @model_validator(mode="after")
    def _who_has_an_address_owns_something(self) -> "Recipe":
        there_are = list(dict.fromkeys([*(each.owner for each in self.plays), *(each.owner for each in self.risks)]))
        for owner in self.owner_notify:
            if owner not in there_are:
                owned = ", ".join(there_are) or "there is none"
                raise FieldError(f"{owner} owns no play and no risk: {owned}", "owner_notify", owner)
        return self

    @model_validator(mode="after")
    def _there_are_rows_to_learn_from(self) -> "Recipe":
        data, split = self.data, self.split
        if data.golden is None and split.golden_share + split.validation_share >= 1:
            raise FieldError("golden_share and validation_share leave nothing to train on", "split")
        if data.label is not None:
            return self
        if self.teacher.training is not None:
            raise FieldError(
                f"must name a column where teacher.kind is {self.teacher.kind}, which is trained on labelled rows of "
                "the source; a teacher that learns from no label is asked as it is",
                "data",
                "label",
            )
        for index, student in enumerate(self.students):
            if student.learns_from == "labels":
                raise FieldError(
                    f"{student.name} learns from labels, and the source has none where data.label is null: leave this "
                    "student out",
                    "students",
                    index,
                    "learns_from",
                )
        return self

    @model_validator(mode="after")
    def _a_student_is_cut_from_one_that_is_made(self) -> "Recipe":
        by_name = {student.name: student for student in self.students}
        for index, student in enumerate(self.students):
            field, mistake = unfit_parent(student, by_name)
            if mistake:
                raise FieldError(mistake, "students", index, field)
        for index, student in enumerate(self.students):  # now that no chain is a circle
            field, mistake = ("layers", "") if student.parent is None else self._more_than_its_parent(student)
            if mistake:
                raise FieldError(mistake, "students", index, field)
            if student.learns_from == "parent":
                self._require_that_its_parent_has_what_its_layers_learn(index, student)
        return self

    def _require_that_its_parent_has_what_its_layers_learn(self, index: int, student: StudentSpec) -> None:
        there_are, training = len(self.chain_of(student)[0].layers), self.with_layers_named(student).training
        for field, term in () if training is None else training.layer_terms:
            if max(other for _, other in term.pairs) >= there_are:
                mistake = f"{student.parent} has {there_are} layers, counted from 0, and {student.name} learns from it"
                raise FieldError(mistake, "students", index, "training", *field, "layers")

    def _more_than_its_parent(self, student: StudentSpec) -> tuple[str, str]:
        """The field in which a student asks for more than there is in its parent, and the mistake; or no mistake."""
        parent = self.chain_of(student)[0]
        if len(student.layers) > len(parent.layers) or max(student.layers) >= len(parent.layers):
            layers = f"{len(parent.layers)} layer{'s' * (len(parent.layers) != 1)}, counted from 0"
            return "layers", f"{student.name} keeps {list(student.layers)} of {parent.name}, which has {layers}"
        width = self.shape_of(parent)[1]
        if student.feed_forward is not None and width is not None and student.feed_forward >= width:
            return "feed_forward", f"fewer than the {width} of {parent.name}, or left out to keep them"
        return "layers", ""

    @model_validator(mode="after")
    def _what_is_judged_has_a_name_of_its_own(self) -> "Recipe":
        twice = [name for name, count in Counter(form.name for form in self.forms).items() if count > 1]
        if twice:
            raise ValueError(
                f"students: {', '.join(twice)} is the name of one student, and of another one in one of its precisions"
            )
        too_long = [form.name for form in self.forms if re.fullmatch(NAME_PATTERN, form.name) is None]
        if too_long:
            raise ValueError(f"students: {', '.join(too_long)}, with its precision, is longer than a name may be")
        return self

    @model_validator(mode="after")
    def _students_are_cut_from_weights_that_are_here(self) -> "Recipe":
        kind = self.teacher.kind
        if self.teacher.runs_here and self.base is not None:
            raise ValueError(f"base: must be left out where teacher.kind is {kind}: students are cut from it")
        if not self.teacher.runs_here and self.base is None:
            raise ValueError(f"base: must be given where teacher.kind is {kind}: it has no layers to cut students from")
        return self

    @model_validator(mode="after")
    def _the_budget_compares_with_a_teacher_that_is_here(self) -> "Recipe":
        kind, budget = self.teacher.kind, self.budget
        ratios = ("latency_ratio_at_least", "size_ratio_at_least")
        given = [name for name in ratios if getattr(budget, name) is not None]
        if budget.teacher_serves_on != "cpu":
            field, mistake = self._unfit_for_a_teacher_on_a_gpu()
            if mistake:
                raise FieldError(mistake, "budget", field)
        if self.teacher.runs_here:
            missing = ", budget.".join(name for name in ratios if name not in given)
            if missing:
                raise ValueError(f"budget.{missing}: must be given where teacher.kind is {kind}")
            return self
        if given:
            raise ValueError(
                f"budget.{', budget.'.join(given)}: must be left out where teacher.kind is {kind}, whose size and "
                "speed are not measured beside a student's: latency_ms_at_most and size_mb_at_most say what a student "
                "may cost"
            )
        if budget.latency_ms_at_most is None:
            raise ValueError(f"budget.latency_ms_at_most: must be given where teacher.kind is {kind}")
        return self

    def _unfit_for_a_teacher_on_a_gpu(self) -> tuple[str, str]:
        """The field without which a teacher cannot be compared that serves on a GPU, and the mistake; or no mistake."""
        if not self.teacher.runs_here:
            kind = self.teacher.kind
            return (
                "teacher_serves_on",
                f"must be left out where teacher.kind is {kind}: it is not timed beside students",
            )
        if self.cascade is not None:
            mistake = "must be left out where there is a cascade, whose server asks the teacher on its own CPU"
            return "teacher_serves_on", mistake
        if self.economics is not None and self.budget.latency_ms_at_most is None:
            return "latency_ms_at_most", (
                "must be given where teacher_serves_on is cuda and there are economics: a ratio to a teacher "
                "on another device does not say what the student costs"
            )
        return "teacher_serves_on", ""

    @model_validator(mode="after")
    def _students_learn_what_their_teacher_gives(self) -> "Recipe":
        kind = self.teacher.kind
        for student in () if self.teacher.runs_here else self.students:
            if student.training is None:
                raise ValueError(f"students: {student.name} has to learn: the base alone knows none of the labels")
        for index, student in enumerate(self.students):
            if student.weigh_by_agreement and kind is not TeacherKind.ENSEMBLE:
                mistake = f"must be left out where teacher.kind is {kind}: only members of an ensemble can agree"
                raise FieldError(mistake, "students", index, "weigh_by_agreement")
            for field, term in () if student.training is None else student.training.terms:
                if self.gives_numbers and term.loss is not None:
                    continue  # a number is an answer alone, and all that there is to compare
                has_reasons = self.teacher.answers.rationale_path is not None
                if term.embedding_loss is not None and term.layers is None and has_reasons:
                    continue  # the base has a state of each
                if term.needs > self.teacher.gives and student.learns_from != "parent":  # which gives all there is
                    alone = "logit_mse" if self.gives_numbers else "bce" if self.gives_sets else "kl"
                    raise FieldError(
                        f"{term.name} needs a teacher that gives {term.needs.in_words}; where teacher.kind is {kind} "
                        f"there are {self.teacher.gives.in_words}: use {alone} alone",
                        *("students", index, "training", *field),
                    )
        return self

    @model_validator(mode="after")
    def _who_is_asked_under_stress_can_be_asked(self) -> "Recipe":
        if self.stress is None or not self.stress.ask_teacher:
            return self
        kinds = {self.teacher.kind, *(each.kind for each in self.teacher.members.values())}
        mistake = ""
        if TeacherKind.STORED in kinds:
            mistake = "must be left out where answers are stored: nobody can be asked a text that is not among them"
        elif self.teacher.runs_here:
            mistake = f"must be left out where teacher.kind is {self.teacher.kind}, which is asked them anyway"
        if mistake:
            raise FieldError(mistake, "stress", "ask_teacher")
        return self

    @model_validator(mode="after")
    def _what_is_asked_goes_with_pairs(self) -> "Recipe":
        for part, why in () if self.data.query is None else NOT_OF_PAIRS.items():
            if getattr(self, part) is not None:
                raise FieldError(f"must be left out where data.query is set: {why}", part)
        for name, each in self.teacher.by_member.items() if self.data.query is None else ():
            if each.answers.names_queries:
                place = ("teacher", *(("ensemble", "members", name) if name else ()), "answers")
                field = "text_pattern" if each.answers.query is None else "query"
                raise FieldError("must name no query where data.query is left out: rows have none", *place, field)
        return self

    @model_validator(mode="after")
    def _what_is_asked_goes_with_the_answers(self) -> "Recipe":
        answer = self.data.answer
        trainings: dict[tuple[str | int, ...], TrainingConfig] = {
            ("students", index, "training"): student.training
            for index, student in enumerate(self.students)
            if student.training is not None
        }
        unfit = [
            *unfit_losses(answer, trainings),
            *unfit_combination(answer, self.teacher),
            *unfit_bar(answer, self.bar),
        ]
        parts: Mapping[str, str] = {}
        if answer in SETS:
            unfit += unfit_for_sets(answer, self.teacher, self.bar)
            parts = BY_CLASS
        elif answer in NUMBERS:
            unfit += unfit_for_numbers(answer, self.teacher, self.bar, self.slices, self.data.group)
            parts = BY_CLASS_OR_PROBABILITY
        elif answer in RECORDS:
            unfit += unfit_for_records(
                answer, self.data.fields or {}, self.teacher, self.bar, self.slices, self.students
            )
            parts = NOT_OF_RECORDS
        unfit += (
            ((part,), f"must be left out where data.answer is {answer}: {why}")
            for part, why in parts.items()
            if getattr(self, part)
        )
        mistakes: dict[tuple[str | int, ...], str] = {}
        for field, mistake in unfit:
            mistakes.setdefault(field, mistake)  # two rules may refuse one field, and one reason is enough
        if mistakes:
            raise ManyFieldsError([FieldError(mistake, *field) for field, mistake in mistakes.items()])
        return self

    @model_validator(mode="after")
    def _it_is_said_what_may_leave_this_machine(self) -> "Recipe":
        if self.teacher.servers and "teacher_may_see" not in self.data.provenance.model_fields_set:
            raise ValueError(
                "data.provenance.teacher_may_see: must say which privacy classes may be sent to the teacher's server"
            )
        return self

    @model_validator(mode="after")
    def _a_cascade_can_be_calibrated_and_asked(self) -> "Recipe":
        if self.cascade is None:
            return self
        if mistake := self._unfit_for_a_cascade():
            raise FieldError(mistake, "cascade")
        field, mistake = self._unfit_slices(self.cascade)
        if mistake:
            raise FieldError(mistake, "cascade", field)
        return self

    def _unfit_for_a_cascade(self) -> str:
        """Why a recipe with such a teacher and such rows can have no cascade; empty where it can."""
        kind, provenance, calls = self.teacher.kind, self.data.provenance, self.serving.teacher
        if kind not in (TeacherKind.ENCODER, TeacherKind.CLASSIFIER, TeacherKind.ENDPOINT):
            return f"must be left out where teacher.kind is {kind}, which no server asks"
        if self.data.group is not None:
            return "must be left out where data.group is set: its bound counts rows that stand alone"
        if provenance.privacy_column is not None or provenance.privacy_class not in provenance.teacher_may_see:
            return (
                "must be left out where the teacher may not see every text: nobody says of which privacy class a "
                "request is, so data.provenance.privacy_column has to be left out, and privacy_class to be one of "
                "teacher_may_see"
            )
        if self.teacher.endpoint is None:
            given = [name for name in ("endpoint", "usd_per_month") if getattr(calls, name) is not None]
            return f"serving.teacher.{given[0]} must be left out where teacher.kind is {kind}" if given else ""
        is_paid = self.teacher.endpoint.usd_per_million_in + self.teacher.endpoint.usd_per_million_out > 0
        unpaid = "serving.teacher.usd_per_month must be given where calls of the teacher cost money"
        return unpaid if is_paid and calls.usd_per_month is None else ""

    def _unfit_slices(self, cascade: CascadeSpec) -> tuple[str, str]:
        """The field of a cascade that names what no server can tell, and the mistake; or no mistake."""
        column_of = {item.name: item.column for item in self.slices}
        for name in cascade.protect:
            if name not in column_of:
                return "protect", f"there is no slice {name}, only {', '.join(column_of) or 'none'}"
            if column_of[name] not in ("label", *cascade.request_columns):
                return "protect", (
                    f"a server does not know which texts are in {name}: its column {column_of[name]} is neither "
                    "`label` nor one of cascade.request_columns"
                )
        foreign = sorted(set(cascade.request_columns) - set(column_of.values()))
        return "request_columns", f"{foreign[0]} is the column of no slice" if foreign else ""

    @model_validator(mode="after")
    def _callers_send_columns_of_slices(self) -> "Recipe":
        sent, protecting = self.serving.request_columns, () if self.cascade is None else self.cascade.request_columns
        for column in sent:
            if column == "label":
                mistake = "label is what the student answers, and no caller sends it"
            elif column not in {item.column for item in self.slices}:
                mistake = f"{column} is the column of no slice"
            elif column in protecting:
                mistake = f"cascade.request_columns names {column} already, and it is named once"
            elif sent.count(column) > 1:
                mistake = f"{column} is named twice"
            else:
                continue
            raise FieldError(mistake, "serving", "request_columns")
        return self

    @model_validator(mode="after")
    def _kill_rules_can_be_measured(self) -> "Recipe":
        for index, play in enumerate(self.plays):
            fact = None if play.rule is None else play.rule.fact
            if fact is not None and fact.is_of_traffic and self.traffic is None:
                raise FieldError(f"{fact} is counted by what servers keep: add traffic", "plays", index, "kill")
            if fact is KillFact.SAVING_USD and self.economics is None:
                raise FieldError(
                    "saving_usd needs to know what the teacher costs: add economics", "plays", index, "kill"
                )
        return self

    @model_validator(mode="after")
    def _a_live_shadow_waits_for_no_teacher(self) -> "Recipe":
        if self.shadow_is_live and self.cascade is not None:
            raise FieldError(
                "must be replay where there is a cascade: a server that asked the teacher for a challenger would have "
                "callers wait for it. Keep texts and leave `mode` out, or leave `cascade` out",
                *("rollout", "shadow", "mode"),
            )
        return self
