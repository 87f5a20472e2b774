"""What arrays of numbers are called in annotations.

Belongs here: one name for each kind of number.
Does not: what an array means, which the argument says (`Logits` and `Targets` are in stillhouse/tasks/task.py).
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
"""What models compute in."""
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
