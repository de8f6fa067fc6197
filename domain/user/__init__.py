"""One user at home: sessions, status, contacts, sent messages. Rule: this aggregate never imports another one."""
