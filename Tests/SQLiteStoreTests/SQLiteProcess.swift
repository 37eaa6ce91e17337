import Foundation

/// Another process at the database: Debian's `sqlite3`.
final class SQLiteProcess {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()

  /// Starts on `file`; what it does waits for a lock as long as need be.
  init(_ file: String) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["sqlite3", "-bail", "-cmd", ".timeout 30000", file]
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
  }

  func send(_ sql: String) { input.fileHandleForWriting.write(Data((sql + "\n").utf8)) }

  /// The next output, when there is some.
  func receive() -> String {
    String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
  }

  /// Closes its input and returns the rest of its output.
  func finish() throws -> String {
    try input.fileHandleForWriting.close()
    let rest = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let text = String(decoding: rest, as: UTF8.self)
    guard process.terminationStatus == 0 else { throw Failed(output: text) }
    return text
  }

  struct Failed: Error { let output: String }
}

/// Runs `sql` on `file` in another process; returns what it prints.
@discardableResult
func sqlite3(_ file: String, _ sql: String) throws -> String {
  let process = try SQLiteProcess(file)
  process.send(sql)
  return try process.finish().trimmingCharacters(in: .newlines)
}
