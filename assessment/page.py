"""The report's page: its style, which fits a phone and a wide screen, and the words that it explains."""

import base64
import html
import io
from collections.abc import Collection, Iterable, Sequence

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 1.5rem auto; padding: 0 1rem; color: #1c2430 }}
h1 {{ font-size: 1.5rem; overflow-wrap: anywhere }} h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .4rem }}
p {{ color: #51606f; max-width: 46rem; overflow-wrap: anywhere }} img {{ max-width: 100%; display: block }}
.wide {{ overflow-x: auto; background: linear-gradient(90deg, #fff 1.5rem, #fff0 3rem) local,
  linear-gradient(-90deg, #fff 1.5rem, #fff0 3rem) local, linear-gradient(90deg, #0005, #0000 .8rem),
  linear-gradient(-90deg, #0005, #0000 .8rem) }} table {{ border-collapse: collapse }}
th, td {{ padding: .3rem 1.2rem .3rem 0; border-bottom: 1px solid #dde3ea; text-align: right;
  font-variant-numeric: tabular-nums }}
th {{ font-weight: 600 }} th:first-child, td:first-child {{ text-align: left }}
.charts, .parts {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)) }}
.parts {{ grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); margin: .6rem 0 }}
figure {{ margin: 0 }} .beside {{ display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 4px;
  align-items: end }}
.flat {{ grid-auto-flow: row }} .beside img {{ width: 100% }}
.beside span {{ font-size: .85rem; overflow-wrap: anywhere }}
figcaption {{ font-size: .85rem; color: #51606f; overflow-wrap: anywhere }}
details {{ margin: .4rem 0 }} details details {{ margin-left: .8rem }}
summary {{ cursor: pointer; padding: .35rem 0; font-weight: 600 }} details details > summary {{ font-weight: 400 }}
dt {{ font-weight: 600 }} dd {{ margin: 0 0 .5rem; color: #51606f; max-width: 46rem }}
@media (max-width: 40rem) {{ body {{ font-size: 15px; margin: 1rem auto; padding: 0 .8rem }}
  th, td {{ padding-right: .5rem; font-size: .8rem }} }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""
_FLAT = 1.6
"""A picture so many times as wide as high stands above its map, not beside it."""
_WORDS = {
    "Score": "How far a part is from good ones. It is rejected (NotOK) above 1, whatever the model and its thresholds.",
    "Threshold": "The largest error that still passes; one for the whole picture and one for each tile, set from good "
    "parts alone.",
    "Tile": "One of the equal rectangles that the picture is cut into. Each is judged by itself.",
    "False reject": "A good part that was rejected.",
    "Miss": "A defective part that was not rejected.",
    "Suspect": "A good picture of the training that stands apart from the others. It is left out of the thresholds, and"
    " is mostly rejected: rightly if it is bad. suspects.csv and suspects.png, next to the checkpoint, name them.",
    "Error map": "Where the picture is not as good parts are. Black is no error, orange the tile's threshold, pale "
    "yellow twice that. Failed tiles have a red frame.",
    "AUROC": "The chance that a defective part scores above a good one: 1 is perfect, 0.5 a guess.",
    "Pixel AUROC, AUPRO": "How well the error map finds the marked defect: over all pixels, and with every defect "
    "counted alike, small or large. 1 is perfect.",
    "95 % confidence": "Were many more parts like these judged, the true figure would lie within these limits in 19 of "
    "20 such tests. Few pictures give wide limits.",
    "Judged by a decoder that has not seen it": "A model flatters the pictures that it was trained on. Each good "
    "picture of the training is judged by a part of the model that was trained without it.",
    "Balanced accuracy": "The mean of two shares: of good parts that pass, and of defective parts that are found. At "
    "the best threshold: the largest that any threshold would give on these pictures.",
}


def page(title: str, body: Iterable[str]) -> str:
    """Give the whole page; what the body shows must be escaped."""
    return _PAGE.format(title=html.escape(title), body="".join(body))


def glossary(left_out: Collection[str]) -> str:
    """Explain the words, folded, but for those `left_out`, of which the page has no figure."""
    told = {word: text for word, text in _WORDS.items() if word not in left_out}
    words = "".join(f"<dt>{html.escape(word)}</dt><dd>{html.escape(text)}</dd>" for word, text in told.items())
    return f"<details><summary>What the words mean</summary><dl>{words}</dl></details>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table that scrolls by itself where the screen is narrow, with a shadow at the side where more of it is.

    An empty head is left out.
    """
    top = "<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>" if head else ""
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{top}{"".join(lines)}</table></div>'


def chart(figure: Figure, alternative: str) -> str:
    """Show a figure, sharp at any size."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/svg+xml;base64,{encoded}">'


def beside(pictures_bgr_u8: Sequence[tuple[str, NDArray[np.uint8]]], caption: str) -> str:
    """Show a part's picture (H, W, 3) and its error maps, each below its title, with a caption for all."""
    height, width = pictures_bgr_u8[0][1].shape[:2]
    shape = "beside flat" if width > _FLAT * height else "beside"
    images = "".join(
        f"<div>{f'<span>{html.escape(title)}</span>' if title else ''}{_image(picture, title or caption)}</div>"
        for title, picture in pictures_bgr_u8
    )
    return f'<figure><div class="{shape}">{images}</div><figcaption>{html.escape(caption)}</figcaption></figure>'


def folded(title: str, cards: Sequence[str], names: Sequence[str], page_size: int = 12, is_open: bool = False) -> str:
    """Fold cards away under a title, many in pages that are folded too; `names` says what stands on each card."""
    pages = []
    for start in range(0, len(cards), page_size):
        end = min(start + page_size, len(cards))
        label = f"{start + 1} to {end}: {names[start]} to {names[end - 1]}"
        shown = " open" if start == 0 else ""
        parts = "".join(cards[start:end])
        drawn = f'<div class="parts">{parts}</div>'
        is_alone = len(cards) <= page_size
        pages.append(drawn if is_alone else f"<details{shown}><summary>{html.escape(label)}</summary>{drawn}</details>")
    return f"<details{' open' if is_open else ''}><summary>{html.escape(title)}</summary>{''.join(pages)}</details>"


def _image(picture_bgr_u8: NDArray[np.uint8], alternative: str) -> str:
    _done, encoded = cv2.imencode(".jpg", picture_bgr_u8, (cv2.IMWRITE_JPEG_QUALITY, 85))
    content = base64.b64encode(encoded.tobytes()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/jpeg;base64,{content}">'
