"""segnst for ComfyUI: find regions, paint them each in its own style, and take the flicker out of any painted frames.

Put this folder (or a link to it) into ComfyUI's ``custom_nodes``, and install segnst into ComfyUI's Python.
Pictures are ComfyUI's: IMAGE float [B,H,W,C] and MASK float [B,H,W], both from 0 to 1.
"""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
