"""model2vec at its own game: static embeddings out of the encoder, and its classifier trained on them.

`python -m benchmarks.peers.model2vec_game GAME`, where model2vec is installed; the last line is the outcome. What is
tried is the pipeline that its documentation ships, which needs no torch.
"""

import time
from pathlib import Path

from model2vec.distill import distill
from model2vec.train import StaticModelForClassification

from benchmarks.peers.usable import Game, Usable, asked, tried


def do(game: Game) -> Usable:
    """Distil the encoder, fit, save."""
    texts, labels = game.labelled()
    folder = Path(game.out) / "model2vec"
    start = time.perf_counter()
    static = distill(model_name=game.encoder, device="cpu")
    fitted = StaticModelForClassification.from_static_model(model=static).fit(texts, labels, device="cpu")
    pipeline = fitted.to_pipeline()
    pipeline.save_pretrained(str(folder))
    return tried(game, time.perf_counter() - start, lambda asked: list(pipeline.predict(asked)), folder)


if __name__ == "__main__":
    do(asked()).show()
