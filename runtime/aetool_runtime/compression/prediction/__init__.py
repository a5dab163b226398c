"""The predictive path: BITSTREAM.md, section 7.

predictors.py      linear prediction of series, and back
predictive.py own_table.py   a chunk's payload: written, read strictly
fitting.py forms.py       predictors for series; which extras are worth their bytes
"""
