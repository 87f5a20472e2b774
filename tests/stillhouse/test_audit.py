"""What an audit finds, experiment by experiment: each begins with an installation that passes and changes one thing.

Numbers such as A27 are of the experiments that version 0.1.0 was put to; docs/audit.md has them as a table.
"""

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.audit.audit import audit
from stillhouse.audit.content import altered
from stillhouse.audit.records import Audit, AuditedAgainst
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.records.builds import Artifact, BuildStore
from stillhouse.records.deployments import desired, serving_now
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.governance import SIGN_OFF_GATE, Waiver, WaiverRules, approve, waive
from stillhouse.records.keys import Keys
from stillhouse.records.ledger import Entry, Ledger, _engine
from stillhouse.records.manifest import ReliedOn
from stillhouse.records.promotion import go_back, promote, tell
from stillhouse.records.witness import Witness
from tests.stillhouse.chain import CONTRACT, FROM_OUTSIDE, GATES, Chain, deployed
from tests.stillhouse.forgery import Row, alter, rebuild

pytestmark = pytest.mark.long

RULES = WaiverRules(frozenset({"another_holds"}), 30)


@pytest.fixture
def chain(home: Home) -> Chain:
    return Chain(BuildStore(home))


@pytest.fixture
def champion(chain: Chain) -> Artifact:
    """A promoted release, which the audit has nothing against."""
    release = chain.release()
    chain.promote(release)
    assert chain.audit().problems == ()
    return release


def database(chain: Chain) -> Path:
    return chain.builds.home.root / "ledger.db"


def in_the_store(chain: Chain, digest: str) -> Path:
    return Path(chain.builds.home.artifacts) / digest


def said(chain: Chain, **outside: Any) -> str:
    """All problems, of which there must be some, in one text."""
    found = chain.audit(**outside)
    assert not found.ok and found.problems
    return "\n".join(found.problems)


def test_it_ends_at_rows_and_weights_from_outside(chain: Chain, champion: Artifact) -> None:
    found = chain.audit()
    assert found.ok and found.promotion is not None and found.promotion.release == champion.digest
    assert [link.asset for link in found.chain] == [
        "r/champion", "r/release", "r/contract", "r/source[base]", "r/teacher",
    ]  # fmt: skip
    outside = {link.asset: link.external_inputs for link in found.chain if link.external_inputs}
    assert outside == {f"r/{stage}": external for stage, external in FROM_OUTSIDE.items()}
    assert all(link.verified and link.gates == 2 for link in found.chain)


@pytest.mark.parametrize(("stage", "digests"), FROM_OUTSIDE.items())
@pytest.mark.parametrize(("content", "says"), [(None, "were not kept"), (b"", "altered"), (b"other", "altered")])
def test_bytes_from_outside_that_are_gone_or_altered_are_found(
    chain: Chain, champion: Artifact, stage: str, digests: dict[str, str], content: bytes | None, says: str
) -> None:
    ((address, digest),) = digests.items()
    kept = Path(chain.builds.home.artifacts) / "kept" / digest
    kept.unlink()
    if content is not None:
        kept.write_bytes(content)
    (problem,) = chain.audit().problems
    assert problem.startswith(f"r/{stage}: {address}: ") and says in problem


@pytest.mark.parametrize(("stage", "problem"), [("source[base]", "any source file"), ("teacher", "any weights")])
def test_a_walk_that_ends_inside_is_a_problem(chain: Chain, stage: str, problem: str) -> None:
    chain.promote(chain.release(outside={kept: FROM_OUTSIDE[kept] for kept in FROM_OUTSIDE if kept != stage}))
    assert [problem in line for line in chain.audit().problems] == [True]


def test_without_a_champion_there_is_nothing_to_walk(chain: Chain) -> None:
    found = chain.audit()
    assert (found.ok, found.problems, found.chain) == (False, ("r has no champion",), ())


# Bytes


@pytest.mark.experiment("A16", "A14")
@pytest.mark.parametrize("stage", ["champion", "release", "teacher", "contract", "source[base]"])
def test_a_flipped_byte_is_found_in_every_artifact(chain: Chain, champion: Artifact, stage: str) -> None:
    """A1 to A13, and A16 for the champion itself; size and time are kept as they were."""
    link = next(link for link in chain.audit().chain if link.asset == f"r/{stage}")
    path = in_the_store(chain, link.digest) / "files" / "content"
    before, content = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"r/{stage}: " in said(chain) and "altered" in said(chain)
    assert "altered" in "".join(altered(chain.builds.store, [(link.asset, link.digest, link.manifest)]))


