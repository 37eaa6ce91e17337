import Accounts
import Crypto
import Foundation
import HTTPTypes
import JSON
import Ledger

/// Cookies of browsers that have signed in before, so that their attempts are counted apart from everybody else's: whoever
/// guesses at a password slows down other guessers, but not its owner.
///
/// A cookie is good for one email address. It proves nothing but that somebody knew the password on this browser once.
package struct DeviceCookies: Sendable {
  package static let lifetime: Milliseconds = 365 * 24 * 3_600_000

  private let key: SymmetricKey
  private let site: SiteAddress

  /// - Parameter secret: what only this installation knows.
  package init(secret: SymmetricKey, site: SiteAddress) {
    key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array("devices".utf8), using: secret))
    self.site = site
  }

  /// The id of the device that a request comes from, if somebody has signed in there with this email address.
  package func device(in headers: HTTPFields, for email: EmailAddress, at now: Milliseconds) -> [UInt8]? {
    for value in SiteCookies.values(of: name(email), in: headers) {
      guard value.utf8.count <= 200, let bytes = Data(base64Encoded: String(value)), bytes.count == 16 + 8 + 32 else {
        continue
      }
      let (signed, code) = (Array(bytes.prefix(24)), bytes.suffix(32))
      let issued = signed[16...].reduce(into: UInt64(0)) { $0 = $0 << 8 | UInt64($1) }
      guard HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: message(signed, email), using: key),
        UInt64(now) < issued + UInt64(Self.lifetime)
      else { continue }
      return Array(signed[..<16])
    }
    return nil
  }

  /// What sets the cookie of a browser on which somebody has just signed in with this email address.
  ///
  /// - Throws: a ``StoreFailure`` if the random source has failed.
  package func setting(for email: EmailAddress, at now: Milliseconds) throws(StoreFailure) -> String {
    var signed = try RandomSource.system.bytes(16)
    withUnsafeBytes(of: UInt64(now).bigEndian) { signed.append(contentsOf: $0) }
    let code = HMAC<SHA256>.authenticationCode(for: message(signed, email), using: key)
    var value: [UInt8] = []
    value.append(base64: signed + Array(code))
    // Sent to the page that signs in, and to no other.
    return "\(name(email))=\(String(decoding: value, as: UTF8.self)); Path=\(site.base)/sign-in; "
      + "Max-Age=\(Self.lifetime / 1000); HttpOnly; SameSite=Lax\(site.isSecure ? "; Secure" : "")"
  }

  /// One for each email address, so that people who share a browser do not take each other's.
  private func name(_ email: EmailAddress) -> String {
    let digest = SHA256.hash(data: Array(email.description.utf8))
    return (site.isSecure ? "__Secure-" : "") + "fairdraw-device-" + hex(digest.prefix(6))
  }

  /// The email address comes last and all before it has a fixed length, so no two pairs make the same message.
  private func message(_ signed: [UInt8], _ email: EmailAddress) -> [UInt8] { signed + Array(email.description.utf8) }
}
