"""Which artifact runs on which engine, device and number of threads: as named by the caller, or as measured.

With ``backend="auto"`` the candidates (``candidates.py``) are everything in the bundle on everything that is here. They
are loaded, held against the bundle's golden vectors, and timed (``measuring.py``); the fastest that passes is taken
(``choice.py``) and remembered for this bundle, machine, versions and options (``cache.py``).

Only artifacts of one precision are compared by default, ``float32`` where the bundle has it. An artifact of reduced
precision returns other numbers: latents of two devices could no longer be compared, and whoever asks for speed has not
said that worse results will do. That is said with ``min_snr`` or ``precision``.

How it is measured. One call is a batch through the encoder and then through the decoder (through what there is of
them), as callers of ``Autoencoder`` see it: checks, conversions and copies included. Every candidate runs once
unmeasured, and so does each of its turns. They take turns, in another order each time, so that a machine that drifts
drifts for all; a turn is many calls, each timed, and ends when the engine's threads sleep. Compared are medians over
all calls of all turns. A choice leaves out who is far behind after the first turns, and who is behind by a tenth after
half of them: most of the time goes to those that are hard to tell apart. Among candidates within 1 % of the best, the
one with the fewest threads is taken, of several the first in the bundle's order.
"""
