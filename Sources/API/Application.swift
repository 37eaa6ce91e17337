import Accounts
import Hummingbird
import HummingbirdCore
import Ledger
import Logging
import NIOCore
import NIOPosix

/// What a server needs to know.
public struct ServerConfiguration: Sendable {
  /// An address of this machine's.
  public var host = "127.0.0.1"
  /// 0 lets the system choose.
  public var port = 8080
  /// Requests a minute for an address that calls without a key or with a test key; 0 is no limit.
  public var rateLimitPerMinute = 120
  /// Proxies whose `X-Forwarded-For` is believed.
  public var trustedProxies: [Network] = []
  /// Where clients reach the server, without a slash at its end; nil if the operator has not said so.
  public var publicURL: String?
  /// Connections that are open at once.
  public var maximumConnections = 4096
  /// Those of one address that is no trusted proxy's.
  public var maximumConnectionsPerAddress = 1000
  /// How long connections may take.
  package var connectionLimits = ConnectionState.Limits()

  public init() {}
}

/// What a server is made of. All of it comes in as values, so that a test can replace any part.
public struct ServerParts: Sendable {
  public let store: any LedgerStore
  public let writer: LedgerWriter
  /// The way into `writer`.
  public let gate: LedgerGate
  public let renderer: OutcomeRenderer
  public let verifier: OutcomeVerifier
  public let log: LineLog
  public let lifecycle: Lifecycle
  public let merkle: MerkleParts
  public let transparencyLog: LogParts
  public let responseSigner: ResponseSigner
  public let metrics: Metrics
  public let keyActivity: KeyActivityLog
  /// The cell that the database is, if it is one.
  public let cell: CellName?

  public init(
    store: any LedgerStore, writer: LedgerWriter, gate: LedgerGate, renderer: OutcomeRenderer,
    verifier: OutcomeVerifier, log: LineLog, lifecycle: Lifecycle, merkle: MerkleParts,
    transparencyLog: LogParts, responseSigner: ResponseSigner, metrics: Metrics = Metrics(),
    keyActivity: KeyActivityLog = KeyActivityLog(), cell: CellName? = nil
  ) {
    self.store = store
    self.writer = writer
    self.gate = gate
    self.renderer = renderer
    self.verifier = verifier
    self.log = log
    self.lifecycle = lifecycle
    self.merkle = merkle
    self.transparencyLog = transparencyLog
    self.responseSigner = responseSigner
    self.metrics = metrics
    self.keyActivity = keyActivity
    self.cell = cell
  }
}

/// Puts the HTTP server together.
///
/// - Parameters:
///   - further: routes beside the API's own.
///   - errorPage: what a browser is shown where the API would answer an error in JSON; nil shows it the JSON.
///   - onServerRunning: called with the address once connections are accepted.
public func buildApplication(
  _ configuration: ServerConfiguration, _ parts: ServerParts, further: [any Routes] = [], errorPage: ErrorPage? = nil,
  logger: Logger,
  onServerRunning: @escaping @Sendable (SocketAddress?) async -> Void
) -> some ApplicationProtocol {
  let gate = parts.gate
  let streams = StreamRegistry(
    limits: StreamRegistry.Limits(
      perAddress: configuration.rateLimitPerMinute == 0 ? nil : StreamRegistry.Limits().perAddress))
  parts.lifecycle.onShutdown { streams.closeAll() }
  parts.metrics.show("fairdraw_streams_open", "Streams that are open.") { streams.count }

  let memory = MemoryBudget()
  parts.metrics.show("fairdraw_reading_bytes", "Memory that is reserved for reading outcomes.") { memory.held }

  parts.transparencyLog.show(in: parts.metrics)
  parts.metrics.show("fairdraw_log_rolled_back", "1 if the database has gone back, so that nothing is drawn.") {
    [writer = parts.writer] in writer.stopped?.kind == .rolledBack ? 1 : 0
  }

  let ledgerRoutes = DrawRoutes.routes + SeedRoutes.routes + [BatchRoute.route]
  let routes: [any Routes] = [
    OutcomeRoutes(store: parts.store, renderer: parts.renderer),
    StreamRoute(gate: gate, store: parts.store, renderer: parts.renderer, registry: streams),
    IdempotencyRoutes(lookup: IdempotencyLookup(store: parts.store, retention: parts.writer.retention)),
    VerifyRoutes(store: parts.store, renderer: parts.renderer, verifier: parts.verifier),
    MerkleRoutes(parts: parts.merkle),
    LogRoutes(parts: parts.transparencyLog, outcomes: parts.store),
    KeyRoutes(
      seedKey: parts.store.seeds.publicKey, rootKey: parts.merkle.publicKey, log: parts.transparencyLog,
      publicURL: parts.renderer.publicURL, responses: parts.responseSigner),
    SystemRoutes(
      store: parts.store, writer: parts.writer, metrics: parts.metrics, lifecycle: parts.lifecycle,
      document: openAPIDocument(servedAt: configuration.publicURL)),
  ]
  let problems = ProblemDetails(publicURL: parts.renderer.publicURL)
  let admission = Admission(
    keys: KeyDirectory(store: parts.store, cell: parts.cell),
    limiter: RateLimiter(perMinute: configuration.rateLimitPerMinute),
    proxies: TrustedProxies(networks: configuration.trustedProxies), activity: parts.keyActivity)
  let completion = Completion(
    log: parts.log, metrics: parts.metrics,
    isSecure: configuration.publicURL?.hasPrefix("https:") == true, signer: parts.responseSigner)
  let root = RootResponder(
    routes: RouteTable(ledgerRoutes.map { Route($0, gate: gate) } + (routes + further).flatMap(\.routes)),
    admission: admission, completion: completion, memory: memory, problems: problems,
    errorPage: errorPage)
  let connections = Connections(
    limits: Connections.Limits(
      total: configuration.maximumConnections, perAddress: configuration.maximumConnectionsPerAddress),
    unlimited: configuration.trustedProxies)
  var settings = ConnectionSettings(connections: connections, limits: configuration.connectionLimits)
  settings.service = LedgerService(
    routes: ledgerRoutes, admission: admission, gate: gate, completion: completion,
    problems: problems)
  settings.show(in: parts.metrics)

  return Application(
    responder: root,
    server: HTTPServerBuilder { [settings] in LedgerChannel(responder: $0, settings: settings) },
    configuration: ApplicationConfiguration(
      address: .hostname(configuration.host, port: configuration.port), serverName: nil, backlog: 1024,
      availableConnectionsDelegate: AcceptanceLimit(limit: configuration.maximumConnections + 32)),
    onServerRunning: { await onServerRunning($0.localAddress) },
    eventLoopGroupProvider: .singleton,
    logger: logger)
}

extension ConnectionSettings {
  fileprivate func show(in metrics: Metrics) {
    metrics.show("fairdraw_connections_open", "Connections that are open.") {
      [connections] in connections.count
    }
    metrics.count("fairdraw_connections_turned_away_total", "Connections that found no place.") {
      [connections] in connections.turnedAway
    }
    metrics.show("fairdraw_unread_answer_bytes", "Bytes of large answers that wait to be read.") {
      [answers] in answers.bytesHeld
    }
    metrics.show("fairdraw_incoming_body_bytes", "Bytes of long request bodies that are coming in.") {
      [bodies] in bodies.bytesHeld
    }
  }
}
