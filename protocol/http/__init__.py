"""Protocol packages over HTTP: thin aiohttp handlers in front of an `Exchange`, the one part that does I/O."""
