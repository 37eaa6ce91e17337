import Foundation
import JSON

/// What events to one endpoint are signed with: 32 random bytes, written as `whsec_` and their base64.
public struct WebhookSecret: Sendable, Equatable {
  public static let size = 32
  /// How long a secret that was replaced goes on signing, beside the new one.
  public static let overlap: Milliseconds = 24 * 3_600_000

  public let bytes: [UInt8]

  /// A new one.
  ///
  /// - Throws: a ``StoreFailure`` if the random source has failed.
  public init() throws(StoreFailure) { bytes = try RandomSource.system.bytes(Self.size) }

  /// - Parameter bytes: at least one.
  public init(bytes: [UInt8]) {
    precondition(!bytes.isEmpty)
    self.bytes = bytes
  }

  /// Opens the secret of an endpoint.
  ///
  /// - Throws: a ``StoreFailure`` if it is damaged.
  package init(sealed: [UInt8], of endpoint: WebhookEndpointID, _ vault: Vault) throws(StoreFailure) {
    let opened = try? vault.open(sealed, context: Self.sealingContext(endpoint: endpoint))
    guard let opened, !opened.isEmpty else {
      throw .damaged("the sealed secret of webhook \(endpoint.rawValue) does not open")
    }
    bytes = opened
  }

  /// Reads `whsec_…`; nil for anything else.
  public init?(_ text: String) {
    guard text.hasPrefix("whsec_"), let data = Data(base64Encoded: String(text.dropFirst(6))), !data.isEmpty else {
      return nil
    }
    bytes = Array(data)
  }

  /// Whether it may be somebody else's choice.
  public var isLongEnough: Bool { (16...64).contains(bytes.count) }

  public var text: String {
    var text: [UInt8] = Array("whsec_".utf8)
    text.append(base64: bytes)
    return String(decoding: text, as: UTF8.self)
  }

  /// What the secret of endpoint `id` is sealed for: it opens nowhere else.
  public static func sealingContext(endpoint id: WebhookEndpointID) -> String { "webhook:\(id.rawValue)" }
}
