"""The tests of the websocket handlers."""
