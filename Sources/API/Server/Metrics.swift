import Ledger
import Synchronization

/// Counts what requests come to, for a monitoring system. Adding to it costs a lock and a look into a table.
public final class Metrics: Sendable {
  private struct Series {
    let route: String
    var statuses: [Int: Int] = [:]
    var times = Histogram.seconds

    mutating func add(_ status: Int, _ seconds: Double) {
      statuses[status, default: 0] += 1
      times.add(seconds)
    }
  }

  private struct State {
    var series: [Series] = []
    /// Where each route's series stands.
    var places: [String: Int] = [:]
    var times = ResponseTimes()
    var replays = 0
    var conflicts = 0
    var cutOff = 0

    mutating func place(of route: String) -> Int {
      if let place = places[route] { return place }
      places[route] = series.count
      series.append(Series(route: route))
      return series.count - 1
    }
  }

  private let state = Mutex(State())
  private let gauges = Mutex<[Gauge]>([])

  private struct Gauge {
    let name: StaticString
    let help: StaticString
    var kind = MetricsPage.Kind.gauge
    let samples: @Sendable () -> [(labels: [(name: String, value: String)], value: Int)]
  }

  public init() {}

  /// - Parameter route: a route's path, or one word for all that are none: there must be few.
  func add(route: String, status: Int, seconds: Double, isReplay: Bool, isConflict: Bool) {
    state.withLock { state in
      let place = state.place(of: route)
      state.series[place].add(status, seconds)
      state.times.add(milliseconds: 1000 * seconds, route: place)
      if isReplay { state.replays += 1 }
      if isConflict { state.conflicts += 1 }
    }
  }

  /// How long the most recent requests took, all together.
  var responseTimes: ResponseTimes.Summary { state.withLock { $0.times }.summary() }

  /// How long the most recent requests to each of the API's routes took, of those that had any.
  var responseTimesByRoute: [(route: String, times: ResponseTimes.Summary)] {
    let state = state.withLock { $0 }
    return state.series.indices.filter { state.series[$0].route.hasPrefix("/api/") }
      .map { (state.series[$0].route, state.times.summary(of: $0)) }.filter { $0.times.count > 0 }
  }

  func addCutOff() { state.withLock { $0.cutOff += 1 } }

  /// Shows `value` as it is when somebody looks; nothing while it is nil.
  public func show(_ name: StaticString, _ help: StaticString, value: @escaping @Sendable () -> Int?) {
    show(Gauge(name: name, help: help) { value().map { [([], $0)] } ?? [] })
  }

  /// The same for something that has been counted since the start.
  public func count(_ name: StaticString, _ help: StaticString, value: @escaping @Sendable () -> Int) {
    show(Gauge(name: name, help: help, kind: .counter) { [([], value())] })
  }

  private func show(_ gauge: Gauge) { gauges.withLock { $0.append(gauge) } }

  /// Shows `values` as they are when somebody looks, each with its name under a label.
  func show(
    _ name: StaticString, _ help: StaticString, by label: String,
    values: @escaping @Sendable () -> [(name: String, size: Int)]
  ) {
    show(Gauge(name: name, help: help) { values().map { ([(label, $0.name)], $0.size) } })
  }

  /// Everything, in Prometheus's text format, version 0.0.4.
  ///
  /// - Parameter databaseSize: in bytes; nil if the database does not tell.
  func page(
    version: String, writer: LedgerWriter.Statistics, queued: (draws: Int, bytes: Int), deliveries: DeliveryCounts,
    databaseSize: Int64?
  ) -> [UInt8] {
    let counts = state.withLock { $0 }
    var page = MetricsPage()
    page.family("fairdraw_info", .gauge, "What runs.")
    page.sample("fairdraw_info", [("version", version)], 1)

    let sorted = counts.series.sorted { $0.route < $1.route }
    page.family("fairdraw_http_requests_total", .counter, "Requests answered, by endpoint and status.")
    for series in sorted {
      for (status, count) in series.statuses.sorted(by: { $0.key < $1.key }) {
        page.sample(
          "fairdraw_http_requests_total", [("endpoint", series.route), ("status", String(status))], Double(count))
      }
    }
    page.family(
      "fairdraw_http_request_duration_seconds", .histogram,
      "Time from a request's head to its answer being ready, by endpoint.")
    for series in sorted {
      page.histogram("fairdraw_http_request_duration_seconds", [("endpoint", series.route)], series.times)
    }
    page.single(
      "fairdraw_idempotent_replays_total", .counter, "Requests answered with a stored answer.", Double(counts.replays))
    page.single(
      "fairdraw_idempotency_conflicts_total", .counter,
      "Requests refused because their Idempotency-Key was used for another.", Double(counts.conflicts))
    page.single(
      "fairdraw_http_answers_cut_off_total", .counter, "Answers that a fault cut off after their beginning was sent.",
      Double(counts.cutOff))

    page.single("fairdraw_ledger_queue_draws", .gauge, "Draws that wait for a group.", Double(queued.draws))
    page.single(
      "fairdraw_ledger_queue_bytes", .gauge, "Bytes of the requests that wait for a group.", Double(queued.bytes))
    page.family("fairdraw_ledger_group_size", .histogram, "Submissions committed together.")
    page.histogram("fairdraw_ledger_group_size", [], writer.groupSizes)
    page.family("fairdraw_ledger_commit_duration_seconds", .histogram, "Time to load, decide and commit a group.")
    page.histogram("fairdraw_ledger_commit_duration_seconds", [], writer.commitTimes)
    page.family(
      "fairdraw_ledger_sync_duration_seconds", .histogram, "Time until the disk or the database has a group for good.")
    page.histogram("fairdraw_ledger_sync_duration_seconds", [], writer.syncTimes)
    page.single(
      "fairdraw_ledger_failed_groups_total", .counter, "Groups that could not be stored.", Double(writer.failedGroups))
    page.addFaults(writer)

    if let databaseSize {
      page.single("fairdraw_database_bytes", .gauge, "Size of the whole database.", Double(databaseSize))
    }
    page.add(deliveries)
    for gauge in gauges.withLock({ $0 }) {
      let samples = gauge.samples()
      guard !samples.isEmpty else { continue }
      page.family("\(gauge.name)", gauge.kind, "\(gauge.help)")
      for sample in samples { page.sample("\(gauge.name)", sample.labels, Double(sample.value)) }
    }
    return page.bytes
  }
}

