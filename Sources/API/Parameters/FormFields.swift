import Hummingbird
import Ledger

/// The fields of a form that a browser sent, or of a page's query: read strictly, each of them at most once.
package struct FormFields: Sendable {
  /// The longest form, in bytes as it is sent.
  package static let longestBody = 64 * 1024
  private static let mostFields = 64

  private var fields: [(name: String, value: String)] = []

  /// - Parameter encoded: `application/x-www-form-urlencoded`.
  /// - Throws: a 400 that names the field, for what ``QueryString`` refuses, and for a field that is there twice.
  package init(_ encoded: ArraySlice<UInt8>) throws(Refusal) {
    let pairs = try QueryString.pairs(in: encoded)
    guard pairs.count <= Self.mostFields else { throw .badRequest("A form has at most \(Self.mostFields) fields.") }
    for pair in pairs {
      let name = String(decoding: pair.name, as: UTF8.self)
      guard self[name] == nil else { throw .badRequest("\(Self.shown(name)) must be given once") }
      fields.append((name, String(decoding: pair.value, as: UTF8.self)))
    }
  }

  /// Reads a POST's form.
  ///
  /// - Throws: a 415 for another type of body, a 413 for more than ``longestBody``, and as ``init(_:)``.
  package init(_ request: Request) async throws(Refusal) {
    let type = request.headers[.contentType]?.split(separator: ";").first?.lowercased()
    guard type == "application/x-www-form-urlencoded" else {
      throw Refusal(415, "This address takes forms: application/x-www-form-urlencoded.")
    }
    try self.init(try await BodyReader.read(request, upTo: Self.longestBody)[...])
  }

  /// A field's text; nil if it is not there.
  package subscript(name: String) -> String? {
    fields.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
  }

  /// A field's text; empty if it is not there.
  package func text(_ name: String) -> String { self[name] ?? "" }

  /// A field's text without white space around it.
  package func trimmed(_ name: String) -> String {
    let text = text(name)
    let start = text.firstIndex { !$0.isWhitespace } ?? text.endIndex
    let end = text.lastIndex { !$0.isWhitespace }.map(text.index(after:)) ?? text.endIndex
    return start < end ? String(text[start..<end]) : ""
  }

  private static func shown(_ name: String) -> String {
    name.isEmpty ? "a field without a name" : String(name.prefix(64))
  }
}
