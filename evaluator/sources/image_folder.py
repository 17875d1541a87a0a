"""Images of the user's folder, one folder in it for each class, as pixels of one size.

Shapes: N images, S rows and columns, C colours (1 or 3).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

SUFFIXES = (".png", ".jpg", ".jpeg")


def read_images(folder: str, size: int, colour: bool) -> tuple[Pixels, list[str]]:
    """Pixels (N, S, S, C) and class names, in name order; sides are stretched to the size.

    Raises ValueError, one sentence, for a class without images and for an unreadable image.
    """
    root = Path(folder).expanduser()
    classes = sorted(d for d in root.iterdir() if d.is_dir() and not d.name.startswith("."))
    if not classes:
        raise ValueError(
            f"the image folder {folder} must hold a folder of images for each class, but holds "
            f"none; sort the images into such folders"
        )
    images, labels = [], []
    for directory in classes:
        files = [f for f in sorted(directory.iterdir()) if f.suffix.lower() in SUFFIXES]
        if not files:
            raise ValueError(
                f"the class folder {directory} holds no {', '.join(SUFFIXES)}; add images or "
                f"delete it"
            )
        images += [_pixels(file, size, colour) for file in files]
        labels += [directory.name] * len(files)
    return np.stack(images), labels


def _pixels(file: Path, size: int, colour: bool) -> Pixels:
    from PIL import Image, ImageOps  # here, since most tasks need no images

    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB" if colour else "L")
            pixels = np.asarray(upright.resize((size, size)), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"the image {file} can't be read ({error}); replace or delete it"
        ) from None
    return pixels.reshape(size, size, -1)
