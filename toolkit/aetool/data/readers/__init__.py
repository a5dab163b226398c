"""One file per kind of data; each gives a ``Source`` and holds to the same contract."""
