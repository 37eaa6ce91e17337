import ArgumentParser
import Fairness
import Foundation
import JSON
import Ledger

struct ListenCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "listen", abstract: "Print an account's outcomes as they are recorded.",
    discussion: """
      One outcome a line, oldest first: those of all client seeds, of all the account's live keys, or with a test key its \
      test outcomes. With --json a line is the outcome as the server returned it.

      The command asks the server every second, and again for as long as the server does not respond. Each outcome is \
      printed once, whatever is restarted meanwhile. SIGINT and SIGTERM end the command; it then says on standard error \
      where to go on with --since. It also ends when the reader of its output does.

        fairdraw listen --json --since 2026-11-21 | jq .outcome
      """)

  @Option(
    help: ArgumentHelp(
      "Begin with what was recorded from this time on (2026-11-21 or 2026-11-21T08:30:00Z), or after this cursor; 0 prints all outcomes. (default: now)",
      valueName: "time|cursor"))
  var since: String?

  @Option(
    help: ArgumentHelp(
      "Only outcomes of this endpoint: \(Endpoint.allCases.map(\.name).joined(separator: ", ")).", valueName: "name"))
  var endpoint: String?

  @Flag(help: "Print each outcome as the server returned it.")
  var json = false

  @OptionGroup var server: ServerOptions

  func validate() throws {
    if let endpoint, Endpoint(name: endpoint) == nil {
      throw ValidationError(
        "There is no endpoint \"\(endpoint)\"; there are \(Endpoint.allCases.map(\.name).joined(separator: ", ")).")
    }
    guard since.map({ OutcomePlace($0) != nil || Milliseconds(iso8601: $0) != nil }) ?? true else {
      throw ValidationError("--since must be a time, such as 2026-11-21T08:30:00Z, a cursor, or 0.")
    }
  }

  func run() async throws {
    guard server.apiKey != nil else {
      throw ValidationError("Give an API key: in FAIRDRAW_KEY, or with --key-file.")
    }
    let listener = Listener(server: try server.fetch(), endpoint: endpoint, isJSON: json)
    let listening = Task { [since] in try await listener.listen(since: since) }
    let signals = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { listening.cancel() }
      source.activate()
      return source
    }
    defer { for source in signals { source.cancel() } }
    try await listening.value
  }
}

/// Follows the list of an account's outcomes on a server.
private struct Listener: Sendable {
  let server: HTTPFetch
  let endpoint: String?
  let isJSON: Bool

  private static let pause = Duration.seconds(1)

  /// Prints outcomes until the task is cancelled or nobody reads them.
  func listen(since: String?) async throws {
    var cursor = since
    do {
      while StandardOutput.isOpen {
        let page = try await page(after: cursor)
        // Without a cursor the answer is the newest outcome, and what is to be printed comes after it.
        if cursor != nil {
          for outcome in page.outcomes {
            guard try StandardOutput.writeIfRead(line(outcome)) else { return }
          }
        }
        let isAtEnd = cursor == nil || !page.hasMore
        cursor = page.next
        if isAtEnd { try await Task.sleep(for: Self.pause) }
        try Task.checkCancellation()
      }
    } catch is CancellationError {
      if let cursor { Swift.print("To go on from here: --since \(Terminal.printable(cursor))", to: &Terminal.error) }
    }
  }

  private func page(
    after cursor: String?
  ) async throws -> (outcomes: [JSONValue], next: String, hasMore: Bool) {
    let path =
      "/api/outcomes?limit=\(cursor == nil ? 1 : 1000)" + (cursor.map { "&after=\($0)" } ?? "")
      + (endpoint.map { "&endpoint=\($0)" } ?? "")
    let answer = try await Retries(limit: Retries.forEver).answer { try await server.get(path) }
    guard answer.status == 200, let page = answer.json, let outcomes = page["outcomes"]?.elements(),
      let next = page["next"]?.text, let hasMore = page["hasMore"]
    else { throw CommandFailure("the server does not list the outcomes: \(Terminal.printable(answer.error))") }
    return (outcomes, next, hasMore.isTrue)
  }

  private func line(_ outcome: JSONValue) -> [UInt8] {
    if isJSON { return outcome.raw + [UInt8(ascii: "\n")] }
    let created = (outcome["created"]?.integer).map { Milliseconds($0).iso8601 } ?? ""
    let place = ["clientSeed", "cursor", "nonce"].compactMap { outcome[$0].map(DrawCommand.text) }
    let text = [
      "\(created.prefix(10)) \(created.dropFirst(11).prefix(8))", outcome["shortId"]?.text ?? "",
      outcome["endpoint"]?.text ?? "", place.joined(separator: ":"),
      outcome["outcome"].map { DrawCommand.lines($0).joined(separator: ", ") } ?? "",
    ].map(Terminal.printable).joined(separator: "  ")
    let shown = Terminal.width.flatMap { text.count > $0 ? text.prefix(max($0 - 1, 0)) + "…" : nil } ?? text[...]
    return Array("\(shown)\n".utf8)
  }
}
