"""Tokens in place of bytes: a tokenizer of the user's, or byte-pair encoding trained on the text.

Byte-pair encoding on bytes: Sennrich et al. 2016, arXiv:1508.07909, and Radford et al. 2019. Both
through the optional package `tokenizers`. Losses stay comparable with those on bytes, for each
token knows how many bytes of the original text it stands for. Blanks that a tokenizer drops count
neither way; one that drops upper case flatters its losses.

Shapes: N tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.sources.text import Bytes, split_blocks

BYTES = "bytes"
TRAINED = re.compile(r"bpe:(\d{1,7})")
SMALLEST = 257  # all bytes and a merge

# Tokenizers may leave out blanks, a sixth of English; one that knows less than this is for others.
LEAST_KNOWN = 0.5

# Characters that are tokenized at once: memory for a long text is that of a piece.
PIECE = 100_000

Ids = npt.NDArray[Any]  # uint16 or int32, (N,)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a worker has to know of a tokenizer."""

    symbols: int
    sizes: npt.NDArray[np.int32]  # (N,) bytes that each held-out token stands for
    counts: npt.NDArray[np.int64]  # (256,) how often each byte is in the held-out text
    json: Bytes

    @classmethod
    def of(cls, data: dict[str, npt.NDArray[Any]]) -> Tokens | None:
        """None where the text is bytes."""
        if "tokenizer" not in data:
            return None
        return cls(int(data["symbols"][0]), data["sizes"], data["counts"], data["tokenizer"])

    def spelled(self, symbol: int) -> str:
        """The token as text, or as the tokenizer names it where it is part of a character."""
        tokenizer = _loaded(self.json.tobytes())
        text = tokenizer.decode([symbol], skip_special_tokens=False)
        return text if text and "\ufffd" not in text else tokenizer.id_to_token(symbol) or ""


def absolute_tokenizer(name: str) -> str:
    """`bytes`, `bpe:SIZE`, or an existing tokenizer.json made absolute; ValueError otherwise."""
    if name == BYTES:
        return name
    if trained := TRAINED.fullmatch(name):
        if int(trained[1]) < SMALLEST:
            raise ValueError(
                f"`tokenizer` must have {SMALLEST} tokens or more, all bytes and a merge, but got "
                f"{name}; try bpe:1024"
            )
        return name
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"there is no tokenizer file {str(file)!r}; give the path of a tokenizer.json, "
            f"bpe:SIZE to train one, or bytes"
        )
    return str(file.resolve())


def tokenized(name: str, raw: bytes, source: str) -> dict[str, npt.NDArray[Any]]:
    """A text's training and held-out tokens, and the arrays of `Tokens`.

    Raises ValueError, one sentence, where package, tokenizer or text won't do.
    """
    package = _package(name)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"a tokenizer reads UTF-8, but {source} is not: it has the byte "
            f"{raw[error.start]:#04x} in line {raw[: error.start].count(10) + 1}; convert it, or "
            f"leave out tokenizer={name}"
        ) from None
    train, held = split_blocks(raw, whole_characters=True)
    trained = TRAINED.fullmatch(name)
    tokenizer = _trained(package, train, int(trained[1])) if trained else _read(package, name)
    symbols = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
    ids = np.uint16 if symbols <= 65_536 else np.int32
    train_tokens, _ = _encoded(tokenizer, train)
    held_tokens, sizes = _encoded(tokenizer, held)
    known = sizes.sum() / max(1, len(held))
    if len(held) and known < LEAST_KNOWN:
        raise ValueError(
            f"the tokenizer {name} knows {known:.0%} of the bytes of {source}, but should know "
            f"{LEAST_KNOWN:.0%} at least; give one that is made for such texts"
        )
    return {
        "train": train_tokens.astype(ids),
        "held": held_tokens.astype(ids),
        "sizes": sizes,
        "counts": np.bincount(held, minlength=256),
        "symbols": np.array([symbols]),
        "tokenizer": np.frombuffer(tokenizer.to_str().encode(), dtype=np.uint8),
    }


def _package(name: str) -> ModuleType:
    try:
        import tokenizers
    except ImportError:
        raise ValueError(
            f"`tokenizer: {name}` needs the package tokenizers, which is not installed; install it "
            f"with `pip install tokenizers`, or leave the tokenizer out"
        ) from None
    return tokenizers


def _read(package: ModuleType, file: str) -> Any:
    try:
        tokenizer = package.Tokenizer.from_file(file)
    except Exception as error:  # the package raises nothing narrower
        why = str(error).splitlines()[0]
        raise ValueError(
            f"{file} is no tokenizer.json of the package tokenizers ({why}); save one with it"
        ) from None
    tokenizer.no_truncation()  # files often carry a model's settings, which would cut the text
    tokenizer.no_padding()
    return tokenizer


def _trained(package: ModuleType, text: Bytes, size: int) -> Any:
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_pieces(text), trainer=trainer)
    return tokenizer


def _encoded(tokenizer: Any, text: Bytes) -> tuple[Ids, npt.NDArray[np.int32]]:
    """Tokens, and the bytes that each stands for: unknown ones stand for none, both (N,)."""
    model = json.loads(tokenizer.to_str())["model"]
    unknown = model.get("unk_id")
    if unknown is None and model.get("unk_token"):
        unknown = tokenizer.token_to_id(model["unk_token"])
    ids, sizes = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int32)]
    for piece in _pieces(text):
        found = tokenizer.encode(piece, add_special_tokens=False)
        symbols = np.array(found.ids, dtype=np.int32)
        spans = np.array(found.offsets, dtype=np.int64).reshape(-1, 2)  # (N, 2), characters
        starts, ends = _byte_offsets(piece)[spans].T  # (N,), (N,)
        # Tokens of one character have the same span: the first stands for all of it.
        before = np.maximum.accumulate(np.concatenate(([0], ends)))[:-1]
        covered = np.maximum(0, ends - np.maximum(starts, before))
        ids.append(symbols)
        sizes.append(np.where(symbols == unknown, 0, covered).astype(np.int32))
    return np.concatenate(ids), np.concatenate(sizes)


def _pieces(text: Bytes) -> Iterator[str]:
    """The text in pieces that end with a line where they can."""
    whole, start = text.tobytes().decode(), 0
    while start < len(whole):
        end = start + PIECE
        if end < len(whole):
            end = whole.rfind("\n", start, end) + 1 or end
        yield whole[start:end]
        start = end


def _byte_offsets(text: str) -> npt.NDArray[np.int64]:
    """Where each character of a text starts in UTF-8, and where the last one ends."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    widths = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    return np.concatenate(([0], np.cumsum(widths)))


@lru_cache(maxsize=2)
def _loaded(text: bytes) -> Any:
    return _package("a saved one").Tokenizer.from_str(text.decode())
