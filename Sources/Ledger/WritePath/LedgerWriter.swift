import Dispatch
import Foundation
import Synchronization

/// Gathers submissions into groups and answers them when, and only when, their group is durable.
///
/// The write path, whole: ``submit(_:replyQueue:)`` puts a submission in the queue; a writer thread takes what has gathered
/// there, has the store load, decide and apply it in one transaction (``LedgerStore/apply(_:overlapping:deciding:)``),
/// waits until that is durable (``LedgerStore/flush(_:)``), and then answers everyone in the group. While one group is
/// being applied the next gathers, so groups grow with load and nobody waits for company when there is none. While one
/// waits for a slow disk, another thread applies the next: see ``GroupsInFlight``.
public final class LedgerWriter: Sendable {
  public struct Limits: Sendable {
    /// The most draws that may wait; a submission beyond them is refused at once. One account may hold half of them.
    public var queuedDraws = 20_000
    /// The most bytes that submissions may hold while they wait, by ``Submission/bytes``. One account may hold half.
    public var queuedBytes = 128 << 20
    /// The most submissions in one group.
    public var groupSubmissions = 1_000
    /// The most draws in one group, some 20 ms of work. A single submission that holds more is a group of its own.
    public var groupDraws = 4_000
    /// The most bytes in one group, by the same rule.
    public var groupBytes = 8 << 20
    /// How long a submission waits for its answer.
    public var timeout: Duration = .seconds(10)
    /// How many bytes of answers are remembered for replays.
    public var replayCacheBytes = 16 << 20

    public init() {}
  }

  /// How many groups may wait for the disk while another is applied.
  private static let mostFlushing = 3

  private let store: any LedgerStore
  private let decider: Decider
  private let limits: Limits
  private let replays: ReplayCache
  private let onDeliveries: @Sendable () -> Void
  /// Guards the queue; never held while a store works or a caller is answered.
  private let state: Mutex<State>
  /// Signalled once for each sleeping thread that is to wake.
  private let wake = DispatchSemaphore(value: 0)
  private let finished = DispatchGroup()
  /// A turn to take and apply a group: as many as the store can work on at once.
  private let turn: DispatchSemaphore
  private let inFlight = GroupsInFlight()
  /// Signalled once for each housekeeping thread when it is to stop.
  private let stopHousekeeping = DispatchSemaphore(value: 0)
  private let statistics = Mutex(Statistics())
  private let health: StoreHealth
  private let history: LogHistory?
  private let random: RandomSource

  private struct State {
    var queue: SubmissionQueue<Ticket>
    var sleepers = 0
    var isClosed = false
    /// What each thread is working on, so that impatient callers can be found.
    var inHand: [Int: [Ticket]] = [:]
  }

  /// Counts since the start.
  public struct Statistics: Sendable {
    public var groups = 0
    public var submissions = 0
    public var failedGroups = 0
    public var lastFailure: Milliseconds?
    /// Submissions in each group that was stored.
    public var groupSizes = Histogram.sizes
    /// Seconds each of them took to load, decide and commit.
    public var commitTimes = Histogram.seconds
    /// Seconds of that in which they waited to be durable.
    public var syncTimes = Histogram.seconds
    /// Submissions that met a fault of the store's, by its kind.
    public var faults: [StoreFailure.Kind: Int] = [:]
    /// How the store is.
    public var store = StoreHealth.Report()
  }

  /// - Parameters:
  ///   - history: what may keep everything from being recorded.
  ///   - random: what server seeds of commitments are made of. If it fails, nothing is recorded.
  ///   - onTrouble: told, for the log, what begins to ail the store, and when it is over.
  ///   - onDeliveries: called, on a writer's thread, when webhook events have become durable.
  public init(
    store: any LedgerStore, decider: Decider, limits: Limits = Limits(), history: LogHistory? = nil,
    random: RandomSource = .system, onTrouble: @escaping @Sendable (String) -> Void = { _ in },
    onDeliveries: @escaping @Sendable () -> Void = {}
  ) {
    self.store = store
    self.decider = decider
    self.limits = limits
    self.onDeliveries = onDeliveries
    state = Mutex(State(queue: SubmissionQueue(limits: limits)))
    (self.history, self.random) = (history, random)
    turn = DispatchSemaphore(value: store.concurrentGroups)
    health = StoreHealth(
      store: store, retention: decider.retention, history: history, random: random, onTrouble: onTrouble)
    replays = ReplayCache(capacity: limits.replayCacheBytes, retention: decider.retention)
    for number in 0..<(store.concurrentGroups + Self.mostFlushing) {
      start("ledger-writer-\(number)") { $0.work(thread: number) }
    }
    // Two threads, since a store that hangs may hang a sweep, and that is when callers grow impatient.
    start("ledger-timeout") { $0.every(.milliseconds(250)) { $0.failTimedOut() } }
    start("ledger-health") { writer in
      var second = 0
      writer.every(.seconds(1)) { writer in
        writer.health.check()
        if second % 60 == 0 { writer.health.sweep { writer.state.withLock { $0.isClosed } } }
        second += 1
      }
    }
  }

