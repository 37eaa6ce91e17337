import Foundation
import Ledger
import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing
import Webhooks

@Suite(.timeLimit(.minutes(1))) struct DeliveryWorkerTests {
  /// Runs a worker while `body` does, then stops it. Receivers have longer to answer than a test may take.
  private func working(on store: MemoryDeliveries, _ body: () async throws -> Void) async throws {
    let worker = DeliveryWorker(
      store: store, client: DeliveryClient(addressGuard: AddressGuard(allowsPrivate: true), timeout: .seconds(300)),
      renderer: EventRenderer(
        outcomes: OutcomeRenderer(
          shortIDs: ShortIDs(masterKey: try MasterKey(bytes: Array(1...32))), publicURL: "https://draws.example")),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let group = ServiceGroup(services: [worker], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    async let run: Void = group.run()
    worker.notify()
    try await body()
    await group.triggerGracefulShutdown()
    try await run
  }

  private func until(_ condition: () -> Bool) async throws {
    while !condition() { try await Task.sleep(for: .milliseconds(5)) }
  }

  @Test func manyResultsAreRecordedAtATime() async throws {
    let receiver = try await Receiver()
    let store = MemoryDeliveries()
    store.add(500, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 1)
    try await working(on: store) { try await until { store.delivered.count == 500 } }
    #expect(receiver.received.count == 500)
    #expect(Set(receiver.received.map { $0.head.headers["webhook-id"] }).count == 500)
    #expect(store.exchanges < 250)
    try await receiver.stop()
  }

  /// Receivers that accept a connection and say nothing: their attempts are all under way when the others are done.
  @Test func receiversThatHangHoldBackNobody() async throws {
    let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let receiver = try await Receiver()
    let store = MemoryDeliveries()
    for endpoint in 1...20 {
      store.add(50, to: "http://127.0.0.1:\(silent.localAddress?.port ?? 0)/\(endpoint)", endpoint: Int64(endpoint))
    }
    store.add(200, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 99)
    try await working(on: store) {
      try await until { store.delivered.count == 200 }
      #expect(store.attempted.count == 200)
    }
    // Stopping gave them a little time, and then gave them back, unrecorded and due.
    #expect(store.attempted.count == 200)
    #expect(store.due.count == 1000)
    try await receiver.stop()
    try await silent.close()
  }

  /// Twelve accounts whose receivers all hang, and one whose receiver is new and answers.
  @Test func accountsWhoseReceiversHangHoldBackNoOther() async throws {
    let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let receiver = try await Receiver()
    let store = MemoryDeliveries()
    let port = silent.localAddress?.port ?? 0
    for account in 1...Int64(12) {
      for number in 1...Int64(10) {
        store.add(50, to: "http://127.0.0.1:\(port)/", endpoint: account * 100 + number, account: account)
      }
    }
    try await working(on: store) {
      // All that may hang do so.
      try await until { store.underWay >= 120 }
      store.add(200, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 9999, account: 99)
      try await until { store.delivered.count == 200 }
      // None of the others has been given up: the newcomer did not wait for that.
      #expect(store.attempted.count == 200)
    }
    try await receiver.stop()
    try await silent.close()
  }

  @Test func whatIsDamagedIsGivenUpAndSaysWhy() async throws {
    let receiver = try await Receiver()
    let store = MemoryDeliveries()
    store.add(2, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 1)
    let damaged = WebhookTarget(
      endpoint: WebhookEndpointID(2), account: AccountID(2), url: "nonsense", secret: [], oldSecret: nil, at: 0,
      vault: try MasterKey(bytes: Array(1...32)).vault)
    store.add(damaged)
    try await working(on: store) {
      try await until { store.delivered.count == 2 && !store.dead.isEmpty }
    }
    #expect(receiver.received.count == 2)
    #expect(
      store.dead.map { $0.attempt?.error ?? "" }.allSatisfy { $0.contains("webhook 2") && $0.contains("damaged") })
    try await receiver.stop()
  }

  @Test(arguments: [(429, true), (503, true), (500, false)])
  func aReceiverThatAsksForAPauseGetsIt(status: Int, isRespected: Bool) async throws {
    let receiver = try await Receiver(status: .init(statusCode: status), headers: ["Retry-After": "3600"])
    let store = MemoryDeliveries()
    let began = Milliseconds(Date().timeIntervalSince1970 * 1000)
    store.add(1, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 1)
    try await working(on: store) { try await until { !store.retries.isEmpty } }
    // Without being asked, the first pause is of a few seconds.
    #expect((store.retries[0].time >= began + 3_600_000) == isRespected)
    try await receiver.stop()
  }

  @Test func aStoreThatFailsIsAskedAgain() async throws {
    let receiver = try await Receiver()
    let store = MemoryDeliveries()
    store.add(3, to: "http://127.0.0.1:\(receiver.port)/", endpoint: 1)
    store.fail(next: 1)
    try await working(on: store) {
      try await until { receiver.received.count == 3 }
      try await until { store.delivered.count == 3 }
    }
    #expect(receiver.received.count == 3)
    try await receiver.stop()
  }
}

/// Deliveries in memory, without leases: nobody else wants them.
private final class MemoryDeliveries: DeliveryStore {
  private struct State {
    var waiting: [WebhookEndpointID: [ClaimedDelivery]] = [:]
    var claimed: [DeliveryID: ClaimedDelivery] = [:]
    var attempted: [DeliveryID] = []
    var delivered: [DeliveryID] = []
    var dead: [DeliveryResult] = []
    var retries: [(DeliveryID, Milliseconds)] = []
    var count: Int64 = 0
    var exchanges = 0
    var failures = 0
  }

  private let state = Mutex(State())

  func add(_ count: Int, to url: String, endpoint: Int64, account: Int64 = 1) {
    let target = WebhookTarget(
      endpoint: WebhookEndpointID(endpoint), account: AccountID(account), url: WebhookURL(url)!,
      secrets: [WebhookSecret(bytes: [7])])
    let now = Milliseconds(Date().timeIntervalSince1970 * 1000)
    state.withLock { state in
      for _ in 0..<count {
        state.count += 1
        state.waiting[target.endpoint, default: []].append(
          ClaimedDelivery(
            id: DeliveryID(state.count), target: target, event: .test, created: now, since: now, attempts: 0,
            claim: state.count))
      }
    }
  }

  func add(_ target: WebhookTarget) {
    state.withLock { state in
      state.count += 1
      state.waiting[target.endpoint, default: []].append(
        ClaimedDelivery(
          id: DeliveryID(state.count), target: target, event: .test, created: 0, since: 0, attempts: 0,
          claim: state.count))
    }
  }

  func fail(next count: Int) { state.withLock { $0.failures = count } }

  var dead: [DeliveryResult] { state.withLock { $0.dead } }
  var retries: [(delivery: DeliveryID, time: Milliseconds)] { state.withLock { $0.retries } }
  var delivered: [DeliveryID] { state.withLock { $0.delivered } }
  var attempted: [DeliveryID] { state.withLock { $0.attempted } }
  var due: [ClaimedDelivery] { state.withLock { $0.waiting.values.flatMap(\.self) } }
  /// How many different receivers have a delivery claimed.
  var underWay: Int { state.withLock { Set($0.claimed.values.map(\.target.endpoint)).count } }
  var exchanges: Int { state.withLock { $0.exchanges } }

  func exchange(_ results: [DeliveryResult], for claim: DeliveryClaim?) async throws(StoreFailure)
    -> [ClaimedDelivery]
  {
    try state.withLock { state throws(StoreFailure) in
      state.exchanges += 1
      if state.failures > 0 {
        state.failures -= 1
        throw StoreFailure("the disk is full")
      }
      for result in results {
        guard let delivery = state.claimed.removeValue(forKey: result.delivery) else { continue }
        if result.attempt != nil { state.attempted.append(result.delivery) }
        switch result.verdict {
        case .delivered: state.delivered.append(result.delivery)
        case .released: state.waiting[result.endpoint, default: []].append(delivery)
        case .dead: state.dead.append(result)
        case .retry(let time): state.retries.append((result.delivery, time))
        }
      }
      var claimed: [ClaimedDelivery] = []
      guard let claim else { return [] }
      for (endpoint, deliveries) in state.waiting where claimed.count < claim.limit {
        let most = min(claim.allowances[endpoint] ?? claim.perEndpoint, claim.limit - claimed.count)
        claimed += deliveries.prefix(most)
        state.waiting[endpoint] = Array(deliveries.dropFirst(most))
      }
      for delivery in claimed { state.claimed[delivery.id] = delivery }
      return claimed
    }
  }

  func pendingDeliveries() async throws(StoreFailure) -> Int { due.count }
  func sweepDeliveries() async throws(StoreFailure) -> Bool { false }
}
