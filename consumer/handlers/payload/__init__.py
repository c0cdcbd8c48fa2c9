"""What may be sent to a handler: the JSON schema of its payload, by which the API judges before anything is stored."""
