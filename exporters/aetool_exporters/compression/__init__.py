"""What a bundle brings for compression: decoders in integers, their tables, and how well they do."""
