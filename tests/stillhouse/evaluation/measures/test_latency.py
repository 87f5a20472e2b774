"""Speed is measured by two clocks, all models in turns, so that what else the machine does cannot decide a verdict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stillhouse.evaluation.measures.latency import (
    BLOCK,
    BUSY_ABOVE,
    LOAD_LOWERS,
    LOAD_RAISES,
    SHARED_HOST,
    Clocks,
    LatencyComparison,
    _is_virtual,
    device_stamp,
    latencies_beside_teacher,
)
from stillhouse.models.export import export_student
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from tests.small import small_teacher
from tests.warm import WarmParent

pytestmark = pytest.mark.long


class Machine:
    """Time moves when a model works; on a busy machine the model also waits for the processor."""

    def __init__(self, waits: float = 0.0) -> None:
        self.wall, self.cpu = 0.0, 0.0
        self.waits = waits
        self.calls: list[tuple[str, str]] = []

    @property
    def clocks(self) -> Clocks:
        return Clocks(wall_ns=lambda: round(self.wall), cpu_ns=lambda: round(self.cpu))

    def model(self, name: str, milliseconds: float) -> Callable[[str], None]:
        """A model that takes this long for each character; calls of 10 ms and more are interrupted, short ones not."""

        def answer(text: str) -> None:
            self.calls.append((name, text))
            took = milliseconds * len(text) * 1e6
            self.cpu += took
            self.wall += took * (1 + (self.waits if took >= 1e7 else 0.0))

        return answer

    def measure(
        self, texts: list[str], rounds: int = 5, seed: int = 0, **models: float
    ) -> dict[str, LatencyComparison]:
        """The teacher takes 12 ms a character."""
        return latencies_beside_teacher(
            self.model("teacher", 12), {name: self.model(name, ms) for name, ms in models.items()}, texts,
            rounds=rounds, seed=seed, clocks=self.clocks,
        )  # fmt: skip


def test_the_ratios_of_two_known_models_are_exact_by_both_clocks() -> None:
    latency = Machine().measure(["a", "b"], one=3)["one"]
    assert latency.cpu is not None
    for ratio in (latency.ratio, latency.ratio_low, latency.ratio_high):
        assert ratio == pytest.approx(4)
    for ratio in (latency.cpu.ratio, latency.cpu.ratio_low, latency.cpu.ratio_high):
        assert ratio == pytest.approx(4)
    assert (latency.cpu.teacher_ms, latency.cpu.student_ms) == (pytest.approx(12), pytest.approx(3))
    assert (latency.rounds, latency.texts) == (5, 2)


def test_a_busy_machine_changes_the_ratio_of_wall_time_and_not_that_of_cpu_time() -> None:
    idle, busy = Machine().measure(["a", "b"], one=3)["one"], Machine(waits=2.0).measure(["a", "b"], one=3)["one"]
    assert idle.cpu is not None and busy.cpu is not None
    assert (idle.ratio, busy.ratio) == (pytest.approx(4), pytest.approx(12))
    assert busy.cpu.model_copy(update={"waiting_share": 0.0}) == idle.cpu
    assert not idle.machine_was_busy and idle.caveat is None
    assert busy.machine_was_busy and busy.caveat is not None
    assert busy.cpu.waiting_share == pytest.approx(24 / 39)
    assert "the models waited 62% of the time for a processor" in busy.caveat


def test_the_machine_is_busy_from_a_wait_of_five_percent_on() -> None:
    # Only the teacher's 12 of 15 ms wait: a wait of w makes a share of 12 w / (15 + 12 w).
    for share, busy in ((BUSY_ABOVE - 0.005, False), (BUSY_ABOVE + 0.005, True)):
        assert Machine(waits=15 * share / (12 * (1 - share))).measure(["a"], one=3)["one"].machine_was_busy is busy


def test_all_models_take_a_turn_on_each_block_of_texts_in_an_order_drawn_by_the_seed() -> None:
    texts = [f"{index:03}" for index in range(2 * BLOCK + 1)]
    blocks = [texts[:BLOCK], texts[BLOCK : 2 * BLOCK], texts[2 * BLOCK :]]
    names = ["teacher", "one", "two"]

    def turns(seed: int) -> list[list[str]]:
        machine = Machine()
        machine.measure(texts, rounds=6, seed=seed, one=3, two=1)
        measured = machine.calls[len(names) * len(texts) :]  # after the round that is not timed
        orders = []
        for block in blocks * 6:
            order = []
            for _ in names:
                turn, measured = measured[: len(block) + 1], measured[len(block) + 1 :]
                (name,) = {name for name, _ in turn}
                assert [text for _, text in turn] == [block[0], *block], "one call more, which is not timed"
                order.append(name)
            assert sorted(order) == sorted(names)
            orders.append(order)
        assert measured == []
        return orders

    orders = turns(seed=1)
    assert {order[0] for order in orders} == set(names), "each model goes first sometimes"
    assert turns(seed=1) == orders != turns(seed=2)


def test_what_is_slow_for_the_first_time_or_after_another_model_is_not_timed() -> None:
    machine = Machine()
    seen: set[str] = set()

    def slow_at_first(text: str) -> None:
        after_another = not machine.calls or machine.calls[-1][0] != "one"
        machine.model("one", 100 if text not in seen or after_another else 3)(text)
        seen.add(text)

    latency = latencies_beside_teacher(
        machine.model("teacher", 12), {"one": slow_at_first}, ["a", "b", "c"], rounds=5, clocks=machine.clocks
    )["one"]
    assert latency.cpu is not None
    assert (latency.student_ms_p99, latency.cpu.student_ms) == (pytest.approx(3), pytest.approx(3))


def test_the_teacher_is_measured_once_for_all_models() -> None:
    one, two = Machine().measure(["a", "bb"], one=3, two=1).values()
    assert one.cpu is not None and two.cpu is not None
    assert (one.teacher_ms_p50, one.teacher_ms_p95, one.cpu.teacher_ms) == (
        two.teacher_ms_p50, two.teacher_ms_p95, two.cpu.teacher_ms,
    )  # fmt: skip


def test_percentiles_and_throughput_of_known_times() -> None:
    texts = ["x" * length for length in range(1, 102)]  # 2 to 202 ms: the percentiles are 102, 192 and 200
    latency = Machine().measure(texts, rounds=1, one=2)["one"]
    said = (latency.student_ms_p50, latency.student_ms_p95, latency.student_ms_p99)
    assert said == (pytest.approx(102), pytest.approx(192), pytest.approx(200))
    assert latency.student_calls_per_second == pytest.approx(1000 / 102)


def test_the_intervals_cover_the_ratio_on_texts_of_uneven_length() -> None:
    latency = Machine().measure(["x" * (1 + index % 7) for index in range(70)], one=3)["one"]
    assert latency.cpu is not None
    assert latency.ratio_low <= latency.ratio <= latency.ratio_high
    assert latency.cpu.ratio == pytest.approx(4)
    assert latency.cpu.ratio_low <= latency.cpu.ratio <= latency.cpu.ratio_high


def test_the_interval_of_cpu_time_has_what_slows_a_model_down_for_a_while() -> None:
    machine = Machine()
    calls = iter(range(10_000))

    def slow_for_a_while(text: str) -> None:
        machine.model("one", 6 if next(calls) % 200 < 60 else 3)(text)

    latency = latencies_beside_teacher(
        machine.model("teacher", 12), {"one": slow_for_a_while}, ["a"] * 100, rounds=5, clocks=machine.clocks
    )["one"]
    assert latency.cpu is not None
    assert latency.cpu.ratio_high - latency.cpu.ratio_low > 0.3


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to measure"):
        latencies_beside_teacher(print, {"one": print}, [], rounds=5)
    with pytest.raises(ValueError, match="too coarse"):
        latencies_beside_teacher(lambda text: None, {"one": lambda text: None}, ["a"], rounds=5, clocks=still())


def still() -> Clocks:
    return Clocks(wall_ns=lambda: 0, cpu_ns=lambda: 0)


def test_the_record_of_0_1_0_opens_and_says_that_it_has_wall_time_alone(latency: Any) -> None:
    old = latency().model_dump(mode="json", exclude={"cpu"})
    opened = LatencyComparison.model_validate(old)
    assert opened.cpu is None and not opened.machine_was_busy
    assert opened.caveat is not None and "only wall time was measured (by Stillhouse 0.1.0)" in opened.caveat


def test_the_stamp_names_the_machine() -> None:
    stamp = device_stamp()
    assert stamp.cpu and stamp.cores >= 1


def test_a_virtual_machine_is_known_by_its_flag_and_unknown_is_not_taken_for_a_machine_of_ones_own() -> None:
    assert _is_virtual({"flags": "fpu sse2 hypervisor lahf_lm"}) is True
    assert _is_virtual({"flags": "fpu sse2 lahf_lm"}) is False
    assert _is_virtual({"Features": "fp asimd"}) is None


@pytest.mark.parametrize(
    ("waits", "shared_host", "bounds"),
    [
        (0.0, False, (1, 1)),
        (0.0, True, (1 / SHARED_HOST, SHARED_HOST)),
        (0.0, None, (1 / SHARED_HOST, SHARED_HOST)),
        (2.0, False, (1 / LOAD_RAISES, LOAD_LOWERS)),
        (2.0, True, (1 / LOAD_RAISES, LOAD_LOWERS)),
    ],
)
def test_the_bounds_allow_for_what_moves_a_ratio_from_one_measurement_to_the_next(waits, shared_host, bounds) -> None:
    measured = Machine(waits=waits).measure(["a", "b"], one=3)["one"]
    device = measured.device.model_copy(update={"shared_host": shared_host})
    around = measured.model_copy(update={"device": device}).ratio_bounds
    assert around == pytest.approx([4 * factor for factor in bounds])


def beside_a_gpu(student_waits: float = 0.0) -> LatencyComparison:
    """The teacher takes 12 ms on a GPU, for which its thread works a tenth of that; the student takes 30 ms."""
    machine = Machine(waits=student_waits)

    def asks_a_gpu(text: str) -> None:
        machine.cpu += 1.2e6
        machine.wall += 12e6

    models = {"one": machine.model("one", 30)}
    timed = latencies_beside_teacher(
        asks_a_gpu, models, ["a", "b"], rounds=5, teacher_device="GPU", clocks=machine.clocks
    )
    measured = timed["one"]
    return measured.model_copy(update={"device": measured.device.model_copy(update={"shared_host": False})})


def test_a_teacher_on_a_gpu_is_compared_by_wall_time_and_its_waiting_makes_no_machine_busy() -> None:
    latency = beside_a_gpu()
    assert (latency.teacher_ms_p50, latency.student_ms_p50) == (pytest.approx(12), pytest.approx(30))
    assert latency.deciding_ratio == pytest.approx(0.4)
    assert latency.ratio_bounds == pytest.approx((0.4, 0.4))
    assert latency.devices == (f"one thread of {latency.device.cpu}", "GPU")
    assert latency.cpu is not None and latency.cpu.teacher_ms is latency.cpu.ratio is None
    assert latency.cpu.student_ms == pytest.approx(30)
    assert latency.cpu.waiting_share == 0 and latency.caveat is None


def test_a_busy_machine_proves_nothing_beside_a_gpu() -> None:
    latency = beside_a_gpu(student_waits=0.5)
    assert latency.machine_was_busy and latency.ratio_bounds is None
    assert latency.caveat is not None and "CPU time decides" not in latency.caveat


def test_what_was_timed_on_one_device_is_written_as_it_was() -> None:
    assert "teacher_device" not in Machine().measure(["a"], one=3)["one"].model_dump()
    written = beside_a_gpu().model_dump_json()
    assert LatencyComparison.model_validate_json(written).teacher_device == "GPU"


CPU_OF_OTHER_THREADS = """
import sys, time
from pathlib import Path
import numpy as np
from stillhouse.stages.bench import one_thread
from stillhouse.models.predictor import OnnxClassifier, TorchClassifier

