"""CPU-bound handlers: a child process for each running call, killed on cancel and timeout (no pool can do that)."""
