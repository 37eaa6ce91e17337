import Foundation

/// Where people reach the site.
package struct SiteAddress: Sendable {
  /// Without a slash at its end: `https://example.com/fairdraw`.
  package let url: String
  /// The path of ``url``, which every address on a page begins with: `/fairdraw`, or nothing. A proxy removes it from
  /// requests, so no route has it.
  package let base: String
  /// `https://example.com`, in small letters and without the usual port.
  package let origin: String
  package let isSecure: Bool

  package init(_ url: String) {
    self.url = url
    let parts = URLComponents(string: url)
    let scheme = parts?.scheme?.lowercased() ?? "http"
    isSecure = scheme == "https"
    let usualPort = isSecure ? 443 : 80
    let host = parts?.encodedHost?.lowercased() ?? ""
    origin = "\(scheme)://\(host)" + (parts?.port.flatMap { $0 == usualPort ? nil : ":\($0)" } ?? "")
    base = parts?.percentEncodedPath ?? ""
  }
}
