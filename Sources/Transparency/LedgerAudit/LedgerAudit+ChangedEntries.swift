import Fairness
import Ledger

/// Finding out which entry was changed: the one in whose place something else that is recorded gives the signed root.
extension LedgerAudit {
  /// A bundle whose entries do not give what was signed.
  struct ChangedBundle: Codable, Sendable {
    /// Which of the scope's logs it is of.
    let log: Int
    let number: Int
    /// Whether a hash above it says so; else it is the bundle above which there is none.
    let isCertain: Bool
    var isExplained = false
  }

  /// So many bundles are looked into, and for so many entries.
  private static let mostChangedBundles = 20
  private static let mostSoughtThere = 200

  /// Looks for the entry that was `entry` before it was changed, and names it.
  ///
  /// - Returns: its number; nil if there is none.
  mutating func change(of entry: LogEntry) throws -> Int? {
    guard !state.changedBundles.isEmpty, soughtAmongChanged < Self.mostSoughtThere else { return nil }
    soughtAmongChanged += 1
    let leaf = MerkleHash.leaf(entry.bytes)
    for (place, bundle) in state.changedBundles.prefix(Self.mostChangedBundles).enumerated() {
      tick()
      let log = state.scope.logs[bundle.log]
      guard let root = try signedRoot(log) else { continue }
      let paths = try pathsOfChanged[place] ?? paths(in: bundle, of: log)
      pathsOfChanged[place] = paths
      let first = bundle.number * MerkleTile.width
      let found = zip(first..., paths).first { index, path in
        LogTree.verifyInclusion(leaf: leaf, index: index, size: log.signedSize, path: path, root: root)
      }
      guard let found else { continue }
      state.changedBundles[place].isExplained = true
      state.note(
        "entry \(found.0) of era \(log.era)", "it was changed: the root that was signed is of another one there")
      return found.0
    }
    return nil
  }

  /// The ways from the places of a bundle to the signed root; none if something else is in the way, or it was not signed.
  private func paths(in bundle: ChangedBundle, of log: AuditScope.Log) throws -> [[MerkleHash]] {
    var tiles: [MerkleTile.Place: [MerkleHash]] = [:]
    let first = bundle.number * MerkleTile.width
    guard first < log.signedSize else { return [] }
    do {
      return try (first..<min(first + MerkleTile.width, log.signedSize)).map { index in
        try LogTree.inclusionProof(index: index, size: log.signedSize) { place in
          if let known = tiles[place] { return known }
          let found = place.level > 0 ? try stored(place, of: log.era) : try leaves(place.number, of: log)
          tiles[place] = found
          return found
        }
      }
    } catch is LogTree.Failure {
      return []
    } catch let failure as StoreFailure where failure.kind == .damaged {
      return []  // which was named when the log was read
    }
  }

  private func leaves(_ number: Int, of log: AuditScope.Log) throws -> [MerkleHash] {
    guard let bundle = try store.auditBundles(of: log.era, first: number, limit: 1).first, bundle.number == number
    else { return [] }
    return MerkleTile(place: .init(level: 0, number: number), bytes: try bundle.row.get().entries.leaves()).hashes
  }

  /// Names the bundles of which no entry was named.
  mutating func noteChangedBundles() {
    for bundle in state.changedBundles where bundle.isCertain && !bundle.isExplained {
      let log = state.scope.logs[bundle.log]
      let first = bundle.number * MerkleTile.width
      state.note(
        "the entries \(first) to \(first + MerkleTile.width - 1) of era \(log.era)",
        "some were changed: they do not give the hash that the log's tile has of them")
    }
  }
}
