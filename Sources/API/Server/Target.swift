/// A request's target, taken apart once: `/path?query`.
package struct Target: Sendable {
  package let path: String
  package let bytes: [UInt8]
  /// Where the path ends, without the question mark.
  private let pathEnd: Int

  static let root = Target("/")

  init(_ text: String) {
    bytes = Array(text.utf8.prefix { $0 != UInt8(ascii: "#") })
    pathEnd = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count
    path = String(decoding: bytes[..<pathEnd], as: UTF8.self)
  }

  /// As it was sent: not decoded.
  package var query: ArraySlice<UInt8> { bytes[pathEnd...].dropFirst() }

  /// Whether it is the API's, which speaks JSON to everyone and may be called from any origin.
  var isAPI: Bool { path == "/api" || path.hasPrefix("/api/") || path == "/openapi.json" }
}
