"""SAM 2 (Ravi et al. 2024, arXiv:2408.00714) follows selected objects: a network with a memory of earlier frames.

It uses ``Sam2VideoModel`` of transformers, which is an extra of this package (``pip install segnst[sam2]``). The
weights are a folder in the published form (config.json, model.safetensors): ``--segmenter sam2:FOLDER``, or
``--segmenter sam2`` with the folder ``sam2.1-hiera-tiny`` in $SEGNST_HOME. Nothing is downloaded. If ``sam2`` alone was
asked for and the package or the weights are missing, GrabCut and optical flow follow the object, with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from segnst.errors import SegnstWarning, WeightsError
from segnst.pixels import by_imagenet
from segnst.segmentation.base import Prompt
from segnst.segmentation.objects.clicks import points_of
from segnst.segmentation.objects.tracker import Earlier, Mark, Tracker, shared
from segnst.weights import home_dir

FOLDER = "sam2.1-hiera-tiny"
BOX_CORNERS = (2, 3)  # the network's labels for the corners of a box; 1 and 0 are clicks inside and outside


@dataclass(frozen=True, slots=True)
class Sam2Carry:
    """The number of frames so far, the network's memory, and for each frame the confidence of each object.

    The memory is changed in place, so only the latest carry may be used.
    """

    frame: int = 0
    session: Any = None
    confidence: tuple[tuple[float, ...], ...] = ()


class Sam2Segmenter(Tracker[Sam2Carry]):
    """A tracker that follows selected objects with SAM 2.

    network  transformers' ``Sam2VideoModel``, or a network with the same interface
    marks    the objects on the frames where they were selected; each part of an object is followed separately
    before   {frame: {name: where it was}} for frames before an object's first mark
    """

    network: Any

    def __init__(
        self,
        network: Any,
        marks: Sequence[Mark],
        before: Mapping[int, Mapping[str, Earlier]] | None = None,
        path: Path | None = None,
    ) -> None:
        super().__init__("sam2", marks, before, path)
        self.network = network.eval()
        self.kept = max(network.config.num_maskmem, network.config.max_object_pointers_in_encoder)

    def with_marks(self, marks: Sequence[Mark]) -> Sam2Segmenter:
        return Sam2Segmenter(self.network, marks, path=self.path)

    def after_cut(self, carry: Sam2Carry | None) -> Sam2Carry | None:
        """Keep everything, because the memory holds the appearance of the objects and not their places."""
        return carry

    def certainty(self, carry: Sam2Carry | None) -> tuple[tuple[float, ...], ...]:
        return carry.confidence if carry else ()

    def frame(self, rgb: Tensor, carry: Sam2Carry | None) -> tuple[Tensor, Sam2Carry]:
        carry = carry or Sam2Carry()
        full, number = (rgb.shape[2], rgb.shape[3]), carry.frame
        like = next(self.network.parameters())
        session = carry.session or self._session(like)
        here = {name: [m for m in self.marks if m.name == name and m.frame == number] for name in self.names}
        for name in self.names:
            self._tell(session, name, here[name], full, like)
        drawn, sure = dict.fromkeys(self.names, torch.zeros(1, 1, *full)), dict.fromkeys(self.names, 0.0)
        if session.get_obj_num():
            found = self.network(session, frame_idx=number, frame=self._pixels(rgb, like))
            masks = F.interpolate(found.pred_masks.float(), full, mode="bilinear", align_corners=False).sigmoid().cpu()
            scores = found.object_score_logits.float().sigmoid().flatten().tolist()
            for key, mask, score in zip(found.object_ids, masks, scores, strict=True):
                name = self.names[key // PARTS]
                drawn[name] = torch.maximum(drawn[name], mask[None] * (score > 0.5))
                sure[name] = max(sure[name], score)
            self._forget(session, number)
        for name, earlier in self.before.get(number, {}).items():
            drawn[name], sure[name] = earlier.enlarged(full), earlier.confidence
        for name, mask in ((name, m.mask) for name, marks in here.items() for m in marks if m.mask is not None):
            drawn[name], sure[name] = mask.cpu().float(), 1.0
        confidence = (*carry.confidence, tuple(sure[n] for n in self.names))
        return shared([drawn[n] for n in self.names]).to(rgb.device), Sam2Carry(number + 1, session, confidence)

    def _session(self, like: Tensor) -> Any:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        return Sam2VideoInferenceSession(
            inference_device=like.device,
            inference_state_device=like.device,
            video_storage_device=like.device,
            dtype=like.dtype,
        )

    def _pixels(self, rgb: Tensor, like: Tensor) -> Tensor:
        """The frame as in the network's training: resized to a square without keeping its aspect, and normalized."""
        side = self.network.config.image_size
        x = F.interpolate(rgb.to(like.device).float(), (side, side), mode="bilinear", antialias=True)
        return by_imagenet(x).to(like.dtype)

    def _tell(self, session: Any, name: str, marks: Sequence[Mark], full: tuple[int, int], like: Tensor) -> None:
        """Give the network the marks of an object on this frame: the prompt of each part, or a mask."""
        side = self.network.config.image_size
        first = PARTS * self.names.index(name)
        keys = []
        prompts = [p for m in marks for p in m.prompts][: PARTS - 1]
        for key, prompt in enumerate(prompts, first):
            places, labels = _clicks(prompt, full, side)
            points = {
                "point_coords": torch.tensor(places, device=like.device, dtype=like.dtype)[None, None],
                "point_labels": torch.tensor(labels, device=like.device, dtype=torch.int32)[None, None],
            }
            session.add_point_inputs(session.obj_id_to_idx(key), marks[0].frame, points)
            keys.append(key)
        for mark in marks:
            if mark.mask is not None:
                key = first + len(prompts)
                mask = F.interpolate(mark.mask.float(), (side, side), mode="bilinear", antialias=True)
                session.add_mask_inputs(session.obj_id_to_idx(key), mark.frame, (mask >= 0.5).float())
                keys.append(key)
        session.obj_with_new_inputs = [*session.obj_with_new_inputs, *dict.fromkeys(keys)]

    def _forget(self, session: Any, number: int) -> None:
        """Free what the network will not use again: the frame, and memories that are too old for it."""
        session.processed_frames.pop(number, None)
        for memories in session.output_dict_per_obj.values():
            for old in [k for k in memories["non_cond_frame_outputs"] if k <= number - self.kept]:
                del memories["non_cond_frame_outputs"][old]


