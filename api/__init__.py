"""The HTTP API. It accepts tasks and tells about them; it runs none."""
