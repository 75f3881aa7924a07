"""The nine classes of the bundled segmenter, and the 21 of PASCAL VOC, with the names that people use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segnst.errors import UsageError, did_you_mean
from segnst.types import Region

STREET: tuple[Region, ...] = (
    Region(0, "other"),
    Region(1, "sky"),
    Region(2, "building", ("house", "wall")),
    Region(3, "road", ("street",)),
    Region(4, "pavement", ("sidewalk", "footpath")),
    Region(5, "vegetation", ("tree", "trees", "plant", "grass", "bush")),
    Region(6, "person", ("people", "man", "woman", "human", "rider", "pedestrian")),
    Region(7, "vehicle", ("car", "bus", "truck", "van", "motorbike", "motorcycle", "train")),
    Region(8, "animal", ("dog", "cat", "horse", "bird", "cow", "sheep")),
)

_VEHICLE, _ANIMAL = ("vehicle",), ("animal",)
VOC: tuple[Region, ...] = (
    Region(0, "other", ("none",)),
    Region(1, "aeroplane", ("airplane", "plane")),
    Region(2, "bicycle", ("bike",)),
    Region(3, "bird", _ANIMAL),
    Region(4, "boat", ("ship",)),
    Region(5, "bottle"),
    Region(6, "bus", _VEHICLE),
    Region(7, "car", (*_VEHICLE, "truck", "van")),
    Region(8, "cat", _ANIMAL),
    Region(9, "chair"),
    Region(10, "cow", _ANIMAL),
    Region(11, "diningtable", ("table",)),
    Region(12, "dog", _ANIMAL),
    Region(13, "horse", _ANIMAL),
    Region(14, "motorbike", (*_VEHICLE, "motorcycle")),
    Region(15, "person", ("people", "man", "woman", "human")),
    Region(16, "pottedplant", ("plant",)),
    Region(17, "sheep", _ANIMAL),
    Region(18, "sofa", ("couch",)),
    Region(19, "train", _VEHICLE),
    Region(20, "tvmonitor", ("tv", "monitor", "screen")),
)

VOC_TO_STREET: dict[str, str] = {
    **dict.fromkeys(("bus", "car", "motorbike", "train"), "vehicle"),
    **dict.fromkeys(("bird", "cat", "cow", "dog", "horse", "sheep"), "animal"),
    "person": "person",
}
"""The bundled class for each VOC class that has an equivalent. Pixels of the other VOC classes belong to one of the
remaining bundled classes, but it is unknown to which."""


def regions_from_names(
    classes: Sequence[str], aliases: Mapping[str, Sequence[str]] | None = None
) -> tuple[Region, ...]:
    """Regions from class names in the order of their index. Names of the nine bundled classes keep their aliases.

    aliases  further names, each with the classes that it stands for (``door`` could mean four kinds of doors);
             ``*`` stands for all classes except the first, which is the background

    Raises UsageError if an alias names an unknown class.
    """
    known = {region.name: region for region in STREET}
    names = [c.strip().lower() for c in classes]
    taken = set(names)
    also = {n: [a for a in known[n].aliases if a not in taken] if n in known else [] for n in names}
    for alias, members in (aliases or {}).items():
        for member in names[1:] if list(members) == ["*"] else members:
            if member not in taken:
                raise UsageError(
                    f"The alias '{alias}' names '{member}', which is not a class.{did_you_mean(member, names)}"
                )
            also[member].append(alias.strip().lower())
    return tuple(Region(i, n, tuple(also[n])) for i, n in enumerate(names))
