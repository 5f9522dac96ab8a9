"""Tiny random encoders with a tokenizer of words, and sentences of these words."""

import json
from pathlib import Path

import numpy as np

WORDS = "the a cat dog bird sees likes chases red blue small big house tree in under near today again slowly".split()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 24,
}


def save_bert(folder: Path, *, classes: int | None = None, has_tokenizer: bool = True, seed: int = 0) -> Path:
    """Write a BERT with embeddings, or with classes, and return its folder."""
    import torch
    import transformers

    torch.manual_seed(seed)
    sizes = SIZES | {"vocab_size": len(SPECIAL) + len(WORDS), "initializer_range": 0.3}
    if classes is None:
        model = transformers.BertModel(transformers.BertConfig(**sizes))
    else:
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes, num_labels=classes))
    model.save_pretrained(folder)
    if has_tokenizer:
        save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """Write a tokenizer of the words, as BERT has it: what is no word is unknown."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), SPECIAL, strict=True))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": SIZES["max_position_embeddings"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | names))


def sentences(count: int = 120, seed: int = 0) -> list[str]:
    """Return so many different sentences of 3 to 12 words."""
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(random.choice(WORDS, size=random.integers(3, 13)))] = None
    return list(found)


def save_texts(path: Path, count: int = 120, seed: int = 0) -> Path:
    """Write sentences into a file, one a line, and return its path."""
    path.write_text("\n".join(sentences(count, seed)) + "\n")
    return path
