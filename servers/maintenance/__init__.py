"""Commands on stopped or copied stores: backup, restore, copy, rebuild. Rule: a source is only read, and a target is whole or untouched."""
