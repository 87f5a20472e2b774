"""From logits to probabilities.

Belongs here: temperature and softmax; arrays in, arrays out.
Does not: whether probabilities mean what they say (calibration.py), which temperature (models/temperature_scaling.py).
"""

import numpy as np

from stillhouse.arrays import FloatArray


def apply_temperature(logits: FloatArray, temperature: float) -> FloatArray:
    """Divide logits by a temperature.

    Args:
        logits: shape (n, classes).
        temperature: above 0; 1 changes nothing, more makes the model less sure.

    Returns:
        Shape (n, classes).

    Raises:
        ValueError: if the temperature is not a positive number.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be a positive number, not {temperature}")
    return np.asarray(logits, dtype=np.float64) / temperature


def log_softmax(logits: FloatArray) -> FloatArray:
    """Log probabilities of logits of shape (n, classes), in float64."""
    values = np.asarray(logits, dtype=np.float64)
    shifted: FloatArray = values - values.max(axis=1, keepdims=True)
    normaliser: FloatArray = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted - normaliser


def probabilities_of(logits: FloatArray, temperature: float) -> FloatArray:
    """Probabilities of logits of shape (n, classes) after a temperature, in float64."""
    served: FloatArray = np.exp(log_softmax(apply_temperature(logits, temperature)))
    return served
