/// Shows, without asking anybody, that an entry is in a log, and who vouches for that log's tree: the proof file of
/// <https://c2sp.org/tlog-proof>.
///
/// ```swift
/// let proof = try LogProof(text)
/// let verified = try proof.verify(entry: entry, policy: LogPolicy(log: key))
/// print(verified.checkpoint.size, verified.cosignatures.map(\.name))
/// ```
public struct LogProof: Hashable, Sendable, CustomStringConvertible {
  /// What the log adds, such as the text that the entry is the digest of. Nothing of the proof vouches for it.
  public let extra: [UInt8]?
  /// The entry's place in the log, from 0.
  public let index: Int
  /// The siblings on the entry's way to the root, from the leaves up.
  public let path: [MerkleHash]
  public let checkpoint: SignedNote

  /// The most bytes of a proof. Those of a checkpoint are in it.
  public static let longest = 4_000_000
  private static let firstLine = "c2sp.org/tlog-proof@v1"

  /// - Precondition: the index is 0 or more.
  public init(extra: [UInt8]?, index: Int, path: [MerkleHash], checkpoint: SignedNote) {
    precondition(index >= 0)
    self.extra = extra
    self.index = index
    self.path = path
    self.checkpoint = checkpoint
  }

  public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLong
    /// The first line is another, so this is no proof or one of a later version.
    case unknownFormat
    case invalidExtra
    case invalidIndex
    /// A line of the path, from 1, that is no hash.
    case invalidHash(line: Int)
    case pathTooLong
    /// The empty line that the checkpoint follows is missing.
    case noCheckpoint
    case note(SignedNote.Failure)

    public var description: String {
      switch self {
      case .tooLong: "a proof has at most \(longest) bytes"
      case .unknownFormat: "the first line of a proof is \(firstLine)"
      case .invalidExtra: "the proof's line extra is not base64"
      case .invalidIndex: "the proof's line index is not a number from 0 to 2^63 - 1"
      case .invalidHash(let line): "hash \(line) of the proof is not the base64 of 32 bytes"
      case .pathTooLong: "a proof has at most \(LogTree.longestProof) hashes"
      case .noCheckpoint: "the proof has no checkpoint after its hashes and an empty line"
      case .note(let failure): "the proof's checkpoint: \(failure)"
      }
    }
  }

  /// - Throws: ``Failure`` unless `text` is written as ``description`` writes it.
  public init(_ text: String) throws(Failure) { try self.init(utf8: text.utf8) }

  /// - Throws: ``Failure`` unless the bytes are what ``description`` writes.
  public init(utf8: some Collection<UInt8>) throws(Failure) {
    let bytes = Array(utf8.prefix(Self.longest + 1))
    guard bytes.count <= Self.longest else { throw .tooLong }
    var rest = bytes[...]
    func nextLine() -> ArraySlice<UInt8>? {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return rest[..<end]
    }
    guard nextLine()?.elementsEqual(Self.firstLine.utf8) == true else { throw .unknownFormat }
    var line = nextLine() ?? []
    if line.starts(with: "extra ".utf8) {
      guard let extra = Base64.decode(line.dropFirst(6)) else { throw .invalidExtra }
      self.extra = extra
      line = nextLine() ?? []
    } else {
      extra = nil
    }
    guard line.starts(with: "index ".utf8), let index = Int(decimal: line.dropFirst(6)) else { throw .invalidIndex }
    self.index = index
    var path: [MerkleHash] = []
    while true {
      guard let line = nextLine() else { throw .noCheckpoint }
      if line.isEmpty { break }
      guard path.count < LogTree.longestProof else { throw .pathTooLong }
      guard let bytes = Base64.decode(line), let hash = try? MerkleHash(bytes: bytes) else {
        throw .invalidHash(line: path.count + 1)
      }
      path.append(hash)
    }
    self.path = path
    do { checkpoint = try SignedNote(utf8: rest) } catch { throw .note(error) }
  }

  /// The file's text.
  public var description: String {
    var text = "\(Self.firstLine)\n"
    if let extra { text += "extra \(Base64.encode(extra))\n" }
    text += "index \(index)\n"
    for hash in path { text += "\(Base64.encode(hash.bytes))\n" }
    return text + "\n" + checkpoint.description
  }

  /// Who vouches for a tree.
  public struct Verified: Equatable, Sendable {
    /// A witness that says to have seen the tree, and that it has all that the trees before it had.
    public struct Cosignature: Equatable, Sendable {
      /// The name of the witness's key.
      public let name: String
      /// When it says so, in seconds since 1970 UTC.
      public let time: Int
    }

    public let checkpoint: Checkpoint
    /// The name of the log's key, which is the checkpoint's origin.
    public let log: String
    /// The policy's witnesses that cosigned, in the policy's order.
    public let cosignatures: [Cosignature]
  }

  /// The step at which a proof failed.
  public enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// What the log signed is no checkpoint.
    case malformedCheckpoint(Checkpoint.Failure)
    /// The entry and the path do not lead to the checkpoint's root.
    case entryNotInTree(index: Int, size: Int)
    /// The checkpoint is of a log that the policy does not name.
    case wrongOrigin(String, expected: [String])
    /// No key of the log in question signed the checkpoint.
    case notSignedByLog(String)
    /// A signature names a key that the policy has, and is not that key's.
    case invalidSignature(by: String)
    /// Too few of the policy's witnesses cosigned the checkpoint.
    case quorumMissing(quorum: String, cosignedBy: [String])

    public var description: String {
      switch self {
      case .malformedCheckpoint(let failure): "what the log signed is no checkpoint: \(failure)"
      case .entryNotInTree(let index, let size): "the entry is not number \(index) of the log's \(size) entries"
      case .wrongOrigin(let origin, let expected):
        "the checkpoint is of the log \(origin), and "
          + (expected.isEmpty ? "no log is trusted" : "\(expected.joined(separator: ", ")) is trusted")
      case .notSignedByLog(let origin): "the checkpoint is not signed with the key of the log \(origin)"
      case .invalidSignature(let name):
        "the checkpoint has a signature that names \(name)'s key and is not made with it"
      case .quorumMissing(let quorum, let names):
        "the policy asks for the cosignatures of \(quorum), and "
          + (names.isEmpty ? "no witness it names has cosigned" : "only \(names.joined(separator: ", ")) cosigned")
      }
    }
  }

  /// Whether the path leads from `entry` to the root of a checkpoint.
  public func leads(from entry: [UInt8], to checkpoint: Checkpoint) -> Bool {
    LogTree.verifyInclusion(
      leaf: .leaf(entry), index: index, size: checkpoint.size, path: path, root: checkpoint.root)
  }

  /// Checks that an entry is in the tree, and the tree's checkpoint as the policy asks.
  ///
  /// - Throws: ``Refusal`` for the first step that fails.
  public func verify(entry: [UInt8], policy: LogPolicy) throws(Refusal) -> Verified {
    let claimed: Checkpoint
    do { claimed = try Checkpoint(text: checkpoint.text) } catch { throw .malformedCheckpoint(error) }
    guard leads(from: entry, to: claimed) else { throw .entryNotInTree(index: index, size: claimed.size) }
    return try policy.verify(checkpoint)
  }
}
