import Ledger
import Synchronization

/// What the worker has in hand: claimed deliveries in a queue for each endpoint, and results that are not recorded yet.
///
/// A few attempts may be under way at once for each endpoint. For one that has not answered yet, or whose last attempt failed
/// and took long, it is a single one, and for all such endpoints together at most half of all. The next attempt is of the
/// account that has the fewest under way. So receivers that hang hold up few attempts, and those of their own account.
package final class DeliveryQueue: Sendable {
  package struct Limits: Sendable {
    /// The most attempts under way, over all endpoints.
    package var attempts = 256
    /// The most under way for one endpoint that answers.
    package var attemptsPerEndpoint = 8
    /// The most under way for one account.
    package var attemptsPerAccount = 64
    /// The most under way for endpoints that hang or have not answered yet, over all accounts.
    package var attemptsOnTrial = 128
    /// The most deliveries in hand, over all endpoints.
    package var inHand = 2048
    /// The most in hand for one endpoint that answers.
    package var inHandPerEndpoint = 96
    /// The most in hand for one endpoint that has not answered yet.
    package var inHandOnTrial = 8
    /// How many endpoints that have answered are remembered while nothing is in hand for them.
    package var remembered = 10_000
    /// The most bytes of events in hand, about.
    package var bytes = 32 << 20
    /// A failure that took this long, in milliseconds, is taken for a receiver that hangs.
    package var hanging: Milliseconds = 2000
    /// How long a claim holds.
    package var lease = Duration.seconds(40)
    /// A claim with less than this left is given back rather than attempted.
    package var margin = Duration.seconds(18)

    package init() {}
  }

  private enum EndpointState {
    case untried, answers, hangs
  }

  private struct Entry {
    let account: AccountID
    var condition: EndpointState
    var queue: [ClaimedDelivery] = []
    var running = 0
  }

  private struct State {
    var entries: [WebhookEndpointID: Entry] = [:]
    /// Endpoints whose last attempt was answered, also those for which nothing is in hand.
    var answering: Set<WebhookEndpointID> = []
    var running = 0
    var queued = 0
    var bytes = 0
    var results: [DeliveryResult] = []
    /// When the claims in hand end, less a margin; the same for all of one claiming.
    var deadlines: [DeliveryID: ContinuousClock.Instant] = [:]
    var isClosed = false
  }

  package let limits: Limits
  private let state = Mutex(State())

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// What could be claimed now; nil if there is no room.
  package func claim() -> DeliveryClaim? {
    state.withLock { state in
      let room = limits.inHand - state.queued - state.running
      guard room > 0, state.bytes < limits.bytes, !state.isClosed else { return nil }
      var allowances: [WebhookEndpointID: Int] = [:]
      for (endpoint, entry) in state.entries {
        allowances[endpoint] = max(0, mostInHand(entry) - entry.queue.count - entry.running)
      }
      return DeliveryClaim(
        limit: room, perEndpoint: limits.inHandOnTrial, allowances: allowances, bytes: limits.bytes - state.bytes,
        lease: Milliseconds(limits.lease.components.seconds * 1000))
    }
  }

  private func mostInHand(_ entry: Entry) -> Int {
    switch entry.condition {
    case .untried: limits.inHandOnTrial
    case .answers: limits.inHandPerEndpoint
    case .hangs: 1
    }
  }

  /// Queues what was claimed at `time`.
  package func add(_ deliveries: [ClaimedDelivery], at time: ContinuousClock.Instant) {
    state.withLock { state in
      for delivery in deliveries {
        let target = delivery.target
        let condition: EndpointState = state.answering.contains(target.endpoint) ? .answers : .untried
        state.entries[target.endpoint, default: Entry(account: target.account, condition: condition)]
          .queue.append(delivery)
        state.deadlines[delivery.id] = time + limits.lease - limits.margin
        state.queued += 1
        state.bytes += delivery.size
      }
    }
  }

  /// The endpoints for which attempts begin now, once for each. For each of them ``next(_:)`` has to be asked, one delivery
  /// after the other, until it answers nil.
  package func beginAttempts() -> [WebhookEndpointID] {
    state.withLock { state in
      guard !state.isClosed, state.running < limits.attempts else { return [] }
      var running: [AccountID: Int] = [:]
      var onTrial = 0
      var waiting: [AccountID: [WebhookEndpointID]] = [:]
      for (endpoint, entry) in state.entries {
        running[entry.account, default: 0] += entry.running
        if entry.condition != .answers { onTrial += entry.running }
        if !entry.queue.isEmpty { waiting[entry.account, default: []].append(endpoint) }
      }
      var opened: [WebhookEndpointID: Int] = [:]
      func mayOpen(_ endpoint: WebhookEndpointID) -> Bool {
        guard let entry = state.entries[endpoint],
          opened[endpoint, default: 0] < entry.queue.count
        else { return false }
        return entry.condition == .answers
          ? entry.running < limits.attemptsPerEndpoint : entry.running < 1 && onTrial < limits.attemptsOnTrial
      }
      // One by one, for whoever has the fewest.
      while state.running < limits.attempts,
        let (account, endpoints) = waiting.min(by: { running[$0.key, default: 0] < running[$1.key, default: 0] })
      {
        let open = running[account, default: 0] < limits.attemptsPerAccount ? endpoints.filter(mayOpen) : []
        waiting[account] = open.isEmpty ? nil : open
        guard
          let endpoint = open.min(by: {
            state.entries[$0]?.running ?? 0 < state.entries[$1]?.running ?? 0
          })
        else {
          continue
        }
        if state.entries[endpoint]?.condition != .answers { onTrial += 1 }
        state.entries[endpoint]?.running += 1
        state.running += 1
        running[account, default: 0] += 1
        opened[endpoint, default: 0] += 1
      }
      return opened.flatMap { repeatElement($0.key, count: $0.value) }
    }
  }

  /// The next delivery to attempt; nil if there is none, which ends what ``beginAttempts()`` began.
  package func next(_ endpoint: WebhookEndpointID) -> ClaimedDelivery? {
    state.withLock { state in
      guard var entry = state.entries[endpoint] else { return nil }
      defer {
        // An endpoint that nothing is known of is not worth remembering.
        let isIdle = entry.queue.isEmpty && entry.running == 0 && entry.condition != .hangs
        state.entries[endpoint] = isIdle ? nil : entry
      }
      let isOneTooMany = entry.condition == .hangs && entry.running > 1
      while !isOneTooMany, !state.isClosed, !entry.queue.isEmpty {
        let delivery = entry.queue.removeFirst()
        state.queued -= 1
        if let deadline = state.deadlines[delivery.id], .now < deadline { return delivery }
        Self.finish(DeliveryResult(of: delivery, .released, attempt: nil), delivery, &state)
      }
      entry.running -= 1
      state.running -= 1
      return nil
    }
  }

  /// Takes down the result of an attempt. If the receiver seems to hang, what else is queued for it is given back.
  package func finish(_ result: DeliveryResult, of delivery: ClaimedDelivery) {
    state.withLock { state in
      Self.finish(result, delivery, &state)
      guard let attempt = result.attempt, var entry = state.entries[delivery.target.endpoint] else {
        return
      }
      entry.condition = attempt.error != nil && attempt.latency >= limits.hanging ? .hangs : .answers
      if entry.condition == .hangs {
        state.answering.remove(delivery.target.endpoint)
        Self.release(&entry, &state)
      } else {
        if state.answering.count >= limits.remembered { state.answering.removeAll() }
        state.answering.insert(delivery.target.endpoint)
      }
      state.entries[delivery.target.endpoint] = entry
    }
  }

  private static func finish(_ result: DeliveryResult, _ delivery: ClaimedDelivery, _ state: inout State) {
    state.results.append(result)
    state.bytes -= delivery.size
    state.deadlines[delivery.id] = nil
  }

  private static func release(_ entry: inout Entry, _ state: inout State) {
    state.queued -= entry.queue.count
    for delivery in entry.queue {
      finish(DeliveryResult(of: delivery, .released, attempt: nil), delivery, &state)
    }
    entry.queue = []
  }

  /// Results to be recorded; the caller has them from now on.
  package func takeResults() -> [DeliveryResult] {
    state.withLock { state in
      defer { state.results = [] }
      return state.results
    }
  }

  /// Puts back results that could not be recorded.
  package func putBack(_ results: [DeliveryResult]) {
    state.withLock { $0.results = results + $0.results }
  }

  /// Starts nothing any more, and gives back what is queued.
  package func close() {
    state.withLock { state in
      state.isClosed = true
      for endpoint in Array(state.entries.keys) {
        guard var entry = state.entries[endpoint] else { continue }
        Self.release(&entry, &state)
        state.entries[endpoint] = entry
      }
    }
  }

  package var isIdle: Bool { state.withLock { $0.running == 0 } }
}
