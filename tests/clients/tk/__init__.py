"""The popup client for desktops: its model, its disk, its engine against real servers, and its windows on a real screen."""
