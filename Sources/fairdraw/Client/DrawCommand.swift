import ArgumentParser
import Fairness
import Foundation
import JSON

struct DrawCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "draw", abstract: "Draw over HTTP, with retries under one idempotency key.",
    discussion: """
      Parameters are written as name=value: fairdraw draw ints min=1 max=6 count=2. Items are a JSON array, or text with \
      commas between the items; items=@FILE takes them from a file, one a line or a JSON array.

      The values go to standard output, one a line; of dice, their total. With --json it is the outcome as the server \
      answered it.

      A request that fails is sent again under the same key, so it draws once. The time between two attempts doubles, and \
      is never shorter than the server asks for. Without an API key the server ignores idempotency keys; then a draw is \
      sent again only if the server answered that it did not draw.

      The exit status is 0 for an outcome, 1 if the server refused, and 75 if it gave no answer in time: it may have drawn, \
      and the same command with the same --idempotency-key gives that draw.
      """)

  @Argument(help: ArgumentHelp(Endpoint.allCases.map(\.name).joined(separator: ", ") + ".", valueName: "endpoint"))
  var endpoint: String

  @Argument(help: ArgumentHelp("The endpoint's parameters.", valueName: "name=value"))
  var parameters: [String] = []

  @Option(help: ArgumentHelp("The client seed. (default: test)", valueName: "text"))
  var clientSeed: String?

  @Option(help: ArgumentHelp("The key under which the draw is made once. (default: a random one)", valueName: "key"))
  var idempotencyKey: String?

  @Option(help: ArgumentHelp("How long to try again, in seconds; 0 sends the request once.", valueName: "n"))
  var retryFor = 60

  @Flag(help: "Print the outcome as the server answered it.")
  var json = false

  @OptionGroup var server: ServerOptions

  func validate() throws {
    guard Endpoint.allCases.contains(where: { $0.name == endpoint }) else {
      throw ValidationError(
        "There is no endpoint \"\(endpoint)\"; there are \(Endpoint.allCases.map(\.name).joined(separator: ", ")).")
    }
    guard idempotencyKey?.wholeMatch(of: /[!-~]{1,255}/) != nil || idempotencyKey == nil else {
      throw ValidationError("--idempotency-key must be 1 to 255 visible ASCII characters.")
    }
    guard (0...86_400).contains(retryFor) else { throw ValidationError("--retry-for must be from 0 to 86400.") }
    if let wrong = parameters.first(where: { !$0.contains("=") || $0.hasPrefix("=") }) {
      throw ValidationError("\"\(wrong)\" is not written as name=value.")
    }
  }

  func run() async throws {
    let key = idempotencyKey ?? UUID().uuidString.lowercased()
    let (body, fetch) = (try body(), try server.fetch())
    let isKeyed = server.apiKey != nil
    func mayRepeat(_ answer: HTTPFetch.Answer?) -> Bool { isKeyed || Self.saysNotDrawn(answer) }
    let answer: HTTPFetch.Answer
    do {
      answer = try await Retries(limit: .seconds(retryFor)).answer(mayRepeat: mayRepeat) {
        try await fetch.post("/api/\(endpoint)", body: body, idempotencyKey: key)
      }
    } catch let failure as CommandFailure where failure.status == Retries.exhausted {
      let advice =
        isKeyed
        ? "To get that draw, or make it, add --idempotency-key \(Terminal.quoted(key))"
        : "Without an API key nobody can tell, so it was not sent again"
      throw CommandFailure("\(failure). It may have been drawn. \(advice)", status: failure.status)
    }
    guard answer.status == 200, let outcome = answer.json?["outcome"] else {
      throw CommandFailure("the server refused: \(Terminal.printable(answer.error))")
    }
    if json { return try StandardOutput.write(answer.body + [UInt8(ascii: "\n")]) }
    for line in Self.lines(outcome) { try StandardOutput.print(Terminal.printable(line)) }
    let replayed = answer.isReplayed ? " (drawn earlier under this key)" : ""
    print("\(Terminal.printable(answer.text("permalink") ?? ""))\(replayed)", to: &Terminal.error)
  }

  /// Whether nothing was drawn, so that another request cannot be the second one.
  private static func saysNotDrawn(_ answer: HTTPFetch.Answer?) -> Bool {
    guard let answer else { return false }
    return answer.status == 429 || ["overloaded", "shutting_down"].contains(answer.text("code"))
  }

  /// The values of an outcome, as texts.
  static func lines(_ outcome: JSONValue) -> [String] {
    if let values = outcome.elements() { return values.flatMap { $0.kind == .array ? [text($0)] : lines($0) } }
    return [text(outcome["total"] ?? outcome)]
  }

  static func text(_ value: JSONValue) -> String { value.text ?? String(decoding: value.raw, as: UTF8.self) }

  // MARK: The request

  private func body() throws -> [UInt8] {
    var body: [UInt8] = []
    for (name, value) in try named() {
      body.append(UInt8(ascii: body.isEmpty ? "{" : ","))
      body.append(jsonString: name)
      body.append(UInt8(ascii: ":"))
      if name == "items" || name == "weights" {
        try Self.append(list: value, of: name, to: &body)
      } else {
        body.append(jsonString: value)
      }
    }
    if body.isEmpty { body.append(UInt8(ascii: "{")) }
    body.append(UInt8(ascii: "}"))
    return body
  }

  private func named() throws -> [(name: String, value: String)] {
    var named = parameters.map { parameter in
      let parts = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (name: String(parts[0]), value: String(parts[1]))
    }
    if let clientSeed { named.append(("clientSeed", clientSeed)) }
    if let twice = Dictionary(grouping: named, by: \.name).first(where: { $0.value.count > 1 }) {
      throw ValidationError("\"\(twice.key)\" is given twice.")
    }
    return named
  }

  private static func append(list given: String, of name: String, to body: inout [UInt8]) throws {
    let file = given.hasPrefix("@") ? String(given.dropFirst()) : nil
    let bytes = try file.map { try InputFile.read($0) } ?? Array(given.utf8)
    if let list = try? JSONText(bytes).root, list.kind == .array { return body.append(contentsOf: list.raw) }
    guard UTF8Check.isValid(bytes) else { throw CommandFailure("\(file ?? name) is not UTF-8 text") }
    let text = String(decoding: bytes, as: UTF8.self)
    let items: [Substring] =
      file == nil
      ? text.split(separator: ",", omittingEmptySubsequences: false)
      : text.split(omittingEmptySubsequences: true) { $0.isNewline }
    body.append(UInt8(ascii: "["))
    for (number, item) in items.enumerated() {
      if number > 0 { body.append(UInt8(ascii: ",")) }
      body.append(jsonString: String(item))
    }
    body.append(UInt8(ascii: "]"))
  }
}
