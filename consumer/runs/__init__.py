"""One attempt from its claim to its row: work, the call of the handler, its time, its transaction, its outcome."""
