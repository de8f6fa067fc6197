"""What in the servers can grow: attributes that are containers, and functions that remember results. Rule: whatever has no declared bound
stands here with the reason why it cannot grow; a name that exists no more, or has a bound meanwhile, is a fault."""

import ast
from pathlib import Path

from tests.docs import tree
from tests.docs.bounds import ROOMS

CONTAINERS = {
    *("dict", "list", "set", "bytearray", "deque", "OrderedDict", "defaultdict", "Counter", "Queue", "SimpleQueue", "PriorityQueue"),
    *("LifoQueue", "WeakSet", "WeakValueDictionary", "WeakKeyDictionary", "BackgroundTasks", "Brake", "Lanes"),
}
MEMORIES = {"lru_cache", "cache"}

CANNOT_GROW: dict[str, str] = {
    "one entry each for what ops throttle, of whom there are a thousand at most, or for one of the ops": """
        projections/server/throttles.py Throttles._held Throttles.callers Throttles.homes Throttles.streams
        servers/global_server/heavy_use.py HeavyUse._noted
        servers/messaging/slow_mail.py SlowMail._turns
    """,
    "it is filled once, when the program is put together": """
        broker/embedded/broker.py EmbeddedBroker._heartbeat_handlers EmbeddedBroker._served
        broker/rabbitmq/broker.py RabbitConfig.users
        broker/rabbitmq/calls.py Calls._attached Calls._heartbeat_handlers Calls._served
        broker/topology.py Queue.arguments
        edge/console/page.py static_file
        servers/sessions/notifier.py SessionNotifier._rare
        edge/http/dispatch.py Dispatcher._exact Dispatcher._fixed Dispatcher._patterns
        edge/http/ops_routes.py description
        edge/http/server.py EdgeServer.routes
        runtime/scheduler.py Scheduler.each_minute
        servers/encryption/key_store.py NoKeys.ready
        servers/global_server/config.py GlobalConfig.integrators
        servers/messaging/eras.py Eras.listeners
        servers/messaging/inbox_parts.py MailListener.receivers
        servers/messaging/recent_commits.py RecentCommits._followers
        servers/messaging/words_to_tell.py WordsToTell.tells_of
        servers/readiness.py Readiness._parts
        servers/security/hashing.py Hashing._idle
        servers/security/signer.py Signer._public
        servers/store/postgres/lease.py PostgresLease._options
        servers/store/postgres/log.py PostgresLog._options
        servers/trust/box_keys.py BoxKeys.on_changed
        servers/trust/card.py Peers.on_learned
        servers/writing/erasure.py Erasure.forget
        servers/writing/writer.py Writer.listeners
    """,
    "its keys are names in our own code: routes, statuses, codes, parts, streams, projections, clocks, queues": """
        broker/embedded/journal_file.py JournalFile._ends
        edge/http/metrics.py EdgeMetrics._refused EdgeMetrics.answered EdgeMetrics.over_share EdgeMetrics.parts
        edge/http/shares.py Shares.refused
        servers/messaging/clock_check.py ClockCheck.ahead_s
        servers/messaging/eras.py EraKeeper._noted Eras.known
        servers/queue_metrics.py QueueMetrics._said
        servers/store/sqlite/log.py _insertion
        servers/writing/projector.py Projector._saved
    """,
    "it lives as long as one message, request, batch or check": """
        broker/embedded/journal_file.py Batch.arrivals Batch.gone Batch.messages Batch.moves Batch.queues Batch.reads Batch.streams
        broker/embedded/journal_file.py Batch.waiters
        broker/port.py StreamItem.headers
        broker/rabbitmq/publisher.py Batch._returned
        edge/contracts/answers.py Health.warnings
        edge/contracts/requests.py Register.profile
        edge/http/fast_path.py WriteBuffer._unsent
        projections/audit/coverage.py Coverage._changed
        projections/audit/feeding.py _Rows.entries _Rows.people _Rows.popups _Rows.presence _Rows.versions
        servers/integrity/corrections.py Corrections.faults Corrections.positions
        servers/integrity/findings.py Differences.gone Differences.here
        servers/integrity/key_count.py KeyCount._closed KeyCount._first
        servers/integrity/residents.py Residents.homes StreamOwners._found StreamOwners._unknown
        servers/integrity/times.py TimeOrder._anew TimeOrder._found
        servers/integrity/verify.py Checks.not_asked History.seals Report.not_asked
        servers/integrity/witnesses.py HistoryWitness._fingerprints HistoryWitness._late HistoryWitness.faults SealWitness._fingerprints
        servers/integrity/witnesses.py SealWitness._rows SealWitness.faults Unwitnessed._marks
        servers/lives/continuation.py Seen.erased Seen.owners Seen.seals Seen.versions
        servers/lives/history_since.py HistorySince.consumed HistorySince.records HistorySince.same_places
        servers/messaging/dedup.py Fresh.events Fresh.holes Fresh.notes Fresh.old Fresh.positions Fresh.unexplained
        servers/messaging/questions.py Announced.keys Announced.revoked Refused.revoked
        servers/store/postgres/rows.py PostgresView._readings
        servers/writing/unit_of_work.py UnitOfWork.events
    """,
    "what is registered and changed while one search is made, a tenth of a second": """
        projections/directory/word_index.py WordIndex._changes
    """,
    "its owner bounds it and declares it": """
        runtime/background_task.py BackgroundTasks._tasks
        runtime/brake.py Brake._waiting
        runtime/heavy_hitters.py Minute._windows Sketch._counts Sketch._over
        runtime/lanes.py Lanes._rest Lanes._turns
    """,
    "one entry each for what is declared as `connections`": """
        edge/direct/routes.py DirectOffers._busy
        edge/http/shares.py Shares.addresses Shares.users
        servers/global_server/subscribers.py Subscribers._open
        servers/sessions/blanks.py BlankWheel._slots
    """,
    "one task each, or a few, of a fixed kind": """
        broker/rabbitmq/broker.py RabbitBroker._attaching
        edge/console/live_tail.py LiveTail._writing
        servers/global_server/current_directory.py CurrentDirectory._tasks
        servers/global_server/feed_reader.py FeedReader._tasks
        servers/home/housekeeping.py Housekeeping._tasks
        servers/lives/keeper.py LifeKeeper._looking
    """,
    "at most what its configuration allows at a time: deliveries in hand, questions that are answered, connections to the database": """
        broker/embedded/broker.py EmbeddedBroker._answering
        broker/rabbitmq/calls.py Calls._answering
        broker/rabbitmq/consumer.py _Attachment._acked _Attachment._settled
        broker/rabbitmq/link.py Link._channels Link._work
        broker/rabbitmq/writer.py Writer._frames
        servers/store/sqlite/log.py SqliteLog._idle
    """,
    "a caller waits for each entry, and callers are bounded": """
        broker/embedded/journal.py Journal._work
        runtime/worker.py Worker._calls
        servers/writing/state_cache.py StateCache._warming
    """,
    "an index: an entry or a few for each account, contact, session and waiting message, which have bounds of their own": """
        projections/directory/directory.py Directory._residents Directory._uids Directory.enrolments Directory.homes Directory.users
        projections/server/closed_accounts.py ClosedAccounts.uids
        projections/server/contacters.py ContacterIndex.contacters ContacterIndex.contacts ContacterIndex.home_of ContacterIndex.watchers
        projections/server/handles.py Handles._uids Handles.names
        projections/server/presence.py PresenceIndex.lapses PresenceIndex.reported PresenceIndex.sessions PresenceIndex.users
        projections/server/presence_feed.py Feed.users
        projections/server/waiting_mail.py WaitingIndex._senders WaitingIndex.mailboxes WaitingIndex.recipients
        servers/home/housekeeping.py Housekeeping._unended
        servers/sessions/notifier.py SessionNotifier._told
        servers/sessions/sessions.py Sessions._by_id Sessions._by_uid
        servers/sessions/welcome.py Welcome._fixed
        servers/writing/erasure.py Erasure.unfinished
    """,
    "one entry or a few for each server that ops enrolled, each user that they made in the broker, and each life of a log": """
        broker/embedded/broker.py EmbeddedBroker._inboxes EmbeddedBroker.not_believed EmbeddedBroker.received
        broker/embedded/queue.py Inbox._consumers
        broker/publishers.py Publishers.not_believed Publishers.received
        broker/rabbitmq/broker.py RabbitBroker._consumers RabbitBroker._inboxes RabbitBroker._readers
        projections/audit/clocks.py Clocks.newest
        servers/audit/decoder.py HistoryDecoder._decoders
        servers/global_server/home_choice.py HomeChoice._coming
        servers/global_server/losses.py Losses.waiting
        servers/global_server/registrar.py Registrar._prepared
        servers/home/lifecycle.py Lifecycle.known_lives
        servers/home/peer_presence.py PeerPresence._asking PeerPresence._learning PeerPresence._lives
        servers/messaging/dedup.py Dedup._notes Dedup._positions
        servers/messaging/heartbeats.py PeerMonitor._known
        servers/messaging/history_sender.py HistorySender._eras
        servers/messaging/inbox.py Inbox.set_back
        servers/messaging/mail_check.py MailCheck._asked MailCheck._asking MailCheck._end_asked MailCheck._soon MailCheck._tasks
        servers/messaging/mail_blocks.py MailBlocks.ends MailBlocks.groups
        servers/messaging/mail_check.py MailCheck._unopened MailCheck.ahead
        servers/messaging/outbox_publisher.py OutboxPublisher._unsaved
        servers/messaging/presence_refill.py PresenceRefill._eras
        servers/messaging/receivers.py Receivers.behind Receivers.flying Receivers.known
        servers/security/tokens.py KeyVerifier._keys KeyVerifier._published
        servers/trust/card.py Peers._cards Peers._revoked Peers._unsaved
        servers/trust/publications.py HistoryJudge._read HistoryJudge._revoked
        servers/writing/writer.py Writer.riding
    """,
    "it has a bound of its own in entries of a fixed size, a few kilobytes in all": """
        runtime/times.py rfc3339
        servers/home/global_client.py GlobalClient._said
        servers/integrity/sealer.py Sealer._fingerprints Sealer._positions
    """,
    "bounded in the table that it is read from: `MOST_RANGES`, `MOST_LIVES` and `MOST_TOPICS` of each server": """
        projections/audit/coverage.py Coverage._known
        projections/audit/words.py Topics._of Words._numbers Words._words
    """,
}


