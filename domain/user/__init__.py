"""One user at home: sessions, status, contacts, sent messages. Rule: no other aggregate is imported here."""
