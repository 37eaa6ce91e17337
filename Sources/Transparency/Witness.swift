import Fairness

/// Decides which checkpoints of logs a witness cosigns: those that the log signed and that begin with all that the
/// witness has seen of it (<https://c2sp.org/tlog-witness>).
///
/// It remembers nothing. Whoever asks has to keep the last checkpoint that was cosigned, on disk before the cosignature
/// is made, and must decide on one request of a log at a time.
public struct Witness: Sendable {
  /// The logs' keys, by their origins' bytes.
  private let keys: [[UInt8]: [LogVerifierKey]]

  /// - Parameter logs: the keys of the logs it looks after; each is named by its log's origin.
  public init(logs: [LogVerifierKey]) { keys = Dictionary(grouping: logs) { Array($0.name.utf8) } }

  public enum Decision: Equatable, Sendable {
    /// To be kept as the log's last, and then cosigned.
    case cosign(Checkpoint)
    case refuse(Refusal)
  }

  /// Why nothing is cosigned.
  public enum Refusal: Equatable, Sendable {
    case malformed(String)
    case unknownLog
    /// No signature is by a key that is known for the log, or one that names such a key is not by it.
    case notSigned
    /// The old size is above the checkpoint's.
    case shrinks
    /// The old size is not that of the last checkpoint, which is named.
    case otherSize(Int)
    /// The log signed two trees of one size.
    case otherRoot(size: Int)
    /// The proof does not show that the tree begins with the last one.
    case inconsistent

    /// The HTTP status.
    public var status: Int {
      switch self {
      case .malformed, .shrinks: 400
      case .notSigned: 403
      case .unknownLog: 404
      case .otherSize, .otherRoot: 409
      case .inconsistent: 422
      }
    }

    /// The size of the last checkpoint, where that is the answer.
    public var size: Int? {
      switch self {
      case .otherSize(let size), .otherRoot(let size): size
      default: nil
      }
    }

    /// A sentence for the log's operator.
    public var reason: String {
      switch self {
      case .malformed(let reason): "The request is malformed: \(reason)."
      case .unknownLog: "This witness does not look after that log."
      case .notSigned: "The checkpoint is not signed by a key that this witness knows for the log."
      case .shrinks: "The old size is above the checkpoint's."
      case .otherSize(let size): "The last checkpoint that was cosigned has \(size) entries."
      case .otherRoot(let size): "Another tree of \(size) entries was cosigned."
      case .inconsistent: "The proof does not show that the tree begins with the one that was cosigned last."
      }
    }

    /// Whether the log may have signed two histories, which its operator has to explain.
    public var isSuspicious: Bool {
      switch self {
      case .otherRoot, .inconsistent: true
      default: false
      }
    }
  }

  /// Decides on a request's body.
  ///
  /// - Parameter last: the last checkpoint that was cosigned for an origin, nil if none was.
  public func decide(_ body: [UInt8], last: (_ origin: String) -> Checkpoint?) -> Decision {
    let request: AddCheckpoint
    do { request = try AddCheckpoint(body) } catch { return .refuse(.malformed(error.description)) }
    let checkpoint: Checkpoint
    do {
      checkpoint = try Checkpoint(text: request.note.text)
    } catch {
      return .refuse(.malformed(error.description))
    }
    guard let keys = keys[Array(checkpoint.origin.utf8)] else { return .refuse(.unknownLog) }
    let named = request.note.signatures.flatMap { signature in
      keys.filter { $0.isNamed(by: signature) }.map { $0.accepts(signature, of: request.note.text) }
    }
    guard !named.isEmpty, named.allSatisfy({ $0 }) else { return .refuse(.notSigned) }
    guard request.oldSize <= checkpoint.size else { return .refuse(.shrinks) }
    let seen = last(checkpoint.origin)
    let (size, root) = (seen?.size ?? 0, seen?.root ?? LogTree.emptyRoot)
    guard request.oldSize == size else { return .refuse(.otherSize(size)) }
    guard checkpoint.size > size || checkpoint.root == root else { return .refuse(.otherRoot(size: size)) }
    guard
      LogTree.verifyConsistency(
        from: size, to: checkpoint.size, oldRoot: root, newRoot: checkpoint.root, path: request.path)
    else { return .refuse(.inconsistent) }
    return .cosign(checkpoint)
  }
}
