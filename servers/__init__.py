"""The running Home Server and Global Server. Rule: no HTTP, and AMQP only through the `Broker` port.

The servers add these errors to the tree in `domain/errors.py`; `servers/maintenance/errors.py` draws those of the commands:

Rejected
├── OtherLog         servers/lives/continuation.py: the history is of another log
└── NothingToAccept  servers/global_server/losses.py: this server does not wait for the ops

Unavailable
├── NotKnownThere    servers/messaging/private_questions.py: the server that was asked does not know this one
├── NoCard           servers/trust/box.py: the addressee's card is not known here
├── NoWord           servers/messaging/words_to_tell.py: the Global Server's word of one of our own users is not known here yet
├── Conflicted       servers/store/log/event_log.py: another process wrote to the same stream
├── Taken            servers/lives/keeper.py: the same log is at work already
├── SetBack          servers/store/log/event_log.py: the log lacks what is known to have been stored
└── LeaseLost        servers/store/log/lease.py: another process serves this home

ValueError
├── NotBelieved      servers/trust/server_identity.py: what another server says is not proven
│   └── Altered      servers/trust/publications.py: what was published was changed after it was signed
├── CannotOpen       servers/trust/box.py: a box that is not for us, too old, or forged
├── NotDecryptable   servers/encryption/event_codec.py: the bytes or the key are not the right ones
└── NotOurs          servers/encryption/mac.py: bytes without the server's proof, or with a wrong one

Exception
├── WordsNeeded      servers/messaging/belief.py: no error, but a request to learn of users first
└── KeysNeeded       servers/encryption/key_store.py: no error, but a request to read keys first
"""
