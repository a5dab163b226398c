"""Models that somebody else made: read without running their code, put right, and cut at the latent."""
