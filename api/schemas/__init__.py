"""What travels over HTTP, as pydantic models: they validate what comes in and describe all of it in OpenAPI."""
