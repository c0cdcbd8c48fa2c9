"""Builds the image for real, by buildah and without a daemon, and runs every role from it."""
