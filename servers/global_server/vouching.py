"""What the Global Server signs about users. Rule: it vouches for whoever has or had a number, also for those who left, because mail
of theirs may still be under way.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from domain.registry.state import AccountState
from projections.directory.directory import Directory
from servers.global_server.current_directory import CurrentDirectory
from servers.messaging.questions import AskWords, ToldWords
from servers.store.event_store import Store
from servers.trust.server_identity import ServerIdentity
from servers.trust.user_words import user_word


@dataclass(slots=True, eq=False)
class Vouching:
    """Signs words of users: about 40 µs each."""

    identity: ServerIdentity
    directory: Directory
    current: CurrentDirectory
    store: Store

    def word(self, uid: int) -> bytes:
        """The word of a user whom the directory lists; empty for any other."""
        user = self.directory.users.get(uid)
        return b"" if user is None else user_word(self.identity, uid, user.handle, user.home)

    async def find(self, uids: Collection[int]) -> dict[int, bytes]:
        """The words of those of these users whom the directory lists."""
        return {uid: word for uid in uids if (word := self.word(uid))}

    async def told(self, question: AskWords) -> ToldWords:
        """The words that a home asked for. Raises `Unavailable`."""
        uids = set(question.uids)
        if not uids <= self.directory.users.keys():
            await self.current.catch_up()
        words = {uid: self.word(uid) for uid in uids}
        for state in await self.store.run_reader(self._accounts, [uid for uid, word in words.items() if not word]):
            if state.home:
                words[state.uid] = user_word(self.identity, state.uid, state.handle, state.home)
        return ToldWords([word for word in words.values() if word], [uid for uid, word in words.items() if not word])

    def _accounts(self, uids: Iterable[int]) -> list[AccountState]:
        """Those who left. Blocks."""
        states = [self.store.load(f"account-{uid}") for uid in uids]
        return [state for state in states if isinstance(state, AccountState)]
