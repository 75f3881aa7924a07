"""All weights that segnst can use, with their origin and terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnst.errors import UsageError, did_you_mean
from segnst.weights import bundled_dir, fetch, find


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on somebody's server. checksum: first characters of the SHA-256."""

    name: str
    kind: str
    url: str
    checksum: str
    terms: str


_SERVER = "https://download.pytorch.org/models/"
_COCO = "BSD-3-Clause (torchvision); trained on COCO with VOC labels"
_COCO_OBJECTS = "BSD-3-Clause (torchvision); trained on COCO"
_IMAGENET = "BSD-3-Clause (torchvision); trained on ImageNet"
_FLYING = "BSD-3-Clause (torchvision); trained on FlyingChairs and FlyingThings3D"


def _torchvision(name: str, kind: str, file: str, terms: str) -> Weights:
    """torchvision's files carry the first eight characters of their checksum in their names."""
    return Weights(name, kind, _SERVER + file, file.removesuffix(".pth")[-8:], terms)


REMOTE = (
    _torchvision("deeplabv3_mobilenet_v3_large", "segmenter", "deeplabv3_mobilenet_v3_large-fc3c493d.pth", _COCO),
    _torchvision("deeplabv3_resnet50", "segmenter", "deeplabv3_resnet50_coco-cd0a2569.pth", _COCO),
    _torchvision("deeplabv3_resnet101", "segmenter", "deeplabv3_resnet101_coco-586e9e4e.pth", _COCO),
    _torchvision("maskrcnn_resnet50_fpn_v2", "segmenter", "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", _COCO_OBJECTS),
    _torchvision(
        "fasterrcnn_resnet50_fpn_v2", "detector", "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth", _COCO_OBJECTS
    ),
    _torchvision(
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "detector",
        "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        _COCO_OBJECTS,
    ),
    # the makers of SAM state no checksums: kornia states the one of ViT-B, MobileSAM's is what public projects pin
    Weights(
        "mobile_sam",
        "selector",
        "https://github.com/ChaoningZhang/MobileSAM/raw/a509aac54fdd7af59f843135f2f7cee307283c88/weights/mobile_sam.pt",
        "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        "Apache-2.0 (MobileSAM); trained on SA-1B",
    ),
    Weights(
        "sam_vit_b",
        "selector",
        "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        "Apache-2.0 (Segment Anything); trained on SA-1B",
    ),
    _torchvision("vgg16", "perceptual", "vgg16-397923af.pth", _IMAGENET),
    _torchvision("vgg19", "perceptual", "vgg19-dcbb9e9d.pth", _IMAGENET),
    _torchvision("raft_small", "flow", "raft_small_C_T_V2-01064c6d.pth", _FLYING),
)


def remote(name: str) -> Weights:
    """Weights by name. Raises UsageError with the nearest name."""
    for weights in REMOTE:
        if weights.name == name:
            return weights
    known = [w.name for w in REMOTE]
    raise UsageError(f"There are no weights '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")


def fetch_named(name: str, *, offline: bool = False, quiet: bool = False) -> Path:
    """Path of weights by name, fetched on first use. Raises UsageError, WeightsError."""
    weights = remote(name)
    return fetch(weights.url, weights.checksum, offline=offline, quiet=quiet)


def catalog() -> list[dict[str, Any]]:
    """Bundled and remote weights: name, kind, path (None where not fetched), url, terms."""
    from safetensors import SafetensorError, safe_open

    rows: list[dict[str, Any]] = []
    for path in sorted(bundled_dir().glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
        except (SafetensorError, OSError):
            metadata = {"terms": "damaged"}
        kind = metadata.get("kind") or ("style" if metadata.get("format") else "segmenter")
        terms = f"{metadata.get('terms', 'see its card')} ({path.with_suffix('.md').name})"
        rows.append({"name": path.stem, "kind": kind, "path": str(path), "url": "", "terms": terms})
    for weights in REMOTE:
        found = find(weights.url.rsplit("/", 1)[-1])
        rows.append(
            {
                "name": weights.name,
                "kind": weights.kind,
                "path": str(found) if found else None,
                "url": weights.url,
                "terms": weights.terms,
            }
        )
    return rows


def pull(names: Sequence[str], *, quiet: bool = False) -> list[Path]:
    """Fetch weights by name (``all`` for all of them). Raises UsageError, WeightsError."""
    chosen = [w.name for w in REMOTE] if "all" in names else list(names)
    for name in chosen:
        remote(name)
    return [fetch_named(name, quiet=quiet) for name in chosen]
