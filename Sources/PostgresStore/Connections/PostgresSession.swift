/// A place for a connection, which is made when it is first needed and again after it broke.
///
/// Unchecked: it has no lock of its own. ``SessionPool`` and ``Readers`` give each session to one thread at a time, and
/// get it back, under a lock of theirs; that orders what one thread does with it before what the next does.
final class PostgresSession: @unchecked Sendable {
  private let target: ConnectionTarget
  private let settings: SessionSettings
  private var connection: Connection?
  private var failures = 0
  private var lastFailure: PostgresFailure?
  private var retryAt = ContinuousClock.now

  init(target: ConnectionTarget, settings: SessionSettings = .standard) {
    self.target = target
    self.settings = settings
  }

  /// The connection, made anew if need be. While the database cannot be reached this fails at once most of the time: it
  /// is tried again after 50 ms at first, and after 2 s at last.
  ///
  /// - Throws: ``PostgresFailure``.
  func open() throws -> Connection {
    if let connection { return connection }
    if let lastFailure, ContinuousClock.now < retryAt { throw lastFailure }
    do {
      let connection = try Connection(to: target, settings)
      self.connection = connection
      failures = 0
      lastFailure = nil
      return connection
    } catch {
      let failure = error as? PostgresFailure ?? PostgresFailure("\(error)", isConnectionLost: true)
      // Half of it chance, lest all servers knock at once.
      let milliseconds = min(2000, 50 << min(failures, 6))
      retryAt = .now + .milliseconds(Int.random(in: milliseconds / 2...milliseconds))
      failures += 1
      lastFailure = failure
      throw failure
    }
  }

  var isOpen: Bool { connection != nil }

  /// Whether there is a connection, and it has not been closed from the other side.
  var isAlive: Bool { connection?.isAlive ?? false }

  /// Gives the connection up.
  func discard() { connection = nil }

  /// Runs `body` on the connection, and gives that up if it breaks.
  func use<Result>(_ body: (Connection) throws -> Result) throws -> Result {
    let connection = try open()
    do {
      return try body(connection)
    } catch {
      if (error as? PostgresFailure)?.isConnectionLost == true { discard() }
      throw error
    }
  }

  /// Runs `body` in a transaction of its own. If it fails, or its commit does, nothing of it stays, unless the connection
  /// broke while the commit was under way.
  func transaction<Result>(_ body: (Connection) throws -> Result) throws -> Result {
    try use { connection in
      try connection.run([Query(.begin)])
      do {
        let result = try body(connection)
        try connection.commit()
        return result
      } catch {
        // What is not rolled back now would be in the way of the next.
        if (error as? PostgresFailure)?.isConnectionLost != true, (try? connection.run([Query(.rollback)])) == nil {
          discard()
        }
        throw error
      }
    }
  }
}

extension PostgresStatement {
  static let begin: PostgresStatement = "BEGIN ISOLATION LEVEL READ COMMITTED"
  static let commit: PostgresStatement = "COMMIT"
  static let rollback: PostgresStatement = "ROLLBACK"
}

extension Connection {
  /// Runs `queries` and commits, in one round trip. When it returns, the commit is as durable as the database makes them.
  ///
  /// - Throws: ``PostgresFailure``.
  @discardableResult
  func commit(after queries: [Query] = []) throws -> [QueryResult] {
    let results = try run(queries + [Query(.commit)])
    // A commit that waited for a standby in vain (the wait was cancelled, by a timeout or an operator) succeeds with a
    // warning: committed here, perhaps nowhere else. A fail-over would lose it, so nobody may be told that it is done.
    if let warning = warnings.first {
      throw PostgresFailure("the commit succeeded with a warning: \(warning)", isConnectionLost: true)
    }
    guard results.last?.command == "COMMIT" else {
      throw PostgresFailure("the transaction was rolled back where it should have been committed")
    }
    return results
  }
}
