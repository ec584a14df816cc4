"""Websocket handlers for Litestar, and a test for each that proves that a disconnect cleans up."""
