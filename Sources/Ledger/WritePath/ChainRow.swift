import Fairness

/// A chain's row as a store reads it, together with the database's own evidence of what was drawn from the chain.
///
/// A row that is set back, by hand or by a restore of one table, would draw used coordinates again, or from a server seed
/// that is no secret. The outcomes and revealed seeds that are still there tell: see ``check(newest:revealed:)``.
public struct ChainRow: Sendable {
  public let id: Int64
  public let era: Int64
  public let epoch: Int64
  /// What was told of the server seed of this epoch.
  public let serverHash: [UInt8]
  public let cursor: Int64
  public let nonce: Int64
  public let created: Milliseconds
  public let trail: OutcomeTrail

  /// Where the outcome stands that the trail calls the newest, and of which chain it is.
  public struct Newest: Sendable {
    public let chain, epoch, cursor, nonce: Int64
    public let created: Milliseconds

    public init(chain: Int64, epoch: Int64, cursor: Int64, nonce: Int64, created: Milliseconds) {
      self.chain = chain
      self.epoch = epoch
      self.cursor = cursor
      self.nonce = nonce
      self.created = created
    }
  }

  /// Which of the chain's server seeds was revealed last, and where the chain stood.
  public struct Revealed: Sendable {
    public let epoch, cursor, nonce: Int64

    public init(epoch: Int64, cursor: Int64, nonce: Int64) {
      self.epoch = epoch
      self.cursor = cursor
      self.nonce = nonce
    }
  }

  /// - Throws: a ``StoreFailure`` if the columns are none that this program wrote.
  public init(
    id: Int64, era: Int64, epoch: Int64, serverHash: [UInt8], cursor: Int64, nonce: Int64, created: Milliseconds,
    trail: [UInt8]
  ) throws(StoreFailure) {
    guard let trail = OutcomeTrail(trail) else { throw .damaged("the trail of chain \(id) is damaged") }
    let coordinates = 0...SeedChain.largestCoordinate
    guard id > 0, coordinates.contains(era), coordinates.contains(epoch), coordinates.contains(cursor),
      coordinates.contains(nonce),
      created.isPlausible
    else {
      throw .damaged("chain \(id) stands where no chain does: epoch \(epoch), cursor \(cursor), nonce \(nonce)")
    }
    self.id = id
    self.era = era
    self.epoch = epoch
    self.serverHash = serverHash
    self.cursor = cursor
    self.nonce = nonce
    self.created = created
    self.trail = trail
  }

  /// Holds the row against the evidence.
  ///
  /// - Parameters:
  ///   - newest: the row of the trail's newest outcome; nil if it is not there.
  ///   - revealed: of the latest epoch that was revealed.
  /// - Throws: a ``StoreFailure`` unless the newest outcome is before the chain's cursor and nonce, its outcomes are no
  ///   more than its nonce, and every revealed seed is of an epoch before.
  public func check(newest: Newest?, revealed: Revealed?) throws(StoreFailure) {
    // Fewer there may be: an operator who restores a backup skips nonces.
    guard trail.count <= nonce else {
      throw .damaged("chain \(id) stands at nonce \(nonce) and has \(trail.count) outcomes: it was set back")
    }
    if trail.newest != nil {
      guard let newest, newest.chain == id else { throw .damaged("the newest outcome of chain \(id) is not there") }
      guard newest.nonce < nonce, newest.cursor <= cursor, newest.epoch <= epoch, newest.created.isPlausible else {
        throw .damaged(
          "chain \(id) was set back: it stands at epoch \(epoch), \(cursor):\(nonce), and its newest outcome was drawn "
            + "in epoch \(newest.epoch) at \(newest.cursor):\(newest.nonce)")
      }
    }
    if let revealed {
      guard revealed.epoch < epoch, revealed.cursor <= cursor, revealed.nonce <= nonce else {
        throw .damaged(
          "chain \(id) was set back: it stands at epoch \(epoch), \(cursor):\(nonce), and the server seed of epoch "
            + "\(revealed.epoch) was revealed at \(revealed.cursor):\(revealed.nonce)")
      }
    }
  }

  /// The chain with its server seed, once the row was checked.
  ///
  /// - Throws: a ``StoreFailure`` if its seed is not the one whose hash was told.
  public func chain(_ key: ChainKey, _ seeds: ChainSeeds) throws(StoreFailure) -> StoredChain {
    let active = seeds.seed(of: key, era: era, epoch: Int(epoch))
    guard active.hash.bytes == serverHash else {
      throw .damaged("the server hash of chain \(id) is not that of its seed in era \(era), epoch \(epoch)")
    }
    return StoredChain(
      SeedChain(
        id: id, key: key, era: era, epoch: Int(epoch), active: active, cursor: cursor, nonce: nonce, created: created),
      trail)
  }
}

extension Vault {
  /// What a commitment's server seed is sealed for: it opens nowhere else.
  private static func context(chain: Int64) -> String { "commitment:\(chain)" }

  /// Seals the server seed of the commitment that becomes `chain`.
  public func seal(_ seed: ServerSeed, chain: Int64) throws -> [UInt8] {
    try seal(seed.ascii, context: Self.context(chain: chain))
  }

  /// Opens the server seed of the commitment that becomes `chain`.
  ///
  /// - Throws: a ``StoreFailure`` if it is damaged.
  public func openSeed(_ sealed: [UInt8], chain: Int64) throws(StoreFailure) -> ActiveSeed {
    do {
      return ActiveSeed(try ServerSeed(hex: open(sealed, context: Self.context(chain: chain))))
    } catch {
      throw .damaged("the sealed server seed of the commitment of chain \(chain) does not open: \(error)")
    }
  }
}
