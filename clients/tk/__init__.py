"""The popup client for desktops. Rule: a pure model, an engine that talks, views that draw, and one bridge between the two threads.

    flash_sdk ──events──▶ engine (asyncio thread) ──reports──▶ bridge ──fold──▶ model ──effects──▶ views (Tk's thread)
                             ▲ storage, grants                    │ commands              ▲ intents │
                             └────────────────────────────────────┘◀─────────────────────┴─────────┘

Only the views know tkinter.
"""
