"""Integers ↔ bytes by entropy models: BITSTREAM.md, section 2.

tables.py rans.py               tables as arrays to look things up in; the coder and its lanes
coding.py                       the front door: values of a model ↔ coded values
set_choice.py cheapest_path.py assignment.py   writing: which set each group takes, which table each value
value_decoding.py raw_bits.py   reading: values in the order of lanes; the low bits beside them
"""
