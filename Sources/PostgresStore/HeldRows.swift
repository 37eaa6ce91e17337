import Ledger
import Synchronization

/// Rows that another session of the database keeps locked: an operator's transaction, a dump, a program that hangs.
///
/// A group waits for a lock as long as the writers' `lock_timeout` says, which is long for another server's group. If it
/// waits in vain, whatever is locked is remembered here: groups then leave it out, so that those who need it are told to
/// come back and all others are served. Every half a second it is looked whether a lock is gone.
final class HeldRows: Sendable {
  private let state = Mutex(State())

  private struct State {
    var rows: Set<Need> = []
    var looked = ContinuousClock.now
  }

  private static let interval = Duration.milliseconds(500)
  /// The most rows that are looked at one by one after a group has waited in vain.
  private static let limit = 64
  /// Each that is locked takes a tenth of a second to find out; so many are enough to believe it of all accounts that
  /// could not be locked at once.
  private static let enough = 3

  /// What of `needs` is to be left out.
  func failures(for needs: Needs, on connection: Connection) throws -> [Need: StoreFailure] {
    let state = state.withLock { $0 }
    guard !state.rows.isEmpty else { return [:] }
    let held = needs.all.filter(state.rows.contains)
    if let first = held.first, state.looked + Self.interval < .now {
      self.state.withLock { $0.looked = .now }
      guard try isHeld(first, on: connection) else {
        // What else there is may be free too: a group will find out.
        self.state.withLock { $0.rows = [] }
        return [:]
      }
    }
    return Dictionary(uniqueKeysWithValues: held.map { ($0, Self.failure($0)) })
  }

  /// Looks which of `needs` are locked.
  ///
  /// - Returns: whether something is.
  func find(among needs: Needs, on connection: Connection) throws -> Bool {
    let (accounts, others) = try Self.unlockable(needs, on: connection)
    // Of an account it may also be what its draws count in.
    let rest = needs.accounts.map(Need.account).filter { !accounts.contains($0) }
    var found: Set<Need> = []
    for need in (accounts + others + rest).prefix(Self.limit) where found.count < Self.enough {
      if try isHeld(need, on: connection) { found.insert(need) }
    }
    if found.count == Self.enough { found.formUnion(accounts) }
    state.withLock {
      $0.rows.formUnion(found)
      $0.looked = .now
    }
    return !found.isEmpty
  }

  /// Waits a little for the lock, which other servers' groups let go of in time.
  private func isHeld(_ need: Need, on connection: Connection) throws -> Bool {
    do {
      try connection.run([Query(.begin), Query(.beImpatient)] + Self.locks(need) + [Query(.rollback)])
      return false
    } catch let failure as PostgresFailure where failure.isLockTimeout {
      try connection.run([Query(.rollback)])
      return true
    }
  }

  /// What cannot be locked at once, or is not there: accounts, and chains and commitments.
  private static func unlockable(
    _ needs: Needs, on connection: Connection
  ) throws -> (accounts: [Need], others: [Need]) {
    let chains = Array(needs.chains)
    let commitments = Array(needs.commitments)
    var queries = [
      Query(.begin), Query(.skipAccounts) { $0.bind(needs.accounts.map(\.rawValue)) },
    ]
    if !chains.isEmpty { queries.append(.chains(.skipChains, chains)) }
    if !commitments.isEmpty { queries.append(.commitments(.skipCommitments, commitments)) }
    queries.append(Query(.rollback))
    let results = try connection.run(queries)
    func firsts(_ rows: QueryResult) -> Set<Int64> { Set((0..<rows.count).map { rows.integer($0, 0) }) }
    let free = firsts(results[1])
    var rest = results.dropFirst(2)
    /// The results' first columns count what was asked for, from 1.
    func locked<Asked>(_ asked: [Asked], _ need: (Asked) -> Need) -> [Need] {
      guard !asked.isEmpty, let rows = rest.popFirst() else { return [] }
      let free = firsts(rows)
      return asked.indices.filter { !free.contains(Int64($0) + 1) }.map { need(asked[$0]) }
    }
    return (
      needs.accounts.filter { !free.contains($0.rawValue) }.map(Need.account),
      locked(chains, Need.chain) + locked(commitments, Need.commitment)
    )
  }

  private static func locks(_ need: Need) -> [Query] {
    switch need {
    case .account(let id):
      [
        Query(.lockAccounts) { $0.bind([id.rawValue]) }, Query(.lockUsage) { $0.bind(id.rawValue) },
        Query(.lockKeyUsage) { $0.bind(id.rawValue) },
      ]
    case .chain(let key): [.chains(.lockChains, [key])]
    case .commitment(let id): [.commitments(.lockCommitments, [id])]
    case .record, .testDraw: []
    }
  }

  private static func failure(_ need: Need) -> StoreFailure {
    let what =
      switch need {
      case .account(let id): "account \(id.rawValue)"
      case .chain(let key): "a chain of owner \(key.owner.rawValue)"
      case .commitment(let id): "commitment \(id)"
      case .record, .testDraw: "a row"
      }
    return StoreFailure("\(what) is locked by another session of the database")
  }
}

extension PostgresStatement {
  fileprivate static let beImpatient: PostgresStatement = "SET LOCAL lock_timeout = '100ms'"
  fileprivate static let skipAccounts: PostgresStatement = "\(lockAccounts.sql) SKIP LOCKED"
  fileprivate static let skipCommitments: PostgresStatement = "\(lockCommitments.sql) SKIP LOCKED"
  fileprivate static let skipChains: PostgresStatement = "\(lockChains.sql) SKIP LOCKED"
  /// What an account's draws count in.
  fileprivate static let lockUsage: PostgresStatement = """
    SELECT 1 FROM usage WHERE account_id = $1::bigint AND day >= (SELECT \(now) / 86400000 - 1) ORDER BY day, endpoint, slot
    FOR NO KEY UPDATE
    """
  fileprivate static let lockKeyUsage: PostgresStatement = """
    SELECT 1 FROM key_usage WHERE account_id = $1::bigint AND day >= (SELECT \(now) / 86400000 - 1) ORDER BY key_id, day
    FOR NO KEY UPDATE
    """
}