@pytest.mark.experiment("A21", "A22")
def test_links_in_an_artifact_are_found(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    """A21, A22: what a link points to is outside the store and may change after it was hashed."""
    files = in_the_store(chain, champion.digest) / "files"
    elsewhere = tmp_path / "elsewhere"
    shutil.copy(files / "content", elsewhere)
    (files / "content").unlink()
    (files / "content").symlink_to(elsewhere)
    assert "r/release: files/content is a link to" in said(chain)
    (files / "content").unlink()
    shutil.copy(elsewhere, files / "content")
    assert chain.audit().ok
    (tmp_path / "pickles").mkdir()
    (files / "extra").symlink_to(tmp_path / "pickles")
    assert "r/release: files/extra is a link to" in said(chain)


def test_an_artifact_that_is_a_link_as_a_whole_is_found(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    artifact = in_the_store(chain, champion.digest)
    shutil.move(artifact, tmp_path / "moved")
    artifact.symlink_to(tmp_path / "moved")
    assert "is a link" in said(chain)


def test_a_remote_artifact_is_hashed_where_it_is_and_not_in_the_local_copy(home: Home, tmp_path: Path) -> None:
    from dataclasses import replace

    chain = Chain(BuildStore(replace(home, artifacts="memory://audited/artifacts")))
    release = chain.release()
    chain.promote(release)
    assert chain.audit().ok
    (chain.builds.store.root / release.digest / "files" / "content").write_bytes(b"other")
    chain.builds.store.open(release.digest)  # the copy that an earlier run downloaded is whole
    assert "r/release: " in said(chain)


# Manifests


@pytest.mark.experiment("A20")
def test_who_computed_what_was_found_again_is_walked_too(chain: Chain) -> None:
    """A20: the manifest of the run that really computed names its seeds, code and packages."""
    first = chain.release()
    again = Chain(chain.builds, run_id="again")
    release = again.release()
    again.promote(release)
    assert release.manifest.made_by == first.identity and chain.audit().ok
    manifest = in_the_store(chain, first.digest) / "manifests" / f"{first.identity}.json"
    content = manifest.read_text()
    manifest.unlink()
    assert "r/release: " in said(chain) and "of the run that computed it" in said(chain)
    manifest.write_text(content.replace('"lock_digest": "', '"lock_digest": "0'))
    assert "the manifest was edited" in said(chain)


def test_a_maker_that_the_ledger_never_saw_or_of_another_build_is_found(chain: Chain) -> None:
    first = chain.release()
    forged = first.manifest.model_copy(update={"run_id": "forged", "build_key": "0" * 64})
    maker = chain.builds.store.write_manifest(forged)
    claimed = first.manifest.model_copy(update={"run_id": "again", "made_by": maker})
    identity = chain.builds.store.write_manifest(claimed)
    body = {"asset": "r/release", "digest": first.digest, "manifest": identity, "run_id": "again"}
    chain.builds.ledger.append("materialization", "r", {**body, "found_again": True, "wall_seconds": 0, "cost_usd": 0})
    released = chain.builds.artifact(first.digest, identity)
    chain.judge(released)
    chain.promote(released)
    assert f"r/release: the ledger has no entry for manifest {maker[:12]}" in said(chain)
    assert "under another build key" in said(chain)


def test_a_manifest_of_0_1_0_keeps_its_identity(champion: Artifact) -> None:
    """It has no head; with one its identity covers it."""
    from stillhouse.digests import digest_of

    old = champion.manifest.model_copy(update={"head": None})
    fields = old.model_dump(mode="json")
    del fields["head"]
    assert old.identity == digest_of(fields) != champion.manifest.identity


# Verdicts and decisions


@pytest.mark.experiment("A31")
def test_a_forged_release_is_found(chain: Chain, champion: Artifact) -> None:
    """A31: another model with a copied manifest, one materialization and one promotion, by our own Ledger."""
    forged = chain.make("release", [], content="forged")
    manifest = champion.manifest.model_copy(update={"digest": forged.digest, "run_id": "forger"})
    identity = chain.builds.store.write_manifest(manifest)
    ledger = Ledger(chain.builds.home.ledger_url)
    body = {"asset": "r/release", "digest": forged.digest, "manifest": identity, "run_id": "forger"}
    ledger.append("materialization", "r", {**body, "found_again": False, "wall_seconds": 0, "cost_usd": 0})
    ledger.append("promotion", "r", {"digest": forged.digest, "manifest": identity, "student": "s", "before": None})
    problems = said(chain)
    assert (
        f"r/release: the ledger has no verdict on {forged.digest[:12]} before the promotion of 2 of its 2" in problems
    )
    assert "the artifact names release" in problems
    assert "does not know the promotion" in problems


def test_a_forger_of_verdicts_too_is_found_by_the_witness(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    """Whoever appends with our own Ledger can forge all that a promotion needs, and not what the witness remembers."""
    forger = Chain(BuildStore(chain.builds.home), run_id="forger", witness=Witness(str(tmp_path / "forgers.ndjson")))
    forger.promote(forger.release("forged"))
    promotion = chain.builds.ledger.entries("r", "promotion")[-1].sequence
    (problem,) = chain.audit().problems
    assert f"the witness {chain.witness.name} does not know the promotion in ledger entry {promotion}" in problem
    chain.promote(chain.release("honest"))
    found = chain.audit()
    assert found.ok and any(f"the earlier promotions in ledger entry {promotion} " in line for line in found.limits)


@pytest.mark.experiment("A34")
def test_a_promotion_of_what_is_no_release_is_found(chain: Chain, champion: Artifact) -> None:
    teacher = next(link for link in chain.audit().chain if link.asset == "r/teacher")
    body = {"digest": teacher.digest, "manifest": teacher.manifest, "student": "s"}
    chain.builds.ledger.append("promotion", "r", body)
    assert f"r/release: its manifest is of r/teacher {teacher.digest[:12]}" in said(chain)


@pytest.mark.experiment("A19", "A23")
def test_what_was_deleted_or_swapped_is_found(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    links = {link.asset: link for link in chain.audit().chain}
    teacher, source = (in_the_store(chain, links[f"r/{stage}"].digest) for stage in ("teacher", "source[base]"))
    manifest = teacher / "manifests" / f"{links['r/teacher'].manifest}.json"
    content = manifest.read_bytes()
    manifest.unlink()
    assert "r/teacher: " in said(chain) and "the manifest is missing" in said(chain)
    manifest.write_bytes(content)
    shutil.move(teacher / "files", tmp_path / "kept")
    assert "r/teacher: " in said(chain) and "not in the store" in said(chain)
    shutil.move(source / "files", teacher / "files")
    shutil.move(tmp_path / "kept", source / "files")
    assert said(chain).count("the content was altered") == 2


@pytest.mark.experiment("A33")
def test_a_champion_pointed_back_to_an_older_release_is_found(chain: Chain, champion: Artifact) -> None:
    """A33: every verdict of the older one is real; it is the promotion that nobody made."""
    newer = chain.release("newer")
    chain.promote(newer)
    shown = chain.audit().chain[0].digest
    assert chain.audit(shown=shown).ok
    body = {"digest": champion.digest, "manifest": champion.identity, "student": "s", "before": newer.digest}
    Ledger(chain.builds.home.ledger_url).append("promotion", "r", body)
    assert "r/champion: the artifact names release" in said(chain)
    assert "does not know the promotion" in said(chain)


def test_a_champion_that_only_dagster_shows_is_found(chain: Chain, champion: Artifact) -> None:
    assert "r/champion: Dagster shows 000000000000, the ledger has" in said(chain, shown="0" * 64)


@pytest.mark.parametrize("state", ["failed", "inconclusive"])
def test_a_gate_that_was_closed_is_found(chain: Chain, state: str) -> None:
    chain.promote(chain.release(one_holds=state))
    assert f"r/teacher: gate one_holds was {state} before the promotion" in said(chain)
    assert "nobody had waived it" in said(chain)


def test_a_verdict_that_came_after_the_promotion_is_too_late(chain: Chain) -> None:
    release = chain.release(one_holds="failed")
    chain.promote(release)
    teacher = next(link for link in chain.audit().chain if link.asset == "r/teacher")
    chain.judge(chain.builds.artifact(teacher.digest, teacher.manifest))
    assert "r/teacher: gate one_holds was failed before the promotion" in said(chain)


@pytest.mark.parametrize("wrong", [{"digest": "0" * 64}, {"manifest": "0" * 64}, {"asset": "r/exports"}])
def test_a_verdict_on_something_else_proves_nothing(chain: Chain, wrong: dict[str, str]) -> None:
    release = chain.release()
    other = chain.make("release", [], content="unjudged")
    other = chain.builds.artifact(
        other.digest,
        chain.builds.store.write_manifest(release.manifest.model_copy(update={"digest": other.digest})),
    )
    body = {"asset": "r/release", "digest": other.digest, "manifest": other.identity, "run_id": "run"}
    chain.builds.ledger.append("materialization", "r", {**body, "found_again": False, "wall_seconds": 0, "cost_usd": 0})
    for gate in ("one_holds", "another_holds"):
        chain.verdict(other, gate, "passed", **wrong)
    chain.promote(other)
    assert "r/release: the ledger has no verdict on" in said(chain)


@pytest.mark.experiment("A29")
def test_every_verdict_removed_and_the_chain_built_again_is_found_without_any_witness(
    chain: Chain, champion: Artifact, tmp_path: Path
) -> None:
    """A29: then a champion had not one verdict, and the golden set was fresh again."""
    rebuild(database(chain), lambda row: None if row["kind"] == "verdict" else row)
    assert chain.builds.ledger.problems() == []
    problems = said(chain, witness=Witness(str(tmp_path / "nobody.ndjson"), is_default=True))
    assert "r/teacher: the ledger has no verdict on" in problems
    assert "it was cut or replaced by an older copy" in problems and "its history was rewritten" in problems


def waived(chain: Chain, gate: str, days: int = 3, **other: Any) -> None:
    """Waive a gate of the teacher that was just made."""
    made = chain.builds.ledger.entries("r", "materialization")[-1].body
    until = datetime.now(UTC).date() + timedelta(days=days)
    body = {
        "gate": f"r/teacher:{gate}", "digest": made["digest"], "until": until.isoformat(), "by": "Ann", "account": "a",
        "reason": "to be judged by shadow traffic",
    }  # fmt: skip
    chain.builds.ledger.append("waiver", "r", {**body, **other})


def test_a_gate_that_was_validly_waived_is_no_problem(chain: Chain) -> None:
    chain.promote(chain.release(one_holds="failed", before_release=lambda c: waived(c, "one_holds")))
    assert chain.audit().problems == ()


@pytest.mark.parametrize(
    ("gate", "how", "why"),
    [
        ("another_holds", {}, "nobody can waive it"),
        ("one_holds", {"digest": "0" * 64}, "of another content or had expired"),
        ("one_holds", {"days": -1}, "of another content or had expired"),
    ],
)
def test_a_waiver_that_did_not_count_does_not_count(chain: Chain, gate: str, how: dict[str, Any], why: str) -> None:
    chain.promote(chain.release(before_release=lambda c: waived(c, gate, **how), **{gate: "failed"}))
    assert f"r/teacher: gate {gate} was failed" in said(chain) and why in said(chain)


def test_who_goes_back_need_not_waive_again_what_was_waived_when_that_release_served_first(chain: Chain) -> None:
    """Regression: a rollback after the day on which a waiver ended left an audit that nobody could put right."""
    first = chain.release(one_holds="failed", before_release=lambda c: waived(c, "one_holds"))
    second = chain.release("another model")
    chain.promote(first)
    chain.promote(second)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=10), tick=True):
        go_back(
            chain.builds.ledger, "r", serving_now(chain.builds.ledger, "r"), deployed(first),
            exports=(second.digest, first.digest), by="Ann Lee", reason="it is rude to callers",
        )  # fmt: skip
        chain.promote(first)
        assert [each for each in chain.audit().problems if "waive" in each] == []
        chain.promote(chain.release("a third model", one_holds="failed"))
        assert "had expired" in said(chain), "a round is not let through by what has ended"


def test_a_waiver_that_came_after_the_promotion_is_too_late(chain: Chain) -> None:
    release = chain.release(one_holds="failed")
    chain.promote(release)
    teacher = next(link for link in chain.audit().chain if link.asset == "r/teacher")
    waived(chain, "one_holds", digest=teacher.digest)
    assert "nobody had waived it" in said(chain)


HIGH = {**CONTRACT, "stakes": "high", "author": "Grace Hopper <grace@example.org>"}


def signed_off(chain: Chain, by: str = "Ann Lee") -> None:
    """Somebody has signed off the newest contract, by whatever way it came into the ledger."""
    made = chain.builds.ledger.newest("r", "materialization", subject="r/contract")
    assert made is not None
    body = {"contract": made.body["digest"], "by": by, "reason": "read it", "account": ""}
    chain.builds.ledger.append("sign_off", "r", body)


def test_where_the_stakes_are_high_an_approval_is_asked_for(chain: Chain) -> None:
    release = chain.release(contract=HIGH)
    assert release.digest
    chain.promote(release)
    assert "r/release: the stakes are high and nobody approved" in said(chain)
    assert "r/contract: the stakes are high and nobody signed off" in said(chain)
    signed_off(chain)
    assert "nobody signed off" in said(chain), "a sign-off that came after the promotion"
    approve(chain.builds.ledger, "r", release=release.digest, author=HIGH["author"], by="Ann", reason="read all slices")
    assert "nobody approved" in said(chain), "an approval that came after the promotion"


def test_an_entry_that_no_version_writes_is_a_problem_and_no_crash(chain: Chain, champion: Artifact) -> None:
    forger = Ledger(chain.builds.home.ledger_url)
    forger.append("promotion", "r", {"digest": 7})
    forger.append("waiver", "r", {"gate": "r/teacher:one_holds", "by": "a", "reason": "b", "until": "never"})
    problems = said(chain)
    assert "has not the fields of a promotion" in problems and "has not the fields of a waiver" in problems


@pytest.mark.parametrize(("by", "ok"), [("Ann Lee", True), ("grace+work@example.org", False), ("Hopper, Grace", False)])
def test_only_the_approval_of_somebody_else_counts(chain: Chain, by: str, ok: bool) -> None:
    release = chain.release(contract=HIGH)
    chain.builds.ledger.append("approval", "r", {"release": release.digest, "by": by, "reason": "", "account": ""})
    signed_off(chain)
    chain.promote(release)
    assert chain.audit().ok is ok


@pytest.mark.parametrize("by", ["grace+work@example.org", "Hopper, Grace"])
def test_no_author_signs_off_a_training_of_their_own(chain: Chain, by: str) -> None:
    release = chain.release(contract=HIGH)
    approve(chain.builds.ledger, "r", release=release.digest, author=HIGH["author"], by="Ann", reason="read all slices")
    signed_off(chain, by)
    chain.promote(release)
    assert f"r/contract: signed off by {by}, who cannot be distinguished from its author" in said(chain)


def test_verdicts_of_0_1_0_are_said_in_one_line_with_what_to_run(chain: Chain) -> None:
    release = chain.release()
    chain.promote(release)

    def as_0_1_0(row: Row) -> Row:
        body = json.loads(row["body"])
        for name in ("manifest", "code") if row["kind"] == "verdict" else ("gates", "run_id"):
            if row["kind"] in ("verdict", "promotion"):
                body.pop(name, None)
        return {**row, "body": json.dumps(body)}

    rebuild(database(chain), as_0_1_0)
    lines = [line for line in chain.audit().problems if "0.1.0" in line]
    assert len(lines) == 1 and "`stillhouse run r` looks at every gate again and promotes again" in lines[0]


# The history of the ledger


@pytest.mark.experiment("A27", "A28")
def test_a_ledger_cut_below_anything_that_exists_is_found(chain: Chain, champion: Artifact) -> None:
    """A27, A28, A32: offline, by what the manifests remember."""
    before = len(chain.builds.ledger.entries())
    chain.make("evaluation", [], content="a later round")
    nobody = Witness(str(chain.builds.home.root / "nobody"), is_default=True)
    assert chain.audit(witness=nobody).ok
    alter(database(chain), f"DELETE FROM ledger WHERE sequence >= {before}")
    assert "it was cut or replaced by an older copy" in said(chain, witness=nobody)


@pytest.mark.experiment("A32")
def test_a_ledger_replaced_by_an_older_copy_is_found(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    """A32: with another champion, which was real in its time."""
    shutil.copy(database(chain), tmp_path / "older.db")
    chain.promote(chain.release("newer"))
    shutil.copy(tmp_path / "older.db", database(chain))
    problems = said(chain)
    assert "was written after entry" in problems and "the witness" in problems


@pytest.mark.experiment("A30")
@pytest.mark.parametrize("times", ["2024", "backwards"])
def test_times_that_were_rewritten_are_found(chain: Chain, champion: Artifact, times: str, tmp_path: Path) -> None:
    """A30."""

    def moved(row: Row) -> Row:
        at = datetime.fromisoformat(row["at"])
        year = 2024 if times == "2024" else 2031 if row["sequence"] == 3 else 2026
        return {**row, "at": at.replace(year=year).isoformat(timespec="milliseconds")}

    rebuild(database(chain), moved)
    assert (chain.builds.ledger.problems() == []) is (times == "2024")
    assert "its history was rewritten" in said(chain, witness=Witness(str(tmp_path / "nobody"), is_default=True))
    if times == "backwards":
        assert "before the entry that it follows" in said(chain)


def test_a_head_in_a_release_record_pins_the_ledger_too(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    """A bundle that was kept elsewhere and put back is enough."""
    shutil.copytree(in_the_store(chain, champion.digest) / "files", tmp_path / "kept")
    rebuild(database(chain), lambda row: {**row, "at": "2026-01-01T00:00:00.000+00:00"})
    for manifest in Path(chain.builds.home.artifacts).glob("*/manifests/*.json"):
        manifest.unlink()
    nobody = Witness(str(tmp_path / "nobody"), is_default=True)
    assert f"when release {champion.digest[:12]} was written" in said(chain, witness=nobody)


def test_all_rebuilt_with_every_artifact_is_found_by_the_witness_alone(
    chain: Chain, champion: Artifact, home: Home
) -> None:
    """Ledger and store made afresh at the same place: nothing in the state contradicts them."""
    shutil.rmtree(home.root)
    database(chain).parent.mkdir(parents=True)
    _engine.cache_clear()  # another process would open the new file
    forged = Chain(BuildStore(home), run_id="forger", witness=Witness(str(home.root.parent / "other.ndjson")))
    forged.promote(forged.release("forged"))
    assert forged.audit().ok
    assert "remembers another ledger at this place" in said(forged, witness=chain.witness)


def test_a_head_that_was_written_down_is_compared(chain: Chain, champion: Artifact) -> None:
    head = chain.audit().head
    assert chain.audit(written_down=head[:16]).ok
    alter(database(chain), "DELETE FROM ledger WHERE sequence = (SELECT max(sequence) FROM ledger)")
    assert f"no ledger entry has the digest {head[:16]}" in said(chain, written_down=head[:16].upper())
    with pytest.raises(StillhouseError, match="too short to name one entry"):
        chain.audit(written_down="abc")


def test_an_unreachable_witness_stops_no_promotion_and_is_said(chain: Chain, tmp_path: Path) -> None:
    gone = Chain(chain.builds, witness=Witness("nosuch://witness"))
    release = gone.release()
    promotion = gone.promote(release)
    assert not promotion.witnessed and "the witness cannot be reached" in promotion.witness
    assert "the witness cannot be reached" in said(gone)
    later = Chain(chain.builds)
    assert "does not know the promotion" in said(later, witness=Witness(str(tmp_path / "other.ndjson")))
    assert later.promote(release).witnessed and later.audit().ok
    assert len(chain.builds.ledger.entries("r", "promotion")) == 1, "it was told, not promoted again"


def test_what_cannot_be_proven_is_said(chain: Chain, champion: Artifact, tmp_path: Path) -> None:
    found = chain.audit(witness=Witness(str(tmp_path / "nobody"), is_default=True))
    assert found.ok
    assert any("no witness knows this ledger" in line for line in found.limits)
    assert any("no entry is signed" in line for line in found.limits)


def test_a_ledger_that_is_ahead_of_the_clock_proves_no_time(chain: Chain, champion: Artifact) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400), tick=True):
        chain.builds.ledger.append("reopening", "r", {})
    found = chain.audit()
    assert found.ok and any("days after this machine's clock" in line for line in found.limits)


# Signatures


def test_whoever_writes_without_the_key_is_found(chain: Chain, home: Home) -> None:
    """A forger with our own Ledger can write verdicts, waivers and promotions; not sign them."""
    fingerprint = Keys.from_environment().make(home.root)
    release = chain.release()
    chain.promote(release)
    found = chain.audit()
    assert found.ok and not any("signed" in line for line in found.limits)
    (head,) = chain.witness.memory().heads
    assert head.key == fingerprint and head.signature

    forger = Ledger(home.ledger_url)
    last = forger.append("waiver", "r", {"gate": "r/teacher:one_holds", "digest": "0" * 64, "until": "2999-01-01"})
    assert f"ledger entry {last.sequence} is not signed" in said(chain)


def test_a_signature_of_other_content_or_of_a_stranger_is_found(chain: Chain, home: Home, tmp_path: Path) -> None:
    Keys.from_environment().make(home.root)
    chain.promote(chain.release())
    stranger = Keys(tmp_path / "stranger")
    stranger.make(home.root)
    entry = Ledger(home.ledger_url, stranger.sign).append("waiver", "r", {"gate": "g"})
    assert "is not trusted here" in said(chain)
    alter(
        database(chain),
        f"UPDATE ledger_signatures SET key = (SELECT key FROM ledger_signatures WHERE sequence = 1) "
        f"WHERE sequence = {entry.sequence}",
    )
    assert f"the signature of ledger entry {entry.sequence} is not that of its content" in said(chain)


def test_signatures_that_were_taken_away_are_found_by_the_witness(chain: Chain, home: Home) -> None:
    Keys.from_environment().make(home.root)
    chain.promote(chain.release())
    alter(database(chain), "DELETE FROM ledger_signatures")
    assert "had a signature when the witness recorded it, and has none now" in said(chain)


def test_a_head_that_somebody_else_gave_the_witness_is_found(chain: Chain, home: Home) -> None:
    Keys.from_environment().make(home.root)
    chain.promote(chain.release())
    (head,) = chain.witness.memory().heads
    chain.witness.remember(head.model_copy(update={"digest": "0" * 64}))
    assert f"remembers of entry {head.sequence} was not signed so" in said(chain)


def test_an_audit_needs_the_public_key_only(chain: Chain, home: Home) -> None:
    keys = Keys.from_environment()
    keys.make(home.root)
    chain.promote(chain.release())
    (keys.folder / "signing.pem").unlink()
    assert chain.audit().ok


def test_entries_before_there_was_a_key_are_named(chain: Chain, champion: Artifact, home: Home) -> None:
    Keys.from_environment().make(home.root)
    chain.make("evaluation", [], content="signed")
    found = chain.audit()
    assert found.ok and any("were written before there was a key" in line for line in found.limits)


# Any single edit


EDITS = ["at", "kind", "recipe", "body", "previous", "digest"]


@pytest.mark.experiment("A24", "A25", "A26")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), column=st.sampled_from([*EDITS, "delete"]), flip=st.integers(0, 10**6))
def test_any_single_edit_of_the_ledger_is_found(chain: Chain, place: int, column: str, flip: int) -> None:
    if chain.builds.ledger.champion("r") is None:
        chain.promote(chain.release())
        chain.make("evaluation", [], content="so that a head is above every entry of the promotion")
    kept = database(chain).read_bytes()
    entries = chain.builds.ledger.entries()
    # The last entries, after which nothing was made, are in nobody's memory yet; the audit says so.
    entry = entries[place % (len(entries) - 1)]
    try:
        if column == "delete":
            alter(database(chain), f"DELETE FROM ledger WHERE sequence = {entry.sequence}")
        else:
            text = json.dumps(entry.body, sort_keys=True) if column == "body" else str(getattr(entry, column))
            where = flip % len(text)
            other = chr(ord("a") + (ord(text[where]) + 1) % 26)
            changed = text[:where] + (other if other != text[where] else "z") + text[where + 1 :]
            changed = changed.replace("'", "''")
            alter(database(chain), f"UPDATE ledger SET {column} = '{changed}' WHERE sequence = {entry.sequence}")
        assert not chain.audit().ok
    finally:
        database(chain).write_bytes(kept)


