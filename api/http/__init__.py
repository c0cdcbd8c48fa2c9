"""Connections and bodies, bounded. Knows no task."""
