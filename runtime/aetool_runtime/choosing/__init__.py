"""Which artifact runs on which engine, device and number of threads: as named by the caller, or as measured."""