@pytest.mark.experiment("A17", "A18")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 10**6), where=st.integers(0, 10**6), bit=st.integers(0, 6))
def test_any_single_edit_of_a_manifest_is_found(chain: Chain, which: int, where: int, bit: int) -> None:
    if chain.builds.ledger.champion("r") is None:
        chain.promote(chain.release())
    manifests = sorted(Path(chain.builds.home.artifacts).glob("*/manifests/*.json"))
    path = manifests[which % len(manifests)]
    kept = path.read_bytes()
    place = where % len(kept)
    path.write_bytes(kept[:place] + bytes([kept[place] ^ (1 << bit)]) + kept[place + 1 :])
    try:
        assert not chain.audit().ok or json.loads(path.read_bytes()) == json.loads(kept)
    finally:
        path.write_bytes(kept)


def test_a_refresh_that_finds_the_same_release_promotes_nothing(chain: Chain, champion: Artifact) -> None:
    """The head in the release record is of its first moment, and nothing that its build depends on."""
    again = Chain(chain.builds, run_id="again")
    release = again.release()
    assert release.digest == champion.digest and release.manifest.made_by is not None
    promotion = again.promote(release)
    assert not promotion.changed and len(chain.builds.ledger.entries("r", "promotion")) == 1
    assert again.audit().ok


