import Fairness

/// What an audit reads of a database: everything that has an entry in the continuous log, in the order of its keys, a
/// bounded number of rows and bytes at a time.
///
/// A row that cannot be read is given as the failure that it is, so that it does not hide its neighbours. The methods block,
/// and are called from a thread that has nothing else to do.
public protocol AuditStore: LogStore {
  /// The database's name and version, for people.
  func databaseVersion() throws(StoreFailure) -> String

  /// What there is now, of one moment.
  func auditScope() throws(StoreFailure) -> AuditScope

  /// The entries of bundles of a log from number `first` on; bundles that are missing are left out.
  func auditBundles(of era: Int64, first: Int, limit: Int) throws(StoreFailure) -> [Audited<LogBundle>]

  /// The hashes of tiles of a level above the leaves, from number `first` on; tiles that are missing are left out.
  func auditTiles(of era: Int64, level: Int, first: Int, limit: Int) throws(StoreFailure) -> [(
    number: Int, hashes: [UInt8]
  )]

  /// The live outcomes after a row and up to another, with what has become of their server seeds.
  func auditOutcomes(after: Int64, through: Int64) throws(StoreFailure) -> [Audited<RecordedOutcome>]

  /// The outcomes among the same rows whose predecessor in their chain is not there, as the row numbers of those.
  func lostPredecessors(after: Int64, through: Int64) throws(StoreFailure) -> [Int64]

  func auditCommitments(after: AuditPlace) throws(StoreFailure) -> [Audited<AuditedCommitment>]
  func auditReveals(after: AuditPlace) throws(StoreFailure) -> [Audited<AuditedReveal>]
  func auditChains(after: AuditPlace) throws(StoreFailure) -> [Audited<AuditedChain>]
}

/// What an audit covers.
public struct AuditScope: Codable, Sendable, Equatable {
  public struct Log: Codable, Sendable, Equatable {
    public let era: Int64
    public let origin: String
    public let size: Int
    public let signedSize: Int
    public let checkpoint: String?

    public init(era: Int64, origin: String, size: Int, signedSize: Int, checkpoint: String?) {
      self.era = era
      self.origin = origin
      self.size = size
      self.signedSize = signedSize
      self.checkpoint = checkpoint
    }
  }

  /// All eras' logs, the first one first.
  public let logs: [Log]
  /// The bytes of the entries that are not in a log yet; nil for more than ``mostQueued``, with which no audit can begin.
  public let queued: [UInt8]?
  /// The number of the last outcome; 0 if there is none.
  public let lastOutcome: Int64
  /// When the first outcome was drawn that is in a log or waits for it; nil if there is none.
  public let begun: Milliseconds?
  public let now: Milliseconds

  public init(logs: [Log], queued: [UInt8]?, lastOutcome: Int64, begun: Milliseconds?, now: Milliseconds) {
    self.logs = logs
    self.queued = queued
    self.lastOutcome = lastOutcome
    self.begun = begun
    self.now = now
  }

  /// The most bytes that ``queued`` may have: about 240 000 entries, by which a log grows in five seconds.
  public static let mostQueued = 8 << 20

  /// The entries that are not in a log yet, from ``queued``.
  ///
  /// - Throws: what says that they are too many or damaged.
  public func waiting() throws(StoreFailure) -> LogEntries {
    guard let queued else { throw Self.tooManyWait }
    return try LogEntries(bytes: queued)
  }

  public static let tooManyWait = StoreFailure(
    "too many entries wait for the log: start a server, which adds them within seconds, and then audit", kind: .passing)

  /// Whether something may have been recorded before there was a log.
  public func isBeforeTheLog(_ moment: Milliseconds) -> Bool { begun.map { moment < $0 } ?? true }
}

/// The key of a row that was read last: owner, chain and epoch, as far as the table has them.
public struct AuditPlace: Codable, Sendable, Equatable {
  public var owner: Int64 = .min
  public var chain: Int64 = 0
  public var epoch: Int64 = -1
  public var clientSeed: [UInt8] = []

  public init() {}

  public init(owner: Int64 = .min, chain: Int64 = 0, epoch: Int64 = -1, clientSeed: [UInt8] = []) {
    self.owner = owner
    self.chain = chain
    self.epoch = epoch
    self.clientSeed = clientSeed
  }
}

/// A row, or why it cannot be read.
public struct Audited<Row: Sendable>: Sendable {
  /// An outcome's row number, a bundle's number, or the number of a chain.
  public let number: Int64
  public let place: AuditPlace
  public let row: Result<Row, StoreFailure>

  public init(number: Int64, place: AuditPlace = AuditPlace(), row: Result<Row, StoreFailure>) {
    self.number = number
    self.place = place
    self.row = row
  }
}

public struct AuditedCommitment: Sendable {
  public let commitment: Commitment
  /// The hash that its row has of its seed.
  public let serverHash: [UInt8]
  /// The seed that was recorded as revealed of the chain it became, as its 64 characters; nil if there is none.
  public let revealedSeed: [UInt8]?

  public init(commitment: Commitment, serverHash: [UInt8], revealedSeed: [UInt8]?) {
    self.commitment = commitment
    self.serverHash = serverHash
    self.revealedSeed = revealedSeed
  }
}

public struct AuditedReveal: Sendable {
  public let seed: RevealedSeed
  public let clientSeed: ClientSeed

  public init(seed: RevealedSeed, clientSeed: ClientSeed) {
    self.seed = seed
    self.clientSeed = clientSeed
  }
}

public struct AuditedChain: Sendable {
  public let key: ChainKey
  public let row: ChainRow
  /// Whether the row of its newest outcome is there.
  public let hasNewest: Bool

  public init(key: ChainKey, row: ChainRow, hasNewest: Bool) {
    self.key = key
    self.row = row
    self.hasNewest = hasNewest
  }
}
