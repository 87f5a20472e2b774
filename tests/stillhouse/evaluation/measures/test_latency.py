"""Latency is measured in turns, so that a noisy machine troubles both models alike."""

import itertools

import pytest

from stillhouse.evaluation.measures.latency import device_stamp, interleaved_latency


class Clock:
    """A clock that only moves when a model works."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def model(self, seconds: float, calls: list[str], name: str):
        def answer(text: str) -> None:
            calls.append(f"{name}{text}")
            self.now += seconds * len(text)

        return answer


def test_the_ratio_of_two_known_models_is_exact() -> None:
    clock, calls = Clock(), []
    result = interleaved_latency(
        clock.model(0.012, calls, "t"), clock.model(0.003, calls, "s"), ["a"], rounds=6, warmup=2, clock=clock
    )
    assert result.ratio == pytest.approx(4.0)
    assert (result.ratio_low, result.ratio_high) == (pytest.approx(4.0), pytest.approx(4.0))
    assert result.teacher_ms_p50 == pytest.approx(12.0)
    assert result.student_ms_p95 == pytest.approx(3.0)


def test_percentiles_and_throughput_of_known_times() -> None:
    clock = Clock()
    texts = ["x" * length for length in range(1, 102)]  # 1 to 101 ms: the percentiles are 51, 96 and 100
    result = interleaved_latency(clock.model(0.001, [], "t"), clock.model(0.002, [], "s"), texts, rounds=1, clock=clock)
    told = (result.teacher_ms_p50, result.teacher_ms_p95, result.teacher_ms_p99)
    assert told == (pytest.approx(51), pytest.approx(96), pytest.approx(100))
    assert result.teacher_calls_per_second == pytest.approx(1000 / 51)
    assert result.student_calls_per_second == pytest.approx(1000 / 102)


def test_who_goes_first_alternates_over_blocks_and_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stillhouse.evaluation.measures.latency.BLOCK", 2)
    clock, calls = Clock(), []
    interleaved_latency(
        clock.model(1, calls, "t"), clock.model(1, calls, "s"), ["a", "b", "c"], rounds=2, warmup=0, clock=clock
    )
    assert calls == ["ta", "tb", "sa", "sb", "sc", "tc", "sa", "sb", "ta", "tb", "tc", "sc"]


def test_warm_up_calls_are_not_measured() -> None:
    clock, costs = Clock(), itertools.chain([100.0] * 3, itertools.repeat(0.001))

    def slow_at_first(text: str) -> None:
        clock.now += next(costs)

    result = interleaved_latency(slow_at_first, clock.model(0.001, [], "s"), ["a"], rounds=5, warmup=3, clock=clock)
    assert result.teacher_ms_p95 == pytest.approx(1.0)


def test_the_interval_covers_the_ratio_on_texts_of_uneven_length() -> None:
    clock = Clock()
    texts = ["x" * length for length in range(1, 30)]
    result = interleaved_latency(clock.model(0.01, [], "t"), clock.model(0.002, [], "s"), texts, rounds=5, clock=clock)
    assert result.ratio_low <= result.ratio <= result.ratio_high
    assert result.ratio == pytest.approx(5.0)


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to measure"):
        interleaved_latency(print, print, [])
    with pytest.raises(ValueError, match="too coarse"):
        interleaved_latency(lambda text: None, lambda text: None, ["a"], clock=lambda: 0.0)


def test_the_stamp_names_the_machine() -> None:
    stamp = device_stamp()
    assert stamp.cpu and stamp.cores >= 1
