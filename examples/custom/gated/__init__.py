"""A package of the user's own: aetool knows nothing of it but the name in ``config.toml``."""
