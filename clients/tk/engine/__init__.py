"""The network thread of the popup client. Rule: it talks to the servers through `flash_sdk`, and to the windows through the bridge only."""
