"""The names of the server commands. Rule: `flash` knows them without loading a server or a command-line library."""

SERVER_COMMANDS = {
    "serve": "A whole Flash in one process: a Global Server and some homes, embedded broker, SQLite.",
    "global": "The Global Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL).",
    "home": "One Home Server of a real installation (FLASH_BROKER_URL, FLASH_STORE_URL, FLASH_PUBLIC_URL).",
}
