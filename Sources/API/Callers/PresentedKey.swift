import Foundation
import Ledger

/// The API key that a request's headers carry.
package enum PresentedKey: Equatable {
  case none
  case key(String)
  /// There is a key, but not where and how it belongs, or there are two.
  case misplaced

  /// - Parameters:
  ///   - apiKey: the `x-api-key` header. One that is empty (an unset variable, most likely) is a key that nobody has:
  ///     drawing anonymously instead would be a quiet surprise.
  ///   - authorization: the `Authorization` header. It may be meant for somebody else, such as a proxy.
  package init(apiKey: String?, authorization: String?) {
    guard let authorization else {
      self = apiKey.map(Self.key) ?? .none
      return
    }
    let bearer = Self.bearerToken(authorization)
    switch (apiKey, bearer) {
    case (let apiKey?, let bearer) where bearer == apiKey || !Self.holdsKey(authorization): self = .key(apiKey)
    case (nil, let bearer?): self = .key(bearer)
    default: self = Self.holdsKey(authorization) ? .misplaced : .none
    }
  }

  private static func bearerToken(_ authorization: String) -> String? {
    let scheme = authorization.prefix { !isBlank($0) }
    guard scheme.lowercased() == "bearer" else { return nil }
    let token = authorization[scheme.endIndex...].drop(while: isBlank)
    return String(token.prefix(upTo: token.lastIndex { !isBlank($0) }.map(token.index(after:)) ?? token.startIndex))
  }

  /// Whether a key stands anywhere in the header, in a user name or password of HTTP's Basic scheme too.
  private static func holdsKey(_ authorization: String) -> Bool {
    if isKeyIn(authorization) { return true }
    let words = authorization.split { isBlank($0) || $0 == "," }
    return words.contains { word in
      // Both alphabets of Base64 are read, with and without padding.
      var text = String(word.prefix { $0 != "=" }).replacing("-", with: "+").replacing("_", with: "/")
      while !text.utf8.count.isMultiple(of: 4) { text.append("=") }
      guard let decoded = Data(base64Encoded: text) else { return false }
      return isKeyIn(String(decoding: decoded, as: UTF8.self))
    }
  }

  private static func isKeyIn(_ text: String) -> Bool {
    Mode.allCases.contains { text.contains("pk_\($0.name)_") }
  }

  private static func isBlank(_ character: Character) -> Bool { character == " " || character == "\t" }
}

extension Refusal {
  /// The request carries a key in a way that is not read. Ignoring it would draw anonymously.
  static let misplacedKey = Refusal(
    401, "Send the API key once, as \"x-api-key: KEY\" or as \"Authorization: Bearer KEY\".", code: .invalidAPIKey)
}
