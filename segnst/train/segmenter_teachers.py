"""Teachers for the segmenter: networks whose predictions for the photos are computed once, before training.

The predictions for a photo are stored as one ``.npz`` with

    groups  uint8 [G,h,w]  probability * 255 of each class to be learned that the teacher knows
    names   G strings      the names of these classes
    labels  uint8 [h,w]    class index where a teacher is sure, else 255
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from segnst.errors import WeightsError
from segnst.files import written_whole
from segnst.masks.classes import STREET, VOC, VOC_TO_STREET
from segnst.segmentation.networks.deeplab import DeepLabSegmenter, load
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.types import Region

_OTHER_VOC = ("chair", "sofa", "tvmonitor", "diningtable", "bottle", "bicycle", "aeroplane", "boat")
_CITYSCAPES = {  # Cityscapes train ids -> the classes that are taken from it
    0: "road", 1: "pavement", 2: "building", 8: "vegetation", 9: "vegetation", 10: "sky",
}  # fmt: skip


def is_voc(path: Path) -> bool:
    """Whether a safetensors file is the published VOC network, by its tensors' names. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"The weights {path} do not exist.")
    try:
        with safe_open(path, "pt") as file:
            return {"aspp0.weight", "features.0.0.weight"} <= set(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file ({error}).") from error


def load_teacher(path: Path, long_side: int = 513) -> DeepLabSegmenter:
    """Load ``deeplabv3_mobilenet_v2_voc.safetensors`` (google-coral, Apache-2.0), or a checkpoint of segnst's."""
    from safetensors.torch import load_file

    if not is_voc(path):
        return load(str(path), device="cpu", weights=path)
    net = DeepLab(len(VOC))
    copy_voc_weights(net, load_file(path))
    return DeepLabSegmenter("voc", net, VOC, long_side)


def copy_voc_weights(net: DeepLab, theirs: dict[str, torch.Tensor], merge: bool = False) -> None:
    """Copy the published network into ``net``; ``merge=True`` turns its 21 logits into the nine street classes.

    The merged logit of a class (vehicle, animal) is the mean of its members' rows. Every class that VOC lacks starts
    as a copy of VOC's background with a slightly lower bias, so that training only has to divide the background up.
    """
    body = [k for k in theirs if k.startswith("features.") and k.endswith(".weight")]
    body.sort(key=lambda k: [int(part) for part in k.split(".") if part.isdigit()])
    convs = [m for part in (net.stem, net.blocks) for m in part.modules() if isinstance(m, torch.nn.Conv2d)]
    if len(body) != len(convs):
        raise ValueError(f"expected {len(convs)} convolutions in the backbone, found {len(body)}")
    net.start_neutral()
    with torch.no_grad():
        for conv, key in zip(convs, body, strict=True):
            conv.weight.copy_(theirs[key])
            conv.bias.copy_(theirs[key.replace(".weight", ".bias")])  # type: ignore[union-attr]
        for conv, key in ((net.point, "aspp0"), (net.whole, "image_pooling")):
            conv.weight.copy_(theirs[f"{key}.weight"])
            conv.bias.copy_(theirs[f"{key}.bias"])  # type: ignore[union-attr]
        projection = theirs["concat_projection.weight"]
        net.merge.weight[:, : projection.shape[1]].copy_(projection)
        net.merge.bias.copy_(theirs["concat_projection.bias"])  # type: ignore[union-attr]
        weight, bias = theirs["logits.weight"], theirs["logits.bias"]
        if merge:
            weight, bias = _merge_logits(weight, bias)
        net.logits.weight.copy_(weight)
        net.logits.bias.copy_(bias)  # type: ignore[union-attr]


def _merge_logits(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    rows = []
    for region in STREET:
        members = [v.index for v in VOC if VOC_TO_STREET.get(v.name) == region.name] or [0]
        rows.append((weight[members].mean(0), bias[members].mean() - (0.0 if members != [0] else 1.0)))
    return torch.stack([w for w, _ in rows]), torch.stack([b for _, b in rows])


def shared_classes(theirs: Sequence[Region], ours: Sequence[Region]) -> dict[str, list[int]]:
    """Return the names of ``ours`` that a teacher knows, each with the teacher's channels that make it up."""
    shared: dict[str, list[int]] = {}
    for region in ours[1:]:  # class 0 is the background
        members = [t.index for t in theirs if region.name in (t.name, *t.aliases) or t.name in region.aliases]
        if members:
            shared[region.name] = members
    return shared


class Teachers:
    """Computes a network's predictions for photos, and the Cityscapes network's if given (street classes only)."""

    def __init__(
        self, teacher: Path, regions: Sequence[Region] = STREET, cityscapes: Path | None = None, long_side: int = 513
    ) -> None:
        self.segmenter = load_teacher(teacher, long_side)
        self.shared = shared_classes(self.segmenter.regions, regions)
        self.street: Callable[[np.ndarray], np.ndarray] | None = CityscapesTeacher(cityscapes) if cityscapes else None
        if not self.shared:
            theirs = ", ".join(r.name for r in self.segmenter.regions)
            raise WeightsError(f"The teacher {teacher} knows none of the classes to learn; it knows: {theirs}.")

    def ask(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 [H,W,3] -> (groups uint8 [G,h,w], labels uint8 [h,w])."""
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
        p = self.segmenter(x)[0][0].cpu().numpy()
        groups = np.stack([p[members].sum(0) for members in self.shared.values()])
        labels = np.full(p.shape[1:], 255, np.uint8)
        if self.street is not None:
            street = cv2.resize(self.street(rgb), labels.shape[::-1], interpolation=cv2.INTER_NEAREST)
            sure = groups.sum(0) < 0.1
            labels[sure] = street[sure]
        things = [r.index for r in self.segmenter.regions if r.name in _OTHER_VOC]
        if things:
            labels[p[things].sum(0) > 0.7] = 0
        return (groups.clip(0, 1) * 255 + 0.5).astype(np.uint8), labels

    def write(self, photos: Iterable[Path], folder: Path) -> int:
        """Store the predictions for each photo as ``folder/<stem>.npz``; return how many were new."""
        folder.mkdir(parents=True, exist_ok=True)
        new = 0
        for photo in photos:
            target = folder / f"{photo.stem}.npz"
            image = None if target.exists() else cv2.imread(str(photo), cv2.IMREAD_COLOR)
            if image is None:
                continue
            groups, labels = self.ask(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            with written_whole(target) as partial, partial.open("wb") as file:
                np.savez_compressed(file, groups=groups, labels=labels, names=np.array(list(self.shared)))
            new += 1
        return new


class CityscapesTeacher:
    """``deeplab_cityscapes.tflite`` (google-coral, Apache-2.0): RGB uint8 [H,W,3] -> street class, else 255.

    The network gives classes without probabilities. It counts as sure where the photo and its mirror image give the
    same class, away from borders, if the class covers enough of the photo. Needs the package ``ai-edge-litert``, which
    segnst does not depend on.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.network: Any = Interpreter(str(path), num_threads=torch.get_num_threads())
        self.network.allocate_tensors()
        self.table = np.full(256, 255, np.uint8)
        index = {region.name: region.index for region in STREET}
        for theirs, name in _CITYSCAPES.items():
            self.table[theirs] = index[name]

    def _classes(self, canvas: np.ndarray) -> np.ndarray:
        self.network.set_tensor(self.network.get_input_details()[0]["index"], canvas[None])
        self.network.invoke()
        ids = self.network.get_tensor(self.network.get_output_details()[0]["index"])[0]
        return np.asarray(self.table[ids.astype(np.uint8)])

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        side = int(self.network.get_input_details()[0]["shape"][1])
        scale = side / max(rgb.shape[:2])
        height, width = (min(side, round(x * scale)) for x in rgb.shape[:2])
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        answers = []
        for step in (1, -1):
            canvas = np.full((side, side, 3), 128, np.uint8)
            canvas[:height, :width] = small[:, ::step]
            answers.append(self._classes(canvas)[:height, :width][:, ::step])
        agreed = np.where(answers[0] == answers[1], answers[0], 255).astype(np.uint8)
        for index in set(np.unique(agreed).tolist()) - {255}:
            where = agreed == index
            core = cv2.erode(where.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1) == 1
            agreed[where & ~core] = 255
            if core.mean() < 0.02:
                agreed[where] = 255
        return agreed
