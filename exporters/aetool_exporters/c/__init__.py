"""Dependency-free C99 from an int8 TFLite graph, for microcontrollers."""
