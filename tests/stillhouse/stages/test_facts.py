"""What follows from the facts of a stage."""

from stillhouse.stages.facts import SaidFacts, TeacherFacts


def a_teacher(usd: float | None = None, members: dict[str, TeacherFacts] | None = None) -> TeacherFacts:
    said = None if members else SaidFacts(texts=1, failures={}, accuracy=0.9, usd_a_prompt=usd)
    return TeacherFacts(
        fingerprint="f", base_fingerprint="b", labels=("A", "B"), parameters=None, temperature=1.0,
        validation_right=1, validation_rows=1, said=said, members=members or {},
    )  # fmt: skip


def test_what_a_thousand_answers_cost_is_what_all_servers_charge() -> None:
    assert a_teacher(0.002).usd_per_1000_answers == 2 and a_teacher().usd_per_1000_answers is None
    assert a_teacher(members={"one": a_teacher(0.002), "stored": a_teacher()}).usd_per_1000_answers == 2
    assert a_teacher(members={"one": a_teacher(0.002), "two": a_teacher(0.001)}).usd_per_1000_answers == 3
    assert a_teacher(members={"stored": a_teacher()}).usd_per_1000_answers is None
    assert a_teacher(0.0).usd_per_1000_answers == 0, "a server of one's own may be free"
