import Fairness
import Ledger

/// Which log it is: an era's, its name, and the key that signs it.
public struct LogIdentity: Sendable {
  public let era: Int64
  public let origin: String
  let signer: LogSigner

  /// Begins the log of an era unless it has begun.
  ///
  /// - Parameter publicURL: where clients reach the server, without a slash at its end. The log's name follows from it when
  ///   the log begins, and stays.
  /// - Throws: a ``StoreFailure``.
  public init(masterKey: MasterKey, store: any LogStore, era: Int64, publicURL: String) throws {
    self.era = era
    let address = publicURL.split(separator: "://", maxSplits: 1).last ?? ""
    origin = try store.beginLog(of: era, origin: "\(address)/log/\(era)")
    signer = try LogSigner(
      name: origin, seed: masterKey.logSigningSecret.withUnsafeBytes { Array($0) }, algorithm: .ed25519)
  }

  /// A signed checkpoint of all that the log has.
  func checkpoint(of log: LogTiler) throws -> SignedNote {
    let text = Checkpoint(origin: origin, size: log.size, root: try log.root()).text
    return SignedNote(text: text, signatures: [signer.sign(text)])
  }

  public var verifierKey: LogVerifierKey { signer.verifierKey }
}
