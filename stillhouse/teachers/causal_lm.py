"""A causal language model that runs here, asked which of the labels it would write next.

Belongs here: the exact probability of each label after a prompt, and the model as a teacher.
Does not: which models are let in (models/weights.py), the prompt's file (prompting.py), a language model behind a
server (endpoint.py).

A text is read once for all labels. What stands before the first text in the prompt is the same for all of them, and is
kept as keys and values. The tokens of all labels are read in the same pass, as a tree: a token sees the prompt and the
tokens before it in its own label (tree attention, Miao et al. 2023, arXiv:2305.09781). So the probabilities are exact
for any number of labels of any number of tokens.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse import progress
from stillhouse.arrays import BoolArray, FloatArray, IntArray
from stillhouse.device import CPU, Device
from stillhouse.errors import StillhouseError
from stillhouse.models.language_model import longest_context
from stillhouse.models.memory import CONTEXT_BYTES
from stillhouse.models.published import loaded
from stillhouse.models.tokenization import MAX_CHARACTERS, batches_by_length
from stillhouse.models.weights import fingerprint_of, read_language_model_config
from stillhouse.recipe.reading import RecipeFile
from stillhouse.teachers.asked import LabelPrompt
from stillhouse.teachers.columns import ANSWER_SCHEMA, MASS, SAID
from stillhouse.teachers.prompting import LABELS, TASK, TEXT, filled_in, template_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor


ANSWER = "{answer}"
PLAIN_PROMPT = f"{TASK}\n\nLabels:\n{LABELS}\n\nText: {TEXT}\nLabel: {ANSWER}"
"""What is read where the recipe names no prompt of its own."""
WITHOUT_CONTENT = ("N/A", "", "[MASK]")
"""Texts that say nothing: what a model prefers after them is a habit (Zhao et al. 2021, arXiv:2102.09690)."""


def label_prompt_of(file: RecipeFile, labels: Sequence[str], weights: str) -> LabelPrompt:
    """What the recipe's language model is asked.

    Args:
        file: the recipe.
        labels: that may be answered, in the task's order.
        weights: fingerprint of the model.

    Raises:
        StillhouseError: if the prompt cannot be read or does not end in an answer, or a word is for no label.
    """
    teacher, spec = file.recipe.teacher, file.recipe.teacher.causal_lm
    unknown = sorted(set(spec.words) - set(labels))
    if unknown:
        raise StillhouseError(
            f"a word for {unknown[0]!r}, which no row has as its label",
            where=file.where("teacher", "causal_lm", "words"),
            expected=f"one of {', '.join(labels)}",
            do="Correct the label.",
        )
    words = [spec.words.get(label, label) for label in labels]
    template = template_of(file, ("teacher", "causal_lm"), spec.prompt) or PLAIN_PROMPT
    before, _, after = template.rpartition(ANSWER)
    asked = before.rstrip()
    if after.strip() or not asked or ANSWER in asked or asked.endswith(TEXT):
        raise StillhouseError(
            f"the prompt does not end in {ANSWER} after some words of its own",
            where=file.where("teacher", "causal_lm", "prompt"),
            expected=f"{ANSWER} once, at its end, such as a last line `Label: {ANSWER}` below {TEXT}",
            do="Correct it.",
        )
    blank = before[len(asked) :]
    return LabelPrompt(
        weights=weights,
        template=filled_in(asked, file.recipe.task, words),
        answers=[blank + word for word in words],
        dtype=spec.dtype,
        longest_text=teacher.longest_text,
        corrects_prior=spec.correct_prior,
    )


@dataclass(frozen=True)
class LabelTree:
    """The tokens of all labels, where what several begin with is there once.

    Node 0 is the end of the prompt, and every other node is a token that some label goes on after.

    Args:
        tokens: of the nodes after 0.
        depths: how many tokens lie before each of them since the end of the prompt.
        sees: shape (nodes - 1, nodes - 1), which of them each one sees: itself and those before it in its label.
        steps: label, node and next token of each step along each label, shape (steps, 3).
        longer: of each label, the labels that begin with all of it, without those that begin with another of these.
    """

    tokens: Sequence[int]
    depths: Sequence[int]
    sees: BoolArray
    steps: IntArray
    longer: Sequence[Sequence[int]]

    @classmethod
    def of(cls, labels: Sequence[Sequence[int]]) -> "LabelTree":
        """Lay labels, each at least a token long and no two alike, into a tree."""
        nodes: dict[tuple[int, ...], int] = {(): 0}
        steps = []
        for index, label in enumerate(labels):
            for depth, token in enumerate(label):
                steps.append((index, nodes.setdefault(tuple(label[:depth]), len(nodes)), token))
        paths = list(nodes)[1:]
        begins = [[i for i, other in enumerate(labels) if other != one and _begins(other, one)] for one in labels]
        return cls(
            [path[-1] for path in paths],
            [len(path) - 1 for path in paths],
            np.array([[_begins(path, before) for before in paths] for path in paths], bool).reshape(2 * [len(paths)]),
            np.array(steps, np.int64),
            [[i for i in each if not any(i in begins[between] for between in each)] for each in begins],
        )

    def log_probabilities(self, of_steps: FloatArray) -> FloatArray:
        """How probable it is that an answer begins with each label, and with no longer label that begins with it.

        Args:
            of_steps: log-probability of each step, shape (n, steps).

        Returns:
            Natural logarithms, shape (n, labels); the probabilities add up to at most one.
        """
        begun: FloatArray = of_steps @ (self.steps[:, [0]] == np.arange(len(self.longer)))
        only = begun.copy()
        for label, longer in enumerate(self.longer):
            if longer:
                share = np.exp(begun[:, longer] - begun[:, [label]]).sum(axis=1)
                only[:, label] += np.log1p(-np.minimum(share, 1 - 1e-9))
        return only


@dataclass(frozen=True)
class LabelAnswers:
    """What a language model says of n texts.

    Attributes:
        logits: log-probabilities of the labels, given that one of them is written, shape (n, labels).
        mass: probability that one of them is written, shape (n,).
        tokens: read for each, the prompt around it included, shape (n,).
        latency_ms: a text's share of the wall time of its pass, shape (n,).
    """

    logits: FloatArray
    mass: FloatArray
    tokens: npt.NDArray[np.int32]
    latency_ms: FloatArray


@dataclass(frozen=True)
class CausalLmTeacher:
    """A causal language model whose files are kept, asked in this process.

    Args:
        files: that make the model, by their names.
        asked: what it reads, and which words are answers.
        device: where it answers.
    """

    files: Mapping[str, Path]
    asked: LabelPrompt
    device: Device = CPU

    @property
    def fingerprint(self) -> str:
        """Digest of the weights, what is read, which words are answers, and how it is computed."""
        return self.asked.digest

    def verify(self) -> None:
        """Hash the files.

        Raises:
            StillhouseError: if they are another model's.
        """
        with tempfile.TemporaryDirectory() as temporary:
            found = fingerprint_of(self._linked(Path(temporary)))
        if found != self.asked.weights:
            raise StillhouseError(
                f"the language model hashes to {found[:12]}",
                where="teacher",
                expected=self.asked.weights[:12],
                do="Put the weights back, and materialize contract again.",
            )

    @property
    def parameters(self) -> int:
        """Number of its weights."""
        return self._model.parameters

    def ask(self, prompts: pl.DataFrame) -> pl.DataFrame:
        """Log-probabilities of the labels, tokens and time of each prompt.

        Raises:
            StillhouseError: if the prompt or the labels do not fit the model, or an answer is not finite.
        """
        answers = self.answers(prompts["text"].to_list())
        nothing = [None] * prompts.height
        return pl.DataFrame(
            {
                "prompt_id": prompts["prompt_id"],
                "fingerprint": [self.fingerprint] * prompts.height,
                "logits": answers.logits.tolist(),
                "embedding": nothing,
                "failure": nothing,
                "observed": nothing,
                "tokens": answers.tokens,
                "latency_ms": answers.latency_ms,
                MASS: answers.mass,
            },
            schema={**ANSWER_SCHEMA, MASS: SAID[MASS]},
        )

    def answers(self, texts: Sequence[str]) -> LabelAnswers:
        """Everything that it says of texts; see `ask`."""
        plain = self._model.answers(texts)
        if not self.asked.corrects_prior:
            return plain
        corrected = plain.logits - self._prior
        logits = corrected - np.logaddexp.reduce(corrected, axis=1, keepdims=True)
        return LabelAnswers(logits, plain.mass, plain.tokens, plain.latency_ms)

    @cached_property
    def _prior(self) -> FloatArray:
        """Logarithm of what it says on average of texts without content, shape (labels,)."""
        shares: FloatArray = np.exp(self._model.answers(WITHOUT_CONTENT).logits).mean(axis=0)
        return np.log(shares)

    @cached_property
    def _model(self) -> "_LanguageModel":
        with tempfile.TemporaryDirectory() as temporary:
            return _LanguageModel(self._linked(Path(temporary)), self.asked, self.device)

    def _linked(self, folder: Path) -> Path:
        for name, path in self.files.items():
            (folder / name).symlink_to(path.absolute())
        return folder


class _LanguageModel:
    """A model in memory, with the keys and values of what stands before the first text."""

    def __init__(self, folder: Path, asked: LabelPrompt, device: Device) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        config = read_language_model_config(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._asked, self._device = asked, device
        self._begin = _begin_of(self._tokenizer)
        self._tree = LabelTree.of(_label_tokens(self._tokenizer, asked))
        self._model = loaded(
            folder,
            AutoModelForCausalLM,
            f"a language model of type {config['model_type']}",
            has_to_use=lambda name: True,
            dtype=getattr(torch, asked.dtype),
        ).to(device.name)
        self._model.eval()
        self.parameters: int = sum(weight.numel() for weight in self._model.parameters())
        self._longest_text = min(asked.longest_text, self._positions_left())
        self._head = self._ids(asked.template.partition(TEXT)[0])
        with torch.inference_mode():
            self._kept = self._read_head()

    def answers(self, texts: Sequence[str]) -> LabelAnswers:
        import torch

        ids = [self._ids(self._asked.template.replace(TEXT, self._cut(text))) for text in texts]
        of_steps, seconds = np.empty((len(ids), len(self._tree.steps))), np.empty(len(ids))
        lengths = np.array([len(row) for row in ids], np.int64)
        done = 0
        with torch.inference_mode():
            for rows in batches_by_length(lengths, self._texts_at_once(int(lengths.max(initial=1)))):
                self._answer_batch(ids, rows, of_steps, seconds)
                done += len(rows)
                progress.step("language model", done, len(ids))
        if not np.isfinite(of_steps).all():
            raise StillhouseError(
                "the language model's answer is not finite",
                where=f"teacher.causal_lm.dtype: {self._asked.dtype}",
                expected="finite log-probabilities",
                do="Set dtype: float32.",
            )
        begun = self._tree.log_probabilities(of_steps)
        log_mass = np.logaddexp.reduce(begun, axis=1)
        return LabelAnswers(
            begun - log_mass[:, None], np.minimum(np.exp(log_mass), 1.0), lengths.astype(np.int32), 1000 * seconds
        )

    def _answer_batch(
        self, ids: Sequence[Sequence[int]], rows: IntArray, of_steps: FloatArray, seconds: FloatArray
    ) -> None:
        import torch

        start = time.perf_counter()
        try:
            of_steps[rows] = self._pass([ids[row] for row in rows]).double().cpu().numpy()
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
            for half in np.array_split(rows, 2):
                self._answer_batch(ids, half, of_steps, seconds)
        else:
            seconds[rows] = (time.perf_counter() - start) / len(rows)

    def _pass(self, prompts: Sequence[Sequence[int]]) -> "Tensor":
        """Log-probability of each step along each label after each prompt, shape (prompts, steps)."""
        import torch

        # A tokenizer may join the last token of the head with the text; what is kept is then used up to there.
        known = min(min(_common(self._head, prompt), len(prompt) - 1) for prompt in prompts)
        rest = [list(prompt[known:]) for prompt in prompts]
        width, nodes = max(map(len, rest)), len(self._tree.tokens)
        # The prompts end at one place, so that the logits that count stand behind each other.
        ids = torch.tensor([[0] * (width - len(row)) + row + list(self._tree.tokens) for row in rest])
        at = torch.tensor(
            [
                [0] * (width - len(row))
                + list(range(known, len(prompt)))
                + [len(prompt) + d for d in self._tree.depths]
                for row, prompt in zip(rest, prompts, strict=True)
            ]
        )
        is_text = torch.arange(width) >= width - torch.tensor([len(row) for row in rest])[:, None]
        sees = torch.zeros(len(rest), width + nodes, known + width + nodes, dtype=torch.bool)
        sees[:, :, :known] = True
        sees[:, :, known : known + width] = is_text[:, None]
        sees[:, :width, known : known + width] &= torch.ones(width, width, dtype=torch.bool).tril()
        sees[:, width:, known + width :] = torch.from_numpy(self._tree.sees)
        sees[:, :, known:] |= torch.eye(width + nodes, dtype=torch.bool)  # what fills a row up sees itself alone
        dtype = self._model.dtype
        mask = torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)
        where = self._device.name
        logits = self._model(
            input_ids=ids.to(where),
            position_ids=at.to(where),
            attention_mask=mask[:, None].to(where),
            past_key_values=self._kept_for(len(rest), known),
            use_cache=True,
            logits_to_keep=nodes + 1,
        ).logits.float()
        _, node, token = torch.from_numpy(self._tree.steps).to(where).T
        return logits[:, node, token] - logits.logsumexp(-1)[:, node]  # type: ignore[no-any-return]

    def _read_head(self) -> list[tuple["Tensor", "Tensor"]]:
        """Keys and values of the head in each layer, of shape (1, heads, tokens, width)."""
        import torch
        from transformers import DynamicCache

        if not self._head:
            return []
        cache = DynamicCache()
        self._model(
            input_ids=torch.tensor([self._head], device=self._device.name),
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        return [(layer.keys, layer.values) for layer in cache.layers]  # type: ignore[union-attr,misc]

    def _kept_for(self, rows: int, known: int) -> Any:
        from transformers import DynamicCache

        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self._kept if known else ()):
            keys, values = (each[:, :, :known].expand(rows, -1, -1, -1) for each in (keys, values))
            cache.update(keys, values, layer)
        return cache

    def _texts_at_once(self, longest: int) -> int:
        if self._device.kind != "cpu":
            return self._device.texts_at_once
        nodes = len(self._tree.tokens) + 1
        of_a_token = sum(each.nbytes for kept in self._kept for each in kept) / max(len(self._head), 1)
        of_a_row = (longest + nodes) * of_a_token + 4 * 3 * nodes * self._model.config.vocab_size
        return max(1, min(self._device.texts_at_once, int(CONTEXT_BYTES / of_a_row)))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids if ids[: len(self._begin)] == self._begin else self._begin + ids

    def _cut(self, text: str) -> str:
        encoding = self._tokenizer.encode(text[:MAX_CHARACTERS], add_special_tokens=False)
        if len(encoding.ids) <= self._longest_text:
            return text[:MAX_CHARACTERS]
        # A character of several bytes may be several tokens: with a part of them it would be read whole again.
        (_, end), (begin, _) = encoding.offsets[self._longest_text - 1 : self._longest_text + 1]
        return text[: min(end, begin)]

    def _positions_left(self) -> int:
        """Tokens that are left for a text beside the prompt and the longest label."""
        texts = self._asked.template.count(TEXT)
        around = len(self._ids(self._asked.template.replace(TEXT, ""))) + max(self._tree.depths, default=0) + 2
        positions = longest_context(self._model.config.to_dict())
        assert positions is not None  # each type that is let in has them, by default where its config has none
        left = (positions - around) // texts
        if left < 1:
            raise StillhouseError(
                f"the prompt takes {around} tokens without a text",
                where="teacher.causal_lm.prompt",
                expected=f"fewer than the model's {positions} positions",
                do="Write a shorter prompt, or choose a model that reads more.",
            )
        return int(left)


def _label_tokens(tokenizer: "Tokenizer", asked: LabelPrompt) -> list[list[int]]:
    """The tokens of each label as they follow the prompt."""
    before = asked.template.rpartition(TEXT)[2]
    ids = tokenizer.encode(before, add_special_tokens=False).ids
    found = []
    for answer in asked.answers:
        whole = tokenizer.encode(before + answer, add_special_tokens=False).ids
        if whole[: len(ids)] != ids or len(whole) == len(ids):
            raise StillhouseError(
                f"the tokenizer joins the label {answer.strip()!r} with what stands before it",
                where="teacher.causal_lm.prompt",
                expected="a label that begins with a token of its own",
                do=f"Put a blank or a line break before {ANSWER}.",
            )
        found.append(whole[len(ids) :])
    twice = [answer for index, answer in enumerate(asked.answers) if found[index] in found[:index]]
    if twice:
        raise StillhouseError(
            f"two labels are one to the tokenizer: {twice[0].strip()!r}",
            where="teacher.causal_lm.words",
            expected="labels that differ in their tokens",
            do="Give each a word of its own.",
        )
    return found


def _begin_of(tokenizer: "Tokenizer") -> list[int]:
    """The special tokens that a tokenizer puts before every text."""
    plain, whole = (tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True))
    return next(list(whole[:n]) for n in range(len(whole)) if whole[n : n + len(plain)] == plain)


def _begins(whole: Sequence[int], part: Sequence[int]) -> bool:
    return list(whole[: len(part)]) == list(part)


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """With how many equal tokens both begin."""
    differ = (index for index, (one, other) in enumerate(zip(first, second, strict=False)) if one != other)
    return next(differ, min(len(first), len(second)))
