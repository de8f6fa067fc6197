"""What an event log promises, whatever database it is in. Rule: no database is known here."""