def test_a_promotion_on_other_gates_is_entered_again(chain: Chain, champion: Artifact) -> None:
    """Else no audit could ever find the verdicts of a newer version's gates before it."""
    relied = [ReliedOn(asset="r/x", gate="a_new_gate", state=GateStatus.PASSED, run_id="run")]
    seen = desired(chain.builds.ledger, "r")
    promotion = promote(
        chain.builds.ledger, chain.witness, "r", deployed(champion), seen=seen, export="model", run_id="again",
        relied_on=relied,
    )  # fmt: skip
    assert not promotion.changed and len(chain.builds.ledger.entries("r", "promotion")) == 2


def test_going_back_to_an_earlier_release_is_audited_like_any_promotion(chain: Chain, champion: Artifact) -> None:
    newer = chain.release("newer")
    chain.promote(newer)
    seen, decided = desired(chain.builds.ledger, "r"), {"by": "Ann Lee", "reason": "complaints about names of places"}
    assert seen is not None and seen.champion == deployed(newer)
    entry = go_back(
        chain.builds.ledger, "r", seen, deployed(champion), exports=(newer.digest, champion.digest), **decided
    )  # fmt: skip
    assert "does not know the promotion" in said(chain)
    assert tell(chain.builds.ledger, chain.witness, entry)[0]
    chain.promote(champion)
    assert chain.audit().problems == ()
    assert len(chain.builds.ledger.entries("r", "promotion")) == 3, "what a person promoted is not promoted again"


