"""What training starts from: a checkpoint of segnst, the published VOC network, or random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from segnst.masks.classes import STREET
from segnst.segmentation.networks.deeplab import read
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.train.segmenter_teachers import copy_voc_weights, is_voc
from segnst.types import Region


def start_from(path: Path | None, regions: Sequence[Region]) -> DeepLab:
    """Build a network for ``regions``: from a checkpoint of segnst, from the VOC network, or random (None).

    Classes that the checkpoint has under the same name or alias keep its weights; the others start as a copy of its
    class 0. Raises WeightsError for files that are neither.
    """
    network = DeepLab(len(regions))
    if path is None:
        network.start_from_scratch()
        return network
    if is_voc(path):
        from safetensors.torch import load_file

        street = DeepLab(len(STREET))
        copy_voc_weights(street, load_file(path), merge=True)
        return _adapt(street, STREET, regions)
    theirs, known, _ = read(path)
    return _adapt(theirs, known, regions)


def _adapt(theirs: DeepLab, known: Sequence[Region], regions: Sequence[Region]) -> DeepLab:
    """A copy of a network for other classes; the weights of each class are found by its name."""
    if [r.name for r in known] == [r.name for r in regions]:
        return theirs
    network = DeepLab(**{**theirs.settings, "classes": len(regions)})
    rows = []
    for region in regions:
        same = [k.index for k in known if k.name == region.name]
        alias = [k.index for k in known if region.name in k.aliases or set(region.aliases) & {k.name, *k.aliases}]
        rows.append((same or alias or [0])[0])
    state, ours = theirs.state_dict(), network.state_dict()
    with torch.no_grad():
        for key, value in ours.items():
            old = state[key]
            if key.startswith("logits") or (key.startswith("refine") and value.shape[0] == len(regions)):
                old = old[rows]
            elif value.shape != old.shape:  # the decoder also sees the coarse probabilities, channel by channel
                axis = 0 if value.shape[0] != old.shape[0] else 1
                fixed = old.shape[axis] - len(known)
                index = torch.tensor([*range(fixed), *(fixed + r for r in rows)])
                old = old.index_select(axis, index)
            value.copy_(old)
    network.load_state_dict(ours)
    return network
