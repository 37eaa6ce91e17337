import CPQ
import Foundation

/// A connection to PostgreSQL in libpq's pipeline mode: queries are sent together and answered together, so that a
/// transaction's many statements cost one round trip.
///
/// Used by one thread at a time, and blocking, up to a deadline; see ``PostgresSession``.
final class Connection {
  private let handle: OpaquePointer
  private var prepared: Set<String> = []
  /// What begins every transaction behind a pooler; nil on a direct connection.
  private var transactionSettings: PostgresStatement?
  /// Whether a pooler is between, such as PgBouncer in transaction mode. The next transaction may then be on another
  /// connection of the pooler's, so nothing may be left on this one: no prepared statement, no setting, no `LISTEN`, no
  /// advisory lock, no temporary table.
  private(set) var isPooled = true
  /// Where the database's log stood when a run of queries was over, at the earliest, and up to where it is durable; nil
  /// where nobody asks.
  private var position: (seen: Int64, durable: Int64)?
  /// Where libpq's notices go; libpq holds a pointer to it for as long as the connection lives.
  private let notices = Notices()

  /// The warnings of what is under way.
  private final class Notices {
    var warnings: [String] = []
  }

  /// Connects; waits for no longer than the target's `connect_timeout` for each host.
  ///
  /// - Throws: ``PostgresFailure``.
  init(to target: ConnectionTarget, _ settings: SessionSettings) throws {
    guard let handle = target.connect() else { throw PostgresFailure("out of memory", isConnectionLost: true) }
    self.handle = handle
    guard PQstatus(handle) == CONNECTION_OK else {
      let reason = target.redacting(String(cString: PQerrorMessage(handle)))
      throw PostgresFailure("no connection to PostgreSQL: \(reason)", isConnectionLost: true)
    }
    // Without a receiver libpq would write notices to standard error.
    let receiver: PQnoticeReceiver = { context, result in
      guard let context, let severity = PQresultErrorField(result, Int32(UInt8(ascii: "V"))) else { return }
      guard String(cString: severity) == "WARNING" else { return }
      let message = PQresultErrorField(result, Int32(UInt8(ascii: "M"))).map { String(cString: $0) } ?? ""
      Unmanaged<Notices>.fromOpaque(context).takeUnretainedValue().warnings.append(message)
    }
    PQsetNoticeReceiver(handle, receiver, Unmanaged.passUnretained(notices).toOpaque())
    // Calls then return instead of blocking, and waiting is done here, where there is a deadline.
    guard PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else { throw lost() }
    // A pooler tells its clients process numbers of its own making.
    isPooled = try run([Query("SELECT pg_backend_pid()")])[0].integer(0, 0) != Int64(PQbackendPID(handle))
    if isPooled {
      transactionSettings = settings.ofTransaction
    } else {
      try run([Query(settings.ofSession)])
      if settings.notesPosition { position = (0, 0) }
    }
  }

  deinit { PQfinish(handle) }

  /// Whether the other side has not closed it, as far as is known here. Asked for while nothing is under way.
  var isAlive: Bool {
    // The first may find why it was closed, and only the second that it was.
    PQconsumeInput(handle) == 1 && PQconsumeInput(handle) == 1 && PQstatus(handle) == CONNECTION_OK
  }

  /// Runs queries one after the other in one round trip, up to the first that fails.
  ///
  /// - Parameters:
  ///   - timeout: how long the answers may take. When they take longer the connection is of no more use.
  /// - Returns: one result for each query.
  /// - Throws: ``PostgresFailure``.
  @discardableResult
  func run(_ queries: [Query], timeout: Duration = .seconds(8)) throws -> [QueryResult] {
    notices.warnings = []
    enum Expected {
      case prepared(String)
      case rows
    }
    var expected: [Expected] = []
    var sent: Set<String> = []
    var parameters = PostgresParameters()
    var (queries, settingsAt) = addingSettings(to: queries)
    if position != nil { queries.append(Query(.position)) }
    for query in queries {
      let name = query.statement.name
      if !isPooled, !prepared.contains(name), sent.insert(name).inserted {
        guard PQsendPrepare(handle, name, query.statement.sql, 0, nil) == 1 else { throw lost() }
        expected.append(.prepared(name))
      }
      parameters.removeAll()
      query.bind(&parameters)
      try send(query.statement, parameters)
      expected.append(.rows)
      // PostgreSQL begins with a long one while the next is put together. What does not go out now does so below.
      if parameters.buffer.count > 4_096, PQflush(handle) < 0 { throw lost() }
    }
    guard PQpipelineSync(handle) == 1 else { throw lost() }
    let deadline = ContinuousClock.now + timeout
    try flush(until: deadline)

    var results: [QueryResult] = []
    var failure: PostgresFailure?
    for item in expected {
      let result = try nextResult(until: deadline)
      switch PQresultStatus(result) {
      case PGRES_COMMAND_OK, PGRES_TUPLES_OK:
        switch item {
        case .prepared(let name):
          prepared.insert(name)
          PQclear(result)
        case .rows: results.append(QueryResult(taking: result))
        }
      case PGRES_PIPELINE_ABORTED: PQclear(result)
      default:
        if failure == nil { failure = PostgresFailure(result: result) }
        PQclear(result)
        if PQstatus(handle) != CONNECTION_OK { throw lost(because: failure) }
      }
      // What ends the results of one query.
      if let rest = try nextResult(until: deadline) {
        PQclear(rest)
        throw PostgresFailure("libpq gave more results than were asked for", isConnectionLost: true)
      }
    }
    let sync = try nextResult(until: deadline)
    defer { PQclear(sync) }
    guard PQresultStatus(sync) == PGRES_PIPELINE_SYNC else { throw lost(because: failure) }
    if let failure { throw failure }
    if position != nil { position?.seen = results.removeLast().integer(0, 0) }
    if let settingsAt { results.remove(at: settingsAt) }
    return results
  }