def excused() -> dict[str, str]:
    """Each container that cannot grow, as `path Class.attribute`, and why."""
    return {
        f"{path} {name}": why
        for why, listed in CANNOT_GROW.items()
        for path, *names in map(str.split, listed.strip().splitlines())
        for name in names
    }


def containers() -> set[str]:
    """Every container that outlives a call, as `path Class.attribute`, and every function that remembers, as `path function`."""
    return {f"{path} {name}" for path in tree.modules() if path.parts[0] in ROOMS for name in found_in(path)}


def found_in(path: Path) -> set[str]:
    """Those of one module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(tree.text(path))):
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for name in _attributes(node)}
            if any(_name(base) in CONTAINERS for base in node.bases):
                found.add(node.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            made_by = {_name(each.func if isinstance(each, ast.Call) else each) for each in node.decorator_list}
            if made_by & MEMORIES:
                found.add(node.name)
    return found


def _attributes(owner: ast.ClassDef) -> set[str]:
    """What is assigned to `self`, and the fields of a dataclass."""
    found = set()
    for node in ast.walk(owner):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
        of_self = isinstance(target, ast.Attribute) and _name(target.value) == "self"
        if of_self and (_makes(node.value) or (_mentions(annotation) and not isinstance(node.value, ast.Call))):
            found.add(target.attr)
        is_field = isinstance(target, ast.Name) and node in owner.body and annotation is not None and _name(annotation) != "ClassVar"
        if is_field and _makes(node.value):
            found.add(target.id)
    return found


def _makes(value: ast.expr) -> bool:
    """Whether this makes a container."""
    if isinstance(value, ast.Call) and _name(value.func) == "field":
        return any(keyword.arg == "default_factory" and _mentions(keyword.value) for keyword in value.keywords)
    if isinstance(value, ast.Call):
        return _name(value.func) in CONTAINERS
    return isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)


def _mentions(node: ast.expr | None) -> bool:
    return node is not None and any(_name(each) in CONTAINERS for each in ast.walk(node))


def _name(node: ast.AST) -> str:
    """The last name of `a.b.C[D]`: `C`."""
    inner = node.value if isinstance(node, ast.Subscript) else node
    return inner.id if isinstance(inner, ast.Name) else inner.attr if isinstance(inner, ast.Attribute) else ""
