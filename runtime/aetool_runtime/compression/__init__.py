"""Samples to a bitstream and back, as BITSTREAM.md defines it: integers between the bytes and the values, no engine.

entropy/                        values ↔ bytes by entropy models
decoder/                        the integer decoder: symbols → samples
prediction/                     linear prediction, for what no codec fits
framing/                        header, chunks, index; streams written and read
varints.py fields.py            numbers in bytes, written, and read strictly
description.py reading.py arrays.py step_members.py   what a bundle brings, and how it is read and written
codecs.py decoding.py           a bundle's codecs; a chunk's payload → samples, whichever path it took
goals.py choosing_paths.py batches.py pictures.py     what was asked for; each chunk by its cheapest path
compressor.py decompressor.py   the front doors
"""
