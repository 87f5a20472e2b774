"""TextBrewer's GeneralDistiller at the job, as its README has it: the teacher in the step.

`python -m benchmarks.peers.textbrewer_loop JOB`, where textbrewer is installed; the last line is the outcome.
"""

import time
from typing import Any

import textbrewer
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

from benchmarks.peers.material import LEARNING_RATE, MAX_TOKENS, Job, Outcome, asked, explained
from benchmarks.peers.trainer import logits_of


def do(job: Job) -> Outcome:
    """Tokenise, train, save."""
    start = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(f"{job.folder}/student")
    rows = tokenizer(job.texts, truncation=True, max_length=MAX_TOKENS)
    data: Any = [{key: rows[key][place] for key in ("input_ids", "attention_mask")} for place in range(job.rows)]
    padded = DataCollatorWithPadding(tokenizer)
    loader = DataLoader(data, job.batch_size, shuffle=True, collate_fn=lambda rows: dict(padded(rows)))  # no subclass
    student, teacher = (
        AutoModelForSequenceClassification.from_pretrained(f"{job.folder}/{name}").to(job.device)
        for name in ("student", "teacher")
    )
    teacher.eval()
    how = textbrewer.TrainingConfig(
        device=job.device,
        output_dir=f"{job.out}/textbrewer",
        log_dir=None,
        ckpt_frequency=1,
        ckpt_epoch_frequency=10**6,
    )  # fmt: skip
    what = textbrewer.DistillationConfig(temperature=1, kd_loss_type="mse", hard_label_weight=0)

    def taken(_: Any, answer: Any) -> dict[str, Any]:
        return {"logits": answer.logits}

    distiller = textbrewer.GeneralDistiller(how, what, teacher, student, taken, taken)
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    training = time.perf_counter()
    with distiller:
        distiller.train(optimizer, loader, num_epochs=job.epochs, callback=None)
    trained = time.perf_counter() - training
    student.save_pretrained(f"{job.out}/trained")
    seconds = time.perf_counter() - start
    said = (logits_of(model, tokenizer, job) for model in (student.eval(), teacher))
    return Outcome(seconds, job.rows * job.epochs / trained, explained(*said))


if __name__ == "__main__":
    do(asked()).show()
