import API
import ArgumentParser
import Foundation
import Hummingbird
import Ledger
import Logging
import NIOCore
import ServiceLifecycle
import Transparency
import Webhooks
import Website

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a server.",
    discussion: """
      By default it listens on 127.0.0.1:8080 and keeps everything in one database file. SIGTERM and SIGINT stop it after \
      it has answered all accepted requests. The log goes to standard error, one JSON object per line.

      Every option can also be set in the environment, --daily-quota as FAIRDRAW_DAILY_QUOTA, and in the settings file: \
      see `fairdraw --help`.
      """)

  @OptionGroup var storage: StorageOptions

  @Option(help: ArgumentHelp("The address to listen on. (default: 127.0.0.1)", valueName: "address"))
  var host: String?

  @Option(help: ArgumentHelp("The port to listen on; 0 takes a free one. (default: 8080)", valueName: "number"))
  var port: Int?

  @Option(
    help: ArgumentHelp(
      "Where clients reach the server. Permalinks begin with it. (default: http://HOST:PORT)", valueName: "url"))
  var publicURL: String?

  @Option(
    help: ArgumentHelp(
      "The name of the cell that the database is, such as eu1: 1 to 8 lower-case letters and digits, the first a letter. "
        + "New API keys carry it, so that a proxy can route requests by key. The database keeps it. (default: none)",
      valueName: "name"))
  var cell: String?

  @Option(
    help: ArgumentHelp(
      "Live outcomes per day for an account without its own quota. (default: 10000)", valueName: "n"))
  var dailyQuota: Int?

  @Option(
    help: ArgumentHelp(
      "Outcomes per day for all callers without a key together, or off to reject them. (default: no limit)",
      valueName: "off|n"))
  var anonymous: String?

  @Option(
    help: ArgumentHelp(
      "Requests per minute from an address without a live key; 0 is no limit. (default: 120)", valueName: "n"))
  var rateLimitPerMinute: Int?

  @Option(
    name: .customLong("commit-ttl-ms"),
    help: ArgumentHelp("How long a commitment may wait to be revealed. (default: 600000)", valueName: "milliseconds"))
  var commitTTLMs: Int?

  @Option(
    help: ArgumentHelp(
      "How long responses are stored for retries: hours or days, at least 24h, or forever. (default: 7d)",
      valueName: "7d|forever"))
  var idempotencyRetention: String?

  @Option(
    help: ArgumentHelp(
      "Proxies whose X-Forwarded-For is trusted: CIDR blocks separated by commas.", valueName: "blocks"))
  var trustedProxies: String?

  @Flag(help: "Allow webhooks to private addresses: this machine, its network, its cloud's metadata service.")
  var allowPrivateWebhooks = false

  @Flag(help: "Let visitors create accounts at /sign-up.")
  var signUp = false

  @OptionGroup var witnesses: WitnessOptions

  @Option(
    help: ArgumentHelp(
      "A second port, for Prometheus, which serves only /metrics. (default: none)", valueName: "number"))
  var metricsPort: Int?

  @Option(help: ArgumentHelp("The address of that port. (default: 127.0.0.1)", valueName: "address"))
  var metricsHost: String?

  @Option(
    help: ArgumentHelp("trace, debug, info, notice, warning, error or critical. (default: info)", valueName: "level"))
  var logLevel: String?

  @Option(
    help: ArgumentHelp(
      "How long a server goes on serving after SIGTERM while /api/health says that it is shutting down, so that load "
        + "balancers send it nothing more. (default: 0)", valueName: "seconds"))
  var shutdownDelay: Int?

  @Option(
    help: ArgumentHelp(
      "The maximum number of connections. (default: 4096, or fewer if the system allows fewer open files)",
      valueName: "number"))
  var maxConnections: Int?

  @Option(
    help: ArgumentHelp(
      "The maximum number of connections from one address that is not a trusted proxy. (default: 1000, or half of the above)",
      valueName: "number"))
  var maxConnectionsPerAddress: Int?

  /// Where people reach the server.
  private static func reach(_ server: inout ServerConfiguration, _ givenURL: String?) -> String {
    server.publicURL = givenURL
    return givenURL ?? "http://\(server.host.contains(":") ? "[\(server.host)]" : server.host):\(server.port)"
  }

  /// Chooses a port for the server if any will do. Permalinks contain it, so that is before the server listens.
  private static func choosePort(of server: inout ServerConfiguration) throws -> ReservedPort? {
    guard server.port == 0 else { return nil }
    do {
      let chosen = try ReservedPort(on: server.host)
      server.port = chosen.number
      return chosen
    } catch {
      throw CommandFailure("the server cannot listen on \(server.host): \(reason(for: error))")
    }
  }

  func run() async throws {
    let settings = try self.settings()
    var server = settings.server
    let (quota, anonymousQuota, givenURL) = (settings.dailyQuota, settings.anonymousQuota, settings.publicURL)
    let chosenPort = try Self.choosePort(of: &server)
    let url = Self.reach(&server, givenURL)
    var exposures: [String] = []
    let (store, masterKey, place) = try storage.open { exposures.append($0) }
    let cell = try await administering(store) { try await CellSetting.cell(of: $0, named: settings.cell) }
    let log = LineLog()
    defer { log.close() }
    let logger = Self.logger(to: log, settings.logLevel, exposures)
    let decider = Decider(
      masterKey: masterKey, seeds: store.seeds, publicURL: url, defaultDailyQuota: quota,
      anonymousDailyQuota: anonymousQuota, commitmentLifetime: settings.commitmentLifetime,
      retention: settings.retention, isLogged: Self.isLogged(logger))
    let worker = DeliveryWorker(
      store: store, client: DeliveryClient(addressGuard: AddressGuard(allowsPrivate: settings.allowsPrivateWebhooks)),
      renderer: EventRenderer(outcomes: decider.renderer), logger: Logger(label: "webhooks"))
    let history = try Self.history(of: store, in: storage.fileFolder(), logger)
    let writer = LedgerWriter(
      store: store, decider: decider, history: history, onTrouble: { Logger(label: "store").warning("\($0)") },
      onDeliveries: { worker.notify() })
    let gate = LedgerGate(writer: writer)
    let verifier = OutcomeVerifier(masterKey: masterKey, seeds: store.seeds)
    let signer = try RootSigner(masterKey: masterKey)
    let (logs, transparencyLog) = try Self.logs(
      store, masterKey, signer, history, url: url, settings.witnesses, isOnlyServer: place.hasPrefix("sqlite:"))
    let website = try Website(
      store: store, days: store, log: transparencyLog, rootKey: signer.publicKey, renderer: decider.renderer,
      verifier: verifier, publicURL: url,
      dashboard: DashboardParts(
        accounts: store, gate: gate, formSecret: masterKey.formSecret, retention: writer.retention, dailyQuota: quota,
        isSignUpOpen: settings.isSignUpOpen, allowsPrivateWebhooks: settings.allowsPrivateWebhooks,
        deliveryIsDue: { worker.notify() }))
    let parts = ServerParts(
      store: store, writer: writer, gate: gate, renderer: decider.renderer, verifier: verifier, log: log,
      lifecycle: Lifecycle(version: Fairdraw.version),
      merkle: MerkleParts(store: store, shortIDs: decider.renderer.shortIDs, publicKey: signer.publicKey),
      transparencyLog: transparencyLog, responseSigner: try ResponseSigner(masterKey: masterKey), cell: cell)
    warnOfUnreachable(url)
    let application = buildApplication(
      server, parts,
      further: [
        website, OperatorRoutes(masterKey: masterKey), UsageRoutes(accounts: store, defaultDailyQuota: quota),
        WebhookRoutes(
          store: store, gate: gate, shortIDs: decider.renderer.shortIDs, retention: writer.retention,
          allows: Self.webhookRule(allowsPrivate: settings.allowsPrivateWebhooks), deliveryIsDue: { worker.notify() }),
      ],
      errorPage: website.errorPage, logger: logger
    ) { greet($0, publicURL: givenURL, place: place, needsKey: anonymousQuota == 0, log: log) }
    // What is first here is last to shut down: no request comes after the last report of how keys were used.
    let housekeeping = try Self.housekeeping(store, parts, storage.fileFolder())
    var services: [any Service] = [housekeeping, Together(services: [logs, worker, application])]
    var places = "\(server.host):\(server.port)"
    if let metricsPort = settings.metricsPort {
      places += ", or on \(settings.metricsHost):\(metricsPort) for its metrics"
      services.append(
        buildMetricsApplication(
          host: settings.metricsHost, port: metricsPort, parts, logger: Logger(label: "metrics"),
          deliveries: { await worker.report() }))
    }
    // Shut down from the last to the first: health checks and streams know before connections are refused.
    services.append(ShutdownNotice(lifecycle: parts.lifecycle, delay: settings.shutdownDelay))
    let result = await Self.run(services)
    chosenPort?.release()
    // The last connection has been answered; nothing more can come in.
    await writer.drain()
    try result.mapError { CommandFailure("the server cannot listen on \(places): \(reason(for: $0))") }.get()
  }

  /// Has all that is logged go to `log`, and says there at once what every user of the machine may read.
  private static func logger(to log: LineLog, _ level: Logger.Level, _ exposures: [String]) -> Logger {
    LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, log: log) }
    let logger = Logger(label: "fairdraw")
    for exposure in exposures { logger.warning("\(exposure)") }
    return logger
  }

  /// Which URLs a webhook may have, as far as their text says where they lead.
  private static func webhookRule(allowsPrivate: Bool) -> @Sendable (WebhookURL) -> Bool {
    { allowsPrivate || NetworkAddress($0.host).map(AddressGuard.isPublic) ?? true }
  }

  /// Whether outcomes go into the continuous log. They do, but for a benchmark of what that costs.
  private static func isLogged(_ logger: Logger) -> Bool {
    let setting = "FAIRDRAW_BENCH_WITHOUT_LOG"
    guard ProcessInfo.processInfo.environment[setting] != nil else { return true }
    logger.warning("\(setting) is set: outcomes are not put into the continuous log, and have no proofs")
    return false
  }

  /// Finds out, before anything is drawn, whether the database has gone back.
  private static func history(of store: any Store, in folder: URL, _ logger: Logger) throws -> LogHistory {
    let history = try LogHistory(store: store, era: store.seeds.era, folder: folder)
    do throws(StoreFailure) {
      try history.check()
    } catch {
      logger.error("\(error)")
    }
    return history
  }

  /// The daily log and that of the store's era: what keeps them, and what the second is read from.
  ///
  /// - Parameter isOnlyServer: whether no other server can use the database, as with a file.
  private static func logs(
    _ store: any Store, _ masterKey: MasterKey, _ rootSigner: RootSigner, _ history: LogHistory, url: String,
    _ witnesses: (addresses: [WitnessAddress], interval: Duration), isOnlyServer: Bool
  ) throws -> (Logs, LogParts) {
    let era = store.seeds.era
    for earlier in 0..<era where try history.failure == nil && store.log(of: earlier) != nil {
      try LogKeeper.finish(
        LogIdentity(masterKey: masterKey, store: store, era: earlier, publicURL: url), in: store)
    }
    let identity = try LogIdentity(masterKey: masterKey, store: store, era: era, publicURL: url)
    let keeper = LogKeeper(
      store: store, identity: identity, name: isOnlyServer ? Array("the server".utf8) : LogKeeper.newName(),
      first: .keys(era: UInt64(era), vrf: store.seeds.publicKey.bytes, daily: rootSigner.publicKey),
      history: history, logger: Logger(label: "log"))
    let asking = LogWitnesses(
      store: store, identity: identity, witnesses: witnesses.addresses, interval: witnesses.interval,
      logger: Logger(label: "witnesses"), post: { try await WitnessClient.post($0, $1, within: $2) },
      onRollback: { history.stop($0) })
    let parts = LogParts(
      store: store, era: era, key: identity.verifierKey, witnesses: witnesses.addresses.map(\.key),
      size: { keeper.size }, lag: { keeper.lag }, cosignedSizes: { asking.cosignedSizes })
    let publisher = MerklePublisher(store: store, signer: rootSigner, history: history, logger: Logger(label: "merkle"))
    return (Logs(publisher: publisher, keeper: keeper, witnesses: asking), parts)
  }

  private static func housekeeping(_ store: any Store, _ parts: ServerParts, _ folder: URL) -> AccountHousekeeping {
    let housekeeping = AccountHousekeeping(
      store: store, activity: parts.keyActivity, logger: Logger(label: "accounts"))
    parts.metrics.count(
      "fairdraw_account_failed_sweeps_total",
      "Times that the use of keys could not be recorded, or sessions not be swept."
    ) { housekeeping.failureCount }
    parts.metrics.show("fairdraw_disk_free_bytes", "Free space on the disk of the data folder.") {
      FileChecks.freeSpace(at: folder).map { Int(clamping: $0) }
    }
    return housekeeping
  }

  private static func run(_ services: [any Service]) async -> Result<Void, any Error> {
    do {
      let configuration = ServiceGroupConfiguration(
        services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "fairdraw"))
      return .success(try await ServiceGroup(configuration: configuration).run())
    } catch {
      return .failure(error)
    }
  }

}

