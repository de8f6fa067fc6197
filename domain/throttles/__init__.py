"""Who has turns at a tenth: one aggregate for each server. Rule: the Global Server decides for all, and a home stores what it is
told, so that it holds from its next start on, too."""
