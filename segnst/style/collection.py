"""Collections: files with one conditional network whose weights all styles share, and many styles.

torch is imported where a network is read or written, so that styles can be listed without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segnst.errors import WeightsError
from segnst.style.limits import MOST_STYLES
from segnst.untrusted import first_line, parse_json, printable, rows, safe_name
from segnst.weights import filled, read_tensors, sha256, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from segnst.style.conditional import ConditionalNetwork
    from segnst.style.row_encoder import RowEncoder

FORMAT = "segnst-collection"  # metadata key "format"


@dataclass(frozen=True, slots=True)
class Member:
    """One style of a collection, as described in its file and on its card."""

    name: str
    title: str = ""
    painter: str = ""
    year: str = ""
    terms: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.painter, self.title, self.year) if part) or self.name


@dataclass(frozen=True, slots=True)
class Collection:
    """A loaded collection. ``net`` has one style for each member, in order, and the identity as its last style."""

    net: ConditionalNetwork
    members: tuple[Member, ...]
    path: Path
    sha256: str
    metadata: dict[str, str]
    encoder: RowEncoder | None = None  # turns any picture into a style of ``net``

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.members)

    def code(self, shares: Mapping[str, float]) -> Tensor:
        """Weights [S] that mix styles, from shares by name (a member or ``identity``), scaled to a sum of 1."""
        import torch

        from segnst.style.conditional import IDENTITY

        code = torch.zeros(self.net.styles)
        for name, share in shares.items():
            code[len(self.members) if name == IDENTITY else self.names.index(name)] += share
        return code / code.sum()

    def with_styles(self, rows: Mapping[str, Tensor]) -> Collection:
        """A copy with more styles, from their rows [R] by name (``ConditionalNetwork.rows``)."""
        import torch

        from segnst.style.networks import with_added

        net = with_added(self.net, torch.stack(list(rows.values()))).eval().requires_grad_(False)
        return replace(self, net=net, members=(*self.members, *(Member(name) for name in rows)))

    def trunk(self) -> str:
        """The SHA-256, in hex, of the weights that all styles share: rows fit every collection with the same trunk."""
        digest = hashlib.sha256(self.net.architecture.encode())
        for name, tensor in self.net.state_dict().items():
            if not name.endswith(("gamma", "beta")):
                digest.update(name.encode())
                digest.update(tensor.cpu().half().contiguous().numpy().tobytes())
        return digest.hexdigest()


def members_of(metadata: Mapping[str, str]) -> tuple[Member, ...]:
    """The members listed in a file's metadata. Raises WeightsError."""
    try:
        entries = rows(parse_json(metadata["styles"]), "styles", MOST_STYLES)
        members = tuple(Member(**{k: printable(str(v)) for k, v in entry.items()}) for entry in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"the list of styles is missing or broken ({error})") from error
    if not all(m.name for m in members) or len({m.name for m in members}) < len(members):
        raise WeightsError("the list of styles has a style without a name, or two with the same name")
    if not all(m.name == safe_name(m.name) for m in members):  # names become parts of file names
        raise WeightsError("the list of styles has a name that cannot be part of a file name")
    return members


def load_collection(path: Path) -> Collection:
    """Read a collection. Raises WeightsError when the file is missing, broken or not a collection."""
    from segnst.style.networks import network_of
    from segnst.style.row_encoder import encoder_of

    tensors, metadata = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path} is not a collection of styles.")
    try:
        members = members_of(metadata)
        encoder = encoder_of(tensors)
        net = filled(lambda: network_of(tensors, metadata, len(members) + 1), tensors)
        if encoder is not None and len(encoder.base) != net.rows().shape[1]:
            raise WeightsError(f"its encoder makes rows of {len(encoder.base)} numbers, not {net.rows().shape[1]}")
    except (LookupError, RuntimeError, TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{path} looks like a collection, but cannot be loaded: {first_line(error)}") from error
    net.eval().requires_grad_(False)
    return Collection(net, members, path, sha256(path), metadata, encoder)


def write_collection(
    path: Path,
    net: ConditionalNetwork,
    members: Sequence[Member],
    metadata: Mapping[str, str],
    encoder: RowEncoder | None = None,
) -> None:
    """Write a collection in fp16. ``net`` has one style more than ``members``: its last style is the identity."""
    entries = [{k: v for k in Member.__slots__ if (v := getattr(m, k))} for m in members]
    described = {
        "format": FORMAT,
        "styles": json.dumps(entries, ensure_ascii=False),
        "architecture": net.architecture,
        "width": str(net.width),
        "input": "RGB in [0,1]",
        "identity": "plain" if net.identity else "normalized",
    }
    tensors = net.state_dict()
    if encoder is not None:
        tensors |= {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    write_tensors(path, tensors, {**metadata, **described})
