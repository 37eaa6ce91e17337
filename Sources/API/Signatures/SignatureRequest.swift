/// One signature that a client asks for in `Accept-Signature` (RFC 9421, section 5.1).
struct SignatureRequest {
  /// Part of a message that a signature covers.
  struct Component: Hashable {
    let name: String
    /// Whether it is the request's, and not the response's.
    var isOfRequest = false

    /// As it stands in a signature's input.
    var identifier: String { isOfRequest ? "\"\(name)\";req" : "\"\(name)\"" }
  }

  let label: String
  private(set) var components: [Component]
  /// What the signature is to repeat: its nonce and its tag.
  var echoed: [(name: String, value: String)] = []

  init(label: String, components: [Component]) {
    self.label = label
    self.components = components
  }

  /// The same, over these components too.
  func covering(_ further: [Component]) -> SignatureRequest {
    var request = self
    request.components += further.filter { !components.contains($0) }
    return request
  }

  /// Nil for what cannot be fulfilled: another key or algorithm, an end of validity, a component in another form than as
  /// it stands.
  private init?(_ label: String, _ list: StructuredFields.InnerList, keyID: String) {
    var components: [Component] = []
    for item in list.items {
      let isOfRequest = item.parameters.contains { $0.name == "req" && $0.value == .boolean(true) }
      guard item.parameters.count == (isOfRequest ? 1 : 0) else { return nil }
      components.append(Component(name: item.text, isOfRequest: isOfRequest))
    }
    guard Set(components).count == components.count else { return nil }
    self.init(label: label, components: components)
    for (name, value) in list.parameters {
      switch (name, value) {
      case ("created", _): break  // every signature has it
      case ("keyid", .string(keyID)), ("alg", .string(ResponseSigner.algorithm)): break
      case ("nonce", .string(let text)), ("tag", .string(let text)): echoed.append((name, text))
      default: return nil
      }
    }
  }

  /// The longest field that is read, in bytes, and how many signatures a response has.
  static let longestField = 2048
  static let mostSignatures = 4

  /// What a client asks for and can have; nothing if the field is malformed or too long.
  static func read(_ field: String, keyID: String) -> [SignatureRequest] {
    guard field.utf8.count <= longestField, let members = StructuredFields.dictionary(field) else { return [] }
    return Array(members.lazy.compactMap { SignatureRequest($0.key, $0.list, keyID: keyID) }.prefix(mostSignatures))
  }
}
