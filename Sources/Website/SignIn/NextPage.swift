/// Where to go on after signing in: a page of the dashboard, and nowhere else.
package enum NextPage {
  private static let longest = 2000

  /// `text` if it is the address of a page of the dashboard, else that of its first page.
  package static func checked(_ text: String?) -> String {
    let start = "/dashboard"
    guard let text, text.utf8.count <= longest, text.hasPrefix(start),
      text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\\") }), !text.contains("//"),
      [nil, UInt8(ascii: "/"), UInt8(ascii: "?")].contains(text.utf8.dropFirst(start.utf8.count).first),
      !hasDotSegments(text.prefix { $0 != "?" && $0 != "#" })
    else { return start }
    return text
  }

  /// Whether a browser would take a segment of `path` for the one above it, or for none. It reads `%2e` as a dot.
  private static func hasDotSegments(_ path: Substring) -> Bool {
    path.lowercased().replacing("%2e", with: ".").split(separator: "/").contains { $0 == "." || $0 == ".." }
  }
}