  private func start(_ name: String, _ body: @escaping @Sendable (LedgerWriter) -> Void) {
    finished.enter()
    Thread.start(name) { [self] in
      body(self)
      finished.leave()
    }
  }

  public var report: Statistics {
    var report = statistics.withLock { $0 }
    report.store = health.report
    return report
  }

  /// Why nothing is recorded until the operator acts; nil if there is no such reason.
  public var stopped: StoreFailure? { history?.failure ?? random.failure }

  /// What waits for a group.
  public var queued: (draws: Int, bytes: Int) { state.withLock { ($0.queue.draws, $0.queue.bytes) } }

  /// Why `caller` may change nothing at all; nil if there is no such reason.
  public func refusal(for caller: Caller) -> Refusal? { decider.refusal(for: caller) }

  /// How long answers under idempotency keys are good for.
  public var retention: IdempotencyRetention { decider.retention }

  /// What `claim` was answered before, if that is known without asking the store.
  public func recall(_ claim: IdempotencyClaim) -> Reply? { replays.reply(to: claim, now: Self.wallClock()) }

  /// Has `submission` decided and made durable, together with whatever else is waiting.
  ///
  /// A submission under an idempotency key that was answered before gets that answer again; ask ``recall(_:)`` first,
  /// which is quicker.
  ///
  /// - Parameter replyQueue: where the caller is resumed; nil means on whatever thread is at hand.
  /// - Throws: ``LedgerUnavailable``. After `.overloaded` and `.shuttingDown` the submission has had no effect; after
  ///   `.timedOut` and `.storeFailed` it may have, or may yet. Whatever is thrown, a retry under the same idempotency key
  ///   is safe.
  public func submit(_ submission: Submission, replyQueue: (any ReplyQueue)? = nil) async throws(LedgerUnavailable)
    -> Reply
  {
    let result: Result<Reply, LedgerUnavailable> = await withCheckedContinuation { continuation in
      submit(submission, replyQueue: replyQueue) { continuation.resume(returning: $0) }
    }
    return try result.get()
  }

  /// The same, for a caller who does not wait.
  ///
  /// - Parameters:
  ///   - address: the network address of an anonymous caller, as ``NetworkAddress/subscriber``. Addresses take turns.
  ///   - answer: called once, on `replyQueue`.
  public func submit(
    _ submission: Submission, from address: [UInt8]? = nil, replyQueue: (any ReplyQueue)? = nil,
    answer: @escaping @Sendable (Result<Reply, LedgerUnavailable>) -> Void
  ) {
    enqueue(Ticket(submission: submission, address: address, replyQueue: replyQueue, answer: answer))
  }

  /// Stops accepting, finishes what was accepted, and returns when the last of it is answered.
  public func drain() async {
    let sleepers = state.withLock { state in
      state.isClosed = true
      return state.sleepers
    }
    for _ in 0..<sleepers { wake.signal() }
    for _ in 0..<2 { stopHousekeeping.signal() }
    await withCheckedContinuation { continuation in
      finished.notify(queue: .global()) { continuation.resume() }
    }
  }

  // MARK: The queue

  private func enqueue(_ ticket: Ticket) {
    enum Entry {
      case refused(LedgerUnavailable)
      case queued(wake: Bool)
    }
    let entry: Entry = state.withLock { state in
      if state.isClosed { return .refused(.shuttingDown) }
      guard state.queue.append(ticket) else { return .refused(.overloaded) }
      guard state.sleepers > 0 else { return .queued(wake: false) }
      state.sleepers -= 1
      return .queued(wake: true)
    }
    switch entry {
    case .refused(let reason): answer([(ticket, .failure(reason))])
    case .queued(let wakes): if wakes { wake.signal() }
    }
  }

