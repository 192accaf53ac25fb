"""Deploying: from names to a stack, an image and an API, with one command."""
