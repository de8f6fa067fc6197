"""The logged-in clients of a home: windows of unacknowledged parts, blanks, tickets. Rule: one slow client never delays another."""
