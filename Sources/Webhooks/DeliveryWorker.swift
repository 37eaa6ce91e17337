import Foundation
import Ledger
import Logging
import ServiceLifecycle
import Synchronization

/// Delivers webhook events: claims what is due, attempts it, and records what came of it.
///
/// One loop talks to the store, so that results are recorded and new work is claimed in one transaction for many
/// deliveries; the attempts run beside it (``DeliveryQueue``). Nothing is lost if the process dies: a delivery
/// stays pending until a result of it is recorded, and its claim ends by itself. So a receiver gets each event at least
/// once, always under the same id.
public final class DeliveryWorker: Service {
  private let store: any DeliveryStore
  private let client: DeliveryClient
  private let renderer: EventRenderer
  private let logger: Logger
  private let queue: DeliveryQueue
  private let wake: AsyncStream<Void>
  private let waker: AsyncStream<Void>.Continuation
  private let counts = Mutex(DeliveryCounts())

  /// How long a loop's turn takes at least, so that results and claims gather.
  private static let pace = Duration.milliseconds(25)
  /// How often to look for work that nobody announced: retries that are due, other servers' events, test events.
  private static let pollInterval = Duration.seconds(1)
  /// How long attempts under way are waited for when the server stops.
  private static let patience = Duration.seconds(5)

