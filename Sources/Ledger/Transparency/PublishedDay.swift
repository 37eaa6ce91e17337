import Fairness
import JSON

/// A day's root, as it was published and signed.
public struct PublishedDay: Sendable, Equatable {
  public let day: Day
  /// nil for a day without outcomes; written as an empty text.
  public let root: MerkleHash?
  public let leafCount: Int
  /// The root of the day before; nil for the first day, and after a day without outcomes.
  public let previousRoot: MerkleHash?
  /// Ed25519 over the day's statement, 64 bytes.
  public let signature: [UInt8]
  public let publishedAt: Milliseconds

  public init(
    day: Day, root: MerkleHash?, leafCount: Int, previousRoot: MerkleHash?, signature: [UInt8],
    publishedAt: Milliseconds
  ) {
    self.day = day
    self.root = root
    self.leafCount = leafCount
    self.previousRoot = previousRoot
    self.signature = signature
    self.publishedAt = publishedAt
  }

  /// A published day as a store's columns hold it.
  ///
  /// - Throws: a ``StoreFailure`` if they are none that this program wrote.
  public init(
    day: Day, root: [UInt8]?, leafCount: Int64?, previousRoot: [UInt8]?, signature: [UInt8]?,
    publishedAt: Milliseconds
  ) throws(StoreFailure) {
    guard let leafCount, ShortIDs.numbers.contains(leafCount), (root == nil) == (leafCount == 0), let signature,
      publishedAt.isPlausible
    else { throw .damaged("the row of the published day \(day) is damaged") }
    do {
      self.init(
        day: day, root: try root.map { try MerkleHash(bytes: $0) }, leafCount: Int(leafCount),
        previousRoot: try previousRoot.map { try MerkleHash(bytes: $0) }, signature: signature,
        publishedAt: publishedAt)
    } catch {
      throw .damaged("the row of the published day \(day) is damaged: \(error)")
    }
  }

  public var shape: MerkleShape { MerkleShape(leafCount: leafCount) }

  /// Appends the members of its JSON object, without braces.
  package func append(to body: inout [UInt8]) {
    body.append(json: "\"date\":\"")
    body.append(text: day.description)
    body.append(json: "\",\"root\":\"")
    body.append(hex: root?.bytes ?? [])
    body.append(json: "\",\"leafCount\":")
    body.append(integer: leafCount)
    body.append(json: ",\"treeHeight\":")
    body.append(integer: shape.height)
    body.append(json: ",\"publishedAt\":")
    body.append(integer: publishedAt)
    body.append(json: ",\"previousRoot\":\"")
    body.append(hex: previousRoot?.bytes ?? [])
    body.append(json: "\",\"signature\":\"")
    body.append(base64: signature)
    body.append(json: "\"")
  }
}

/// How a caller names a live outcome.
public enum OutcomeReference: Sendable, Equatable {
  /// By its row number, which is its short id.
  case id(Int64)
  /// By its coordinates on a chain of the owner's.
  case coordinates(ChainKey, cursor: Int64, nonce: Int64)
}

/// A live outcome and its place in the log.
public struct FoundOutcome: Sendable {
  public let leaf: LogLeaf
  /// nil while its day is not published.
  public let place: Place?

  public struct Place: Sendable {
    public let day: PublishedDay
    public let index: Int
    /// Those at ``MerkleShape/tilesOfProof(for:)``.
    public let tiles: [MerkleTile]

    public init(day: PublishedDay, index: Int, tiles: [MerkleTile]) {
      self.day = day
      self.index = index
      self.tiles = tiles
    }
  }

  public init(leaf: LogLeaf, place: Place?) {
    self.leaf = leaf
    self.place = place
  }

  public var day: Day { Day(of: leaf.created) }
}

/// A leaf and its index in its day's tree.
public struct PlacedLeaf: Sendable, Equatable {
  public let leaf: LogLeaf
  public let index: Int

  public init(leaf: LogLeaf, index: Int) {
    self.leaf = leaf
    self.index = index
  }
}
