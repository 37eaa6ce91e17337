import Crypto
import Fairness
import Foundation
import Ledger

/// What is signed of a day: `date|root|leafCount|previousRoot`, in UTF-8.
///
/// A root that is not there is an empty text. Each day names the root of the one before, so whoever keeps one signed root
/// can tell whether any earlier day was changed.
public struct RootStatement: Sendable, Equatable {
  public let date: String
  public let root: String
  public let leafCount: Int
  public let previousRoot: String

  public init(date: String, root: String, leafCount: Int, previousRoot: String) {
    self.date = date
    self.root = root
    self.leafCount = leafCount
    self.previousRoot = previousRoot
  }

  public var text: String { "\(date)|\(root)|\(leafCount)|\(previousRoot)" }

  /// Whether `signature` is the Ed25519 signature (RFC 8032) of ``text`` under `publicKey`, both raw bytes.
  public func isSigned(_ signature: [UInt8], by publicKey: [UInt8]) -> Bool {
    guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
    return key.isValidSignature(signature, for: Array(text.utf8))
  }
}

/// Signs roots with the installation's Ed25519 key, which follows from the master key.
public struct RootSigner: Sendable {
  private let key: Curve25519.Signing.PrivateKey

  /// - Throws: what the cipher throws; it does not for a master key's secret.
  public init(masterKey: MasterKey) throws {
    key = try masterKey.rootSigningSecret.withUnsafeBytes { try Curve25519.Signing.PrivateKey(rawRepresentation: $0) }
  }

  /// 32 bytes.
  public var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }

  /// - Returns: the signature, 64 bytes.
  /// - Throws: what the cipher throws; it does not for a statement.
  public func sign(_ statement: RootStatement) throws -> [UInt8] {
    Array(try key.signature(for: Array(statement.text.utf8)))
  }
}

extension PublishedDay {
  public var statement: RootStatement {
    RootStatement(
      date: day.description, root: root?.description ?? "", leafCount: leafCount,
      previousRoot: previousRoot?.description ?? "")
  }
}