  /// The next group, waiting for one if need be; nil when the queue is closed and empty.
  private func nextGroup(thread: Int) -> [Ticket]? {
    while true {
      enum Step {
        case group([Ticket])
        case sleep, stop
      }
      let step: Step = state.withLock { state in
        if state.queue.isEmpty {
          if state.isClosed { return .stop }
          state.sleepers += 1
          return .sleep
        }
        let group = state.queue.takeGroup()
        state.inHand[thread] = group
        return .group(group)
      }
      switch step {
      case .group(let group): return group
      case .stop: return nil
      case .sleep: wake.wait()
      }
    }
  }

  // MARK: A group

  private func work(thread: Int) {
    // For a store that works in another process this mostly waits, and should not stand in line when it wakes.
    if store.concurrentGroups > 1 { Thread.raisePriority() }
    var hasTurn = false
    while true {
      if !hasTurn { turn.wait() }
      inFlight.gather()
      guard let tickets = nextGroup(thread: thread) else {
        turn.signal()
        return
      }
      hasTurn = settle(tickets)
      state.withLock { $0.inHand[thread] = nil }
    }
  }

  private func noteFailedGroup() {
    statistics.withLock {
      $0.failedGroups += 1
      $0.lastFailure = Self.wallClock()
    }
  }

  /// A group that is applied and not yet durable.
  private struct Applied {
    let tickets: [Ticket]
    let decision: Decision
    let number: Int
    let began: ContinuousClock.Instant
    let now: Milliseconds
  }

  /// Has a group decided, and answers it. If the disk is slow, another thread may apply the next before that.
  ///
  /// - Returns: whether the turn is still this thread's. It goes on with the next group then: another would have to be woken.
  private func settle(_ tickets: [Ticket]) -> Bool {
    let applied: Applied
    let overlaps = inFlight.overlapsNext()
    do throws(StoreFailure) {
      applied = try apply(tickets, overlapping: overlaps)
    } catch {
      noteFailedGroup()
      if tickets.count > 1, !error.isOfWholeStore, !error.mayBeStored {
        settleSingly(tickets, after: error)
      } else {
        fail(tickets, error)
      }
      return true
    }
    if overlaps { turn.signal() }
    finish(applied)
    return !overlaps
  }

  private func apply(_ tickets: [Ticket], overlapping: Bool) throws(StoreFailure) -> Applied {
    if let failure = stopped { throw failure }
    let group = tickets.map(\.submission)
    let reserved = try ReservedRandomness(for: group, from: random)
    var now: Milliseconds = 0
    let began = ContinuousClock.now
    let needs = Needs(of: group, countsAnonymous: decider.anonymousDailyQuota != nil)
    // Before the store locks anything, and not one after the other.
    decider.seeds.prepare(for: group, needs)
    let decision = try store.apply(needs, overlapping: overlapping) { snapshot in
      now = snapshot.now
      // A store that starts over decides anew, from the same bytes: nobody has seen what was made of them.
      var entropy = reserved
      let decision = decider.decide(group, snapshot: snapshot, entropy: &entropy)
      decision.changes.log.begin()
      return decision
    }
    precondition(decision.replies.count == group.count)
    let number = inFlight.enter(after: decision.group == 0 ? nil : .now - began)
    return Applied(tickets: tickets, decision: decision, number: number, began: began, now: now)
  }

  /// Makes a group durable and answers it.
  private func finish(_ group: Applied) {
    let began = ContinuousClock.now
    let flushed = Result { () throws(StoreFailure) in try store.flush(group.decision) }
    let syncTime = ContinuousClock.now - began
    inFlight.reachedDisk(after: group.decision.group == 0 ? nil : syncTime)
    inFlight.leave(group.number) {
      switch flushed {
      case .success: answer(group, syncTime)
      case .failure(let failure):
        noteFailedGroup()
        answer(group.tickets, failure)
      }
    }
  }

  private func answer(_ group: Applied, _ syncTime: Duration) {
    let decision = group.decision
    for record in decision.changes.records + decision.replayed { replays.insert(record) }
    let faults = decision.replies.compactMap(\.fault)
    statistics.withLock {
      $0.groups += 1
      $0.submissions += group.tickets.count
      $0.groupSizes.add(Double(group.tickets.count))
      $0.commitTimes.add((.now - group.began) / .seconds(1))
      $0.syncTimes.add(syncTime / .seconds(1))
      for fault in faults { $0.faults[fault.kind, default: 0] += 1 }
    }
    health.groupSucceeded(at: group.now, stored: !decision.changes.isEmpty)
    answer(
      zip(group.tickets, decision.replies).map { ticket, reply in
        // A refusal for a fault is rendered where the request's id is known.
        if reply.status >= 500, let fault = reply.fault { return (ticket, .failure(.storeFailed(fault))) }
        return (ticket, .success(reply))
      })
    if !decision.changes.deliveries.isEmpty || !decision.changes.accountEvents.isEmpty { onDeliveries() }
  }

