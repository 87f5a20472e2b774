"""SetFit at its own game: few labels, pairs of texts that are of one label or not, and a head on what was learned.

`python -m benchmarks.peers.setfit_game GAME`, where setfit is installed; the last line is the outcome. All is as its
documentation begins: one epoch of all pairs in batches of 16, logistic regression on top.
"""

import time
from pathlib import Path

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments

from benchmarks.peers.usable import Game, Usable, asked, tried


def do(game: Game) -> Usable:
    """Fine-tune, fit the head, save."""
    texts, labels = game.labelled()
    folder = Path(game.out) / "setfit"
    start = time.perf_counter()
    names = sorted(set(labels))
    model = SetFitModel.from_pretrained(game.encoder, labels=names, device="cpu")
    data = Dataset.from_dict({"text": texts, "label": [names.index(label) for label in labels]})
    arguments = TrainingArguments(
        output_dir=f"{game.out}/trainer", batch_size=16, num_epochs=1, save_strategy="no", report_to="none",
        show_progress_bar=False,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=data)
    trainer.train()
    model.save_pretrained(str(folder))
    seconds = time.perf_counter() - start
    return tried(game, seconds, lambda asked: list(model.predict(asked, show_progress_bar=False)), folder)


if __name__ == "__main__":
    do(asked()).show()
