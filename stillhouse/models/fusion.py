"""Fewer, larger operations for what a graph computes: a small model spends much of a short call between operations.

Belongs here: which operations of ONNX become one.
Does not: in which numbers they are computed (precisions.py).

onnxruntime's own optimiser finds the patterns of transformers' encoders. Where it knows none, as with relative or
rotary positions, attention stays as it is.
https://onnxruntime.ai/docs/performance/transformers-optimization.html
"""

from pathlib import Path

from stillhouse.models.family import Sizes


def fuse(onnx: Path, out: Path, sizes: Sizes, *, products_stay: bool) -> None:
    """Write a float32 encoder with an operation for each attention.

    Args:
        onnx: a float32 .onnx file.
        out: the .onnx file to write, in which the same is computed up to rounding.
        sizes: of the encoder.
        products_stay: queries, keys and values remain products of their own, so that their weights can be quantised by
            what knows no attention; otherwise the three are one product within it.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_multi_head_attention = products_stay
    options.use_raw_attention_mask()  # by their number alone the tokens that count would be taken for the first ones
    options.enable_embed_layer_norm = False  # its tables would be one step of int8 each, and it is not faster
    options.enable_skip_layer_norm = False  # slower here than a sum and a normalisation
    options.enable_bias_skip_layer_norm = False
    fused = optimize_model(
        str(onnx),
        model_type="bert",
        num_heads=sizes.heads,
        hidden_size=sizes.width,
        optimization_options=options,
        opt_level=0,
    )
    fused.save_model_to_file(str(out))