def test_of_a_release_that_no_round_looks_at_again_gates_are_asked_that_there_were(chain: Chain) -> None:
    """Regression: an audit of what somebody went back to asked for gates that are newer, and nothing could end that."""
    ledger, high = chain.builds.ledger, {**CONTRACT, "stakes": "high", "author": "Grace Hopper"}
    newer = (*GATES, SIGN_OFF_GATE)

    def found(release: str | None = None) -> Audit:
        trusted = Keys.from_environment().trusted()
        outside = AuditedAgainst(
            lambda stage: GATES if stage == "champion" else newer, frozenset(), witness=chain.witness, trusted=trusted
        )
        return audit(chain.builds.store, ledger, "r", outside, release=release)

    first = chain.release("first", contract=high)
    approve(ledger, "r", release=first.digest, author=high["author"], by="Ann Lee", reason="read all slices")
    chain.promote(first)
    assert "nobody signed off" in "".join(found().problems), "the next round asks for it"
    second = chain.release("second")
    chain.promote(second)
    assert found(first.digest).ok, "of an answer that it gave"
    decided = {"by": "Ann Lee", "reason": "complaints about names of places", "exports": ("second", "first")}
    tell(ledger, chain.witness, go_back(ledger, "r", serving_now(ledger, "r"), deployed(first), **decided))
    chain.promote(first)
    assert found().problems == () and any(f"were the gates {SIGN_OFF_GATE}" in line for line in found().limits)
    chain.verdict(chain.make("contract", content="of another"), SIGN_OFF_GATE, "passed")
    third = chain.release("third", contract=high)
    approve(ledger, "r", release=third.digest, author=high["author"], by="Ann Lee", reason="read all slices")
    chain.promote(third)
    problems = "".join(found(third.digest).problems)
    assert SIGN_OFF_GATE in problems and "nobody signed off" in problems, (
        "that it was not asked of this one is no excuse"
    )


