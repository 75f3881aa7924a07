"""The engine of Intel's OpenVINO: networks are traced, converted and compiled for the processor, and then kept on disk.

OpenVINO's Python package reports its imports and conversions to its makers over the network if a second package,
``openvino_telemetry``, can be imported. That package is hidden from it here, so that nothing is ever sent.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segnst.engines import cache
from segnst.engines.base import Engine, Program
from segnst.errors import UsageError

TELEMETRY = "openvino_telemetry"
PRECISIONS = {"bf16": "bf16", "fp32": "f32"}  # our names of number formats -> OpenVINO's


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Make the import of OpenVINO's telemetry fail, for which OpenVINO has a substitute that does nothing."""
    known = sys.modules.get(TELEMETRY)
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(TELEMETRY)
        if known is not None:
            sys.modules[TELEMETRY] = known


def imported() -> Any:
    """The package ``openvino``. Raises ImportError, or what a broken installation raises."""
    with _without_telemetry():
        import openvino
    return openvino


def _traced(network: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
    """An OpenVINO model of a network, for inputs of any height and width.

    inputs  examples; dimensions that are not the last two of a four-dimensional input are fixed to theirs
    """
    shapes = [(*x.shape[:2], -1, -1) if x.ndim == 4 else tuple(x.shape) for x in inputs]
    package = imported()
    with (
        warnings.catch_warnings(),
        _without_telemetry(),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),  # the caller's casts would become part of the model
    ):
        warnings.simplefilter("ignore")  # torch's about the future of its tracer
        inputs = tuple(x.clone() for x in inputs)  # tensors made in inference mode cannot be traced
        traced = torch.jit.trace(network, inputs, check_trace=False)  # type: ignore[no-untyped-call]
        return package.convert_model(traced, example_input=inputs, input=shapes)


class _OpenVinoProgram(Program):
    """Compiles the network for each shape of the inputs when it first meets that shape."""

    def __init__(self, network: nn.Module, engine: OpenVinoEngine) -> None:
        self.network, self.engine = network.eval(), engine
        self._print: str | None = None
        self._compiled: dict[tuple[tuple[int, ...], ...], Callable[[list[Any]], Any]] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        shapes = tuple(tuple(x.shape) for x in inputs)
        if shapes not in self._compiled:
            self._compiled[shapes] = self._compile(inputs)
        found = self._compiled[shapes]([x.detach().float().contiguous().numpy() for x in inputs])
        return tuple(torch.from_numpy(found[k]) for k in range(len(found)))

    def _compile(self, inputs: tuple[Tensor, ...]) -> Callable[[list[Any]], Any]:
        """A function from arrays to arrays of its own, for inputs of the given shapes."""
        if self._print is None:
            self._print = cache.fingerprint(self.network)
        fixed = [tuple(x.shape[:2]) if x.ndim == 4 else tuple(x.shape) for x in inputs]
        folder = cache.folder(self.engine.name, self._print, str(fixed), self.engine.about)
        model = self.engine.read(folder) if folder is not None else None
        if model is None:
            model = _traced(self.network, inputs)
            if folder is not None:
                cache.fill(folder, lambda place: self.engine.write(model, place))
        model.reshape({each: list(x.shape) for each, x in zip(model.inputs, inputs, strict=True)})
        request = self.engine.compile(model, folder).create_infer_request()

        def run(arrays: list[Any]) -> Any:
            return request.infer(arrays, share_inputs=True, share_outputs=False)

        return run


class OpenVinoEngine(Engine):
    """Runs networks with OpenVINO on the processor, with as many threads as torch.

    The number format is bf16 where the processor has instructions for it, else fp32.
    """

    name = "openvino"
    compiles = True

    def __init__(self) -> None:
        self.package = imported()
        self.core = self.package.Core()
        self.precision = "bf16" if "BF16" in self.core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "fp32"
        self.version = str(self.package.__version__).partition("-")[0]
        # what compiled models depend on besides the network
        self.about = f"{self.package.__version__} {self.core.get_property('CPU', 'FULL_DEVICE_NAME')} {self.precision}"

    def prepare(self, network: nn.Module) -> Program:
        return _OpenVinoProgram(network, self)

    def read(self, folder: Path) -> Any:
        """The converted model in a folder of the cache, or None if there is none that can be read."""
        path = folder / "model.xml"
        if not path.is_file():
            return None
        try:
            return self.core.read_model(str(path))
        except RuntimeError:  # damaged, or written by another version
            return None

    def write(self, model: Any, folder: Path) -> None:
        """Write a converted model into a folder."""
        self.package.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)

    def compile(self, model: Any, folder: Path | None) -> Any:
        """Compile a model for its shapes; compiled models are kept in ``folder``, if there is one."""
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[self.precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # other threads of this program need the cores as well
        }
        if folder is not None and folder.is_dir():
            options["CACHE_DIR"] = str(folder)
        return self.core.compile_model(model, "CPU", options)

    def __str__(self) -> str:
        return f"openvino {self.version} in {self.precision}"


def load(*, device: torch.device) -> OpenVinoEngine:
    """Registry entry. Raises UsageError if OpenVINO is not installed, or the device is not the processor."""
    if device.type != "cpu":
        raise UsageError(f"The engine openvino computes on the processor, not on {device}. Add --device cpu.")
    try:
        return OpenVinoEngine()
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(
            f"The engine openvino cannot be used here ({error}). Install it with: pip install 'segnst[openvino]'"
        ) from error