/// Where clients reach the server, if the option or the environment says so.
func publicURLSetting(_ given: String?) throws -> String? {
  guard var text = Settings.text("public-url", given) else { return nil }
  guard let parts = URLComponents(string: text), ["http", "https"].contains(parts.scheme), parts.host?.isEmpty == false,
    parts.query == nil, parts.fragment == nil, parts.user == nil, parts.password == nil,
    isPlainPath(parts.percentEncodedPath)
  else {
    throw ValidationError(
      "--public-url (FAIRDRAW_PUBLIC_URL) must be like https://draws.example.com or https://example.com/draws, not \"\(text)\"."
    )
  }
  while text.hasSuffix("/") { text.removeLast() }
  return text
}

/// Says in the log when permalinks would begin with an address that means every address of this machine, and leads to none.
private func warnOfUnreachable(_ url: String) {
  guard let host = URLComponents(string: url)?.host,
    let address = NetworkAddress(host.trimmingCharacters(in: ["[", "]"])), address.bytes.allSatisfy({ $0 == 0 })
  else { return }
  Logger(label: "fairdraw").warning(
    "permalinks begin with \(url), which nobody can open; set --public-url to the address that clients use")
}

/// Whether a path is made of letters, digits and `-._~`, which stand for themselves in links, cookies and headers.
private func isPlainPath(_ path: String) -> Bool {
  path.wholeMatch(of: /(\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\/*/) != nil
}

/// The first words on standard output: where it listens, and a command that works as it stands. A server works without
/// anybody to read them.
private func greet(_ address: SocketAddress?, publicURL: String?, place: String, needsKey: Bool, log: LineLog) {
  let host = address?.ipAddress ?? "127.0.0.1"
  let shown = ["0.0.0.0": "127.0.0.1", "::": "[::1]"][host] ?? (host.contains(":") ? "[\(host)]" : host)
  let base = "http://\(shown):\(address?.port ?? 0)"
  var text = """
    Fairdraw \(Fairdraw.version) is listening on \(base)
    The ledger is in \(place)

      curl \(needsKey ? "-H 'x-api-key: YOUR_KEY' " : "")'\(base)/api/ints?clientSeed=hello&count=3&min=1&max=100'

    """
  if let publicURL { text += "Permalinks begin with \(publicURL)/o/\n" }
  do { try StandardOutput.write(text.utf8) } catch { log.line(.warning, error.description) }
}

/// Lets health checks know that the end is near, before connections are refused.
private struct ShutdownNotice: Service {
  let lifecycle: Lifecycle
  /// How long requests are served after health checks know.
  let delay: Duration

  func run() async throws {
    try await gracefulShutdown()
    lifecycle.announceShutdown()
    try await Task.sleep(for: delay)
    lifecycle.beginShutdown()
  }
}

/// Services that stop at the same time.
private struct Together: Service {
  let services: [any Service]

  func run() async throws {
    try await withThrowingTaskGroup { group in
      for service in services { group.addTask { try await service.run() } }
      for try await _ in group {}  // the first that fails ends the others
    }
  }
}

/// Publishes each day's root, continues the log and asks its witnesses until the server stops. What it cannot finish then
/// is done after the next start.
private struct Logs: Service {
  let publisher: MerklePublisher
  let keeper: LogKeeper
  let witnesses: LogWitnesses

  func run() async throws {
    await cancelWhenGracefulShutdown {
      async let published: Void = publisher.run()
      async let cosigned: Void = witnesses.run()
      await keeper.run()
      await published
      await cosigned
    }
  }
}
