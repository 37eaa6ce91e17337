import Ledger
import Synchronization

/// What the worker has in hand: claimed deliveries in a queue for each endpoint, and results that are not recorded yet.
///
/// Each endpoint has a few endpointQueues, each with one attempt under way at a time. An endpoint that has not answered yet, or whose
/// last attempt failed and took long, has a single one, and all such endpoints together at most half of the endpointQueues. Each
/// endpointQueue goes to the account that has the fewest. So receivers that hang hold few endpointQueues, and those of their own account.
package final class DeliveryQueue: Sendable {
  package struct Limits: Sendable {
    /// The most attempts under way, over all endpoints.
    package var endpointQueues = 256
    /// The most under way for one endpoint that answers.
    package var lanesPerEndpoint = 8
    /// The most under way for one account.
    package var endpointsPerAccount = 64
    /// The most under way for endpoints that hang or have not answered yet, over all accounts.
    package var lanesOnTrial = 128
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
    package var lease = Duration.seconds(30)
    /// A claim with less than this left is given back rather than attempted.
    package var margin = Duration.seconds(13)

    package init() {}
  }

  private enum EndpointState {
    case untried, answers, hangs
  }

  private struct EndpointQueue {
    let account: AccountID
    var condition: EndpointState
    var queue: [ClaimedDelivery] = []
    var running = 0
  }

  private struct State {
    var endpointQueues: [WebhookEndpointID: EndpointQueue] = [:]
    /// Endpoints whose last attempt was answered, also those without a endpointQueue.
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
      for (endpoint, endpointQueue) in state.endpointQueues {
        allowances[endpoint] = max(0, mostInHand(endpointQueue) - endpointQueue.queue.count - endpointQueue.running)
      }
      return DeliveryClaim(
        limit: room, perEndpoint: limits.inHandOnTrial, allowances: allowances, bytes: limits.bytes - state.bytes,
        lease: Milliseconds(limits.lease.components.seconds * 1000))
    }
  }

  private func mostInHand(_ endpointQueue: EndpointQueue) -> Int {
    switch endpointQueue.condition {
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
        state.endpointQueues[target.endpoint, default: EndpointQueue(account: target.account, condition: condition)]
          .queue.append(delivery)
        state.deadlines[delivery.id] = time + limits.lease - limits.margin
        state.queued += 1
        state.bytes += delivery.size
      }
    }
  }

  /// Endpoints that may have another endpointQueue, once for each endpointQueue they may have. Each has to be run: ``next(_:)`` is asked
  /// until it answers nil.
  package func openEndpoints() -> [WebhookEndpointID] {
    state.withLock { state in
      guard !state.isClosed, state.running < limits.endpointQueues else { return [] }
      var running: [AccountID: Int] = [:]
      var onTrial = 0
      var waiting: [AccountID: [WebhookEndpointID]] = [:]
      for (endpoint, endpointQueue) in state.endpointQueues {
        running[endpointQueue.account, default: 0] += endpointQueue.running
        if endpointQueue.condition != .answers { onTrial += endpointQueue.running }
        if !endpointQueue.queue.isEmpty { waiting[endpointQueue.account, default: []].append(endpoint) }
      }
      var opened: [WebhookEndpointID: Int] = [:]
      func mayOpen(_ endpoint: WebhookEndpointID) -> Bool {
        guard let endpointQueue = state.endpointQueues[endpoint],
          opened[endpoint, default: 0] < endpointQueue.queue.count
        else { return false }
        return endpointQueue.condition == .answers
          ? endpointQueue.running < limits.lanesPerEndpoint : endpointQueue.running < 1 && onTrial < limits.lanesOnTrial
      }
      // EndpointQueue by endpointQueue, to whoever has the fewest.
      while state.running < limits.endpointQueues,
        let (account, endpoints) = waiting.min(by: { running[$0.key, default: 0] < running[$1.key, default: 0] })
      {
        let open = running[account, default: 0] < limits.endpointsPerAccount ? endpoints.filter(mayOpen) : []
        waiting[account] = open.isEmpty ? nil : open
        guard
          let endpoint = open.min(by: {
            state.endpointQueues[$0]?.running ?? 0 < state.endpointQueues[$1]?.running ?? 0
          })
        else {
          continue
        }
        if state.endpointQueues[endpoint]?.condition != .answers { onTrial += 1 }
        state.endpointQueues[endpoint]?.running += 1
        state.running += 1
        running[account, default: 0] += 1
        opened[endpoint, default: 0] += 1
      }
      return opened.flatMap { repeatElement($0.key, count: $0.value) }
    }
  }

  /// The next delivery for a endpointQueue to attempt; nil closes the endpointQueue.
  package func next(_ endpoint: WebhookEndpointID) -> ClaimedDelivery? {
    state.withLock { state in
      guard var endpointQueue = state.endpointQueues[endpoint] else { return nil }
      defer {
        // An endpoint that nothing is known of is not worth remembering.
        let isIdle = endpointQueue.queue.isEmpty && endpointQueue.running == 0 && endpointQueue.condition != .hangs
        state.endpointQueues[endpoint] = isIdle ? nil : endpointQueue
      }
      let isOneTooMany = endpointQueue.condition == .hangs && endpointQueue.running > 1
      while !isOneTooMany, !state.isClosed, !endpointQueue.queue.isEmpty {
        let delivery = endpointQueue.queue.removeFirst()
        state.queued -= 1
        if let deadline = state.deadlines[delivery.id], .now < deadline { return delivery }
        Self.finish(DeliveryResult(of: delivery, .released, attempt: nil), delivery, &state)
      }
      endpointQueue.running -= 1
      state.running -= 1
      return nil
    }
  }

  /// Takes down the result of an attempt. If the receiver seems to hang, what else is queued for it is given back.
  package func finish(_ result: DeliveryResult, of delivery: ClaimedDelivery) {
    state.withLock { state in
      Self.finish(result, delivery, &state)
      guard let attempt = result.attempt, var endpointQueue = state.endpointQueues[delivery.target.endpoint] else {
        return
      }
      endpointQueue.condition = attempt.error != nil && attempt.latency >= limits.hanging ? .hangs : .answers
      if endpointQueue.condition == .hangs {
        state.answering.remove(delivery.target.endpoint)
        Self.release(&endpointQueue, &state)
      } else {
        if state.answering.count >= limits.remembered { state.answering.removeAll() }
        state.answering.insert(delivery.target.endpoint)
      }
      state.endpointQueues[delivery.target.endpoint] = endpointQueue
    }
  }

  private static func finish(_ result: DeliveryResult, _ delivery: ClaimedDelivery, _ state: inout State) {
    state.results.append(result)
    state.bytes -= delivery.size
    state.deadlines[delivery.id] = nil
  }

  private static func release(_ endpointQueue: inout EndpointQueue, _ state: inout State) {
    state.queued -= endpointQueue.queue.count
    for delivery in endpointQueue.queue {
      finish(DeliveryResult(of: delivery, .released, attempt: nil), delivery, &state)
    }
    endpointQueue.queue = []
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
      for endpoint in Array(state.endpointQueues.keys) {
        guard var endpointQueue = state.endpointQueues[endpoint] else { continue }
        Self.release(&endpointQueue, &state)
        state.endpointQueues[endpoint] = endpointQueue
      }
    }
  }

  package var isIdle: Bool { state.withLock { $0.running == 0 } }
}
