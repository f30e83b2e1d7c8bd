"""Draw which visual tokens were kept: what was dropped is grey and dim."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from PIL import Image, ImageColor, ImageDraw, ImageEnhance, ImageFont, ImageOps
from torch import Tensor

from arr_coc.eval.atomic import write_bytes

SIDE, GAP, LINE = 384, 16, 22
PAPER, INK, FAINT = "#ffffff", "#1b1f24", "#5f6873"


@dataclass(frozen=True)
class Panel:
    """One way of answering."""

    title: str
    """Method and budget."""
    keep: Bool[Tensor, " visual"]
    """Row by row over the picture."""
    answer: str


def as_seen(image: Image.Image, pixels: Any, processor: Any) -> Image.Image:
    """The picture as the vision tower got it, resized and perhaps cropped: patches are where they are drawn.

    `pixels` is one row of `pixel_values`; where that is no picture but patches, the original is returned.
    """
    if not isinstance(pixels, Tensor) or pixels.ndim != 3 or pixels.shape[0] != 3:
        return image.convert("RGB")
    plan = processor.image_processor
    mean, std = torch.tensor(plan.image_mean), torch.tensor(plan.image_std)
    values = pixels.float().cpu() * std[:, None, None] + mean[:, None, None]
    bytes_ = (values.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
    return Image.fromarray(bytes_.numpy())


def dimmed(image: Image.Image, keep: Bool[Tensor, " visual"], grid: tuple[int, int]) -> Image.Image:
    """The picture with dropped patches grey and dark. Raises ValueError if the grid is not the tokens'."""
    rows, columns = grid
    if len(keep) != rows * columns:
        raise ValueError(f"{len(keep)} visual tokens cannot be a grid of {rows} x {columns}")
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    large = image.resize(size, Image.Resampling.BICUBIC)
    dark = ImageEnhance.Brightness(ImageOps.grayscale(large).convert("RGB")).enhance(0.35)
    cells = Image.fromarray((keep.reshape(rows, columns).byte().cpu() * 255).numpy())
    return Image.composite(large, dark, cells.resize(size, Image.Resampling.NEAREST))


def kept_picture(
    path: Path,
    image: Image.Image,
    grid: tuple[int, int],
    question: str,
    panels: list[Panel],
    gold: str | None = None,
) -> None:
    """Write a PNG: the question on top, a panel for each way of answering, wrong answers in red."""
    pictures = [dimmed(image, panel.keep, grid) for panel in panels]
    width = GAP + sum(picture.width + GAP for picture in pictures)
    font, small = ImageFont.load_default(16), ImageFont.load_default(13)
    above = _wrapped(question, font, width - 2 * GAP) + (
        [f"right answer: {gold}"] if gold is not None else []
    )
    top = GAP + LINE * len(above)
    canvas = Image.new("RGB", (width, top + pictures[0].height + 3 * LINE + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, text in enumerate(above):
        draw.text((GAP, GAP // 2 + i * LINE), text, fill=FAINT if i and gold is not None else INK, font=font)
    left = GAP
    for panel, picture in zip(panels, pictures, strict=True):
        canvas.paste(picture, (left, top))
        below = top + picture.height + 6
        caption = f"{panel.title}: {int(panel.keep.sum())} of {len(panel.keep)} tokens"
        draw.text((left, below), _cut(caption, small, picture.width), fill=FAINT, font=small)
        wrong = gold is not None and panel.answer.strip().lower() != gold.strip().lower()
        color = ImageColor.getrgb("#b3261e") if wrong else ImageColor.getrgb(INK)
        draw.text((left, below + LINE), _cut(panel.answer, font, picture.width), fill=color, font=font)
        left += picture.width + GAP
    png = BytesIO()
    canvas.save(png, format="PNG")
    write_bytes(path, png.getvalue())


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, font, width) for line in lines[:6]]


def _cut(text: str, font: Any, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
