"""What a home may be called, and where it may be reached. Rule: what is announced at the Global Server has passed through here."""

import re

HOME_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # it becomes part of queue names and routing keys: no dots, stars or hashes
HOME_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")
GLOBAL = "global"  # the Global Server's name among servers; its inbox is `flash.home.global`, so no home may have this name
