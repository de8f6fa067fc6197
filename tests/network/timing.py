"""How fast time goes here. Rule: blanks come twice in the time after which the firewall forgets, as 10 s and 20 s do in real life."""

import os

# A firewall that forgets after 20 s is the worst that the issue names; scaled down so that the suite does not wait for it.
FORGETS_S = float(os.environ.get("FLASH_TEST_FIREWALL_S") or 3)
BLANK_S = FORGETS_S / 2
NO_BLANK_S = 240.0  # the patent's
DEAD_S = 2.5 * BLANK_S  # after which a silent client is offline
SLACK_S = 1.5  # on top of it: two cores that are busy with other things
