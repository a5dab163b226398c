"""Does the network earn its keep? Its figures on the test part, beside those of the method that one would use instead.

Nothing here is tuned on the test part: baselines are fitted on the training part, and their settings chosen on the
validation part.
"""

from aetool.evaluation.activity import Activity, LatentActivity
from aetool.evaluation.denoising import Denoising
from aetool.evaluation.evaluate import Evaluation, evaluate
from aetool.evaluation.generation import Distances, Generation
from aetool.evaluation.quality import Quality
from aetool.evaluation.quantization import Quantization
from aetool.evaluation.super_resolution import Enlarged, SuperResolution
from aetool.evaluation.text import Text

__all__ = [
    "Activity",
    "Denoising",
    "Distances",
    "Enlarged",
    "Evaluation",
    "Generation",
    "LatentActivity",
    "Quality",
    "Quantization",
    "SuperResolution",
    "Text",
    "evaluate",
]
