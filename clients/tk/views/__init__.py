"""What people see. Rule: a view draws the state that it is given and hands on what the person wants; it decides nothing."""
