"""Load, run and save the DeepLabV3 that segnst trains and ships, and fine-tuned copies of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segnst.engines.base import Engine, Program
from segnst.engines.eager import EagerEngine
from segnst.errors import UsageError, WeightsError
from segnst.files import written_whole
from segnst.segmentation.base import Segmenter
from segnst.segmentation.networks.deeplab_network import DeepLab
from segnst.types import Region
from segnst.untrusted import exists, first_line, parse_json, printable, rows, short, table, whole
from segnst.weights import filled, read_tensors

ARCHITECTURE = "deeplabv3-mobilenet_v2"
BUNDLED = {"deeplab": "deeplab_street.safetensors", "car_parts": "deeplab_car_parts.safetensors"}
LEAST, MOST = 129, 4097  # px, limits of the long side that the user can choose
MOST_WIDTH, MOST_CLASSES = 4096, 254  # of a network in a file; label maps have no values for more classes


def network_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(H, W) of a frame -> (h, w) of the network's input: the long side as given, both of the form 16k+1."""
    scale = long_side / max(size)
    height, width = (max(17, 16 * round((x * scale - 1) / 16) + 1) for x in size)
    return height, width


class DeepLabSegmenter(Segmenter[None]):
    """A segmenter that runs the network on each frame by itself, without a carry.

    rgb ``[T,3,H,W]`` float in [0,1], any H and W -> probabilities ``[T,K,h,w]``, long side a quarter of ``long_side``.
    """

    network: DeepLab

    def __init__(
        self,
        name: str,
        network: DeepLab,
        regions: Sequence[Region],
        long_side: int = 513,
        path: Path | None = None,
    ) -> None:
        super().__init__(name, regions, path)
        self.long_side = long_side
        self.network = network.eval().to(memory_format=torch.channels_last)
        self._program: Program | None = None

    def use(self, engine: Engine) -> None:
        self._program = engine.prepare(self.network)

    def frame(self, rgb: Tensor, carry: None) -> tuple[Tensor, None]:
        return self._probabilities(rgb), None

    @torch.inference_mode()
    def __call__(self, rgb: Tensor, carry: None = None) -> tuple[Tensor, None]:
        return self._probabilities(rgb), None

    def _probabilities(self, rgb: Tensor) -> Tensor:
        run = self.network if torch.is_grad_enabled() else self._runner()
        return torch.cat([_first(run(x)).float().softmax(1) for x in self._inputs(rgb, self.long_side)])

    def _runner(self) -> Program:
        """The network, made ready by the chosen engine, or else by torch on the device of the weights."""
        if self._program is None:
            self.use(EagerEngine(self.network.stem.weight.device))
        assert self._program is not None
        return self._program

    @torch.inference_mode()
    def look(self, rgb: Tensor, long_side: int) -> tuple[Tensor, Tensor]:
        """Return probabilities [T,K,h,w], and features [T,F,h,w] that help to recognize an object in later frames.

        The long side of both is a quarter of ``long_side``.
        """
        found = [self.network.look(x) for x in self._inputs(rgb, long_side)]
        return torch.cat([logits.float().softmax(1) for logits, _ in found]), torch.cat([f.float() for _, f in found])

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the probabilities for frames of (H, W)."""
        height, width = network_size(size, self.long_side)
        return (height - 1) // 4 + 1, (width - 1) // 4 + 1

    def _inputs(self, rgb: Tensor, long_side: int) -> Iterator[Tensor]:
        """Yield the network's input, a few frames at a time."""
        weight = self.network.stem.weight
        size = network_size((rgb.shape[2], rgb.shape[3]), long_side)
        for frame in torch.split(rgb.to(weight.device), 1 if weight.device.type == "cpu" else 8):
            shrinks = frame.shape[2] > size[0]
            x = F.interpolate(frame.float(), size, mode="bilinear", align_corners=not shrinks, antialias=shrinks)
            yield (x * 2 - 1).to(weight.dtype).contiguous(memory_format=torch.channels_last)


