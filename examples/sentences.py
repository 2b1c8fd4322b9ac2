"""Sentences in three languages, one of them very common and two of them rare.

They are the conversation lines of `chatterbot-corpus` (user contributed; BSD licence, three clauses), read as
YAML files from the installed package, which is not imported.

**The imbalance is imposed.** The corpus holds far more Spanish and Portuguese than is kept here: they are
thinned until the shares are 89.8, 6.7 and 3.5 %, those of the question that the example answers. The rarest
class is then so small that one validation example moves its recall by several points: `describe` counts them.

Everything here is deterministic: the same package gives the same sentences, the same split, the same order.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import yaml

CLASS_NAMES = ("English", "Spanish", "Portuguese")
KEPT = (1771, 132, 69)  # sentences of each class: 89.8, 6.7 and 3.5 %
VALIDATION_SHARE = 0.4
LENGTH = 96  # bytes of a sentence that a model reads; longer ones are cut
DATA_SEED = 0  # of the subsample, the split and the order: every training sees the same data


@dataclass(frozen=True)
class Sentences:
    """Texts with the class of each: `targets[i]` is an index into `CLASS_NAMES`."""

    texts: tuple[str, ...]
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self) -> dict[str, np.ndarray]:
        """`targets`, and `tokens` (sentences, LENGTH): UTF-8 bytes, then 0, which no text contains."""
        tokens = np.zeros((len(self), LENGTH), np.int32)
        for row, text in zip(tokens, self.texts, strict=True):
            read = np.frombuffer(text.encode()[:LENGTH], np.uint8)
            row[: len(read)] = read
        return {"tokens": tokens, "targets": self.targets}

    def per_class(self) -> list[int]:
        """How many sentences each class has."""
        return np.bincount(self.targets, minlength=len(CLASS_NAMES)).tolist()


def load() -> tuple[Sentences, Sentences]:
    """The sentences to train on and those to validate on, split within each class and shuffled."""
    random = np.random.default_rng(DATA_SEED)
    train: list[tuple[str, int]] = []
    validation: list[tuple[str, int]] = []
    for target, (lines, kept) in enumerate(zip(_lines_of_one_language(), KEPT, strict=True)):
        if len(lines) < kept:
            raise ValueError(f"{kept} {CLASS_NAMES[target]} sentences are due, but the corpus has {len(lines)}")
        chosen = [(lines[index], target) for index in random.permutation(len(lines))[:kept]]
        held_out = round(VALIDATION_SHARE * kept)
        validation += chosen[:held_out]
        train += chosen[held_out:]
    return _shuffled(train, random), _shuffled(validation, random)


def describe(train: Sentences, validation: Sentences) -> str:
    """What the data is, as text to print, and what its size allows one to conclude."""
    total = len(train) + len(validation)
    rows = [f"{total:,} sentences of chatterbot-corpus (user contributed, BSD licence), read as bytes:"]
    for name, known, unseen in zip(CLASS_NAMES, train.per_class(), validation.per_class(), strict=True):
        rows.append(
            f"  {name:<10} {known + unseen:>5,} ({(known + unseen) / total:5.1%}): {known:>5,} to train on, "
            f"{unseen:>3} to validate on (one of them is {100 / unseen:.1f} points of recall)"
        )
    rows.append("The imbalance is imposed: the corpus holds more of the two rare languages than is kept here.")
    return "\n".join(rows)


def _shuffled(pairs: Sequence[tuple[str, int]], random: np.random.Generator) -> Sentences:
    texts, targets = zip(*(pairs[index] for index in random.permutation(len(pairs))), strict=True)
    return Sentences(texts, np.array(targets, np.int32))


def _lines_of_one_language() -> list[list[str]]:
    """For each class its distinct lines, sorted, without those that another language has too."""
    package = find_spec("chatterbot_corpus")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the sentences are those of the package chatterbot-corpus: install it first")
    data = Path(package.submodule_search_locations[0]) / "data"
    found = [set().union(*map(_lines, (data / name.lower()).glob("*.yml"))) for name in CLASS_NAMES]
    return [sorted(own.difference(*(other for other in found if other is not own))) for own in found]


def _lines(file: Path) -> set[str]:
    """The lines of a file as they are compared: lower case, single spaces, composed accents."""
    conversations = yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]
    # A conversation is a list of lines; the one that is a bare text is a slip of indentation, and left out.
    texts = (text for conversation in conversations if isinstance(conversation, list) for text in conversation)
    lines = {" ".join(unicodedata.normalize("NFC", text).lower().split()) for text in texts}
    return {line for line in lines if any(character.isalpha() for character in line)}