PARTS = 64  # largest number of parts that an object may be selected by


def _clicks(prompt: Prompt, full: tuple[int, int], side: int) -> tuple[list[list[float]], list[int]]:
    """A prompt as points (box corners, clicks, points of strokes) in pixels of the square input, and their labels."""
    across, down = side / full[1], side / full[0]
    places, labels = list[list[float]](), list[int]()
    if prompt.box is not None:
        x, y, width, height = prompt.box
        places += [[x * across, y * down], [(x + width) * across, (y + height) * down]]
        labels += BOX_CORNERS
    for x, y, belongs in points_of(prompt):
        places.append([x * across, y * down])
        labels.append(int(belongs))
    return places, labels


def read(folder: Path) -> Any:
    """Load transformers' network from a local folder. Raises WeightsError."""
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        raise WeightsError(f"{folder} does not hold SAM 2: config.json and model.safetensors are needed.")
    try:
        from transformers import Sam2VideoModel
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise WeightsError("SAM 2 needs the package transformers: pip install 'segnst[sam2]'.") from None
    disable_progress_bar()
    try:
        network, seen = Sam2VideoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder} does not hold the weights of SAM 2 ({str(error).splitlines()[0]}).") from error
    if seen["missing_keys"] or seen["mismatched_keys"]:
        raise WeightsError(f"{folder} does not hold all weights of SAM 2.")
    return network


def load(name: str, *, device: torch.device, offline: bool = False) -> Sam2Segmenter | None:
    """Registry entry: ``sam2`` or ``sam2:FOLDER`` -> a tracker without marks.

    If ``sam2`` cannot be loaded, None is returned with a SegnstWarning. Raises WeightsError if a folder was named and
    cannot be loaded.
    """
    _, colon, given = name.partition(":")
    folder = Path(given).expanduser() if colon else home_dir() / FOLDER
    try:
        network = read(folder).to(device)
    except WeightsError as error:
        if colon:
            raise
        warnings.warn(f"{error} GrabCut and optical flow take the place of SAM 2.", SegnstWarning, stacklevel=2)
        return None
    return Sam2Segmenter(network, (), path=folder / "model.safetensors")
