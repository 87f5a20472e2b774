"""transformers' Trainer at the job, as tutorials have it: the teacher in the step, or its answers beside the texts.

`python -m benchmarks.peers.trainer JOB`, where accelerate is installed; the last line is the outcome.
"""

import time
from typing import Any

import numpy as np
import torch
from torch.nn.functional import mse_loss
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from benchmarks.peers.material import LEARNING_RATE, MAX_TOKENS, Job, Outcome, asked, explained, in_batches


class WithTeacher(Trainer):
    """Lowers the squared distance from a teacher's logits."""

    teacher: Any = None

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        """The teacher's answers come with the row, or it is asked."""
        said = inputs.pop("teacher", None)
        answer = model(**inputs)
        if said is None:
            with torch.no_grad():
                said = self.teacher(**inputs).logits
        loss = mse_loss(answer.logits, said)
        return (loss, answer) if return_outputs else loss


def do(job: Job) -> Outcome:
    """Tokenise, train, save."""
    start = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(f"{job.folder}/student")
    rows = tokenizer(job.texts, truncation=True, max_length=MAX_TOKENS)
    keys = ("input_ids", "attention_mask")
    data = [{key: rows[key][place] for key in keys} for place in range(job.rows)]
    if job.cached:
        data = [{**row, "teacher": said.tolist()} for row, said in zip(data, job.targets, strict=False)]
    arguments = TrainingArguments(
        f"{job.out}/trainer", num_train_epochs=job.epochs, per_device_train_batch_size=job.batch_size,
        learning_rate=LEARNING_RATE, warmup_steps=0.1, weight_decay=0.01, use_cpu=job.device == "cpu",
        remove_unused_columns=False, save_strategy="no", report_to=[], disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    student = AutoModelForSequenceClassification.from_pretrained(f"{job.folder}/student")
    trainer = WithTeacher(student, arguments, DataCollatorWithPadding(tokenizer), data)
    if not job.cached:
        trainer.teacher = _teacher(job)
    found = trainer.train()
    trainer.save_model(f"{job.out}/trained")
    seconds = time.perf_counter() - start
    said = (logits_of(model, tokenizer, job) for model in (student.eval(), trainer.teacher or _teacher(job)))
    return Outcome(seconds, found.metrics["train_samples_per_second"], explained(*said))


def _teacher(job: Job) -> Any:
    return AutoModelForSequenceClassification.from_pretrained(f"{job.folder}/teacher").eval().to(job.device)


def logits_of(model: Any, tokenizer: Any, job: Job) -> np.ndarray:
    """What a model of transformers answers to the held-out texts, shape (n, outputs)."""
    texts, found = job.held_out, []
    with torch.inference_mode():
        for part in in_batches(len(texts), 64):
            rows = tokenizer(texts[part], truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
            asked = {key: rows[key].to(job.device) for key in ("input_ids", "attention_mask")}
            found.append(model(**asked).logits.cpu().numpy())
    return np.concatenate(found)


if __name__ == "__main__":
    do(asked()).show()
