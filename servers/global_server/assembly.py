"""How the Global Server is put together. Rule: components are made and joined here; nothing happens.

store -> directory, trust -> writer -> outbox, sealer -> inbox (the homes' seals), peers, answers to the homes' questions -> server
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from broker.port import Broker
from domain.event import Event
from domain.registry.registered_home import GLOBAL
from domain.rules import global_server as rules
from domain.rules.sources import accounts
from projections.by_server import GlobalProjections, by_name
from runtime.ids import new_id
from runtime.scheduler import OwnJobs, Scheduler
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling
from servers.global_server.config import GlobalConfig
from servers.global_server.current_directory import CurrentDirectory, report_broken_chains
from servers.global_server.heavy_use import HeavyUse
from servers.global_server.home_choice import HomeChoice
from servers.global_server.lifecycle import Lifecycle
from servers.global_server.losses import Losses
from servers.global_server.own_life import OwnLife
from servers.global_server.presence_view import PresenceView
from servers.global_server.questions import Questions
from servers.global_server.registrar import Registrar
from servers.global_server.searches import Searches
from servers.global_server.service import GlobalServer, Limits
from servers.global_server.sign_in import SignIn, SignInLimits
from servers.global_server.uid_blocks import UidBlocks
from servers.global_server.vouching import Vouching
from servers.integrity.sealer import Sealer
from servers.lives.keeper import LifeKeeper
from servers.messaging.belief import Belief
from servers.messaging.cards import Cards
from servers.messaging.clock_check import ClockCheck
from servers.messaging.dedup import Dedup
from servers.messaging.eras import EraKeeper
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.inbox_parts import MailListener
from servers.messaging.mail_check import MailCheck
from servers.messaging.outbox import Outbox
from servers.messaging.private_questions import PrivateAnswers, PrivateRequests
from servers.messaging.words_to_tell import WordsToTell
from servers.readiness import Readiness
from servers.security.familiar import Familiar
from servers.security.passwords import Passwords
from servers.security.signer import Signer
from servers.security.tokens import CONSOLE, KeyVerifier
from servers.security.tokens import GLOBAL as GLOBAL_CALLS
from servers.store.event_store import Committed, Store
from servers.trust.publications import SEAL, HistoryJudge, HistorySigner
from servers.trust.trust import Trust
from servers.trust.user_words import UserWords
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer


def assemble(
    config: GlobalConfig,
    broker: Broker,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    new_id: Callable[[], str] = new_id,
    scheduler: Scheduler | None = None,
) -> GlobalServer:
    """The Global Server. Tests replace the clocks and the source of ids; the servers of a process share the `scheduler`. Raises
    `Unavailable` for a store that cannot be opened."""
    scheduler = scheduler or Scheduler()
    projections = GlobalProjections()
    directory, load = projections.directory, Load(monotonic)
    jobs, throttling = OwnJobs(scheduler, load.took), Throttling(projections.throttles, clock)
    signer = Signer.load_or_create(config.key_file or config.directory / "signing-key.pem")
    verifier = KeyVerifier(GLOBAL_CALLS, old_clients=config.old_clients, clock=clock)
    verifier.set_keys(signer.public_keys())
    console_verifier = KeyVerifier(CONSOLE, clock=clock)
    console_verifier.set_keys(signer.public_keys())
    verifier.refused = console_verifier.refused = projections.closed.uids
    store = Store(config.store_url, GLOBAL, rules.RULES, config.keys_url)
    scheduler.each_minute.append(store.waited)
    with store.closed_on_failure():
        trust = Trust(GLOBAL, store.keys.table, clock)
        trust.certify_itself()
    cards = Cards(broker, trust, monotonic, config=config.cards)
    requests = PrivateRequests(broker, trust, cards.want, cards.learn)
    erasure = Erasure(store, projections.closed, projections.streams_with)
    writer = Writer(store, clock, set_back=lambda why: keeper.stop_writing(why), erasure=erasure, config=config.writer)
    writer.load = load
    to_tell = WordsToTell(accounts, lambda uids: vouching.find(uids))
    belief = Belief(GLOBAL, UserWords(store.keys.table, lambda: trust.peers.global_key))
    dedup = Dedup()
    outbox = Outbox(store, writer, broker, GLOBAL, rules.RECIPIENTS, _no_feed, trust=trust, want_card=cards.want, words=to_tell,
                    committed=dedup.position, signer=HistorySigner(trust, clock))  # fmt: skip
    sealer = Sealer(store, writer, GLOBAL, config.seals, outbox.recent, partial(trust.identity.sign, SEAL))
    projector = Projector(store, config.directory, by_name(projections))
    current = CurrentDirectory(projections, projector, store, verifier)
    peers = PeerMonitor(broker, trust, new_id(), monotonic, lambda home: came_up(home), lambda home: presence.homes_changed(), cards.want,
                        config.heartbeats)  # fmt: skip
    peers.eras.listeners.append(outbox.era_is)
    eras = EraKeeper(broker, trust, peers.eras, clock)
    homes = HomeChoice(directory, peers.alive, config.home_wait_s)
    file = config.directory / "presence.projection"
    presence = PresenceView(broker, file, directory, config.integrators, peers.alive, current.catch_up, config.blank_s, clock,
                            monotonic, config.kept_changes, store.keys, trust.identity.public, jobs)  # fmt: skip

    peers.eras.listeners.append(presence.reader.era_is)

    def came_up(home: str) -> None:
        homes.changed()
        presence.homes_changed()
        mail_check.met(home)

    writer.listeners += (outbox.offer, report_broken_chains, current.committed, homes.changed)

    def heard_back(source: str, position: int) -> None:
        outbox.receivers.confirm(source, position)
        keeper.heard_of_peer(source, position)

    inbox = Inbox(store, writer, broker, GLOBAL, rules.RULES.react, _nothing_to_show,
                  trust=trust, belief=belief, dedup=dedup, scheduler=jobs, load=load, throttling=throttling, listener=MailListener(
                      hears=(), receivers=outbox.receivers.known, told=heard_back, card=cards.learn,
                      unopened=lambda source, why: mail_check.unopened(source, why), missing=lambda source: mail_check.missing(source),
                      came_before=lambda source: mail_check.came_before(source)))  # fmt: skip
    mail_check = MailCheck(GLOBAL, requests, outbox.receivers, inbox, peers, cards, lambda: (store.life, outbox.recent.last),
                           partial(store.run, store.last_position), lambda who, position: keeper.heard_of_peer(who, position))  # fmt: skip
    losses = Losses(store, trust.records, writer, new_id)
    uids = UidBlocks(writer, outbox, directory, new_id)
    own_life = OwnLife(trust, writer, store, new_id, lambda: outbox.recent.last, uids)
    keeper = LifeKeeper(server=GLOBAL, store=store, writer=writer, projector=projector, broker=broker, store_url=config.store_url,
                        keys_url=config.keys_url, clock=clock, end=lambda: outbox.recent.last, shared=True,
                        judge=lambda: HistoryJudge(trust.peers.global_key, broker.speaks_for),
                        ask_others=own_life.known, accepted=own_life.accepted)  # fmt: skip
    registrar = Registrar(trust, writer, directory, new_id, losses, broker.declare_inbox)
    writer.listeners.append(registrar.committed)
    vouching = Vouching(trust.identity, directory, current, store)
    questions = Questions(broker, writer, signer, directory, current, new_id, registrar, cards, mail_check, losses,
                          own_life, keeper, vouching)  # fmt: skip
    answers = PrivateAnswers(trust, questions.answer, questions.openly, cards.learn, cards.want)
    heavy = HeavyUse(requests=requests, writer=writer, directory=directory, current=current, load=load, throttling=throttling,
                     clock=clock, new_id=new_id)  # fmt: skip
    writer.listeners.append(heavy.committed)
    passwords, searches = Passwords(config.password_cost, load=load), Searches(directory.index)
    sign_in = SignIn(SignInLimits.of(config, monotonic), Familiar(clock), store, config.directory / "sign-in.familiar")
    clock_check = ClockCheck(GLOBAL, store, broker, clock, monotonic, config.clock)
    lifecycle = Lifecycle(broker=broker, requests=requests, answers=answers, store=store, directory=directory, current=current,
                          projector=projector, erasure=erasure, writer=writer, outbox=outbox, sealer=sealer, inbox=inbox, peers=peers,
                          eras=eras, presence=presence,
                          with_presence=bool(config.integrators), questions=questions, passwords=passwords, searches=searches,
                          sign_in=sign_in,
                          trust=trust, registrar=registrar, cards=cards, mail_check=mail_check, keeper=keeper, own_life=own_life,
                          clock_check=clock_check,
                          readiness=Readiness(GLOBAL, writer, inbox, outbox, broker, clock_check, config.readiness))  # fmt: skip
    return GlobalServer(config=config, lifecycle=lifecycle, directory=directory, current=current, homes=homes, presence_view=presence,
                        writer=writer, uids=uids, passwords=passwords, searches=searches, sign_in=sign_in, signer=signer, verifier=verifier,
                        console_verifier=console_verifier, limits=Limits.of(config, monotonic),
                        clock=clock, new_id=new_id, scheduler=scheduler, jobs=jobs, load=load, heavy=heavy)  # fmt: skip


def _no_feed(committed: Committed) -> Sequence[Any]:
    """The presence feed tells of presence only, and only homes know of that."""
    return ()


def _nothing_to_show(event: Event, source: str) -> None:
    """A home's seals are kept; nobody waits for them."""
