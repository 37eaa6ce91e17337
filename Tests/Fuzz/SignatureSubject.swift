import API

/// `Accept-Signature`: what was read is read again when it is written down.
struct SignatureSubject: Subject {
  let name = "signature"
  let tokens = [
    "sig1=", "(", ")", "\"@status\"", "\"@method\";req", ";created", ";nonce=\"n\"", ";alg=\"ed25519\"", ", ", " ",
    "\t", "?1", "?0",
    "-12", "*a", "a/b:c", "\\\"", "é",
  ]

  func check(_ input: [UInt8]) throws -> Bool {
    guard let members = StructuredFields.dictionary(String(decoding: input, as: UTF8.self)) else { return false }
    let written = members.map { "\($0.key)=\(text($0.list))" }
    let again = StructuredFields.dictionary(written.joined(separator: ", "))
    try expect(again?.map { "\($0.key)=\(text($0.list))" } == written, "a field is read in two ways")
    try expect(Set(members.map(\.key)).count == members.count, "a label is read twice")
    return !members.isEmpty
  }

  private func text(_ list: StructuredFields.InnerList) -> String {
    "(" + list.items.map { quoted($0.text) + text($0.parameters) }.joined(separator: " ") + ")" + text(list.parameters)
  }

  private func text(_ parameters: StructuredFields.Parameters) -> String {
    parameters.map { ";\($0.name)=\(text($0.value))" }.joined()
  }

  private func text(_ item: StructuredFields.Item) -> String {
    switch item {
    case .string(let text): quoted(text)
    case .integer(let number): String(number)
    case .token(let word): word
    case .boolean(let value): value ? "?1" : "?0"
    }
  }

  private func quoted(_ text: String) -> String {
    "\"" + text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
  }
}
