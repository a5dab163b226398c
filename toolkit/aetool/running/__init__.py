"""A bundle over data of any size: reading, running and writing at the same time, in bounded memory, resumable."""
