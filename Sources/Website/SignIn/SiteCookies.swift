import Accounts
import HTTPTypes
import Ledger

/// The two cookies of this site: a session's token and, before there is a session, a token for the forms that begin one.
///
/// Over https their names begin with `__Host-`, which browsers let nobody but this very host set. A site that has a path
/// shares its host with others, and must not be sent their cookies nor send them its own: then the cookies are for the
/// path, and their names begin with `__Secure-`, since browsers allow `__Host-` for whole hosts only.
package struct SiteCookies: Sendable {
  package enum Kind: Sendable {
    case session, form
  }

  /// How long a session lasts, from the sign-in on.
  package static let sessionLifetime: Milliseconds = 30 * 24 * 3_600_000
  /// How long a form before the sign-in may be left open.
  private static let formLifetime: Milliseconds = 24 * 3_600_000

  private let site: SiteAddress

  package init(_ site: SiteAddress) { self.site = site }

  private func name(_ kind: Kind) -> String {
    (site.isSecure ? site.base.isEmpty ? "__Host-" : "__Secure-" : "")
      + (kind == .session ? "fairdraw" : "fairdraw-form")
  }

  /// The token that a request carries; nil for none, or what is none of ours.
  package func token(_ kind: Kind, in headers: HTTPFields) -> SessionToken? {
    Self.values(of: name(kind), in: headers).lazy.compactMap { SessionToken(String($0)) }.first
  }

  /// The values of all cookies of one name that a request carries.
  static func values(of name: String, in headers: HTTPFields) -> [Substring] {
    headers[values: .cookie].flatMap { header in
      header.split(separator: ";").compactMap { pair in
        let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 && parts[0].utf8.elementsEqual(name.utf8) ? parts[1] : nil
      }
    }
  }

  /// What sets a cookie.
  package func setting(_ kind: Kind, to token: SessionToken) -> String {
    header(kind, token.text, seconds: (kind == .session ? Self.sessionLifetime : Self.formLifetime) / 1000)
  }

  /// What has a browser forget a cookie.
  package func clearing(_ kind: Kind) -> String { header(kind, "", seconds: 0) }

  private func header(_ kind: Kind, _ value: String, seconds: Int64) -> String {
    let path = site.base.isEmpty ? "/" : site.base
    return "\(name(kind))=\(value); Path=\(path); Max-Age=\(seconds); HttpOnly; SameSite=Lax"
      + (site.isSecure ? "; Secure" : "")
  }
}
