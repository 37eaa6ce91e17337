import HTTPTypes
import Ledger

/// The two cookies of this site: a session's token and, before there is a session, a token for the forms that begin one.
///
/// Over https their names begin with `__Host-`, which browsers let nobody but this very host set.
package struct SiteCookies: Sendable {
  package enum Kind: Sendable {
    case session, form
  }

  /// How long a session lasts, from the sign-in on.
  package static let sessionLifetime: Milliseconds = 30 * 24 * 3_600_000
  /// How long a form before the sign-in may be left open.
  private static let formLifetime: Milliseconds = 24 * 3_600_000

  let isSecure: Bool

  package init(isSecure: Bool) { self.isSecure = isSecure }

  private func name(_ kind: Kind) -> String {
    (isSecure ? "__Host-" : "") + (kind == .session ? "fairdraw" : "fairdraw-form")
  }

  /// The token that a request carries; nil for none, or what is none of ours.
  package func token(_ kind: Kind, in headers: HTTPFields) -> SessionToken? {
    let name = name(kind)
    for header in headers[values: .cookie] {
      for pair in header.split(separator: ";") {
        let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.elementsEqual(name.utf8) else { continue }
        if let token = SessionToken(String(parts[1])) { return token }
      }
    }
    return nil
  }

  /// What sets a cookie.
  package func setting(_ kind: Kind, to token: SessionToken) -> String {
    header(kind, token.text, seconds: (kind == .session ? Self.sessionLifetime : Self.formLifetime) / 1000)
  }

  /// What has a browser forget a cookie.
  package func clearing(_ kind: Kind) -> String { header(kind, "", seconds: 0) }

  private func header(_ kind: Kind, _ value: String, seconds: Int64) -> String {
    "\(name(kind))=\(value); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Lax\(isSecure ? "; Secure" : "")"
  }
}
