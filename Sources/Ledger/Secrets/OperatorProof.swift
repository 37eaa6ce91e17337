import Crypto
import Foundation

/// Shows a running server that whoever asks has its master key: `<Unix milliseconds>.<HMAC-SHA256 of that, in base64>`.
///
/// It passes through the proxies in front of the server, so it is valid for a few minutes only, and for one purpose.
public struct OperatorProof: Sendable {
  /// The request header that carries it.
  public static let header = "Fairdraw-Operator"
  /// How far from the server's clock the time of a proof may be.
  package static let validity: Milliseconds = 5 * 60_000
  private static let longest = 80

  private let key: SymmetricKey

  public init(masterKey: MasterKey) { key = masterKey.subkey("operator") }

  public func text(at time: Milliseconds) -> String {
    let code = HMAC<SHA256>.authenticationCode(for: Array(String(time).utf8), using: key)
    return "\(time).\(Data(code).base64EncodedString())"
  }

  /// Whether `text` was made with the same master key, at most ``validity`` before or after `now`.
  public func isValid(_ text: String, at now: Milliseconds) -> Bool {
    guard text.utf8.count <= Self.longest, let point = text.firstIndex(of: "."),
      let time = Milliseconds(text[..<point]),
      (now - Self.validity...now + Self.validity).contains(time),
      let code = Data(base64Encoded: String(text[point...].dropFirst()))
    else { return false }
    return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Array(text[..<point].utf8), using: key)
  }
}
