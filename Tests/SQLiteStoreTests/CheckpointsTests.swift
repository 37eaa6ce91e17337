import Foundation
import GRDBSQLite
import SQLiteStore
import Testing

@Suite(.timeLimit(.minutes(1))) struct CheckpointsTests {
  private let folder = try! TemporaryFolder()
  private var file: String { folder.path("test.db") }

  /// A connection, with a table of 4 KB rows if it is the first.
  private func open() throws -> OpaquePointer {
    var connection: OpaquePointer?
    try #require(sqlite3_open(file, &connection) == SQLITE_OK)
    let opened = try #require(connection)
    try run("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b BLOB)", opened)
    return opened
  }

  private func run(_ sql: String, _ connection: OpaquePointer) throws {
    try #require(
      sqlite3_exec(connection, sql, nil, nil, nil) == SQLITE_OK, "\(String(cString: sqlite3_errmsg(connection)))")
  }

  private func size(_ suffix: String) throws -> Int {
    try #require(try FileManager.default.attributesOfItem(atPath: file + suffix)[.size] as? Int)
  }

  private func write(_ rows: Int, _ connection: OpaquePointer) throws {
    for _ in 0..<rows { try run("INSERT INTO t (b) VALUES (randomblob(4000))", connection) }
  }

  @Test func theLogBeginsAnewWhenItIsCopied() throws {
    let writer = try open()
    let checkpoints = Checkpoints(path: file, pages: 50)
    checkpoints.watch(writer)
    // However the threads come and go, the writer waits before the log is longer than this.
    try write(2_000, writer)
    #expect(try size("-wal") < 500 * 4_120)
    #expect(try size("") > 1_500 * 4_096)
    checkpoints.waitUntilIdle()
    sqlite3_close(writer)
  }

  /// It cannot begin anew while somebody reads from it, and does when they are done.
  @Test func aReaderKeepsTheLog() throws {
    let writer = try open()
    let checkpoints = Checkpoints(path: file, pages: 50)
    checkpoints.watch(writer)
    try write(1, writer)
    let reader = try open()
    try run("BEGIN; SELECT count(*) FROM t", reader)
    try write(500, writer)
    let grown = try size("-wal")
    #expect(grown > 500 * 4_096)
    try run("COMMIT", reader)
    try write(2_000, writer)
    #expect(try size("-wal") <= grown + 500 * 4_120)
    sqlite3_close(reader)
    checkpoints.waitUntilIdle()
    sqlite3_close(writer)
  }

  /// A copy that fails is no failure of the draws.
  @Test func aLogThatCannotBeCopiedGrows() throws {
    let writer = try open()
    let checkpoints = Checkpoints(path: folder.path("nowhere.db"), pages: 50)
    checkpoints.watch(writer)
    try write(500, writer)
    var statement: OpaquePointer?
    try #require(sqlite3_prepare_v2(writer, "SELECT count(*) FROM t", -1, &statement, nil) == SQLITE_OK)
    #expect(sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) == 500)
    sqlite3_finalize(statement)
    checkpoints.waitUntilIdle()
    sqlite3_close(writer)
  }
}
