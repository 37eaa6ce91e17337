import HTTPTypes

/// A request and its response, as signatures cover them (RFC 9421, section 2).
struct SignedExchange {
  typealias Component = SignatureRequest.Component

  let status: Int
  let method: String
  let target: Target
  /// Whether clients reach the server over https.
  let isSecure: Bool
  let idempotencyKeys: [String]
  let accepted: AcceptedSignatures

  /// What every signature covers.
  func usualComponents(_ headers: some HeaderList) -> [Component] {
    let all = [
      Component(name: "@status"), Component(name: "content-digest"), Component(name: "@method", isOfRequest: true),
      Component(name: "@path", isOfRequest: true), Component(name: "@query", isOfRequest: true),
      Component(name: "idempotency-key", isOfRequest: true),
    ]
    return all.filter { value(of: $0, headers) != nil }
  }

  /// What stands for a component in a signature; nil if there is none or it cannot be signed as it stands.
  func value(of component: Component, _ headers: some HeaderList) -> String? {
    let value = component.isOfRequest ? ofRequest(component.name) : ofResponse(component.name, headers)
    guard let value, value.utf8.allSatisfy({ (0x20...0x7E).contains($0) || $0 == 0x09 }) else { return nil }
    return value
  }

  private func ofResponse(_ name: String, _ headers: some HeaderList) -> String? {
    if name == "@status" { return String(status) }
    guard name == name.lowercased(), let field = HTTPField.Name(name) else { return nil }
    return headers.combined(field)
  }

  private func ofRequest(_ name: String) -> String? {
    let path = String(decoding: target.rawPath, as: UTF8.self)
    let query = String(decoding: target.bytes.dropFirst(target.rawPath.count), as: UTF8.self)
    switch name {
    case "@method": return method
    case "@path": return path
    case "@query": return query.isEmpty ? "?" : query
    case "@request-target": return path + query
    case "@scheme": return scheme
    case "@authority": return authority
    case "@target-uri": return authority.map { "\(scheme)://\($0)\(path)\(query)" }
    case "idempotency-key": return idempotencyKeys.isEmpty ? nil : idempotencyKeys.joined(separator: ", ")
    default: return nil
    }
  }

  private var scheme: String { isSecure ? "https" : "http" }

  private var authority: String? {
    guard let host = accepted.host?.lowercased() else { return nil }
    let port = isSecure ? ":443" : ":80"
    return host.hasSuffix(port) ? String(host.dropLast(port.count)) : host
  }
}

/// What a request says about signatures of its response. A class, so that requests that say nothing carry one word.
final class AcceptedSignatures: Sendable {
  /// The `Accept-Signature` header.
  let signatures: String
  let host: String?

  init(_ signatures: String, host: String? = nil) {
    self.signatures = signatures
    self.host = host
  }
}