/// Writes Prometheus's text format.
struct MetricsPage {
  enum Kind: String { case counter, gauge, histogram }

  private(set) var bytes: [UInt8] = []

  /// Begins a family; its samples must follow.
  mutating func family(_ name: String, _ kind: Kind, _ help: String) {
    bytes.append(text: "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
  }

  mutating func sample(_ name: String, _ labels: [(name: String, value: String)], _ value: Double) {
    bytes.append(text: name)
    if !labels.isEmpty {
      let text = labels.map { label in
        let value = label.value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
        return "\(label.name)=\"\(value)\""
      }
      bytes.append(text: "{\(text.joined(separator: ","))}")
    }
    bytes.append(UInt8(ascii: " "))
    bytes.append(double: value)
    bytes.append(UInt8(ascii: "\n"))
  }

  mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
    family(name, kind, help)
    sample(name, [], value)
  }

  mutating func histogram(_ name: String, _ labels: [(name: String, value: String)], _ histogram: Histogram) {
    var total = 0
    for (bound, count) in zip(histogram.bounds, histogram.counts) {
      total += count
      var text: [UInt8] = []
      text.append(double: bound)
      sample(name + "_bucket", labels + [("le", String(decoding: text, as: UTF8.self))], Double(total))
    }
    sample(name + "_bucket", labels + [("le", "+Inf")], Double(histogram.count))
    sample(name + "_sum", labels, histogram.sum)
    sample(name + "_count", labels, Double(histogram.count))
  }
}

extension MetricsPage {
  /// What became of webhook deliveries.
  fileprivate mutating func add(_ deliveries: DeliveryCounts) {
    if let pending = deliveries.pending {
      single(
        "fairdraw_webhook_deliveries_pending", .gauge, "Webhook deliveries to be made, in the whole database.",
        Double(pending))
    }
    family(
      "fairdraw_webhook_attempts_total", .counter, "Webhook attempts of this server, by what came of them.")
    sample("fairdraw_webhook_attempts_total", [("result", "delivered")], Double(deliveries.delivered))
    sample("fairdraw_webhook_attempts_total", [("result", "failed")], Double(deliveries.failed))
    single(
      "fairdraw_webhook_deliveries_dead_total", .counter, "Webhook deliveries that this server gave up.",
      Double(deliveries.dead))
    single(
      "fairdraw_webhook_failed_sweeps_total", .counter, "Sweeps of finished webhook deliveries that failed.",
      Double(deliveries.failedSweeps))
  }

  /// What went wrong in the ledger, and how its store is.
  fileprivate mutating func addFaults(_ writer: LedgerWriter.Statistics) {
    family(
      "fairdraw_ledger_faults_total", .counter,
      "Submissions that met a fault: passing, permanent (the operator must act), or a damaged record.")
    for kind in StoreFailure.Kind.allCases {
      sample("fairdraw_ledger_faults_total", [("kind", kind.rawValue)], Double(writer.faults[kind] ?? 0))
    }
    single(
      "fairdraw_store_failing", .gauge, "1 while nothing can be stored.", writer.store.isFailing ? 1 : 0)
    single(
      "fairdraw_random_source_failing", .gauge, "1 after the system's random source has failed a health test.",
      writer.store.hasNoRandomness ? 1 : 0)
    single(
      "fairdraw_store_failed_probes_total", .counter, "Looks at the store that found it failing.",
      Double(writer.store.failedProbes))
    single(
      "fairdraw_store_failed_sweeps_total", .counter, "Sweeps of expired records that failed.",
      Double(writer.store.failedSweeps))
    single(
      "fairdraw_ledger_time_ahead_seconds", .gauge, "How far recorded time is ahead of this machine's clock.",
      Double(writer.store.timeAhead) / 1000)
  }
}
