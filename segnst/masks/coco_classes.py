"""The 80 classes of COCO as regions, and the category numbers that torchvision's detectors use for them."""

from __future__ import annotations

from segnst.types import Region

_ALIASES = {
    "person": ("people", "man", "woman", "human", "pedestrian"),
    "bicycle": ("bike",),
    "motorcycle": ("motorbike",),
    "airplane": ("aeroplane", "plane"),
    "boat": ("ship",),
    "couch": ("sofa",),
    "potted plant": ("plant",),
    "dining table": ("table",),
    "tv": ("tvmonitor", "monitor", "screen"),
    "cell phone": ("phone",),
}
_GROUPS = {
    "vehicle": ("car", "motorcycle", "bus", "train", "truck"),
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
}


def coco_regions() -> tuple[tuple[Region, ...], dict[int, int]]:
    """Regions for "other" and the 80 classes, and the index of the region for each category number of torchvision.

    The category numbers go up to 90, of which ten are unused. Names with a space have an alias with an underscore
    (``traffic_light``). ``vehicle`` and ``animal`` are aliases of all classes of that kind.
    """
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights

    regions, table = [Region(0, "other")], {}
    for number, name in enumerate(MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"]):
        if number and name != "N/A":
            table[number] = len(regions)
            also = [name.replace(" ", "_")] if " " in name else []
            also += [*_ALIASES.get(name, ()), *(group for group, members in _GROUPS.items() if name in members)]
            regions.append(Region(len(regions), name, tuple(also)))
    return tuple(regions), table