exported, trained = OnnxClassifier(Path(sys.argv[1])), TorchClassifier(Path(sys.argv[2]))
wide = np.ones((1024, 1024))
text = "where do these birds spend the winter , and who counts them ?"
with one_thread():
    for timed in (lambda: exported.logits([text]), lambda: trained.logits([text]), lambda: wide @ wide):
        timed()
        whole, own = time.process_time_ns(), time.thread_time_ns()
        for _ in range(30):
            timed()
        whole, own = time.process_time_ns() - whole, time.thread_time_ns() - own
        print((whole - own) / own)
"""


def test_all_work_of_a_timed_call_is_done_by_the_thread_that_is_timed(parent: WarmParent, tmp_path: Path) -> None:
    small_teacher(tmp_path / "teacher")
    build_classifier(tmp_path / "teacher", ["x", "y"], tmp_path / "torch", seed=0)
    export_student(
        tmp_path / "torch", tmp_path / "onnx", ["what", "who is it"], np.array([0, 1]), SingleLabel(("x", "y"))
    )
    ran = parent.run(CPU_OF_OTHER_THREADS, tmp_path / "onnx", tmp_path / "torch")
    assert ran.returncode == 0, ran.stderr
    by_others = [float(line) for line in ran.stdout.split()]
    assert len(by_others) == 3 and max(by_others) < 0.3, "CPU time of other threads beside that of the calling one"
