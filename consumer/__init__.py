"""The consumer: it claims tasks, runs their handlers and writes what became of them. It serves no HTTP."""
