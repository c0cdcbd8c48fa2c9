"""What is told to a client whose request went wrong (RFC 9457)."""
