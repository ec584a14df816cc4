"""Websocket handlers for Litestar, and a test for each that proves that a disconnect cleans up."""

__version__ = "0.2.0"
