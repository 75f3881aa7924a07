"""The losses of neural style transfer, for training, optimization and measurement alike.

Every loss is relative: it is divided by the energy of its target, so that weights mean the same for every encoder,
layer and painting. This departs from the papers, whose weights depend on all three.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Gram matrix over positions (Gatys 2016, eq. 3): [B,C,H,W] -> [B,C,C], divided by H*W."""
    b, c, h, w = features.shape
    flat = features.reshape(b, c, h * w)
    return flat @ flat.transpose(1, 2) / (h * w)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [B,C] and covariance [B,C,C] over positions of [B,C,H,W]: the two parts of a Gram matrix.

    Rectified features are far from zero-mean, so the means dominate a Gram matrix, and a loss on it measures colors and
    contrast more than strokes. As separate terms, both count (after Li 2017, arXiv 1701.01036).
    """
    mean = features.mean((2, 3))
    return mean, gram(features - mean[..., None, None])


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean square difference of features [B,C,h,w] (Johnson 2016, eq. 2) over the mean square of the target."""
    return (features - target).square().mean() / target.square().mean().clamp_min(1e-8)


def gram_loss(features: Tensor, target: Tensor) -> Tensor:
    """Mean square difference of Gram matrices (Gatys 2016, eq. 4) over the mean square of the target [1,C,C]."""
    return (gram(features) - target).square().mean() / target.square().mean().clamp_min(1e-8)


def instance_normalized(features: Tensor) -> Tensor:
    """Features [B,C,h,w] with mean 0 and variance 1 over positions, which keeps shapes but not color or contrast."""
    mean = features.mean((2, 3), keepdim=True)
    deviation = features.var((2, 3), keepdim=True, correction=0).add(1e-2 * features.square().mean() + 1e-8).sqrt()
    return (features - mean) / deviation


def total_variation(rgb: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, both directions; [B,3,H,W] -> scalar."""
    return (rgb[..., 1:] - rgb[..., :-1]).abs().mean() + (rgb[..., 1:, :] - rgb[..., :-1, :]).abs().mean()


def temporal_loss(styled: Tensor, warped: Tensor, reliable: Tensor) -> Tensor:
    """Mean square difference where the flow is reliable (Ruder 2016, eq. 7, as a mask on pixels).

    styled, warped [B,3,H,W]; reliable [B,1,H,W] in [0,1]. The mean is taken over the reliable pixels only.
    """
    difference = (reliable * (styled - warped).square()).sum()
    return difference / (3 * reliable.sum()).clamp_min(1.0)


def style_targets(encoder: torch.nn.Module, painting: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    """{layer: Gram matrix [1,C,C]} of a painting [1,3,H,W] in [0,1], without gradients."""
    with torch.no_grad():
        return {layer: gram(f) for layer, f in encoder(painting, layers).items()}
