import Hummingbird
import JSON
import Ledger
import Synchronization

/// The API's description in OpenAPI 3, as `/openapi.json` answers it.
public let openAPIDocument = PackageResources.openapi_json

/// The same, naming the server where it is; nil leaves it at the host that the document was fetched from.
func openAPIDocument(servedAt url: String?) -> [UInt8] {
  guard let url else { return openAPIDocument }
  var server: [UInt8] = []
  server.append(json: "\"servers\": [{\"url\": ")
  server.append(jsonString: url)
  server.append(json: "}]")
  return openAPIDocument.replacing(Array("\"servers\": [{\"url\": \"/\"}]".utf8), with: server, maxReplacements: 1)
}

/// How the server is: for load balancers, status pages and the curious. They read no key and take no rate-limit slot.
struct SystemRoutes: Routes {
  let store: any LedgerStore
  let writer: LedgerWriter
  let metrics: Metrics
  let lifecycle: Lifecycle
  /// What `/openapi.json` answers.
  let document: [UInt8]

  var routes: [Route] {
    [
      .withoutParameters("/api/health", .get, readsKey: false, handler: health),
      .withoutParameters("/api/public-metrics", .get, readsKey: false, handler: publicMetrics),
      Route("/openapi.json", .get, readsKey: false) { _, _ in .json(document) },
    ]
  }

  @Sendable private func health(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let database = await isDatabaseUp(context)
    let report = writer.report
    let status = lifecycle.isShuttingDown ? "shutting_down" : database && !report.store.isFailing ? "ok" : "degraded"
    var body: [UInt8] = []
    body.append(json: "{\"status\":")
    body.append(jsonString: status)
    body.append(json: ",\"db\":")
    body.append(jsonString: database ? "ok" : "down")
    body.append(json: ",\"randomSource\":")
    body.append(jsonString: report.store.hasNoRandomness ? "failed" : "ok")
    body.append(json: ",\"version\":")
    body.append(jsonString: lifecycle.version)
    body.append(json: ",\"uptime\":")
    body.append(integer: Int(lifecycle.uptime))
    body.append(json: ",\"timestamp\":\"")
    body.append(iso8601: LedgerWriter.wallClock())
    body.append(json: "\",\"responseTimes\":{\"windowSize\":")
    body.append(integer: ResponseTimes.window)
    body.append(json: ",\"overall\":")
    body.append(metrics.responseTimes)
    body.append(json: ",\"endpoints\":{")
    for (index, (route, times)) in metrics.responseTimesByRoute.enumerated() {
      if index > 0 { body.append(json: ",") }
      body.append(jsonString: route)
      body.append(json: ":")
      body.append(times)
    }
    body.append(json: "}},\"usagePersistence\":{\"failures\":")
    body.append(integer: report.failedGroups)
    body.append(json: ",\"lastFailureAt\":")
    if let failure = report.lastFailure {
      body.append(jsonString: failure.iso8601)
    } else {
      body.append(json: "null")
    }
    body.append(json: ",\"pendingReservations\":")
    body.append(integer: writer.queued.draws)
    body.append(json: "}}")
    return .json(body, status: status == "ok" ? .ok : .serviceUnavailable)
  }

  @Sendable private func publicMetrics(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let totals: (accounts: Int, liveOutcomes: Int)
    do throws(StoreFailure) {
      totals = try await store.totals()
    } catch {
      throw context.record.refusal(for: error)
    }
    let times = metrics.responseTimes
    let operational = !writer.report.store.isFailing && !lifecycle.isShuttingDown
    var body: [UInt8] = []
    body.append(json: "{\"registeredUsers\":{\"value\":")
    body.append(integer: totals.accounts)
    body.append(json: ",\"scope\":\"current\"},\"callsServed\":{\"value\":")
    body.append(integer: totals.liveOutcomes)
    body.append(json: ",\"scope\":\"lifetime_live_non_test\"},\"responseTime\":{\"avgMs\":")
    body.append(double: times.average.toMicroseconds)
    body.append(json: ",\"sampleSize\":")
    body.append(integer: times.count)
    body.append(json: ",\"scope\":\"recent_instance_window\"},\"apiStatus\":")
    body.append(jsonString: operational ? "operational" : "degraded")
    body.append(json: "}")
    return .json(body)
  }

  private func isDatabaseUp(_ context: FairdrawContext) async -> Bool {
    do throws(StoreFailure) {
      try await store.ping()
      return true
    } catch {
      context.note(fault: error.logged)
      return false
    }
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ times: ResponseTimes.Summary) {
    append(json: "{\"count\":")
    append(integer: times.count)
    append(json: ",\"avgMs\":")
    append(double: times.average.toMicroseconds)
    append(json: ",\"p50Ms\":")
    append(double: times.median.toMicroseconds)
    append(json: ",\"p95Ms\":")
    append(double: times.percentile95.toMicroseconds)
    append(json: ",\"maxMs\":")
    append(double: times.longest.toMicroseconds)
    append(json: "}")
  }
}

extension Double {
  fileprivate var toMicroseconds: Double { (self * 1000).rounded() / 1000 }
}

/// What the server is and whether it is about to stop.
public final class Lifecycle: Sendable {
  public let version: String
  private let started = ContinuousClock.now
  private let shuttingDown = Atomic<Bool>(false)
  private let actions = Mutex<[@Sendable () -> Void]>([])

  public init(version: String) { self.version = version }

  /// Says that the server is about to stop, so that load balancers send nothing more to it.
  public func announceShutdown() { shuttingDown.store(true, ordering: .relaxed) }

  /// The same, and ends what would go on for long.
  public func beginShutdown() {
    announceShutdown()
    for action in actions.withLock({ $0 }) { action() }
  }

  func onShutdown(_ action: @escaping @Sendable () -> Void) { actions.withLock { $0.append(action) } }
  var isShuttingDown: Bool { shuttingDown.load(ordering: .relaxed) }
  /// Seconds since the start.
  var uptime: Double { (.now - started) / .seconds(1) }
}
