"""All weights that segnst can use, with their origin and license terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segnst.errors import UsageError, did_you_mean
from segnst.weights import bundled_dir, fetch, find, read_metadata


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that can be downloaded. ``checksum`` is their SHA-256 in hex.

    tried  whether this project was ever run with these weights, and not only with random ones of the same shapes
    """

    name: str
    kind: str
    url: str
    checksum: str
    terms: str
    tried: bool = False


_SERVER = "https://download.pytorch.org/models/"
_COCO = "BSD-3-Clause (torchvision); trained on COCO with VOC labels"
_COCO_OBJECTS = "BSD-3-Clause (torchvision); trained on COCO"
_IMAGENET = "BSD-3-Clause (torchvision); trained on ImageNet"
_FLYING = "BSD-3-Clause (torchvision); trained on FlyingChairs and FlyingThings3D"


# torchvision publishes only the first eight characters of each checksum, as part of the file name. The other characters
# are those on which public projects that pin these files agree.
REMOTE = (
    Weights(
        "deeplabv3_mobilenet_v3_large",
        "segmenter",
        _SERVER + "deeplabv3_mobilenet_v3_large-fc3c493d.pth",
        "fc3c493d68e89cc31ef488c803d5d7dd2f3190fb570598faa49fef69be8e5e70",
        _COCO,
    ),
    Weights(
        "deeplabv3_resnet50",
        "segmenter",
        _SERVER + "deeplabv3_resnet50_coco-cd0a2569.pth",
        "cd0a25694c4a0f7106b38f4938bf90a874f2f241cc410b8f63c7024399538f06",
        _COCO,
    ),
    Weights(
        "deeplabv3_resnet101",
        "segmenter",
        _SERVER + "deeplabv3_resnet101_coco-586e9e4e.pth",
        "586e9e4e203fcbf17e1ad45533d8d33ab133fc762bf03101c5dd743995c08c0d",
        _COCO,
    ),
    Weights(
        "maskrcnn_resnet50_fpn_v2",
        "segmenter",
        _SERVER + "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        "73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
        _COCO_OBJECTS,
    ),
    Weights(
        "fasterrcnn_resnet50_fpn_v2",
        "detector",
        _SERVER + "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        "dd69338a24b8d7381807e247652bdc356325bcbaf1cd3e092e00e0a1a58706bf",
        _COCO_OBJECTS,
    ),
    Weights(
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "detector",
        _SERVER + "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
        "907ea3f91ff92242bc1baea8049276a3e76bca48ce7560bd268cc029f37977b5",
        _COCO_OBJECTS,
    ),
    # The authors of SAM and MobileSAM publish no checksums. The one for ViT-B is from kornia, the one for MobileSAM is
    # the one that public projects pin.
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
    Weights(
        "vgg16",
        "perceptual",
        _SERVER + "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        _IMAGENET,
    ),
    Weights(
        "vgg19",
        "perceptual",
        _SERVER + "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        _IMAGENET,
    ),
    Weights(
        "raft_small",
        "flow",
        _SERVER + "raft_small_C_T_V2-01064c6d.pth",
        "01064c6dba73b0fc9fc8edf772248560a00a3acfd62ac6677e9eeebad9680e27",
        _FLYING,
        tried=True,  # from another file that holds them
    ),
)


def remote(name: str) -> Weights:
    """Weights by name. Raises UsageError with the nearest name."""
    for weights in REMOTE:
        if weights.name == name:
            return weights
    known = [w.name for w in REMOTE]
    raise UsageError(f"There are no weights '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")


def fetch_named(name: str, *, offline: bool = False, quiet: bool = False) -> Path:
    """Path of weights by name, downloaded on first use. Raises UsageError, WeightsError."""
    weights = remote(name)
    return fetch(weights.url, weights.checksum, offline=offline, quiet=quiet)


UNTRIED = "never run with these weights while segnst was made; `segnst doctor --networks` tries them"


def catalog() -> list[dict[str, Any]]:
    """Bundled and remote weights: name, kind, path (None if not downloaded), url, terms, tried (see Weights)."""
    rows: list[dict[str, Any]] = []
    for path in sorted(bundled_dir().glob("*.safetensors")):
        metadata = read_metadata(path) or {"terms": "damaged"}
        kind = metadata.get("kind") or ("style" if metadata.get("format") else "segmenter")
        terms = f"{metadata.get('terms', 'see its card')} ({path.with_suffix('.md').name})"
        rows.append({"name": path.stem, "kind": kind, "path": str(path), "url": "", "terms": terms, "tried": True})
    for weights in REMOTE:
        found = find(weights.url.rsplit("/", 1)[-1])
        rows.append(
            {
                "name": weights.name,
                "kind": weights.kind,
                "path": str(found) if found else None,
                "url": weights.url,
                "terms": weights.terms,
                "tried": weights.tried,
            }
        )
    return rows


def pull(names: Sequence[str], *, quiet: bool = False) -> list[Path]:
    """Download weights by name (``all`` for all of them). Raises UsageError, WeightsError."""
    chosen = [w.name for w in REMOTE] if "all" in names else list(names)
    for name in chosen:
        remote(name)
    return [fetch_named(name, quiet=quiet) for name in chosen]
