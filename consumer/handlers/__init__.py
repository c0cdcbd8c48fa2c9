"""Handlers that come with Sluice."""
