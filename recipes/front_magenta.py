"""Paint frames with Magenta's network for any painting (Ghiasi 2017, arXiv 1705.06830), for `segnst bench front`.

    pip install ai-edge-litert      # in an environment that also has segnst, which itself does not need it
    python recipes/front_magenta.py SHARED OUT
    segnst bench front SHARED/paintings --list recipes/painter.toml --painted magenta=OUT --frame … \\
      --features vgg19_to_relu3_4.safetensors --deep-features vgg19_distilled_to_relu4_1.safetensors

SHARED holds networks/magenta_style_predict_int8.tflite and networks/magenta_style_transfer_384.tflite, paintings/ and
clips/. Give the benchmark the same frames as this recipe. Unless --frame names others, these are
videos/street.mp4@20, SHARED/clips/car_walkaround.mp4@60 and SHARED/clips/person_tablet.mp4@60. The network reduces a
painting to 256x256 px and predicts 100 numbers from it, with which it paints the frame at 384x384 px. Both are scaled
to a square, and the painted frame is scaled back to the size that the benchmark measures, which loses some sharpness.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from segnst.bench.front import read_frames
from segnst.train.collection import read_paintings
from segnst.video.pictures import read_picture, write_picture

ROOT = Path(__file__).parents[1]
PAINTING, CONTENT = 256, 384  # px a side


def load(path: Path) -> Interpreter:
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter: Interpreter, *inputs: np.ndarray) -> np.ndarray:
    """Run the network on inputs in the order of the file; return its only output."""
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    result: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def squeezed(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(rgb, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def as_input(rgb: Tensor, side: int) -> np.ndarray:
    """[1,3,H,W] -> [1,side,side,3]"""
    return np.ascontiguousarray(squeezed(rgb, (side, side)).permute(0, 2, 3, 1).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frame", action="append", help="FILE[@N], as for the benchmark; repeat it")
    parser.add_argument("--list", type=Path, default=ROOT / "recipes/painter.toml")
    parser.add_argument("--pictures", type=Path, help="a folder of more paintings, as for the benchmark")
    given = parser.parse_args()
    networks, clips = given.shared / "networks", given.shared / "clips"
    default = [ROOT / "videos/street.mp4@20", clips / "car_walkaround.mp4@60", clips / "person_tablet.mp4@60"]
    frames = read_frames(given.frame or [str(path) for path in default])
    predict = load(networks / "magenta_style_predict_int8.tflite")
    transfer = load(networks / "magenta_style_transfer_384.tflite")
    given.out.mkdir(parents=True, exist_ok=True)
    more = read_paintings(given.pictures) if given.pictures else []
    for path, member, _ in read_paintings(given.shared / "paintings", given.list) + more:
        code = run(predict, as_input(read_picture(path), PAINTING))
        for frame in frames:
            painted = torch.from_numpy(run(transfer, as_input(frame.rgb, CONTENT), code)).permute(0, 3, 1, 2)
            height, width = frame.rgb.shape[-2:]
            write_picture(given.out / f"{frame.name}__{member.name}.png", squeezed(painted, (height, width)))
        print(member.name, flush=True)


if __name__ == "__main__":
    main()
