import Fairness
import Ledger

/// The right edge of a log: what is needed to go on with it, and the tiles and bundles that fill up on the way.
///
/// The tiles of the leaves' own hashes are not among them: whoever needs one computes it from the bundle.
package struct LogTiler {
  package private(set) var size: Int
  /// The hashes of the tile being filled at each of the levels 0, 8, 16, …
  private var filling: [[UInt8]]
  private var bundle: LogBundle
  private var tiles: [MerkleTile] = []
  private var bundles: [LogBundle] = []
  /// Whether the tile being filled at each of the levels has more hashes than when it was last taken.
  private var isChanged: [Bool]

  /// - Throws: a ``StoreFailure`` if the bundle's entries are damaged.
  package init(_ state: LogState) throws(StoreFailure) {
    size = state.size
    let levels = (state.edge.keys.max() ?? 0) / MerkleTile.depth + 1
    filling = (0..<levels).map { state.edge[$0 * MerkleTile.depth]?.bytes ?? [] }
    filling[0] = try state.bundle.entries.leaves()
    isChanged = filling.map { _ in false }
    bundle = state.bundle
    bundle.mark(at: bundle.logged.last?.time ?? 0)
  }

  /// - Parameter drawn: when the entries' outcomes were drawn, if they are of any.
  /// - Throws: a ``StoreFailure`` for a text that is no entry; what was appended is of no use then.
  package mutating func append(_ entries: LogEntries, drawn: Milliseconds?) throws(StoreFailure) {
    var place = 0
    while place < entries.bytes.count {
      let part = entries.next(LogBundle.width - bundle.entries.count, from: &place)
      bundle.entries.append(part)
      if let drawn {
        let known = bundle.drawn ?? drawn...drawn
        bundle.drawn = min(known.lowerBound, drawn)...max(known.upperBound, drawn)
      }
      size += part.count
      if bundle.entries.count == LogBundle.width {
        bundles.append(bundle)
        bundle = LogBundle(number: bundle.number + 1)
      }
      try part.appendLeaves(to: &filling[0])
      added(at: 0, nodes: size)
    }
  }

  /// Completes the tile that a node was added to, if it is full with it.
  ///
  /// - Parameter nodes: how many of that level there are with this one.
  private mutating func added(at slot: Int, nodes: Int) {
    guard nodes % MerkleTile.width == 0 else {
      isChanged[slot] = true
      return
    }
    let number = nodes / MerkleTile.width - 1
    let tile = MerkleTile(place: .init(level: slot * MerkleTile.depth, number: number), bytes: filling[slot])
    if slot > 0 { tiles.append(tile) }
    filling[slot] = []
    isChanged[slot] = false
    if slot + 1 == filling.count {
      filling.append([])
      isChanged.append(false)
    }
    filling[slot + 1].append(contentsOf: tile.root.bytes)
    added(at: slot + 1, nodes: number + 1)
  }

  /// Hands over what has filled up since it was last called, and the edge as far as it goes.
  ///
  /// - Parameter time: when that was added.
  package mutating func take(at time: Milliseconds) -> (tiles: [MerkleTile], bundles: [LogBundle]) {
    for place in bundles.indices { bundles[place].mark(at: time) }
    bundle.mark(at: time)
    defer {
      tiles = []
      bundles = []
      for slot in isChanged.indices { isChanged[slot] = false }
    }
    let edge = isChanged.indices.filter { $0 > 0 && isChanged[$0] }.map { slot in
      let level = slot * MerkleTile.depth
      return MerkleTile(
        place: .init(level: level, number: (size >> level) / MerkleTile.width), bytes: filling[slot])
    }
    return (tiles + edge, bundle.entries.isEmpty ? bundles : bundles + [bundle])
  }

  /// The root of all that was appended.
  ///
  /// - Throws: what cannot happen: the edge has all that a root is made from.
  package func root() throws -> MerkleHash {
    try LogTree.root(size: size) { place in
      let slot = place.level / MerkleTile.depth
      guard filling.indices.contains(slot), place.number == (size >> place.level) / MerkleTile.width else { return [] }
      return MerkleTile(place: place, bytes: filling[slot]).hashes
    }
  }
}
