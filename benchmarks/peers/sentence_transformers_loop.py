"""sentence-transformers' own distillation recipe at the job: a student's embeddings drawn to the teacher's by MSELoss.

Its example asks the teacher once, brings its embeddings to the student's width by PCA and lets its Trainer lower the
distance, so that what is compared is the training on cached targets; no classifier comes of it.

`python -m benchmarks.peers.sentence_transformers_loop JOB`, where sentence-transformers is installed; the last line is
the outcome, whose share of variance is of embeddings.
"""

import time

from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.models import Pooling, Transformer
from sentence_transformers.sentence_transformer.losses import MSELoss
from sklearn.decomposition import PCA

from benchmarks.peers.material import LEARNING_RATE, MAX_TOKENS, Job, Outcome, asked, explained


def do(job: Job) -> Outcome:
    """Ask the teacher, train, save."""
    start = time.perf_counter()
    student, teacher = (_model(f"{job.folder}/{name}", job.device) for name in ("student", "teacher"))
    width = student.get_embedding_dimension()
    captured = time.perf_counter()
    said = teacher.encode(job.texts, batch_size=64)
    captured = time.perf_counter() - captured
    narrowed = PCA(min(width, job.rows)).fit(said)
    if narrowed.n_components_ < width:
        raise SystemExit(f"{job.rows} rows are too few for {width} components")
    data = Dataset.from_dict({"sentence": job.texts, "label": narrowed.transform(said).tolist()})
    arguments = SentenceTransformerTrainingArguments(
        f"{job.out}/trainer", num_train_epochs=job.epochs, per_device_train_batch_size=job.batch_size,
        learning_rate=LEARNING_RATE, weight_decay=0.01, use_cpu=job.device == "cpu", save_strategy="no", report_to=[],
        disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = SentenceTransformerTrainer(student, arguments, data, loss=MSELoss(student))
    found = trainer.train()
    student.save_pretrained(f"{job.out}/trained")
    seconds = time.perf_counter() - start
    share = explained(student.encode(job.held_out), narrowed.transform(teacher.encode(job.held_out)))
    return Outcome(seconds, found.metrics["train_samples_per_second"], share, job.rows / captured)


def _model(folder: str, device: str) -> SentenceTransformer:
    words = Transformer(folder, max_seq_length=MAX_TOKENS)
    return SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())], device=device)


if __name__ == "__main__":
    do(asked()).show()