  /// What is to be sent for `queries`, and which result is then nobody's. Without a `BEGIN` they are one transaction too.
  private func addingSettings(to queries: [Query]) -> (queries: [Query], settingsAt: Int?) {
    guard let transactionSettings, PQtransactionStatus(handle) == PQTRANS_IDLE else { return (queries, nil) }
    var queries = queries
    let place = queries.first?.statement.name == PostgresStatement.begin.name ? 1 : 0
    queries.insert(Query(transactionSettings), at: place)
    return (queries, place)
  }

  /// Waits until all is durable that the queries run so far can have seen. Other connections may have committed it without
  /// waiting: see ``PostgresFlush``. Behind a pooler no server does that, and nothing is waited for.
  ///
  /// - Throws: ``PostgresFailure``.
  func waitUntilSeenIsDurable() throws {
    guard let before = position, before.seen > before.durable else { return }
    let mark = try commit(after: [Query(.begin), Query(.writeMark)])[1].integer(0, 0)
    // Between the mark and where the log stood afterwards is the record of this commit. Each takes 34 bytes or more, so in
    // less than 68 there is no other: then all of it is durable. See xl_xact_commit in PostgreSQL's access/xact.h.
    if let after = position { position?.durable = after.seen - mark < 68 ? after.seen : mark }
  }

  /// The warnings that came with the last ``run(_:timeout:)``.
  var warnings: [String] { notices.warnings }

  /// What ends the statement under way, from any thread; nil without memory for it.
  func canceller() -> Canceller? { PQgetCancel(handle).map(Canceller.init) }

  private func send(_ statement: PostgresStatement, _ parameters: borrowing PostgresParameters) throws {
    let count = parameters.ranges.count
    let done = parameters.buffer.withUnsafeBytes { buffer in
      // An empty buffer has no address, and a null pointer would be a NULL.
      let base = buffer.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
      let values = parameters.ranges.map { range in
        range.flatMap { base?.advanced(by: $0.lowerBound).assumingMemoryBound(to: CChar.self) }
      }
      let lengths = parameters.ranges.map { Int32($0?.count ?? 0) }
      let formats = [Int32](repeating: 1, count: count)
      return isPooled
        ? PQsendQueryParams(handle, statement.sql, Int32(count), nil, values, lengths, formats, 1)
        : PQsendQueryPrepared(handle, statement.name, Int32(count), values, lengths, formats, 1)
    }
    guard done == 1 else { throw lost() }
  }

  // MARK: Waiting

  private func flush(until deadline: ContinuousClock.Instant) throws {
    while true {
      switch PQflush(handle) {
      case 0: return
      case 1:
        // The server may have to get rid of its answers before it reads on.
        if try wait(for: Int16(POLLIN | POLLOUT), until: deadline) & Int16(POLLIN) != 0, PQconsumeInput(handle) == 0 {
          throw lost()
        }
      default: throw lost()
      }
    }
  }

  private func nextResult(until deadline: ContinuousClock.Instant) throws -> OpaquePointer? {
    while PQisBusy(handle) == 1 {
      _ = try wait(for: Int16(POLLIN), until: deadline)
      guard PQconsumeInput(handle) == 1 else { throw lost() }
    }
    return PQgetResult(handle)
  }

  private func wait(for events: Int16, until deadline: ContinuousClock.Instant) throws -> Int16 {
    var descriptor = pollfd(fd: PQsocket(handle), events: events, revents: 0)
    while true {
      let left = ContinuousClock.now.duration(to: deadline) / .milliseconds(1)
      guard left > 0 else { throw PostgresFailure("PostgreSQL did not answer in time", isConnectionLost: true) }
      switch poll(&descriptor, 1, Int32(left.rounded(.up))) {
      case 1...: return descriptor.revents
      case 0: continue  // the deadline has passed, or nearly
      default:
        guard errno == EINTR else { throw PostgresFailure("poll failed with \(errno)", isConnectionLost: true) }
      }
    }
  }

  private func lost(because failure: PostgresFailure? = nil) -> PostgresFailure {
    if var failure {
      failure.isConnectionLost = true
      return failure
    }
    let reason = String(cString: PQerrorMessage(handle)).split(separator: "\n").first.map(String.init)
    return PostgresFailure("the connection to PostgreSQL broke: \(reason ?? "no reason given")", isConnectionLost: true)
  }
}

/// Ends what a connection is doing. Its handle is a copy of what it takes to reach the server, and libpq lets any thread
/// use it (PQcancel, https://www.postgresql.org/docs/15/libpq-cancel.html); nothing changes it before `deinit`.
final class Canceller: @unchecked Sendable {
  private let handle: OpaquePointer

  fileprivate init(_ handle: OpaquePointer) { self.handle = handle }

  deinit { PQfreeCancel(handle) }

  func cancel() {
    var message = [CChar](repeating: 0, count: 256)
    PQcancel(handle, &message, Int32(message.count))
  }
}
