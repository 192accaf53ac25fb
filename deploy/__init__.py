"""Deploying to AWS: names, image, stack and API. Run it as `python -m deploy`, or through the Makefile."""
