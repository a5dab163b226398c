"""The stream: BITSTREAM.md, section 6. Each part with its writer and its strict reader.

header.py chunk.py index.py
stream.py reader.py   writing in order; reading in order, anywhere, around damage
"""
