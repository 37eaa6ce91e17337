import Fairness
import Ledger

/// The ledger in a PostgreSQL database, shared by as many servers as one likes.
public final class PostgresStore: Sendable {
  /// Groups that are worked on at once. Two would overlap one's commit with the other's loading, but share the callers
  /// between them, and wait for each other wherever they have an account in common: on two cores that gave 15 % less for
  /// keyed draws of one account, a quarter less for anonymous ones, and as much for batches.
  static let writers = 1
  static let readers = 3
  /// For recording and claiming webhook deliveries, one transaction after the other.
  static let deliverers = 1
  static let administrators = 1

  let groups: PostgresGroupWriter
  /// Of the writer threads.
  let writing: SessionPool
  /// For sweeps and probes, which must not take a writer's place.
  let caring: SessionPool
  let reading: Readers
  let delivering: Readers
  /// For changes of accounts.
  let administering: Readers
  let clock: (@Sendable () -> Milliseconds)?
  public let shortIDs: ShortIDs
  public let vault: Vault
  public let seeds: ChainSeeds
  let target: ConnectionTarget

  /// Connects, makes or upgrades the tables as needed, and checks the master key.
  ///
  /// - Parameters:
  ///   - clock: the time; the database's own unless replaced in tests.
  /// - Throws: ``MasterKeyMismatch`` if the database's secrets were sealed under another key; ``StoreFailure`` if the
  ///   database cannot be reached or its tables not made.
  public init(
    _ target: ConnectionTarget, masterKey: MasterKey, clock: (@Sendable () -> Milliseconds)? = nil
  ) throws {
    self.clock = clock
    self.target = target
    shortIDs = ShortIDs(masterKey: masterKey)
    vault = masterKey.vault
    func sessions(_ count: Int, _ settings: SessionSettings = .standard) -> [PostgresSession] {
      (0..<count).map { _ in PostgresSession(target: target, settings: settings) }
    }
    writing = SessionPool(sessions(Self.writers, .writing))
    let caring = SessionPool(sessions(1, .reading))
    self.caring = caring
    reading = Readers(sessions(Self.readers, .reading))
    delivering = Readers(sessions(Self.deliverers))
    administering = Readers(sessions(Self.administrators))
    let era = try caring.withSession { session in
      do {
        try Self.checkEncoding(session)
        try PostgresSchema.migrate(session)
        try Self.check(masterKey, session)
        guard try session.use({ try $0.run([Query(.importMark)])[0].count == 0 }) else { throw UnfinishedImport() }
        return try Self.reachEra(session)
      } catch let error as UnfinishedImport {
        throw StoreFailure(error)
      } catch let error as PostgresFailure {
        throw StoreFailure(error)
      }
    }
    seeds = ChainSeeds(key: try masterKey.seedKey(), era: era)
    groups = PostgresGroupWriter(
      vault: vault, seeds: seeds, shortIDs: shortIDs, flushing: PostgresSession(target: target), clock: clock)
  }

  /// The fingerprint of the master key that a database belongs to; nil if it is not Fairdraw's yet.
  ///
  /// - Throws: ``StoreFailure`` if the database cannot be read.
  public static func masterKeyFingerprint(of target: ConnectionTarget) throws(StoreFailure) -> [UInt8]? {
    do {
      return try PostgresSession(target: target).use { connection in
        let exists = try connection.run([Query("SELECT to_regclass('meta') IS NOT NULL")])
        guard exists[0].bytes(0, 0) == [1] else { return nil }
        let found = try connection.run([Query(.masterKey)])
        return found[0].count == 1 ? found[0].bytes(0, 0) : nil
      }
    } catch {
      throw StoreFailure(error)
    }
  }

  /// The newest era, in which rows are numbered behind those of the eras before.
  private static func reachEra(_ session: PostgresSession) throws -> Int64 {
    try session.transaction { connection in
      let era = try Era.checked(
        try connection.run([Query("SELECT coalesce(max(number), 0) FROM eras")])[0].integer(0, 0))
      let first = Era.lastNumber(before: era) + 1
      try connection.run([
        Query("UPDATE counters SET next = $1::bigint WHERE next < $1::bigint") { $0.bind(first) },
        Query(
          """
          SELECT setval('deliveries_id_seq', $1::bigint, false)
          WHERE $1::bigint > (SELECT last_value FROM deliveries_id_seq)
          """
        ) { $0.bind(first) },
      ])
      return era
    }
  }

  static func checkEncoding(_ session: PostgresSession) throws {
    let encoding = try session.use {
      try $0.run([Query("SELECT current_setting('server_encoding')")])[0].text(0, 0)
    }
    guard encoding == "UTF8" else {
      throw StoreFailure("its encoding is \(encoding), and must be UTF8: CREATE DATABASE … ENCODING 'UTF8'")
    }
  }

  /// The first server's key becomes the database's.
  static func check(_ masterKey: MasterKey, _ session: PostgresSession) throws {
    let known = try session.transaction { connection in
      let results = try connection.run([
        Query("INSERT INTO meta (name, value) VALUES ('master-key', $1::bytea) ON CONFLICT (name) DO NOTHING") {
          $0.bind(masterKey.fingerprint)
        },
        Query(.masterKey),
      ])
      return results[1].count == 1 ? results[1].bytes(0, 0) : []
    }
    guard known == masterKey.fingerprint else { throw MasterKeyMismatch() }
  }
}

extension PostgresStatement {
  fileprivate static let masterKey: PostgresStatement = "SELECT value FROM meta WHERE name = 'master-key'"
}

/// The database's secrets were sealed under another master key.
public struct MasterKeyMismatch: Error, Sendable, CustomStringConvertible {
  public var description: String {
    "the database belongs to another master key: copy the key file of a server that uses the database"
  }
}
