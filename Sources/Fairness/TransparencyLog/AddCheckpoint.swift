/// What a log sends to a witness: a new checkpoint, and the proof that its tree begins with the tree that the witness
/// cosigned last (<https://c2sp.org/tlog-witness>).
public struct AddCheckpoint: Hashable, Sendable, CustomStringConvertible {
  /// How many entries the log had when the witness cosigned it last; 0 if it never did.
  public let oldSize: Int
  /// As ``LogTree/consistencyProof(from:to:tile:)`` makes it.
  public let path: [MerkleHash]
  public let note: SignedNote

  /// The most bytes of a request.
  public static let longest = 256 << 10
  /// The most hashes of a request.
  public static let longestPath = 63

  /// - Precondition: the size is 0 or more.
  public init(oldSize: Int, path: [MerkleHash], note: SignedNote) {
    precondition(oldSize >= 0)
    self.oldSize = oldSize
    self.path = path
    self.note = note
  }

  /// Why something is no such request.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
  }

  /// - Throws: ``Failure`` unless `body` is written as ``description`` writes it.
  public init(_ body: [UInt8]) throws(Failure) {
    guard body.count <= Self.longest else { throw Failure(description: "a request has at most \(Self.longest) bytes") }
    var rest = body[...]
    func nextLine() throws(Failure) -> ArraySlice<UInt8> {
      guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
        throw Failure(description: "a request is an old size, hashes, an empty line and a checkpoint")
      }
      defer { rest = rest[(end + 1)...] }
      return rest[..<end]
    }
    let first = try nextLine()
    guard first.starts(with: "old ".utf8), let oldSize = Int(decimal: first.dropFirst(4)) else {
      throw Failure(description: "the first line is old and a number of entries, from 0 to 2^63 - 1")
    }
    self.oldSize = oldSize
    var path: [MerkleHash] = []
    while true {
      let line = try nextLine()
      if line.isEmpty { break }
      guard path.count < Self.longestPath else {
        throw Failure(description: "a request has at most \(Self.longestPath) hashes")
      }
      guard let bytes = Base64.decode(line), let hash = try? MerkleHash(bytes: bytes) else {
        throw Failure(description: "hash \(path.count + 1) is not the base64 of 32 bytes")
      }
      path.append(hash)
    }
    self.path = path
    do { note = try SignedNote(utf8: rest) } catch { throw Failure(description: error.description) }
  }

  /// The request's body.
  public var description: String {
    "old \(oldSize)\n" + path.map { Base64.encode($0.bytes) + "\n" }.joined() + "\n" + note.description
  }
}