def test_a_deployment_of_another_release_than_was_promoted_is_found(chain: Chain, champion: Artifact) -> None:
    """Replicas obey the deployment alone."""
    other = champion.digest[::-1]
    serves = {"release": other, "manifest": champion.identity, "student": "s"}
    chain.builds.ledger.append("deployment", "r", {"champion": serves, "hold": None, "because": "round", "replaces": 1})
    assert f"has release {other[:12]} serve, the promotion" in said(chain)


@pytest.mark.parametrize("how", ["quarantine", "challenger"])
def test_a_deployment_by_which_an_unjudged_release_answers_callers_is_found(
    chain: Chain, champion: Artifact, how: str
) -> None:
    """The champion is the right one, and all texts but its name are answered by another."""
    serves = {"release": champion.digest, "manifest": champion.identity, "student": "s"}
    forged = {"release": "e" * 64, "manifest": "f" * 64, "student": "s"}
    parts = {
        "quarantine": [{"slice": "all", "characters": [0, None], "labels": [], "instead": forged, "by": "Ann",
                        "reason": "r", "since": "2026-01-01", "until": "2099-01-01"}],
        "challenger": {"deployed": forged, "stage": "canary", "share": 0.99},
    }  # fmt: skip
    body = {"champion": serves, "hold": None, "because": "quarantine", "replaces": 1, how: parts[how]}
    assert chain.audit().problems == ()
    chain.builds.ledger.append("deployment", "r", body)
    problems = said(chain)
    if how == "quarantine":
        assert f"release {'e' * 12} answers instead of the champion, and it never was the champion itself" in problems
    else:
        assert (
            "the ledger has no verdict on eeeeeeeeeeee" in problems and "it is on its way by ledger entry" in problems
        )


