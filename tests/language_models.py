"""Small causal language models: of random weights of every type, and one that was taught the questions of the tests.

Belongs here: making them, tokenizer and all.
Does not: what they are asked (tests/stillhouse/teachers/test_causal_lm.py).
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from tests.scored_pieces import unigram
from tests.small import questions

BEGIN, END = "<s>", "</s>"


def byte_pairs(texts: Sequence[str], pieces: int, *, begin: bool = False) -> Tokenizer:
    """As of GPT-2; with `begin` a special token stands before every text, as of Llama."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special, alphabet = [BEGIN, END], pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=pieces, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(f"{BEGIN} $A", None, [(BEGIN, 0)])
    return tokenizer


def scored_pieces(texts: Sequence[str], pieces: int) -> Tokenizer:
    """As of Llama 2: a blank belongs to the word behind it, and there is one before the first word."""
    special = [BEGIN, END, "<unk>"]
    tokenizer = unigram(texts, pieces, special, "<unk>")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken("\n")])
    tokenizer.post_processor = processors.TemplateProcessing(f"{BEGIN} $A", None, [(BEGIN, 0)])
    return tokenizer


def language_model(
    folder: Path,
    tokenizer: Tokenizer,
    kind: str = "llama",
    *,
    width: int = 32,
    layers: int = 2,
    positions: int = 256,
    scale: float = 0.3,
) -> Path:
    """Write one of random weights.

    Args:
        folder: of the model.
        tokenizer: whose tokens it knows.
        kind: its `model_type`.
        width: of a token's state.
        layers: number of them.
        positions: that it knows.
        scale: deviation of its weights.
    """
    sizes = {
        "vocab_size": tokenizer.get_vocab_size(), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": positions, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **sizes)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # a random model is nearly as unsure of everything; this one has opinions
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0, scale)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def taught(folder: Path, tokenizer: Tokenizer, asked: Sequence[str], answered: Sequence[str], *, epochs: int) -> None:
    """Teach a model what to write after prompts, and nothing else.

    Args:
        folder: of the model, which is written again.
        tokenizer: its own.
        asked: prompts up to the answer.
        answered: what comes next, a token each.
        epochs: passes over all of them.
    """
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    prompts = [tokenizer.encode(prompt).ids for prompt in asked]
    targets = torch.tensor([tokenizer.encode(answer).ids for answer in answered])
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(prompts), generator=generator).split(32):
            chosen = [prompts[row] for row in rows]
            width = max(map(len, chosen))
            ids = torch.tensor([row + [1] * (width - len(row)) for row in chosen])
            last = torch.tensor([len(row) - 1 for row in chosen])
            logits = model(input_ids=ids).logits[torch.arange(len(rows)), last]
            loss = torch.nn.functional.cross_entropy(logits, targets[rows, 0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.save_pretrained(folder)


SERVICES = ("HUM", "LOC", "NUM")
"""Those whose questions a few words give away, which is as much as so small a model learns in seconds."""
PROMPT = "Question: {text}\nService: {answer}\n"


def of_three_services(rows: int, skip: int = 0) -> pl.DataFrame:
    """Questions for three of the six services, see `tests.small.questions`."""
    return questions(10_000).filter(pl.col("service").is_in(SERVICES)).slice(skip, rows)


def taught_language_model(folder: Path) -> Path:
    """One that answers questions for three services, and was taught none of the first 1,200 of them."""
    rows = of_three_services(1700, skip=1200)
    tokenizer = byte_pairs([*rows["question"], *(f"Service: {service}" for service in rows["service"])], 800)
    language_model(folder, tokenizer, width=64, scale=0.05)
    before, _, _ = PROMPT.partition(" {answer}")
    asked = [before.replace("{text}", question) for question in rows["question"]]
    taught(folder, tokenizer, asked, [f" {service}" for service in rows["service"]], epochs=4)
    return folder
