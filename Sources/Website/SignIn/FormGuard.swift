import API
import Accounts
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Ledger

/// Sees to it that a form was sent from a page of this site, by the browser that the page was made for.
///
/// Two things must hold, each of which would be enough by itself in a browser without faults: the browser says that the
/// form comes from this site, and the form carries the token that only pages for this browser have.
package struct FormGuard: Sendable {
  private let site: SiteAddress

  package init(_ site: SiteAddress) { self.site = site }

  /// - Parameters:
  ///   - token: of the browser's cookie.
  ///   - sent: what the form carries.
  /// - Throws: a 403.
  func check(_ request: Request, _ context: FairdrawContext, token: SessionToken?, sent: String) throws(Refusal) {
    let fetchSite = request.headers[.secFetchSite]
    guard Self.isOwn(origin: context.origin, site: fetchSite, allowed: [site.origin, own(request)]) else {
      throw Refusal(403, "This form was not sent from a page of this site. Nothing was done.")
    }
    guard let token, SymmetricKey(data: Array(token.formToken.utf8)) == SymmetricKey(data: Array(sent.utf8)) else {
      throw Refusal(403, "This form is too old, or belongs to another browser. Nothing was done. Open its page again.")
    }
  }

  /// Whether a form comes from one of the origins `allowed`, by what its browser says.
  ///
  /// Browsers have sent `Origin` with forms since 2020; what says nothing at all of where it comes from is no browser that
  /// anyone signs in with. `null` stands for an origin that the browser keeps to itself, for its privacy settings or a
  /// redirect's sake: then `Sec-Fetch-Site`, which no page can set, has the word.
  ///
  /// - Parameters:
  ///   - origin: the `Origin` header.
  ///   - site: the `Sec-Fetch-Site` header.
  package static func isOwn(origin: String?, site: String?, allowed: [String]) -> Bool {
    if let site, site != "same-origin" { return false }
    guard let origin, origin != "null" else { return site != nil }
    return allowed.contains(origin.lowercased())
  }

  /// The origin that the request was sent to, by its own account. Another site cannot choose it: it is the address of the
  /// page that its own cookies are for.
  private func own(_ request: Request) -> String {
    "\(site.isSecure ? "https" : "http")://\((request.head.authority ?? "").lowercased())"
  }
}

extension HTTPField.Name {
  static var secFetchSite: HTTPField.Name {
    guard let name = HTTPField.Name("Sec-Fetch-Site") else { preconditionFailure("a header's name") }
    return name
  }
}
