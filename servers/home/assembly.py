"""How a Home Server is put together. Rule: components are made and joined here; nothing happens.

store -> projections, trust -> writer -> outbox, sealer -> notifier -> inbox, peers, housekeeping, blanks -> server
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from broker.port import Broker, Outgoing
from domain.event import Event
from domain.events.global_server import UserRegistered
from domain.events.home import MessageSent
from domain.registry.registered_home import GLOBAL
from domain.rules import home as home_rules
from domain.rules.sources import TELLS_OF, people
from projections.by_server import HomeProjections, by_name
from projections.server.presence import PresenceIndex
from runtime.ids import new_id
from runtime.scheduler import OwnJobs, Scheduler
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling
from servers.home.config import HomeConfig
from servers.home.contact_list import ContactList
from servers.home.departures import Departures
from servers.home.enrolling import Enrolling
from servers.home.global_client import GlobalClient
from servers.home.health import Health
from servers.home.housekeeping import Housekeeping
from servers.home.life import LifeAtGlobal
from servers.home.lifecycle import Lifecycle
from servers.home.overdue_mail import OverdueMail
from servers.home.peer_presence import PeerPresence
from servers.home.questions import Questions
from servers.home.service import HomeServer
from servers.integrity.sealer import Sealer
from servers.lives.keeper import LifeKeeper
from servers.messaging.belief import Belief
from servers.messaging.cards import Cards
from servers.messaging.clock_check import ClockCheck
from servers.messaging.dedup import Dedup
from servers.messaging.heartbeats import PeerMonitor
from servers.messaging.inbox import Inbox
from servers.messaging.inbox_parts import MailListener
from servers.messaging.leased_broker import leased
from servers.messaging.mail_check import MailCheck
from servers.messaging.outbox import Outbox
from servers.messaging.presence_events import presence_feed, watching_homes
from servers.messaging.presence_refill import PresenceRefill
from servers.messaging.private_questions import OpenUntilEnrolled, PrivateAnswers, PrivateRequests
from servers.messaging.word_asking import WordAsking
from servers.messaging.words_to_tell import WordsToTell
from servers.readiness import Readiness
from servers.security.rate_limit import RateLimit
from servers.security.tokens import HOME, KeyVerifier
from servers.sessions.blanks import BlankWheel
from servers.sessions.notifier import SessionNotifier
from servers.sessions.pages import Pages
from servers.sessions.session import Session
from servers.sessions.sessions import Sessions
from servers.sessions.tickets import Tickets
from servers.store.event_store import Committed, Store
from servers.store.log.lease import Lease
from servers.trust.publications import SEAL, HistoryJudge, HistorySigner
from servers.trust.trust import Trust
from servers.trust.user_words import UserWords
from servers.writing.erasure import Erasure
from servers.writing.projector import Projector
from servers.writing.writer import Writer

log = structlog.get_logger()


def assemble(
    config: HomeConfig,
    broker: Broker,
    *,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    new_id: Callable[[], str] = new_id,
    scheduler: Scheduler | None = None,
) -> HomeServer:
    """One home. Tests replace the clocks and the source of ids; the servers of a process share the `scheduler`. Raises `Unavailable` for a
    store that cannot be opened."""
    name, projections, sessions = config.name, HomeProjections(), Sessions()
    scheduler = scheduler or Scheduler()
    load = Load(monotonic)
    jobs, throttling = OwnJobs(scheduler, load.took), Throttling(projections.throttles, clock)
    presence, contacters, closed = projections.presence, projections.contacters, projections.closed
    verifier = KeyVerifier(HOME, old_clients=config.old_clients, clock=clock,
                           is_another=lambda uid, handle: words.another(uid, handle))  # fmt: skip
    verifier.refused = closed.uids
    rules = home_rules.rules_for(name)
    store = Store(config.store_url, name, rules, config.keys_url)
    scheduler.each_minute.append(store.waited)
    table = store.lease()
    lease = None if table is None else Lease(table, name, config.holder, config.lease_s)
    broker = broker if lease is None else leased(broker, lease)
    erasure = Erasure(store, closed, projections.streams_with)
    writer = Writer(store, clock, fenced_out=(lambda: None) if lease is None else lease.fenced_out,
                    set_back=lambda why: keeper.stop_writing(why), erasure=erasure, config=config.writer)  # fmt: skip
    writer.load = load
    recipients = {**home_rules.RECIPIENTS, **dict.fromkeys(PresenceIndex.FOLDS, watching_homes(contacters))}
    with store.closed_on_failure():
        trust = Trust(name, store.keys.table, clock)
    cards = Cards(broker, trust, monotonic, lambda: global_client.announce(), config.cards)
    requests = PrivateRequests(broker, trust, cards.want, cards.learn)
    words = UserWords(store.keys.table, lambda: trust.peers.global_key, taken=projections.handles.differs)
    word_asking = WordAsking(requests, store, words, monotonic, lambda: outbox.receivers.all_reachable())

    def lives_here(uid: int) -> bool:
        return uid in projections.handles.names

    belief = Belief(name, words, lives_here, closed.uids, word_asking.nobodies, word_asking.want)
    erasure.forget.append(belief.forget)
    to_tell = WordsToTell(people, word_asking.stored, lives_here, word_asking.want, TELLS_OF)

    def tell_integrators(committed: Committed) -> Sequence[Outgoing]:
        return presence_feed(committed, name, presence_refill.era, store.life)

    dedup, ttl_s = Dedup(), config.housekeeping.message_ttl_s
    outbox = Outbox(store, writer, broker, name, recipients, tell_integrators, trust=trust, want_card=cards.want,
                    words=to_tell, committed=dedup.position, signer=HistorySigner(trust, clock),
                    overdue=lambda event: isinstance(event, MessageSent) and event.at < clock() - ttl_s and may_expire())  # fmt: skip
    sealer = Sealer(store, writer, name, config.seals, outbox.recent, partial(trust.identity.sign, SEAL))
    enrolling = Enrolling(broker, trust, config.url, lambda: store.life, config.enrolment, config.registry_keys)
    keys_file = config.directory / "global-keys.json"
    global_client = GlobalClient(requests, name, config.url, keys_file, verifier.set_keys, store, trust, enrolling, cards, words,
                                 sealed=lambda position: keeper.heard_of("The Global Server", position),
                                 believed=lambda: peers.beat_now())  # fmt: skip
    clock_check = ClockCheck(name, store, OpenUntilEnrolled(requests), clock, monotonic, config.clock)
    housekeeping = Housekeeping(writer, sessions, presence, projections.waiting, config.housekeeping, clock, clock_check.may_expire,
                                OverdueMail(store, writer, outbox.receivers, lambda who: peers.is_up(who), outbox.blocks))  # fmt: skip
    blanks: BlankWheel[Session] = BlankWheel(config.blank_s, monotonic, lambda session: server.silent(session))
    departures = Departures(verifier, global_client, sessions, blanks, housekeeping)
    run = f"{clock():017.6f} {new_id()}"  # of two processes under one name, the one that started first has the lower run
    peers = PeerMonitor(broker, trust, run, monotonic, lambda who: came_up(who), lambda who: notifier.home_down(who), cards.want,
                        config.heartbeats, on_twin=lambda: keeper.twin())  # fmt: skip
    notifier = SessionNotifier(name, sessions, projections, peers, departures.left)
    presence_refill = PresenceRefill(store, writer, broker, name, lambda: presence.users)
    peers.eras.listeners += (outbox.era_is, presence_refill.era_is)
    peer_presence = PeerPresence(requests, peers, contacters, notifier, global_client.announce)
    writer.listeners += (outbox.offer, notifier.committed)

    def may_expire() -> bool:
        """Whether a message that has outlived its time by our clock may bounce, because the clock can be believed."""
        return clock_check.seems_right

    def heard(event: Event, source: str) -> None:
        global_client.heard(event, source)
        if isinstance(event, UserRegistered) and source == GLOBAL and projections.handles.differs(event.uid, event.handle):
            log.error("home.uid_given_twice", home=name, uid=event.uid)
        notifier.heard(event, source)

    def heard_back(source: str, position: int) -> None:
        outbox.receivers.confirm(source, position)
        keeper.heard_of_peer(source, position)

    inbox = Inbox(store, writer, broker, name, partial(home_rules.react_to_mail, rules, closed.uids, clock, ttl_s, may_expire), heard,
                  trust=trust, belief=belief, dedup=dedup, scheduler=jobs, load=load, throttling=throttling, listener=MailListener(
                      hears=(*GlobalClient.HEARS, UserRegistered, *SessionNotifier.HEARS), receivers=outbox.receivers.known,
                      told=heard_back, card=cards.learn, unopened=lambda source, why: mail_check.unopened(source, why),
                      missing=lambda source: mail_check.missing(source), came_before=lambda source: mail_check.came_before(source),
                      sent_again=peer_presence.ask_anew))  # fmt: skip
    mail_check = MailCheck(name, requests, outbox.receivers, inbox, peers, cards, lambda: (store.life, outbox.recent.last),
                           partial(store.run, store.last_position), lambda who, position: keeper.heard_of_peer(who, position))  # fmt: skip

    def came_up(server: str) -> None:
        peer_presence.came_up(server)
        mail_check.met(server)

    tickets = Tickets(name, sessions, contacters, requests, clock, new_id, config.max_tickets)
    projector = Projector(store, config.directory, by_name(projections))
    at_global = LifeAtGlobal(requests, broker, enrolling, name)
    keeper = LifeKeeper(server=name, store=store, writer=writer, projector=projector, broker=broker, store_url=config.store_url,
                        keys_url=config.keys_url, clock=clock, end=lambda: outbox.recent.last,
                        judge=lambda: HistoryJudge(trust.peers.global_key, broker.speaks_for),
                        ask_others=at_global.known, accepted=at_global.accepted,
                        another=at_global.another if lease is None and config.shared_broker else None)  # fmt: skip
    health = Health(name=name, broker=broker, sessions=sessions, projections=projections, projector=projector, writer=writer,
                    outbox=outbox, inbox=inbox, ready=lambda: server.ready())  # fmt: skip
    questions = Questions(health, tickets, presence, contacters, cards, mail_check, lambda: store.life, jobs, load, throttling)
    answers = PrivateAnswers(trust, questions.answer, questions.openly, cards.learn, cards.want)
    lifecycle = Lifecycle(name=name, broker=broker, store=store, lease=lease, presence=presence, projector=projector, erasure=erasure,
                          writer=writer, outbox=outbox, sealer=sealer, inbox=inbox, peers=peers, peer_presence=peer_presence,
                          answers=answers, mail_check=mail_check, presence_refill=presence_refill, words=words,
                          word_asking=word_asking, handles=projections.handles,
                          global_client=global_client, trust=trust, cards=cards, housekeeping=housekeeping, blanks=blanks,
                          keeper=keeper, clock_check=clock_check,
                          readiness=Readiness(name, writer, inbox, outbox, broker, clock_check, config.readiness))  # fmt: skip
    sends = RateLimit(config.sends_per_s, config.sends_burst, monotonic, "Too many messages at once; wait a little.")
    changes = RateLimit(config.changes_per_s, config.changes_burst, monotonic, "Too many changes at once; wait a little.")
    statuses = RateLimit(config.statuses_per_s, config.statuses_burst, monotonic, "Your status changes too often; wait a little.")
    contacts = ContactList(writer, sessions, projections, notifier, global_client, changes, new_id, jobs)
    server = HomeServer(name=name, url=config.url, lifecycle=lifecycle, health=health, verifier=verifier,
                        writer=writer, sessions=sessions, contacts=contacts, projections=projections, housekeeping=housekeeping,
                        blanks=blanks, tickets=tickets, global_client=global_client, sends=sends, changes=changes, statuses=statuses,
                        monotonic=monotonic, new_id=new_id, scheduler=scheduler, jobs=jobs, load=load,
                        throttling=throttling, pages=Pages(store, closed.uids))  # fmt: skip
    return server
