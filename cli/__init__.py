"""The command line: starts the parts, or talks to a running API. The only package that knows both sides."""
