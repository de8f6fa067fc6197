"""The popup client as a person meets it: the real program, on a real X server, with a real window manager and real servers."""
