"""What people see. Rule: a view draws the state it is given and says what was asked of it; it decides nothing."""