def test_a_waiver_by_the_command_is_one_that_the_audit_takes(chain: Chain) -> None:
    def by_command(chain: Chain) -> None:
        made = chain.builds.ledger.entries("r", "materialization")[-1].body["digest"]
        until = date.fromisoformat(datetime.now(UTC).date().isoformat())
        waiver = Waiver("r/teacher:one_holds", "Ann", "to be judged by shadow traffic", until, made)
        waive(chain.builds.ledger, "r", waiver, RULES)

    chain.promote(chain.release(one_holds="inconclusive", before_release=by_command))
    assert chain.audit().problems == ()


def test_a_run_that_goes_on_during_an_audit_is_no_contradiction(
    chain: Chain, champion: Artifact, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What remembers the ledger is read before the ledger, and not after."""
    Keys.from_environment().make(home.root)
    chain.make("evaluation", [], content="so that something is signed")
    read, rounds = Ledger.entries, iter(["newer", "newest"])

    def entries(ledger: Ledger, *about: Any, **narrowed: Any) -> list[Entry]:
        found = read(ledger, *about, **narrowed)
        if not about and not narrowed and (content := next(rounds, None)) is not None:
            chain.promote(chain.release(content))
        return found

    monkeypatch.setattr(Ledger, "entries", entries)
    assert chain.audit().problems == () and next(rounds, None) == "newest"


def test_signatures_of_entries_that_are_gone_are_found(chain: Chain, home: Home, tmp_path: Path) -> None:
    Keys.from_environment().make(home.root)
    chain.promote(chain.release())
    last = chain.builds.ledger.head().sequence
    alter(database(chain), f"DELETE FROM ledger WHERE sequence = {last}")
    nobody = Witness(str(tmp_path / "nobody"), is_default=True)
    assert f"the signature of ledger entry {last} is not that of its content" in said(chain, witness=nobody)


def test_an_audit_of_twice_as_many_batches_visits_no_entry_more_often(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: for each link all verdicts and materializations were gone through, three minutes of 1,000 batches."""
    visits_of_each = []
    for batches in (20, 40):
        several = [chain.make(f"prompts[{batch}]", content=f"{batches} {batch}") for batch in range(batches)]
        for made in several:
            chain.judge(made)
        release = chain.release(content=f"of {batches}", and_from=several)
        chain.promote(release)
        visited = list[int]()
        with monkeypatch.context() as patches:
            patches.setattr(Entry, "__getattribute__", noted(visited))
            found = chain.audit()
        assert found.problems == () and len(found.chain) == 5 + batches
        visits_of_each.append(len(visited) / chain.builds.ledger.head().sequence)
    assert visits_of_each[1] < 1.2 * visits_of_each[0], visits_of_each


def noted(visited: list[int]) -> Callable[[Entry, str], Any]:
    """Reading a field of an entry, with a note of it when it is what happened or when."""

    def read(entry: Entry, name: str) -> Any:
        if name in ("body", "sequence"):
            visited.append(1)
        return object.__getattribute__(entry, name)

    return read