  public init(store: any DeliveryStore, client: DeliveryClient, renderer: EventRenderer, logger: Logger) {
    self.store = store
    self.client = client
    self.renderer = renderer
    self.logger = logger
    queue = DeliveryQueue()
    (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// How deliveries stand.
  public func report() async -> DeliveryCounts {
    var counts = counts.withLock { $0 }
    do throws(StoreFailure) {
      counts.pending = try await store.pendingDeliveries()
    } catch {
      logger.error("pending webhook deliveries could not be counted", metadata: ["reason": "\(error.logged)"])
    }
    return counts
  }

  /// Looks for work soon. May be called from anywhere, as often as one likes.
  public func notify() { waker.yield() }

  /// Works until the service group shuts down; then finishes what is under way, within ``patience``.
  public func run() async throws {
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { group in
        group.addTask { await self.tick() }
        group.addTask { await self.sweep() }
        await self.work(&group)
        await self.finish()
        group.cancelAll()
      }
    } onGracefulShutdown: {
      self.queue.close()
      self.waker.finish()
    }
    await record()
    client.shutDown()
  }

  private func tick() async {
    while (try? await Task.sleep(for: Self.pollInterval)) != nil { notify() }
  }

  private func sweep() async {
    while (try? await Task.sleep(for: .seconds(60))) != nil {
      do throws(StoreFailure) {
        while !Task.isCancelled, try await store.sweepDeliveries() {}
      } catch {
        counts.withLock { $0.failedSweeps += 1 }
        logger.error("webhook deliveries could not be swept", metadata: ["reason": "\(error.logged)"])
      }
    }
  }

  private func work(_ group: inout DiscardingTaskGroup) async {
    for await _ in wake {
      let results = queue.takeResults()
      let claimed: [ClaimedDelivery]
      let started = ContinuousClock.now
      do throws(StoreFailure) {
        claimed = try await store.exchange(results, for: queue.claim())
      } catch {
        queue.putBack(results)
        logger.error("webhook deliveries could not be claimed or recorded", metadata: ["reason": "\(error.logged)"])
        try? await Task.sleep(for: .seconds(1))
        continue
      }
      queue.add(claimed, at: started)
      for endpoint in queue.beginAttempts() { group.addTask { await self.attemptDeliveries(to: endpoint) } }
      // Where there was work there may be more.
      if !claimed.isEmpty { notify() }
      try? await Task.sleep(for: Self.pace)
    }
  }

  private func attemptDeliveries(to endpoint: WebhookEndpointID) async {
    while let delivery = queue.next(endpoint) {
      queue.finish(await attempt(delivery), of: delivery)
      notify()
    }
    notify()
  }

  /// Waits for the attempts under way, and breaks off those that take too long.
  private func finish() async {
    let deadline = ContinuousClock.now + Self.patience
    while !queue.isIdle, .now < deadline, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(20)) }
  }

  /// Records the last results. What cannot be recorded is attempted again by the next server.
  private func record() async {
    let results = queue.takeResults()
    guard !results.isEmpty else { return }
    do throws(StoreFailure) {
      _ = try await store.exchange(results, for: nil)
    } catch {
      logger.error("the last webhook deliveries could not be recorded", metadata: ["reason": "\(error)"])
    }
  }

  // MARK: An attempt

  private func attempt(_ delivery: ClaimedDelivery) async -> DeliveryResult {
    let at = Self.wallClock()
    let started = ContinuousClock.now
    let event: EventRenderer.Event
    let url: WebhookURL
    let headers: [(name: String, value: String)]
    do {
      event = try renderer.render(delivery)
      guard let sound = delivery.target.url else { throw StoreFailure.damaged(delivery.fault ?? "it has no URL") }
      url = sound
      headers = try Self.headers(event, delivery, at: at)
    } catch {
      return giveUp(delivery, at: at, because: error)
    }
    let result: Result<DeliveryClient.Answer, any Error>
    do {
      result = .success(
        try await client.post(
          event.body, to: url, headers: headers, attempt: delivery.attempts))
    } catch {
      if Task.isCancelled { return DeliveryResult(of: delivery, .released, attempt: nil) }
      result = .failure(error)
    }
    let latency = Milliseconds((ContinuousClock.now - started) / .milliseconds(1))
    var status: Int?
    var failure: String?
    var answer: [UInt8] = []
    var pause: Milliseconds?
    switch result {
    case .success(let it):
      status = it.status
      answer = it.body
      if [429, 503].contains(it.status) { pause = it.retryAfter.flatMap { RetryAfter($0)?.pause(from: at) } }
      if !(200...299).contains(it.status) { failure = "the answer was \(it.status)" }
    case .failure(let error): failure = DeliveryFailure(error).description
    }
    let attempt = DeliveryAttempt(
      at: at, status: status, latency: latency, error: failure.map { String($0.prefix(300)) }, answer: answer)
    return judge(delivery, attempt, asked: pause)
  }

  /// What is damaged stays so: the delivery is dead, and says why.
  private func giveUp(_ delivery: ClaimedDelivery, at: Milliseconds, because error: any Error) -> DeliveryResult {
    logger.error(
      "a webhook delivery is given up: it is damaged",
      metadata: [
        "delivery": "\(delivery.id.rawValue)", "webhook": "\(delivery.target.endpoint.rawValue)", "reason": "\(error)",
      ])
    counts.withLock {
      $0.failed += 1
      $0.dead += 1
    }
    let reason = String("damaged: \(error)".prefix(300))
    return DeliveryResult(
      of: delivery, .dead, attempt: DeliveryAttempt(at: at, status: nil, latency: 0, error: reason, answer: []))
  }

  /// - Parameter asked: the pause that the receiver asked for.
  private func judge(
    _ delivery: ClaimedDelivery, _ attempt: DeliveryAttempt, asked: Milliseconds?
  ) -> DeliveryResult {
    guard attempt.error != nil else {
      counts.withLock { $0.delivered += 1 }
      return DeliveryResult(of: delivery, .delivered, attempt: attempt)
    }
    counts.withLock { $0.failed += 1 }
    var random = SystemRandomNumberGenerator()
    let isGone = attempt.status == 410
    let next = RetrySchedule.next(
      after: delivery.attempts + 1, since: delivery.since, now: Self.wallClock(), asked: asked, using: &random)
    guard let next, !isGone else {
      counts.withLock { $0.dead += 1 }
      return DeliveryResult(of: delivery, .dead, attempt: attempt, isGone: isGone)
    }
    return DeliveryResult(of: delivery, .retry(at: next), attempt: attempt)
  }

  private static func headers(
    _ event: EventRenderer.Event, _ delivery: ClaimedDelivery, at: Milliseconds
  ) throws -> [(name: String, value: String)] {
    let secrets = delivery.target.secrets
    let timestamp = at / 1000
    return [
      ("Content-Type", "application/json"),
      ("User-Agent", "Fairdraw-Webhook/1.0"),
      ("X-Provable-Event", event.name),
      ("X-Provable-Signature", WebhookSignature.provable(event.body, secret: secrets[0])),
      ("webhook-id", event.id),
      ("webhook-timestamp", String(timestamp)),
      (
        "webhook-signature",
        try WebhookSignature.standard(
          id: event.id, timestamp: timestamp, body: event.body, secrets: secrets, keys: delivery.target.signingKeys)
      ),
    ]
  }

  private static func wallClock() -> Milliseconds { Milliseconds(Date().timeIntervalSince1970 * 1000) }
}
