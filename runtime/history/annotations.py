"""Annotations of marked pictures for other tools: COCO's JSON, and Label Studio's. Pure.

A box is a tile that was NotOK; a part that was passed and is bad has none, since nobody said where.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line, which names the forms, is to be quick
    from runtime.history.marked_pictures import MarkedPicture

FAILED_TILE = "failed_tile"
Box = tuple[float, float, float, float]
"""Left, top, width, height, as shares of the picture."""


class Annotations(StrEnum):
    """A file beside the pictures, for other tools."""

    COCO = "coco"
    LABEL_STUDIO = "label-studio"


def coco(pictures: Sequence["MarkedPicture"]) -> dict[str, Any]:
    """Give COCO's object detection format. What was said of a picture stands in it as `was`, `by`, `note`."""
    images, annotations = [], list[dict[str, Any]]()
    for number, picture in enumerate(pictures, 1):
        width, height = picture.size
        images.append(
            {"id": number, "file_name": str(picture.file), "width": width, "height": height, **_said(picture)}
        )
        for left, top, across, down in _boxes(picture):
            box = [left * width, top * height, across * width, down * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [round(side, 2) for side in box],
                    "area": round(box[2] * box[3], 2),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": 1, "name": FAILED_TILE, "supercategory": "p-wae"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def label_studio(pictures: Sequence["MarkedPicture"]) -> list[dict[str, Any]]:
    """Give Label Studio's tasks: choices called `was`, rectangles called `tiles`, both of an image called `image`.

    Pictures are named as its local storage names them; its root is the data set's folder.
    """
    return [
        {
            "data": {"image": f"/data/local-files/?d={picture.file}"},
            "meta": _said(picture),
            "annotations": [{"result": [_choice(picture)]}],
            "predictions": [{"result": [_rectangle(picture, box) for box in _boxes(picture)]}],
        }
        for picture in pictures
    ]


def _choice(picture: "MarkedPicture") -> dict[str, Any]:
    value = {"choices": [str(picture.mark.was)]}
    return {"type": "choices", "from_name": "was", "to_name": "image", "value": value}


def _rectangle(picture: "MarkedPicture", box: Box) -> dict[str, Any]:
    left, top, width, height = (round(100 * side, 3) for side in box)
    return {
        "type": "rectanglelabels",
        "from_name": "tiles",
        "to_name": "image",
        "original_width": picture.size[0],
        "original_height": picture.size[1],
        "value": {
            "x": left,
            "y": top,
            "width": width,
            "height": height,
            "rotation": 0,
            "rectanglelabels": [FAILED_TILE],
        },
    }


def _said(picture: "MarkedPicture") -> dict[str, str]:
    said = picture.remark
    told = {"was": str(said.was), "by": said.by, "note": said.note, "marked_time": said.time}
    return {**told, "event_id": said.event_id, "verdict": said.verdict}


def _boxes(picture: "MarkedPicture") -> Iterator[Box]:
    tiles = picture.mark.body["tiles"]
    grid = 1 + max((tile["row"] for tile in tiles), default=0)
    for tile in tiles:
        if tile["verdict"] == "NotOK":
            yield tile["col"] / grid, tile["row"] / grid, 1 / grid, 1 / grid
