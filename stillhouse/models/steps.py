"""One step of a training: what a batch costs, its gradient, and the change of the weights.

Belongs here: the step as it is, and the step that is recorded once for each shape and then replayed.
Does not: which rows come when, checkpoints and reports (training.py), the losses (losses.py).

A small model on a GPU waits for Python: a step of a 6x384 student is some 400 kernels of a few microseconds. A CUDA
graph launches all of them at once. The first full batch of a width is a plain step, which also warms up the libraries;
the second is recorded, and every later one is a replay of the same kernels, with the same bits.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from stillhouse.models.batches import TokenTable
from stillhouse.models.losses import TargetTensors, combined_loss
from stillhouse.models.network import TextClassifier
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.task import Task

StepOf = Callable[[Tensor, int, float, float], Tensor]
"""Learn from rows (k,), given the tokens of their longest, a learning rate and the share of the steps that are done;
returns the sum of what they cost before."""

_WIDTHS = 4
"""Tokens by which the width of recorded steps grows, so that there are few of them."""


class PlainStep:
    """A step, operation by operation.

    Args:
        network: what is trained.
        texts: its examples.
        targets: what they should have been answered.
        task: what an answer costs.
        config: how it is trained.
    """

    def __init__(
        self, network: TextClassifier, texts: TokenTable, targets: TargetTensors, task: Task, config: TrainingConfig
    ) -> None:
        self.network, self.texts, self.targets, self.task, self.config = network, texts, targets, task, config
        self.trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        on_gpu = texts.device.kind == "cuda"
        # A recorded step reads rate and weights from the device: a number would be the first one for ever.
        self._weights = torch.zeros(len(config.mixture), device=texts.device.name)
        self._rate = torch.zeros((), device=texts.device.name) if on_gpu else None
        self.optimizer = torch.optim.AdamW(
            self.trained.values(),
            lr=0.0 if self._rate is None else self._rate,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=on_gpu,
        )

    def __call__(self, rows: Tensor, width: int, rate: float, done: float) -> Tensor:
        """See `StepOf`."""
        self.prepare(rate, done)
        return self.learn(rows, width)

    def prepare(self, rate: float, done: float) -> None:
        """Set the learning rate of the next step, and what the terms of a mixture weigh in it."""
        for index, term in enumerate(self.config.mixture):
            self._weights[index].fill_(term.weight_at(done))
        if self._rate is None:
            self.optimizer.param_groups[0]["lr"] = rate
        else:
            self._rate.fill_(rate)

    def learn(self, rows: Tensor, width: int) -> Tensor:
        """The step itself, as it was prepared last."""
        loss = self._cost(rows, width)
        self.optimizer.zero_grad(set_to_none=True)
        (loss / len(rows)).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.config.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def _cost(self, rows: Tensor, width: int) -> Tensor:
        """The sum over the batch of what its examples cost."""
        config = self.config
        ids, mask = self.texts.padded(rows, width)
        with torch.autocast(self.texts.device.kind, torch.bfloat16, enabled=config.bfloat16):
            logits, pooled, after = self.network.with_layers(ids, mask, config.own_layers)
        return combined_loss(
            logits.float(),
            pooled.float(),
            self.targets.of(rows),
            task=self.task,
            config=config,
            weights=self._weights.unbind(),
            layers={number: states.float() for number, states in after.items()},
        )


class RecordedStep:
    """A step that is recorded for each width of a full batch, and replayed from then on.

    Args:
        plain: the step; the stream that is current must not be CUDA's default one.
    """

    def __init__(self, plain: PlainStep) -> None:
        self._plain = plain
        self._rows = torch.zeros(plain.config.batch_size, dtype=torch.int64, device=plain.texts.device.name)
        self._seen: set[int] = set()
        self._recorded: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, rows: Tensor, width: int, rate: float, done: float) -> Tensor:
        """See `StepOf`."""
        width = min(-(-width // _WIDTHS) * _WIDTHS, self._plain.texts.longest)
        if len(rows) != len(self._rows) or width not in self._seen:
            if len(rows) == len(self._rows):
                self._seen.add(width)
            return self._plain(rows, width, rate, done)
        self._plain.prepare(rate, done)
        self._rows.copy_(rows)
        if width not in self._recorded:
            self._recorded[width] = self._record(width)
        graph, loss = self._recorded[width]
        graph.replay()
        return loss.clone()  # the next replay writes to the same place

    def _record(self, width: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Record the step; nothing is computed yet."""
        self._plain.optimizer.zero_grad(set_to_none=True)  # the gradients of a recorded step are its own
        graph = torch.cuda.CUDAGraph()
        # A step reads nothing that another one left in the pool, so that all of them may share it.
        pool = next((recorded.pool() for recorded, _ in self._recorded.values()), None)
        with _masks_without_the_host(), torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
            loss = self._plain.learn(self._rows, width)
        return graph, loss


@contextmanager
def _masks_without_the_host() -> Iterator[None]:
    """Let transformers make the masks of its eager attention on the device.

    Its own copies a zero from the host, which cannot be recorded; the values are the same.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask

    def mask(*, dtype: torch.dtype = torch.float32, **asked: Any) -> Tensor | None:
        inside: Tensor | None = sdpa_mask(**{**asked, "allow_is_causal_skip": False})
        hidden = torch.finfo(dtype).min
        return None if inside is None else torch.zeros_like(inside, dtype=dtype).masked_fill_(~inside, hidden)

    ALL_MASK_ATTENTION_FUNCTIONS["eager"] = mask
    try:
        yield
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["eager"]  # type: ignore[no-untyped-call]
