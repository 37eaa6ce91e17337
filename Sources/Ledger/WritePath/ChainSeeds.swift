import Dispatch
import Fairness
import JSON
import Synchronization

/// The server seeds of chains. Each follows from the installation's key, the chain, its era and its epoch, so none is
/// stored: it is computed when it is first needed in this process, and remembered.
public final class ChainSeeds: Sendable {
  /// Which of an installation's eras it is now: what chains that are new or rotated draw from. 0 at first, and one more
  /// whenever the database is put back to an earlier state.
  public let era: Int64
  private let key: SeedKey
  private let known: Mutex<BoundedCache<ChainKey, Entry>>

  /// What is remembered of a chain: the seed of one epoch, and the one that comes next if somebody has asked for it.
  private struct Entry {
    let era: Int64
    let epoch: Int
    let active: ActiveSeed
    var next: ActiveSeed?
  }

  /// - Parameters:
  ///   - era: 0 or more.
  ///   - capacity: how many chains' seeds are remembered.
  public init(key: SeedKey, era: Int64 = 0, capacity: Int = 20_000) {
    precondition(era >= 0)
    self.key = key
    self.era = era
    known = Mutex(BoundedCache(capacity: capacity))
  }

  /// What the proofs of these seeds are checked against.
  public var publicKey: SeedPublicKey { key.publicKey }

  /// The server seed that `chain` draws from in an epoch of its own, which began in `era`.
  public func seed(of chain: ChainKey, era: Int64, epoch: Int) -> ActiveSeed {
    if let entry = known.withLock({ $0.value(for: chain) }) {
      if (entry.era, entry.epoch) == (era, epoch) { return entry.active }
      if let next = entry.next, (self.era, entry.epoch + 1) == (era, epoch) { return next }
    }
    let active = compute(chain, era, epoch)
    // Whoever computed it too was given the same.
    known.withLock { $0.insert(Entry(era: era, epoch: epoch, active: active), for: chain) }
    return active
  }

  /// Computes the seeds that a group is going to need and that are not known, side by side on all cores: those of chains
  /// nobody has asked for in this process, most of which are new, and those that chains are rotated to.
  public func prepare(for group: [Submission], _ needs: Needs) {
    var rotated: Set<ChainKey> = []
    for submission in group {
      if case .rotate(let clientSeed) = submission.operation, submission.caller.mode == .live {
        rotated.insert(ChainKey(owner: submission.caller.chainOwner, clientSeed: clientSeed))
      }
    }
    let missing = known.withLock { known in
      needs.chains.compactMap { chain -> (chain: ChainKey, after: Entry?)? in
        guard let entry = known.value(for: chain) else { return (chain, nil) }
        return rotated.contains(chain) && entry.next == nil ? (chain, entry) : nil
      }
    }
    // One alone is computed where it is needed.
    guard missing.count > 1 else { return }
    DispatchQueue.concurrentPerform(iterations: missing.count) { index in
      let (chain, after) = missing[index]
      guard var entry = after else {
        _ = seed(of: chain, era: era, epoch: 0)
        return
      }
      entry.next = compute(chain, era, entry.epoch + 1)
      known.withLock { [entry] in $0.insert(entry, for: chain) }
    }
  }

  /// What is told of the next draw of a chain that stands where its row says. See ``Era`` for one of an earlier era.
  public func nextDraw(
    of chain: ChainKey, era: Int64, epoch: Int, serverHash: ServerHash, cursor: Int64, nonce: Int64
  ) -> NextDraw {
    guard era < self.era else { return NextDraw(serverHash: serverHash, cursor: cursor, nonce: nonce) }
    let next = seed(of: chain, era: self.era, epoch: epoch + 1)
    // A row that is damaged may say anything.
    let moved = Era.cursor(min(cursor, SeedChain.largestCoordinate), from: max(era, 0), to: self.era)
    return NextDraw(serverHash: next.hash, cursor: moved, nonce: nonce)
  }

  /// The proof that a revealed seed is the only one its chain could have had in that era and epoch; nil for a commitment's,
  /// which was drawn at random.
  public func proof(of revealed: RevealedSeed, clientSeed: ClientSeed) -> SeedProof? {
    guard !revealed.owner.isNobody else { return nil }
    let chain = ChainKey(owner: revealed.owner, clientSeed: clientSeed)
    let proven = key.prove(input(chain, revealed.era, revealed.epoch))
    return proven.serverSeed == revealed.seed ? proven.proof : nil
  }

  private func compute(_ chain: ChainKey, _ era: Int64, _ epoch: Int) -> ActiveSeed {
    ActiveSeed(key.serverSeed(for: input(chain, era, epoch)))
  }

  private func input(_ chain: ChainKey, _ era: Int64, _ epoch: Int) -> SeedInput {
    SeedInput(scope: chain.owner.scope, era: UInt64(era), epoch: UInt64(epoch), clientSeed: chain.clientSeed)
  }
}

extension ChainOwner {
  /// Whose chains these are, as seed proofs name it.
  fileprivate var scope: SeedScope { self == .anonymous ? .anonymous : .account(UInt64(rawValue)) }
}

extension [UInt8] {
  /// Appends a proof as the JSON object that tells it.
  package mutating func append(_ proof: SeedProof) {
    append(json: "{\"suite\":")
    append(jsonString: SeedProof.suite)
    append(json: ",\"publicKey\":\"")
    append(hex: proof.publicKey.bytes)
    append(json: "\",\"scope\":")
    append(jsonString: proof.scope.description)
    append(json: ",\"era\":")
    append(integer: proof.era)
    append(json: ",\"epoch\":")
    append(integer: proof.epoch)
    append(json: ",\"proof\":\"")
    append(contentsOf: proof.hex)
    append(json: "\"}")
  }
}
