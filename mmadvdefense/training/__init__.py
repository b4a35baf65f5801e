"""How a purifier is trained: from a config to a runner, and from a batch to its losses."""