def _first(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    return found[0] if isinstance(found, tuple) else found


def save(path: Path, network: DeepLab, regions: Sequence[Region], facts: dict[str, str], *, half: bool = True) -> None:
    """Write a checkpoint (safetensors, fp16 unless ``half=False``); ``facts`` are added to its metadata unchanged."""
    from safetensors.torch import save_file

    metadata = {
        "architecture": ARCHITECTURE,
        "settings": json.dumps(network.settings),
        "classes": json.dumps([{"index": r.index, "name": r.name, "aliases": list(r.aliases)} for r in regions]),
        "input": "RGB in [-1, 1], sides of the form 16k+1",
        **facts,
    }
    kind = torch.float16 if half else torch.float32
    tensors = {k: v.detach().to("cpu", kind).contiguous() for k, v in network.state_dict().items()}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, metadata)


def region_of(entry: Mapping[str, Any]) -> Region:
    """A class as the metadata of a checkpoint describe it. Raises ValueError."""
    aliases = entry.get("aliases", [])
    if not isinstance(entry.get("name"), str) or not isinstance(aliases, list):
        raise ValueError("a class should have a name and a list of aliases")
    name = printable(entry["name"]).strip().lower()
    return Region(
        whole(entry.get("index"), "an index", 0, MOST_CLASSES), name, tuple(printable(str(a)) for a in aliases)
    )


def read(path: Path) -> tuple[DeepLab, tuple[Region, ...], dict[str, str]]:
    """Read a checkpoint -> (network in fp32, its regions, its metadata). Raises WeightsError.

    Nothing in the file is ever executed.
    """
    if not exists(path):
        raise WeightsError(f"The segmenter's weights {short(str(path))} do not exist.")
    tensors, metadata = read_tensors(path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise WeightsError(
            f"{path} holds '{short(metadata.get('architecture', 'an unnamed network'))}', not a segmenter that segnst "
            f"trained ('{ARCHITECTURE}')."
        )
    try:
        sizes = {k: whole(v, k, 1, MOST_WIDTH) for k, v in table(parse_json(metadata["settings"]), "settings").items()}
        network = filled(lambda: DeepLab(**sizes), tensors)
        regions = tuple(region_of(c) for c in rows(parse_json(metadata["classes"]), "classes", MOST_CLASSES))
        if [r.index for r in regions] != list(range(len(regions))):
            raise ValueError("the classes are not in the order of their indices")
        whole(metadata.get("long_side", "513"), "long_side", 17, MOST)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"The segmenter's weights {path} are damaged or incomplete ({first_line(error)})."
        ) from error
    if len(regions) != network.settings["classes"]:
        raise WeightsError(f"{path} names {len(regions)} classes but its network has {network.settings['classes']}.")
    return network, regions, metadata


def load(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> DeepLabSegmenter:
    """Load a checkpoint by path (``weights``, or ``name`` itself when it is a path). Raises WeightsError."""
    path = weights if weights is not None else Path(name)
    network, regions, metadata = read(path)
    network.to(device)
    return DeepLabSegmenter(name, network, regions, int(metadata.get("long_side", "513")), path)


def load_bundled(
    name: str, *, device: str | torch.device, offline: bool = False, weights: Path | None = None
) -> DeepLabSegmenter:
    """Load a network that ships with segnst: ``deeplab`` (nine classes) or ``car_parts`` (18 parts), or ``weights``.

    With ``NAME:PX``, frames are scaled to a long side of PX pixels. More pixels than in training (513) find small and
    distant objects better, but objects that fill the frame worse
    (:mod:`segnst.segmentation.wrappers.two_looks` combines two scales). The time grows with the square of PX.

    Raises UsageError for a PX that is out of range, and WeightsError.
    """
    base, colon, side = name.partition(":")
    if colon and (not side.isdecimal() or not LEAST <= int(side) <= MOST):
        raise UsageError(f"'{name}' should be {base}:PX, where PX is the long side in pixels, {LEAST} to {MOST}.")
    if weights is None:
        from segnst.weights import bundled_dir

        weights = bundled_dir() / BUNDLED[base]
    segmenter = load(base, device=device, offline=offline, weights=weights)
    if colon:
        segmenter.name, segmenter.long_side = name, int(side)
    return segmenter
