"""The running Home Server and Global Server. Rule: no HTTP, and AMQP only through the `Broker` port.

The servers add these errors to the tree in `domain/errors.py`; `servers/maintenance/errors.py` draws those of the commands:

Unavailable
├── Conflicted       servers/store/log/event_log.py: another process wrote to the same stream
└── LeaseLost        servers/store/log/lease.py: another process serves this home

ValueError
└── NotDecryptable   servers/encryption/event_codec.py: the bytes or the key are not the right ones

Exception
└── KeysNeeded       servers/encryption/key_store.py: no error, but a request to read keys first
"""
