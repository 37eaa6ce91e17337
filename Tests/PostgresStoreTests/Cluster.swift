import Foundation
import PostgresStore
import Synchronization

/// A PostgreSQL of the tests' own, in a folder of its own, reached through a socket in there. It stops, and its folder
/// goes, when the tests end, however they do. Hardly anything reaches its disk but what somebody waits for.
final class Cluster: Sendable {
  /// Started when it is first needed.
  static let shared = try! Cluster()

  private let folder: URL
  private let databases = Mutex(0)

  private init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("fairdraw-pg-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    // PostgreSQL does not run as root; Debian's packages come with a user for it.
    let isRoot = geteuid() == 0
    if isRoot { try Self.run("chown", ["postgres:postgres", folder.path]) }
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // The shell reads a pipe whose other end is this process's, and nobody else's: it ends when this process does.
    let script = """
      cd "$1" || exit
      PATH="$(pg_config --bindir 2>/dev/null):$(echo /usr/lib/postgresql/*/bin | tr ' ' '\\n' | tail -1):$PATH"
      $2 initdb --pgdata data --auth trust --username postgres --encoding UTF8 --no-locale --no-sync >log 2>&1 || exit
      $2 postgres -D data -k "$1" -c listen_addresses= -c fsync=off -c max_connections=500 -c shared_buffers=32MB \
        -c wal_writer_delay=10s -c wal_writer_flush_after=1GB -c bgwriter_lru_maxpages=0 >>log 2>&1 &
      read -r _
      kill -QUIT $!
      wait
      rm -rf "$1"
      """
    let user = isRoot ? "setpriv --reuid=postgres --regid=postgres --clear-groups" : ""
    shell.arguments = ["sh", "-c", script, "cluster", folder.path, user]
    let leash = Pipe()
    shell.standardInput = leash
    shell.standardOutput = FileHandle.nullDevice
    try shell.run()
    _ = Unmanaged.passRetained(leash)  // never closed but by the end of the process
    for _ in 0..<600 {
      if (try? psql("SELECT 1")) != nil { return }
      usleep(100_000)
    }
    throw Failed(output: (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? "no log")
  }

  struct Failed: Error { let output: String }

  func url(_ database: String) -> String { "postgres://postgres@/\(database)?host=\(folder.path)" }

  func target(_ database: String) throws -> ConnectionTarget { try ConnectionTarget(url: url(database)) }

  /// A new and empty database.
  func makeDatabase() throws -> String {
    let number = databases.withLock { count in
      count += 1
      return count
    }
    let name = "test_\(number)"
    try psql("CREATE DATABASE \(name)")
    return name
  }

  /// Runs `sql` from outside; returns what it prints.
  @discardableResult
  func psql(_ sql: String, in database: String = "postgres") throws -> String {
    try Self.run("psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(database), "-c", sql])
  }

  @discardableResult
  private static func run(_ command: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failed(output: text) }
    return text.trimmingCharacters(in: .newlines)
  }
}