  /// Tries each submission of a failed group for itself, once: what failed the group may be about one of them.
  ///
  /// - Parameter failure: the group's, which stored nothing.
  private func settleSingly(_ tickets: [Ticket], after failure: StoreFailure) {
    // Whoever needs a row that one has waited for in vain does not wait for it again; and nobody waits for long.
    var held: [Need: StoreFailure] = [:]
    let deadline = ContinuousClock.now + limits.timeout / 4
    for ticket in tickets {
      let needs = Needs(of: [ticket.submission]).all
      let known = needs.lazy.compactMap { held[$0] }.first ?? (ContinuousClock.now < deadline ? nil : failure)
      if let known {
        fail([ticket], known)
        continue
      }
      do throws(StoreFailure) {
        finish(try apply([ticket], overlapping: false))
      } catch {
        noteFailedGroup()
        if error.kind == .passing { for need in needs { held[need] = error } }
        fail([ticket], error)
      }
    }
  }

  /// Answers submissions that were not applied, or may have been, when those before them are answered.
  private func fail(_ tickets: [Ticket], _ failure: StoreFailure) {
    let number = inFlight.enter()
    inFlight.reachedDisk()
    inFlight.leave(number) { answer(tickets, failure) }
  }

  private func answer(_ tickets: [Ticket], _ failure: StoreFailure) {
    statistics.withLock { $0.faults[failure.kind, default: 0] += tickets.count }
    health.groupFailed(failure)
    answer(tickets.map { ($0, .failure(.storeFailed(failure))) })
  }

  /// Answers a group, waking each queue once however many of its callers are in it.
  private func answer(_ answers: [(Ticket, Result<Reply, LedgerUnavailable>)]) {
    var replyQueues: [(replyQueue: any ReplyQueue, answers: [(Ticket, Result<Reply, LedgerUnavailable>)])] = []
    for answer in answers {
      guard let replyQueue = answer.0.replyQueue else {
        answer.0.settle(answer.1)
        continue
      }
      if let index = replyQueues.firstIndex(where: { $0.replyQueue === replyQueue }) {
        replyQueues[index].answers.append(answer)
      } else {
        replyQueues.append((replyQueue, [answer]))
      }
    }
    for (replyQueue, answers) in replyQueues {
      replyQueue.run { for (ticket, result) in answers { ticket.settle(result) } }
    }
  }

  // MARK: Housekeeping

  private func every(_ interval: DispatchTimeInterval, _ body: (LedgerWriter) -> Void) {
    while stopHousekeeping.wait(timeout: .now() + interval) == .timedOut { body(self) }
  }

  /// Tells those who have waited too long to come back later.
  private func failTimedOut() {
    let deadline = ContinuousClock.now - limits.timeout
    let (queued, working) = state.withLock { state in
      (state.queue.removeAll(arrivedBefore: deadline), state.inHand.values.joined().filter { $0.arrived < deadline })
    }
    answer(queued.map { ($0, .failure(.overloaded)) } + working.map { ($0, .failure(.timedOut)) })
  }

  package static func wallClock() -> Milliseconds { Milliseconds(Date().timeIntervalSince1970 * 1000) }
}

/// A submission in the queue and the caller who waits for its answer.
private final class Ticket: QueuedSubmission, Sendable {
  let submission: Submission
  let address: [UInt8]?
  let draws: Int
  let bytes: Int
  let replyQueue: (any ReplyQueue)?
  let arrived = ContinuousClock.now
  private let answer: Mutex<(@Sendable (Result<Reply, LedgerUnavailable>) -> Void)?>

  init(
    submission: Submission, address: [UInt8]?, replyQueue: (any ReplyQueue)?,
    answer: @escaping @Sendable (Result<Reply, LedgerUnavailable>) -> Void
  ) {
    self.submission = submission
    self.address = address
    draws = submission.weight
    bytes = submission.bytes
    self.replyQueue = replyQueue
    self.answer = Mutex(answer)
  }

  var account: AccountID { submission.caller.account }

  /// Answers the caller. The first call counts: a caller who was told to come back later is not told twice.
  func settle(_ result: Result<Reply, LedgerUnavailable>) {
    answer.withLock { $0.take() }?(result)
  }
}
