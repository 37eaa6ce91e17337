/// How a chain's outcomes are found without an index.
///
/// Every outcome's row names the one before it in its chain, and one further back to jump to, such that any of n outcomes
/// is reached in O(log n) steps from the newest: the list of E. W. Myers, "An applicative random-access stack" (1983),
/// which sees the outcomes as complete binary trees whose sizes are a skew binary number. A row is written once, at the
/// end of its table. An index on (chain, cursor, nonce) would cost a page for each draw as soon as many chains are in use.
///
/// A trail is what a chain has to remember for the next outcome: the trees' roots and sizes, at most about log₂ n of them.
public struct OutcomeTrail: Sendable, Equatable {
  private struct Tree: Sendable, Equatable {
    var size: Int64
    var root: Int64
  }

  /// The newest first.
  private var trees: [Tree] = []

  /// How many outcomes it leads to.
  public private(set) var count: Int64 = 0

  public init() {}

  /// The newest outcome's row number; nil before the first.
  public var newest: Int64? { trees.first?.root }

  /// What an outcome's row says of those before it; 0 where there is none.
  public struct Links: Sendable, Equatable {
    public let previous: Int64
    public let jump: Int64
  }

  /// Adds the outcome of row `id` and returns what its row is to say.
  @discardableResult
  public mutating func append(_ id: Int64) -> Links {
    let previous = trees.first?.root ?? 0
    count += 1
    if trees.count >= 2, trees[0].size == trees[1].size {
      let size = 1 + trees[0].size + trees[1].size
      trees.removeFirst()
      trees[0] = Tree(size: size, root: id)
    } else {
      trees.insert(Tree(size: 1, root: id), at: 0)
    }
    return Links(previous: previous, jump: trees.count > 1 ? trees[1].root : 0)
  }

  // MARK: Storage

  /// Sizes and roots in turn, each root after the first as its distance back from the one before: LEB128 numbers of 64
  /// bits. Where several servers number outcomes a distance may be negative, and is written as its two's complement.
  public var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 * trees.count)
    var last: Int64?
    for tree in trees {
      bytes.append(leb128: UInt64(bitPattern: tree.size))
      bytes.append(leb128: UInt64(bitPattern: last.map { $0 - tree.root } ?? tree.root))
      last = tree.root
    }
    return bytes
  }

  /// Nil for bytes that are no trail: its trees have 2^k − 1 outcomes each, and only the first two may be of one size.
  public init?(_ bytes: [UInt8]) {
    var rest = bytes[...]
    var last: Int64 = 0
    count = 0
    while !rest.isEmpty {
      guard let size = rest.takeLEB128().map(Int64.init(bitPattern:)),
        let distance = rest.takeLEB128().map(Int64.init(bitPattern:))
      else { return nil }
      let (root, overflows) = trees.isEmpty ? (distance, false) : last.subtractingReportingOverflow(distance)
      let isWhole = (1...SeedChain.largestCoordinate).contains(size) && size & (size + 1) == 0
      let follows = trees.last.map { trees.count == 1 ? $0.size <= size : $0.size < size } ?? true
      guard !overflows, isWhole, follows, root > 0 else { return nil }
      count += size
      guard count <= SeedChain.largestCoordinate else { return nil }
      trees.append(Tree(size: size, root: root))
      last = root
    }
  }
}
