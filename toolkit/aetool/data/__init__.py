"""Real data: where it lies (sources), how its rows become samples, how it is split, what it is normalized by.

Only NumPy is imported here; Pillow, pyarrow and scikit-learn when a source needs them.
"""

from aetool.data.dataset import Dataset, Split, split_rows, with_stride
from aetool.data.labels import open_labels
from aetool.data.layout import Layout, resolve_sample_shape
from aetool.data.opening import open_source
from aetool.data.prepare import PreparedData, prepare_data
from aetool.data.readers.images import ImageSource, image_size_of
from aetool.data.readers.text_files import Texts, open_texts
from aetool.data.samples import Report, as_samples, read_samples, sample_batches
from aetool.data.source import ArraySource, Source
from aetool.data.statistics import Statistics, learn_normalization, measure

__all__ = [
    "ArraySource",
    "Dataset",
    "ImageSource",
    "Layout",
    "PreparedData",
    "Report",
    "Source",
    "Split",
    "Statistics",
    "Texts",
    "as_samples",
    "image_size_of",
    "learn_normalization",
    "measure",
    "open_labels",
    "open_source",
    "open_texts",
    "prepare_data",
    "read_samples",
    "resolve_sample_shape",
    "sample_batches",
    "split_rows",
    "with_stride",
]
