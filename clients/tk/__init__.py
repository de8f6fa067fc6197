"""The popup client for desktops. Rule: one pure model, one engine that talks, views that draw; a bridge between two threads.

    flash_sdk ──events──▶ engine (asyncio thread) ──reports──▶ bridge ──fold──▶ model ──effects──▶ views (Tk's thread)
                             ▲ storage, grants                    │ commands              ▲ intents │
                             └────────────────────────────────────┘◀─────────────────────┴─────────┘

Only the views know tkinter.
"""
