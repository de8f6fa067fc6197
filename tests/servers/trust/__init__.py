"""What servers believe of each other. Rule: what is forged here is forged as an attacker would, with keys that are real."""
