"""Samples to a bitstream and back, as BITSTREAM.md defines it: integers between the bytes and the values, no engine.

tables.py coding.py rans.py     entropy models, and values coded by them
decoder/                        the integer decoder: symbols → samples
codecs.py                       a bundle's codecs: latents → symbols → samples
predictive.py                   linear prediction, for what no codec fits
header.py chunk.py stream.py    framing
description.py reading.py       what a bundle brings, and how it is read
compressor.py decompressor.py   the front doors
"""
