import ArgumentParser
import Foundation

/// The lines of an audit: each is one check, which holds or fails.
struct AuditReport {
  private(set) var hasFailed = false
  /// Whether something could not be checked.
  private(set) var isIncomplete = false

  mutating func pass(_ name: String, _ note: String) throws { try line("ok   ", name, note) }

  mutating func fail(_ name: String, _ fault: String) throws {
    hasFailed = true
    try line("FAIL ", name, fault)
  }

  /// Something that cannot be checked.
  mutating func cannotCheck(_ name: String, _ reason: String) throws {
    isIncomplete = true
    try line("?    ", name, reason)
  }

  func note(_ text: String) throws { try StandardOutput.print("note: " + Terminal.printable(text)) }

  private func line(_ mark: String, _ name: String, _ text: String) throws {
    let padded = name.padding(toLength: max(12, name.count), withPad: " ", startingAt: 0)
    let lines = text.split(separator: "\n").map { Terminal.printable(String($0)) }
    try StandardOutput.print("\(mark)\(padded)  \(lines.joined(separator: "\n       "))")
  }

  /// Prints the result, and exits as it says: 0 if all holds, 1 if something fails, 2 if something cannot be checked.
  func finish(_ what: String) throws {
    try StandardOutput.print(
      hasFailed ? "NOT verified: \(what)" : isIncomplete ? "cannot check: \(what)" : "verified: \(what)")
    if hasFailed { throw ExitCode(1) }
    if isIncomplete { throw ExitCode(2) }
  }
}
