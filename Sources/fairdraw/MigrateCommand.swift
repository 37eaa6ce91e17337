import ArgumentParser
import Foundation
import Ledger
import PostgresStore
import SQLStore
import SQLiteStore

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Move a ledger from a SQLite file to a PostgreSQL database.",
    discussion: """
      Stop the server first. The command copies everything and then compares it, row by row: accounts, keys, chains, \
      outcomes, stored responses, published days, webhooks. With the same master key file, short ids, permalinks and \
      retries work on the new database as on the old one. If the command is interrupted, run it again: it continues.

      Afterwards the old file cannot be used: its chains would give out the same randomness a second time.
      """)

  @Option(help: ArgumentHelp("The file to move, as sqlite:PATH.", valueName: "url"))
  var from: String

  @Option(help: ArgumentHelp("The empty database to move into, as postgres://USER@HOST/NAME.", valueName: "url"))
  var to: String

  @Option(
    help: ArgumentHelp("The file with the master key. (default: master.key beside the SQLite file)", valueName: "path"))
  var masterKeyFile: String?

  private static let rowsAtOnce = 2_000

  func validate() throws {
    guard from.hasPrefix("sqlite:"), from.utf8.count > "sqlite:".utf8.count else {
      throw ValidationError("--from must be sqlite:PATH.")
    }
    guard ConnectionTarget.isTarget(to) else { throw ValidationError("--to must be postgres://….") }
  }

  func run() async throws {
    let path = URL(fileURLWithPath: String(from.dropFirst("sqlite:".count)))
    guard FileManager.default.fileExists(atPath: path.path) else {
      throw CommandFailure("there is no database at \(path.path)")
    }
    let keyFile =
      Settings.text("master-key-file", masterKeyFile).map { URL(fileURLWithPath: $0) }
      ?? path.deletingLastPathComponent().appendingPathComponent("master.key")
    let masterKey = try MasterKeyFile.read(keyFile)
    let target: ConnectionTarget
    do {
      target = try ConnectionTarget(url: to)
    } catch {
      throw ValidationError("--to: \(error).")
    }
    let source: SQLiteStore
    do {
      source = try SQLiteStore(path: path.path, masterKey: masterKey, mayHaveMoved: true)
    } catch {
      throw CommandFailure("the database \(path.path) cannot be opened: \(error)")
    }
    let rows: Int
    do {
      let cell = try await source.cell()
      let destination = try PostgresImport(into: target, masterKey: masterKey)
      rows = try source.moveAway(to: target.place) { try Self.move($0, into: destination) }
      // Only when the old file is closed: there is never a moment at which both can be drawn from.
      try destination.finish(cell: cell)
    } catch is MasterKeyMismatch {
      throw CommandFailure("the database \(target.place) cannot be moved into: it belongs to another master key")
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure("the ledger was not moved into \(target.place): \(error)")
    }
    print(
      """
      \(rows) rows are in \(target.place) and have been compared with \(path.path).
      Start the servers there, each with a copy of \(keyFile.path). The old file is no longer used.
      """, to: &Terminal.error)
  }

  /// - Returns: how many rows there are.
  private static func move(_ source: SQLiteExport, into destination: PostgresImport) throws -> Int {
    let counts = try LedgerTable.all.map { try source.count($0) }
    let total = counts.reduce(0, +)
    let bar = ProgressBar(total: total)
    defer { bar.clear() }
    var done = 0
    for (table, count) in zip(LedgerTable.all, counts) {
      // Rows go over in order, a batch whole or not at all, so what is there are the first ones.
      let present = try destination.count(table)
      guard present <= count else { throw Difference(table: table) }
      done += present
      try source.rows(of: table, skipping: present, atOnce: rowsAtOnce) { rows in
        try destination.append(rows, to: table)
        done += rows.count
        bar.show(done, "copying \(table.name)")
      }
    }
    done = 0
    for table in LedgerTable.all {
      try compare(table, source, destination) { rows in
        done += rows
        bar.show(done, "comparing \(table.name)")
      }
    }
    return total
  }

  private static func compare(
    _ table: LedgerTable, _ source: SQLiteExport, _ destination: PostgresImport, _ advance: (Int) -> Void
  ) throws {
    // Both are read a batch at a time; a batch of the one is held until the other's is there, which is of the same rows.
    var copied: [[SQLValue]] = []
    let reader = try destination.reader(of: table)
    try source.rows(of: table, skipping: 0, atOnce: rowsAtOnce) { rows in
      copied = try reader.next(rows.count)
      guard rows == copied else { throw Difference(table: table) }
      advance(rows.count)
    }
    guard try reader.next(1).isEmpty else { throw Difference(table: table) }
    try reader.close()
  }

  /// What was copied is not what is there.
  private struct Difference: Error, CustomStringConvertible {
    let table: LedgerTable
    var description: String {
      "its table \(table.name) differs from the file's: the file was used after the move began; "
        + "create a new database and start again"
    }
  }
}
