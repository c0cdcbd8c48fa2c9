"""Processes of ours: how they begin, are supervised, hear signals and end. Knows no task."""
