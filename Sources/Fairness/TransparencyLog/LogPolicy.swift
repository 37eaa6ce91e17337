/// Whom to believe: the logs whose checkpoints count, and which witnesses have to have cosigned them, in the file format
/// of <https://c2sp.org/tlog-policy>.
///
/// ```swift
/// let policy = try LogPolicy("""
///   log <vkey>
///   witness A <vkey>
///   witness B <vkey>
///   group both all A B
///   quorum both
///   """)
/// ```
public struct LogPolicy: Sendable, Equatable {
  /// A log that is believed.
  public struct Log: Sendable, Equatable {
    /// Its name is the origin of the log's checkpoints.
    public let key: LogVerifierKey
    public let url: String?
  }

  /// A witness that counts for the quorum.
  public struct Witness: Sendable, Equatable {
    /// What the policy calls it, which nobody else does.
    public let name: String
    public let key: LogVerifierKey
    public let url: String?
  }

  /// Who has to have cosigned.
  enum Quorum: Sendable, Equatable {
    /// Nobody.
    case nobody
    /// A witness, by its place in ``LogPolicy/witnesses``.
    case witness(Int)
    /// So many of the members.
    case group(threshold: Int, members: [Quorum])

    func isMet(by witnesses: Set<Int>) -> Bool {
      switch self {
      case .nobody: true
      case .witness(let place): witnesses.contains(place)
      case .group(let threshold, let members): members.count { $0.isMet(by: witnesses) } >= threshold
      }
    }
  }

  public let logs: [Log]
  public let witnesses: [Witness]
  let quorum: Quorum
  /// What the policy calls its quorum; `none` if nobody has to have cosigned.
  public let quorumName: String

  /// Believes one log, and asks for no witness.
  public init(log: LogVerifierKey) {
    self.init(logs: [Log(key: log, url: nil)], witnesses: [], quorum: .nobody, quorumName: "none")
  }

  init(logs: [Log], witnesses: [Witness], quorum: Quorum, quorumName: String) {
    self.logs = logs
    self.witnesses = witnesses
    self.quorum = quorum
    self.quorumName = quorumName
  }

  /// The same rules for the witnesses, and no log believed but one.
  public func trusting(_ log: LogVerifierKey) -> LogPolicy {
    LogPolicy(
      logs: [Log(key: log, url: logs.first { $0.key == log }?.url)], witnesses: witnesses, quorum: quorum,
      quorumName: quorumName)
  }

  /// Why a file is no policy, and in which of its lines, from 1.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public let line: Int
    public let reason: String
    public var description: String { "line \(line): \(reason)" }
  }

  /// The most bytes of a policy's file.
  public static let longest = 1_000_000
  /// The most logs, the most witnesses and the most groups of a policy.
  public static let most = 256

  /// - Throws: ``Failure`` with the first line that is not as it has to be.
  public init(_ text: String) throws(Failure) { try self.init(bytes: text.utf8) }

  /// - Parameter bytes: the file's. They need not be UTF-8 in names, addresses and comments.
  /// - Throws: ``Failure`` with the first line that is not as it has to be.
  public init(bytes: some Collection<UInt8>) throws(Failure) {
    let bytes = Array(bytes.prefix(Self.longest + 1))
    guard bytes.count <= Self.longest else {
      throw Failure(line: 1, reason: "a policy has at most \(Self.longest) bytes")
    }
    var reader = PolicyReader()
    for line in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) { try reader.read(line) }
    self = try reader.finish()
  }

  /// Checks who signed a checkpoint.
  ///
  /// Signatures of keys that the policy does not have are passed over.
  ///
  /// - Throws: ``LogProof/Refusal`` for the first step that fails.
  public func verify(_ note: SignedNote) throws(LogProof.Refusal) -> LogProof.Verified {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(text: note.text) } catch { throw .malformedCheckpoint(error) }
    let keys = logs.map(\.key).filter { $0.name.utf8.elementsEqual(checkpoint.origin.utf8) }
    guard !keys.isEmpty else { throw .wrongOrigin(checkpoint.origin, expected: logs.map(\.key.name)) }
    var isSigned = false
    for key in keys where try Self.signature(of: note, by: key) != nil { isSigned = true }
    guard isSigned else { throw .notSignedByLog(checkpoint.origin) }
    var places: Set<Int> = []
    var cosignatures: [LogProof.Verified.Cosignature] = []
    for (place, witness) in witnesses.enumerated() {
      guard let time = try Self.signature(of: note, by: witness.key)?.time else { continue }
      places.insert(place)
      cosignatures.append(.init(name: witness.key.name, time: time))
    }
    guard quorum.isMet(by: places) else {
      throw .quorumMissing(quorum: quorumName, cosignedBy: cosignatures.map(\.name))
    }
    return LogProof.Verified(checkpoint: checkpoint, log: checkpoint.origin, cosignatures: cosignatures)
  }

  /// The last signature of a key that a note has; nil if it has none.
  private static func signature(
    of note: SignedNote, by key: LogVerifierKey
  ) throws(LogProof.Refusal) -> NoteSignature? {
    let signatures = note.signatures.filter(key.isNamed)
    guard signatures.allSatisfy({ key.accepts($0, of: note.text) }) else { throw .invalidSignature(by: key.name) }
    return signatures.last
  }
}
