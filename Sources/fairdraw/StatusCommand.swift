import ArgumentParser
import Foundation
import JSON

struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Ask a running server how it is.",
    discussion: "The exit code is 0 if the server is well, and 1 if it is not or does not respond.")

  @Option(
    help: ArgumentHelp(
      "The server. (default: the host and port that are set, on this machine)", valueName: "url"))
  var url: String?

  @Flag(help: "Print the server's answer, one JSON object.")
  var json = false

  func run() async throws {
    let base = try url ?? Self.address()
    let answer = try await HTTPFetch(base: base).get("/api/health")
    guard let health = try? JSONText(answer.body).root, let status = answer.text("status") else {
      throw CommandFailure("\(base) answered \(answer.status), and not as Fairdraw does: \(answer.error)")
    }
    if json { try StandardOutput.write(answer.body + [UInt8(ascii: "\n")]) }
    let times = health["responseTimes"]?["overall"]
    let lines = [
      ("server", base), ("status", status), ("database", answer.text("db")), ("version", answer.text("version")),
      ("uptime", health["uptime"]?.number.flatMap { Int($0) }.map(Self.duration)),
      ("response times", times?["avgMs"]?.number.map { "\($0) ms on average" }),
      ("failed groups", health["usagePersistence"]?["failures"]?.number),
    ]
    for (name, value) in lines where !json {
      guard let value else { continue }
      try StandardOutput.print("\(name.padding(toLength: 16, withPad: " ", startingAt: 0))\(Terminal.printable(value))")
    }
    guard answer.status == 200 else { throw CommandFailure("the server is not well: \(status)") }
  }

  /// Where the server of these settings listens.
  static func address() throws -> String {
    let host = Settings.text("host", nil) ?? "127.0.0.1"
    let reached = ["0.0.0.0": "127.0.0.1", "::": "::1"][host] ?? host
    let port = try Settings.integer("port", nil, in: 1...65535) ?? 8080
    return "http://\(reached.contains(":") ? "[\(reached)]" : reached):\(port)"
  }

  private static func duration(_ seconds: Int) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60)
    return days > 0
      ? "\(days) d \(hours) h" : hours > 0 ? "\(hours) h \(minutes) min" : "\(minutes) min \(seconds % 60) s"
  }
}
