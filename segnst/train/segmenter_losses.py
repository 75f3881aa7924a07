"""The losses of the segmenter: on labels, on partial labels ("not a car") and on a teacher's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.masks.label_map import PARTIAL
from segnst.train.segmentation_data import Batch


def partial_loss(probabilities: Tensor, excluded: Tensor) -> Tensor:
    """-log(1 - p) of the excluded classes, for pixels labeled as "none of these".

    probabilities [N,K] in [0,1], excluded [N,K] bool -> [N], finite.
    """
    wrong = (probabilities * excluded).sum(1)
    return -torch.log1p(-wrong.clamp(max=1 - 1e-4))


def group_divergence(log_probabilities: Tensor, groups: Tensor, channels: Sequence[int]) -> Tensor:
    """KL(teacher || student) for a teacher that knows some of the classes and treats all others as one.

    log_probabilities [N,K]; groups [N,G] in [0,1], the teacher's probabilities of the student's classes
    ``channels`` (G of them) -> [N]. How the student divides the rest among its other classes does not matter.
    """
    others = [k for k in range(log_probabilities.shape[1]) if k not in channels]
    known = log_probabilities[:, list(channels)]
    rest = torch.logsumexp(log_probabilities[:, others], 1, keepdim=True)
    teacher = torch.cat([groups, (1 - groups.sum(1, keepdim=True)).clamp(0, 1)], 1).clamp(1e-4, 1)
    teacher = teacher / teacher.sum(1, keepdim=True)
    return (teacher * (teacher.log() - torch.cat([known, rest], 1))).sum(1)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms; ``classes`` are the weights of the classes in the cross-entropy."""

    classes: tuple[float, ...]
    partial: float = 1.0
    teacher: float = 1.0
    pseudo: float = 0.35


def segmentation_loss(
    logits: Tensor, batch: Batch, weights: LossWeights, groups: Sequence[int]
) -> tuple[Tensor, dict[str, float]]:
    """logits [B,K,h,w] -> (the loss as a scalar, its terms as numbers). All pixels that are not ignored count equally.

    The teacher's predictions are used only where there is no label: where its value is 254, and on unlabeled photos.
    """
    n = batch.label.shape[-1]
    logits = F.interpolate(logits.float(), (n, n), mode="bilinear", align_corners=True)
    classes = logits.shape[1]
    logp = logits.log_softmax(1).permute(0, 2, 3, 1).reshape(-1, classes)
    label, pseudo = batch.label.reshape(-1), batch.pseudo.reshape(-1)
    total = max(1, int((label <= PARTIAL).sum()))
    class_weights = torch.tensor(weights.classes, device=logits.device)
    parts: dict[str, Tensor] = {}

    known = (label < classes).nonzero()[:, 0]
    if len(known):
        parts["labels"] = F.nll_loss(logp[known], label[known], class_weights, reduction="sum")
    unknown = label == PARTIAL
    excluded = batch.partial[:, None, None, :].expand(-1, n, n, -1).reshape(-1, classes)
    some = (unknown & excluded.any(1)).nonzero()[:, 0]
    if len(some):
        parts["partial"] = weights.partial * partial_loss(logp[some].exp(), excluded[some]).sum()
    heard = (unknown & batch.asked[:, None, None].expand(-1, n, n).reshape(-1)).nonzero()[:, 0]
    if len(heard) and groups:
        word = batch.groups.permute(0, 2, 3, 1).reshape(-1, len(groups))[heard]
        free = torch.ones_like(word[:, 0])
        for channel, index in enumerate(groups):  # where a label rules a class out, the teacher may not teach it
            free = free * (1 - word[:, channel] * excluded[heard, index])
        parts["teacher"] = weights.teacher * (free * group_divergence(logp[heard], word, groups)).sum()
        sure = heard[pseudo[heard] < classes]
        if len(sure):
            parts["pseudo"] = weights.pseudo * F.nll_loss(logp[sure], pseudo[sure], class_weights, reduction="sum")
    if not parts:
        return logits.sum() * 0.0, {}
    values = {name: part / total for name, part in parts.items()}
    return torch.stack(list(values.values())).sum(), {name: float(v.detach()) for name, v in values.items()}
