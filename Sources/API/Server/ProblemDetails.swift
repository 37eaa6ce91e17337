import HTTPTypes
import Hummingbird
import JSON
import Ledger

/// Errors in the form of RFC 9457, for clients that ask for it.
struct ProblemDetails: Sendable {
  static let mediaType = "application/problem+json"
  /// The address of the guide to errors, which has a section for each code.
  private let guide: String

  init(publicURL: String) { guide = publicURL + "/docs/errors" }

  /// An error's JSON, with the RFC's members before its own. The same bytes give the same bytes, so replays stay replays.
  func body(of error: [UInt8], status: Int) -> [UInt8] {
    guard let members = try? JSONText(error).root.members, error.first == UInt8(ascii: "{") else { return error }
    func text(_ name: StaticString) -> [UInt8]? { members.first { name.isSpelled($0.name) }?.value.string }
    var body: [UInt8] = []
    body.reserveCapacity(error.count + 256)
    body.append(json: "{\"type\":")
    if let code = text("code") {
      body.append(jsonString: "\(guide)#\(String(decoding: code, as: UTF8.self))")
      body.append(json: ",\"title\":")
      body.append(jsonString: Self.title(code))
    } else {
      body.append(json: "\"about:blank\",\"title\":")
      body.append(jsonString: HTTPResponse.Status(code: status).reasonPhrase)
    }
    body.append(json: ",\"status\":")
    body.append(integer: status)
    body.append(json: ",\"detail\":")
    body.append(jsonString: text("error") ?? [])
    body.append(json: ",")
    body.append(contentsOf: error.dropFirst())
    return body
  }

  /// A code as words: `ip_not_allowed` is `IP not allowed`.
  private static func title(_ code: [UInt8]) -> String {
    let words = String(decoding: code, as: UTF8.self).split(separator: "_").map { word in
      ["api", "ip"].contains(word) ? word.uppercased() : String(word)
    }
    let text = words.joined(separator: " ")
    return text.prefix(1).uppercased() + text.dropFirst()
  }
}

extension RequestHeaders {
  /// Whether the client asks for errors in the form of RFC 9457, by name.
  var acceptsProblems: Bool {
    guard let accept else { return false }
    return accept.split(separator: ",").contains { range in
      let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
      return parts.first == ProblemDetails.mediaType
        && !parts.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) == 0 }
    }
  }
}

extension FairdrawContext {
  /// What the ledger answered, byte for byte; an error in the form that the client asks for.
  func response(to reply: Reply) -> Response {
    var response = Response(reply)
    if reply.status >= 400, let problems {
      response = .json(
        problems.body(of: reply.body, status: reply.status), status: HTTPResponse.Status(code: reply.status))
      reply.addHeaders(to: &response.headers)
      response.headers[.contentType] = ProblemDetails.mediaType
    }
    return response
  }
}
